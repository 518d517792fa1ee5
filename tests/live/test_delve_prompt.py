"""gomap's commands inside the user's own dlv, in a real terminal: started by dlv-hmap, and sourced in a plain dlv."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support import debuggers, toolchains
from tests.support.dap_sessions import waits_until
from tests.support.delves import Dlv
from tests.support.terminals import Terminal, environment
from tests.support.toolchains import ROOT, Row
from tests.support.windows import headless

BOOTSTRAP = ROOT / "delve_bridge" / "gomap.star"


def worker_of(folder: Path) -> int:
    """The process that answers the commands of the dlv whose pipes are there."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        holders = set()
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if str(folder / "results") in [os.readlink(pipe) for pipe in (process / "fd").iterdir()]:
                    holders.add(int(process.name))
        with suppress(OSError):
            for pid in holders:
                if parent_of(pid) in holders:  # its guard
                    return pid
    raise AssertionError(f"nothing reads {folder}/results")


def parent_of(pid: int) -> int:
    return int(re.findall(r"^PPid:\s*(\d+)", Path(f"/proc/{pid}/status").read_text(), re.M)[0])


# -- a session -------------------------------------------------------------------------------------------------


def converse(terminal: Terminal) -> None:
    """What a user of dlv types, with gomap's commands in between."""
    assert "Breakpoint 1 set" in terminal.ask("b main.go:5")
    assert "=>" in terminal.ask("c")
    assert "func fill(m map[string]int, n int)" in terminal.ask("list")
    terminal.ask("cond 1 n == 3")
    assert "total:2" in terminal.ask("c")
    assert "len(m) = 3" in terminal.ask("display -a len(m)")
    shown = terminal.ask("hmap-show m --entries 9")
    assert "3 entries in 8 slots" in shown and shown.count('"k') == 3
    assert not shown.endswith("\r\n\r\n")
    assert "Frame 1" in terminal.ask("up")
    assert "(main.go:" not in terminal.ask("hmap-show m")
    assert "no variable 'n'" in terminal.ask("hmap-show n")  # that is frame 0's
    assert "n is not a map: it is an int" in terminal.ask("hmap-show n --frame 0")
    assert "goroutine 999" in terminal.ask("hmap-show m --goroutine 999")
    assert 'm["k1"] = 1' in terminal.ask('hmap-get m "k1"')
    assert json.loads(terminal.ask("hmap-show m --json"))["target"]["arch"] == "amd64"
    assert "no variable 'nosuch'" in terminal.ask("hmap-show nosuch")
    assert "no variable '\u00e9'" in terminal.ask("hmap-show \u00e9")
    assert "Usage: hmap-show EXPR" in terminal.ask("help hmap-show")
    assert "hmap-evac" in terminal.ask("help")
    terminal.ask("hmap-config entries 2")
    assert "entries 2" in terminal.ask("hmap-config")
    assert terminal.ask("hmap-show m").count('"k') == 2
    assert "color takes auto or on or off" in terminal.ask("hmap-config color red")
    assert "Process restarted" in terminal.ask("restart")
    assert "hits" in terminal.ask("c")
    assert "3 entries in 8 slots" in terminal.ask("hmap-show m")
    assert "Traceback" not in terminal.leave()


def test_debug(dlv: Dlv, module: Path, tmp_path: Path) -> None:
    terminal = Terminal(dlv, tmp_path, "debug", ".", cwd=module)
    terminal.ready()
    folder = terminal.folder
    converse(terminal)
    waits_until(lambda: not folder.exists())


def test_exec_in_an_old_dlv(old_dlv: Dlv, old_go: Row, tmp_path: Path) -> None:
    binary = toolchains.build("basic", old_go, optimised=False)
    terminal = Terminal(old_dlv, tmp_path, "exec", str(binary), "--break", "main.stop", "--check-go-version=false")
    assert "main.stop()" in terminal.ready()
    assert "1,000 entries" in terminal.ask("hmap-show m")
    assert "main.Keep.Words" in terminal.ask("hmap-alias --scope all")
    assert "1,000 entries" in terminal.ask("hmap-show m --frame 1")
    terminal.leave()


def test_goroutines(dlv: Dlv, system_go: Row, tmp_path: Path) -> None:
    """The variables are those of the goroutine that is selected, for the session or for one command."""
    binary = toolchains.build("goroutines", system_go, optimised=False)
    terminal = Terminal(dlv, tmp_path, "exec", str(binary), "--break", "main.stop")
    terminal.ready()
    listed = terminal.ask("goroutines")
    for function, variable, key in (("main.inSelect", "local.M", "inSelect"), ("time.Sleep", "pointer.M", "inSleep")):
        found = re.search(rf"Goroutine (\d+) - User: \S+ {re.escape(function)} ", listed)
        assert found is not None, listed
        shown = terminal.ask(f"hmap-show {variable} --entries 1 --goroutine {found.group(1)}")
        assert f'"{key}"' in shown
        assert "no variable" in terminal.ask(f"hmap-show {variable}")
        terminal.ask(f"goroutine {found.group(1)}")
        assert f'"{key}"' in terminal.ask(f"hmap-show {variable} --entries 1")
        terminal.ask("goroutine 1")
    terminal.ask("break stopped main.go:49")
    terminal.ask("on stopped hmap-show main.Shared")
    terminal.ask("continue")  # runtime.Breakpoint
    assert "map[string]int  main.Shared" in terminal.ask("continue")
    terminal.leave()


def test_two_plain_sessions(dlv: Dlv, module: Path, tmp_path: Path) -> None:
    """In any dlv, with a worker that was started once. Each session has its own."""
    terminals = [Terminal(dlv, tmp_path, "test", ".", plain=True, cwd=module) for _ in range(2)]
    for terminal in terminals:
        terminal.ready()
    source = f"source {BOOTSTRAP}"
    assert "type `dlv-hmap worker` in a shell" in terminals[0].ask(source)
    with worker(dlv, tmp_path) as pid:
        for terminal in terminals:
            assert terminal.ask(source) == ""
        folders = [tmp_path / "cache" / "gomap" / "dlv" / str(terminal.child.pid) for terminal in terminals]
        assert [parent_of(parent_of(worker_of(folder))) for folder in folders] == [pid, pid]
        again = subprocess.run(
            [str(ROOT / "bin" / "dlv-hmap"), "worker"], env=environment(dlv, tmp_path), capture_output=True, text=True
        )
        assert (again.returncode, again.stdout) == (0, f"a worker is already running; in any dlv: {source}\n")
        terminals[1].ask("b main.go:15")
        assert "main.go:15" in terminals[1].ask("c")
        converse(terminals[0])
        assert "10 entries in 16 slots" in terminals[1].ask("hmap-show m")
        terminals[1].leave()
        waits_until(lambda: not any(folder.exists() for folder in folders))


@contextmanager
def worker(dlv: Dlv, home: Path) -> Iterator[int]:
    started = subprocess.run(
        [str(ROOT / "bin" / "dlv-hmap"), "worker"],
        env=environment(dlv, home),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    found = re.fullmatch(rf"worker (\d+) is running; in any dlv: source {re.escape(str(BOOTSTRAP))}\n", started.stdout)
    assert found is not None, started.stdout
    try:
        yield int(found.group(1))
    finally:
        os.kill(int(found.group(1)), signal.SIGKILL)


# -- ways to start ---------------------------------------------------------------------------------------------


def test_core(dlv: Dlv, system_go: Row, tmp_path: Path) -> None:
    binary = toolchains.build("basic", system_go, optimised=False)
    core = debuggers.make_core(binary, "start").path
    terminal = Terminal(dlv, tmp_path, "core", str(binary), str(core))
    terminal.ready()
    assert "1,000 entries" in terminal.ask("hmap-show m")
    answer = json.loads(terminal.ask("hmap-show m --entries 1000 --json"))  # more than a pipe takes at once
    assert (answer["target"]["kind"], len(answer["data"]["entries"])) == ("core", 1000)
    assert len(json.dumps(answer)) > 1 << 16
    terminal.leave()


def test_attach(dlv: Dlv, spinning: Path, tmp_path: Path) -> None:
    process = subprocess.Popen([str(spinning)], stdin=subprocess.DEVNULL)
    try:
        terminal = Terminal(dlv, tmp_path, "attach", str(process.pid), "--no-direct")
        terminal.ready()
        assert "map[int]int  main.Counts" in terminal.ask("hmap-show main.Counts")
        terminal.leave("n\r")
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()


def test_two_windows_on_one_server(dlv: Dlv, system_go: Row, tmp_path: Path) -> None:
    """dlv --headless and dlv-hmap connect: two windows on one server, which outlives them."""
    binary = toolchains.build("basic", system_go, optimised=False)
    with headless(dlv, binary) as where:
        one, two = (Terminal(dlv, tmp_path, "connect", str(where)) for _ in range(2))
        assert "warning" not in one.ready() + two.ready()
        one.ask("break main.stop")
        assert "main.stop" in one.ask("continue")
        assert "1,000 entries" in two.ask("hmap-show m")
        assert "=>" in two.ask("next")
        assert "1,000 entries" in one.ask("hmap-show m")
        assert "1,000 entries" in one.ask("frame 0 hmap-show m")
        one.leave("n\r")
        assert "1,000 entries" in two.ask("hmap-show m")
        two.leave("n\r")


def test_answers_through_the_prompt(dlv: Dlv, system_go: Row, tmp_path: Path) -> None:
    """dlv's own client, asked through its scripts, tells the same as the server does without it."""
    lines = [
        *("hmap-alias --scope all --all --json", "hmap-top -n 0 --values --json", "hmap-check --all --json"),
        *("hmap-race --json", "hmap-show main.Shared --entries 1 --json", "hmap-show nosuch --json"),
    ]
    binary = toolchains.build("goroutines", system_go, optimised=False)
    with headless(dlv, binary) as where, worker(dlv, tmp_path):
        terminal = Terminal(dlv, tmp_path, "connect", str(where), plain=True)
        terminal.ready()
        terminal.ask(f"source {BOOTSTRAP}")
        terminal.ask("break main.stop")
        terminal.ask("continue")
        answers = [terminal.ask(line).splitlines() for line in lines]
        run = subprocess.run(
            [str(ROOT / "bin" / "dlv-hmap"), "connect", str(where), *(f"-c{line}" for line in lines)],
            env=environment(dlv, tmp_path),
            capture_output=True,
            text=True,
            timeout=120,
        )
        terminal.leave("n\r")
    for line, answer, wanted in zip(lines, answers, run.stdout.splitlines()):
        (told,) = (part[part.index('{"schema"') :] for part in answer if '{"schema"' in part)
        assert json.loads(told) == json.loads(wanted), line


def test_what_is_passed_on(dlv: Dlv, system_go: Row, tmp_path: Path) -> None:
    """dlv's own commands and options, and the status that it ends with."""
    binary = toolchains.build("basic", system_go, optimised=False)
    other = toolchains.build("alias", system_go, optimised=False)
    core = debuggers.make_core(binary, "start").path

    def told(*arguments: str) -> tuple[int, str]:
        command = [str(ROOT / "bin" / "dlv-hmap"), *arguments]
        run = subprocess.run(command, env=environment(dlv, tmp_path), capture_output=True, text=True, timeout=60)
        return run.returncode, run.stdout + run.stderr

    plain = subprocess.run([str(dlv.path), "version"], capture_output=True, text=True)
    assert told("version") == (0, plain.stdout)
    status, said = told("exec", "/nowhere/at/all", "--allow-non-terminal-interactive=true")
    assert status != 0 and "no such file" in said
    status, said = told("core", str(other), str(core))
    assert (status, said) == (1, f"dlv-hmap: {core} comes from another build of the program than {other}\n")
    assert told("exec", str(binary), "--timeout", "x") == (1, "dlv-hmap: --timeout takes seconds, not 'x'\n")
    assert told("exec", str(binary), "--break") == (1, "dlv-hmap: --break needs a value\n")
    init = tmp_path / "init"
    init.write_text("break main.stop\ncontinue\nhmap-show m\n")
    terminal = Terminal(dlv, tmp_path, "exec", str(binary), "--init", str(init))
    assert "1,000 entries" in terminal.ready()
    terminal.leave()


# -- the terminal ----------------------------------------------------------------------------------------------


def test_window_that_changes_its_size(dlv: Dlv, system_go: Row, tmp_path: Path) -> None:
    binary = toolchains.build("basic", system_go, optimised=False)
    terminal = Terminal(dlv, tmp_path, "exec", str(binary), "--break", "main.stop")
    terminal.ready()

    def widest(line: str) -> int:
        return max(len(shown.strip("\r\n")) for shown in terminal.ask(line).splitlines())

    assert 60 < widest("hmap-show m") <= 120
    terminal.child.setwinsize(40, 60)
    assert widest("hmap-show m") <= 60
    terminal.ask("hmap-config color on")
    terminal.child.send("hmap-show m\r")
    terminal.child.expect("\n\x1b\\[1mmap")
    terminal.ready()
    terminal.leave()


def test_completion(dlv: Dlv, system_go: Row, tmp_path: Path) -> None:
    """Of names that stand in dlv's configuration, as docs/delve.md has them."""
    (tmp_path / "config" / "dlv").mkdir(parents=True)
    (tmp_path / "config" / "dlv" / "config.yml").write_text("aliases:\n  source: [hmap-show, hmap-alias]\n")
    binary = toolchains.build("basic", system_go, optimised=False)
    terminal = Terminal(dlv, tmp_path, "exec", str(binary), "--break", "main.stop")
    terminal.ready()
    terminal.child.send("hmap-sh\t m\r")
    terminal.child.expect("1,000 entries")
    terminal.ready()
    assert "Usage: hmap-alias" in terminal.ask("help hmap-alias")
    terminal.leave()


def test_short_names(dlv: Dlv, system_go: Row, tmp_path: Path) -> None:
    binary = toolchains.build("basic", system_go, optimised=False)
    terminal = Terminal(dlv, tmp_path, "exec", str(binary), "--break", "main.stop")
    terminal.ready()
    assert "`hmap aliases` defines hs," in terminal.ask("help hmap")
    assert "1,000 entries" in terminal.ask("hmap show m")
    assert "1,000 entries" not in terminal.ask("hs m")
    assert "hs is hmap-show, he is hmap-entries" in terminal.ask("hmap aliases")
    assert "1,000 entries" in terminal.ask("hs m")
    assert "Usage: hmap-get" in terminal.ask("help hg")
    terminal.leave()


def test_transcript(dlv: Dlv, system_go: Row, tmp_path: Path) -> None:
    """dlv's own goes on, with the answers in it and nothing of what gomap asks."""
    binary, kept = toolchains.build("basic", system_go, optimised=False), tmp_path / "kept"
    terminal = Terminal(dlv, tmp_path, "exec", str(binary), "--break", "main.stop")
    terminal.ready()
    terminal.ask(f"transcript {kept}")
    assert "1,000 entries" in terminal.ask("hmap-show m")
    terminal.ask("print 6 * 7")
    terminal.leave()
    text = kept.read_text()
    assert "1,000 entries" in text and "42" in text
    assert "gomap_" not in text and "\1" not in text


# -- workers that are killed -----------------------------------------------------------------------------------


def test_killed_workers(dlv: Dlv, system_go: Row, tmp_path: Path) -> None:
    """dlv waits for none that is gone, and its user is told what to do."""
    binary = toolchains.build("goroutines", system_go, optimised=False)
    own = str(tmp_path)  # other sessions would remove what killed ones leave
    terminal = Terminal(dlv, tmp_path, "exec", str(binary), "--break", "main.stop", GOMAP_N="4000", XDG_RUNTIME_DIR=own)
    terminal.ready()
    folder = terminal.folder
    first = worker_of(folder)
    os.kill(first, signal.SIGKILL)  # while nothing is asked
    waits_until(lambda: worker_of(folder) != first)
    assert "map[string]int  main.Shared" in terminal.ask("hmap-show main.Shared")
    terminal.child.send("hmap-alias --scope all\r")
    terminal.child.expect(r"goroutines: [\d,]+ of 4,0")
    os.kill(worker_of(folder), signal.SIGKILL)
    assert "gomap's worker was killed: run the command again" in terminal.ready()
    assert "main.stop" in terminal.ask("list")
    assert "map[string]int  main.Shared" in terminal.ask("hmap-show main.Shared")
    last = worker_of(folder)
    os.kill(parent_of(last), signal.SIGKILL)
    os.kill(last, signal.SIGKILL)
    told = terminal.ask("hmap-show main.Shared")
    assert "gomap's worker has ended; start it again: leave dlv and start dlv-hmap again" in told
    assert "main.stop" in terminal.ask("list")
    terminal.leave()
    assert folder.exists()
    terminal = Terminal(dlv, tmp_path, "exec", str(binary), XDG_RUNTIME_DIR=own)
    terminal.ready()
    assert not folder.exists()
    terminal.leave()
