"""gomap doctor: what is installed, what is missing, and the command that fixes it."""

from __future__ import annotations

import argparse
import json
import os
import resource
import shlex
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Callable

from direct.target import DirectTarget, info_of, of_core, of_process
from gomap import __version__, corefile, elf, human
from gomap.errors import GomapError, UsageError
from gomap.render import json as as_json
from gomap.render.terminal import ended, open_streams, style, write
from gomap.results.doctor import Check, DoctorResult
from gomap.trace.uprobes import refused

#: Seconds that a debugger may take to say its version.
PATIENCE = 60
SYSTEM = "/proc/sys/kernel/"
#: What each package is for.
PACKAGES = {
    "tabulate": "tables line up",
    "pygments": "Go values have colours",
    "numpy": "hmap-check hashes all keys of large maps, and large maps take less time",
    "scipy": "hmap-why can show what keeps a map alive",
    "textual": "gomap top shows a live screen",
    "protobuf": "hmap-top --pprof can write a profile for go tool pprof",
}
ASK_GDB = """import gdb, importlib.util, sys
sys.path.append({site!r} % sys.version_info[:2])
there = [n for n in ("tabulate", "pygments", "numpy", "scipy") if importlib.util.find_spec(n)]
if importlib.util.find_spec("google") and importlib.util.find_spec("google.protobuf"):
    there.append("protobuf")
print("gomap", gdb.VERSION, "%d.%d" % sys.version_info[:2], *there)"""


def parsers() -> dict[str, argparse.ArgumentParser]:
    """The command line of gomap doctor."""
    parser = argparse.ArgumentParser(
        prog="gomap doctor",
        description="Check this machine, and a program, core file or process if given: say what gomap needs and "
        "does not find, and the command that fixes it. Nothing is changed.",
    )
    parser.add_argument("WHAT", nargs="*", metavar="PROG|CORE|PID", help="a program, a core file or a process id")
    parser.add_argument("--json", action="store_true", help="print the answer as one line of JSON")
    return {"doctor": parser}


def main(argv: Sequence[str]) -> int:
    """Status 1 where something is missing."""
    open_streams()
    options = parsers()["doctor"].parse_args(argv[1:])
    return ended("gomap", lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    checks = list(examine(options.WHAT))
    write(as_json.bare("gomap doctor", _result(checks)) if options.json else _text(checks, style(sys.stdout).width))
    return int(any(check.state == "missing" for check in checks))


def examine(what: Sequence[str]) -> Iterator[Check]:
    """All checks, for a program, a core file and a process as named. Raises UsageError."""
    pids = [one for one in what if one.isdecimal() and not os.path.exists(one)]
    cores = [one for one in what if one not in pids and _is_core(one)]
    programs = [one for one in what if one not in pids and one not in cores]
    if len(what) > 2 or max(len(pids), len(cores), len(programs)) > 1 or (pids and cores):
        raise UsageError("doctor takes a program, and a core file or a process id: [PROG] [CORE|PID]")
    yield from machine()
    yield from settings()
    yield traces()
    for program in programs:
        yield from of_program(program)
    for core in cores:
        yield from of_core_file(programs[0] if programs else None, core)
    for pid in pids:
        yield from of_pid(int(pid))


def _is_core(path: str) -> bool:
    return elf.why_no_core(path) is None or elf.was_meant_as_core(path)


# -- this machine ------------------------------------------------------------------------------------


def machine() -> Iterator[Check]:
    """Checks gomap itself, its Python packages, gdb and Delve."""
    area = "gomap"
    yield Check(area, "gomap", "ok", f"gomap {__version__} in {_root()}")
    yield Check(area, "python", "ok", f"Python {sys.version.split()[0]}: {sys.executable}")
    for name, use in PACKAGES.items():
        if _is_there(name):
            yield Check(area, name, "ok", f"{name} is there")
        else:
            mend = f"{shlex.quote(sys.executable)} -m pip install {name}"
            yield Check(area, name, "advice", f"{name} is missing for this Python; with it {use}", mend)
    yield from _gdb()
    yield from _delve()


def _is_there(package: str) -> bool:
    if package != "protobuf":
        return find_spec(package) is not None
    return find_spec("google") is not None and find_spec("google.protobuf") is not None


def _root() -> Path:
    return Path(__file__).absolute().parent.parent


def _set_up() -> str:
    """What sets gdb and dlv up."""
    script = _root() / "install.sh"
    return shlex.quote(str(script)) if script.is_file() else "./install.sh in a checkout of gomap"


def _gdb() -> Iterator[Check]:
    data = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    chosen = Path(data, "gomap", "gdb")
    wanted = os.environ.get("GOMAP_GDB") or (chosen.read_text().strip() if chosen.is_file() else "gdb")
    gdb = shutil.which(wanted)
    if gdb is None:
        yield Check(
            "gdb", "gdb", "advice", f"{wanted} is not on PATH: gomap's commands for gdb can't be used", _set_up()
        )
        return
    ask = ASK_GDB.format(site=str(Path(data, "gomap", "site-py%d.%d")))
    said = _said([gdb, "-nx", "-q", "-batch", "-ex", "python exec(" + json.dumps(ask) + ")"])
    words = next((line.split()[1:] for line in said.splitlines() if line.startswith("gomap ")), [])
    python = next((i for i, word in enumerate(words) if word.count(".") == 1 and word.startswith("3.")), None)
    if python is None:
        yield Check("gdb", "gdb", "advice", f"{gdb} was built without Python, which gomap's commands need", _set_up())
        return
    version = " ".join(words[:python])
    number = [int(part) for part in version.split()[-1].split("-")[0].split(".")[:1] if part.isdecimal()]
    if (number and number[0] < 12) or int(words[python].split(".")[1]) < 9:
        what = f"{gdb} is version {version} with Python {words[python]}: gomap needs gdb 12 and Python 3.9"
        yield Check("gdb", "gdb", "advice", what, _set_up())
        return
    yield Check("gdb", "gdb", "ok", f"gdb {version} with Python {words[python]}: {gdb}")
    into = str(Path(data, "gomap", f"site-py{words[python]}"))
    for name in ("tabulate", "pygments", "numpy", "scipy", "protobuf"):
        if name in words[python + 1 :]:
            yield Check("gdb", f"gdb-{name}", "ok", f"{name} is there for gdb's Python")
        else:
            what = f"{name} is missing for gdb's Python; with it {PACKAGES[name]}"
            pip = shlex.join([f"python{words[python]}", "-m", "pip", "install", "--target", into, name])
            yield Check("gdb", f"gdb-{name}", "advice", what, pip if name in ("scipy", "protobuf") else _set_up())
    yield _loads(gdb)


def _loads(gdb: str) -> Check:
    """Whether a gdb that the user starts has the commands."""
    said = _said([gdb, "-q", "-batch", "-ex", "help hmap-show"])
    if "Usage: hmap-show" in said:
        return Check("gdb", "gdb-loads", "ok", "gdb loads gomap when it starts")
    return Check("gdb", "gdb-loads", "advice", "gdb does not load gomap when it starts; gdb-hmap does", _set_up())


def _delve() -> Iterator[Check]:
    if find_spec("delve_bridge") is None:  # an archive
        return
    from delve_bridge.server import find_dlv

    try:
        dlv = find_dlv()
    except GomapError as error:
        yield Check("Delve", "dlv", "advice", str(error), _set_up())
        return
    lines = _said([dlv, "version"]).splitlines()
    version = next((line.partition(":")[2].strip() for line in lines if line.startswith("Version:")), None)
    if version is None:
        yield Check("Delve", "dlv", "advice", f"{dlv} does not print its version", _set_up())
    else:
        yield Check("Delve", "dlv", "ok", f"dlv {version}: {dlv}")


def _said(command: Sequence[str]) -> str:
    try:
        run = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=PATIENCE
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return run.stdout


def settings() -> Iterator[Check]:
    """What the kernel allows, and what becomes of core files here."""
    area = "this machine"
    scope = _file(SYSTEM + "yama/ptrace_scope")
    if scope in (None, "0"):
        yield Check(area, "yama", "ok", "processes of the same user can be read (Yama does not restrict it)")
    elif scope in ("1", "2"):
        what = f"{SYSTEM}yama/ptrace_scope is {scope}: only root, or CAP_SYS_PTRACE, can read processes"
        yield Check(area, "yama", "advice", what, "sudo sysctl kernel.yama.ptrace_scope=0")
    else:
        what = f"{SYSTEM}yama/ptrace_scope is {scope}: no process can be read until the machine is rebooted"
        yield Check(area, "yama", "missing", what)
    yield _pattern(area)
    limit = resource.getrlimit(resource.RLIMIT_CORE)
    yield _limit(area, limit[0], limit[1], "started from here", "ulimit -c unlimited")


def traces() -> Check:
    """How hmap-trace can trace growths here."""
    problem = refused()
    if problem is None:
        what = "nothing known keeps hmap-trace from recording growths without stopping the program"
        return Check("this machine", "uprobes", "ok", what)
    what = f"hmap-trace needs gdb or Delve, and stops the program at each growth: {problem}"
    return Check("this machine", "uprobes", "advice", what)


def _pattern(area: str) -> Check:
    pattern = _file(SYSTEM + "core_pattern")
    if pattern is None:
        return Check(area, "core-pattern", "advice", f"{SYSTEM}core_pattern can't be read")
    if not pattern:
        what = f"{SYSTEM}core_pattern is empty: no core files are written"
        return Check(area, "core-pattern", "advice", what, "sudo sysctl kernel.core_pattern=core.%p")
    if not pattern.startswith("|"):
        where = "" if pattern.startswith("/") else ", in the directory that the program runs in"
        return Check(area, "core-pattern", "ok", f"core files are written to {pattern}{where}")
    handler = pattern[1:].split()[0] if pattern[1:].split() else ""
    if "systemd-coredump" in handler:
        return Check(area, "core-pattern", "ok", "core files go to systemd: coredumpctl dump PID -o core extracts one")
    return Check(
        area, "core-pattern", "advice", f"core files are piped to {handler}, which may discard them",
        "sudo sysctl kernel.core_pattern=core.%p",
    )  # fmt: skip


def _limit(area: str, soft: int, hard: int, whose: str, mend: str) -> Check:
    if soft == resource.RLIM_INFINITY:
        return Check(area, "core-limit", "ok", f"core files of programs {whose} may have any size (ulimit -c)")
    told = "are not written" if not soft else f"are truncated at {human.size(soft)}"
    may = "" if hard == resource.RLIM_INFINITY else "; only root can raise the hard limit"
    return Check(area, "core-limit", "advice", f"core files of programs {whose} {told} (ulimit -c){may}", mend)


def _file(path: str) -> str | None:
    try:
        with open(path, errors="replace") as file:
            return file.read().strip()
    except OSError:
        return None


# -- what was named ----------------------------------------------------------------------------------


def of_program(path: str) -> Iterator[Check]:
    """Checks a program: Go's, for a known machine, with debug information."""

    area = f"program {path}"
    if not os.path.isfile(path):
        yield Check(area, "program", "missing", f"{path}: no such file")
        return
    machine = elf.machine_of(path)
    if machine is None or not elf.is_go(path):
        yield Check(area, "program", "missing", f"{path} is not a Go program")
        return
    yield Check(area, "program", "ok", f"a Go program for {machine}")
    try:
        info = info_of(path)
    except (GomapError, OSError) as error:
        what = str(error).replace("no Go debug information: ", "")
        yield Check(area, "debug-information", "missing", what, _built_again(path))
        return
    yield Check(
        area,
        "debug-information",
        "ok",
        f"debug information with {human.plural(len(info.variables), 'package variable')}",
    )


def _built_again(path: str) -> str | None:
    """The command that builds it with debug information, where it was built without."""
    try:
        with elf.mapped(path) as data:
            names = {section.name for section in elf.sections(data)}
    except (OSError, elf.BadElf):
        return None
    if names & {".debug_info", ".zdebug_info"}:
        return f"objcopy --decompress-debug-sections {shlex.quote(path)}"
    return "go build    # without -ldflags=-s or -w" if ".gnu_debuglink" not in names else None


def of_core_file(program: str | None, core: str) -> Iterator[Check]:
    """Checks a core file: whole, and of this program (None: of the one that it names)."""
    area = f"core file {core}"
    problem = elf.why_no_core(core)
    if problem is not None:
        yield Check(area, "core", "missing", problem)
        return
    with elf.mapped(core) as data:
        named = elf.program_in_core(data)
    yield Check(area, "core", "ok", f"a core file of {named or 'a program that it does not name'}")
    found = program or named
    if found is None or not os.path.isfile(found):
        what = f"the program's file is needed: {found or 'the one that ran'} is not on this machine"
        yield Check(area, "build", "missing", what, f"gomap doctor PROG {shlex.quote(core)}")
        return
    if program is None:
        yield from of_program(found)
    try:
        warnings = corefile.check(found, core)
    except (GomapError, OSError) as error:
        yield Check(area, "build", "missing", str(error), f"gomap doctor PROG {shlex.quote(core)}")
        return
    if not warnings:
        yield Check(area, "build", "ok", f"{found} is the program that dumped it, and nothing is cut off")
    for warning in warnings:
        yield Check(area, "build", "advice", warning)
    yield _opens(
        area, lambda: DirectTarget(of_core(found, core)), f"gomap core {shlex.quote(found)} {shlex.quote(core)}"
    )


def of_pid(pid: int) -> Iterator[Check]:
    """Checks a process: whether it can be read."""
    area = f"process {pid}"
    if not os.path.exists(f"/proc/{pid}"):
        yield Check(area, "process", "missing", f"process {pid} does not exist")
        return
    try:
        program = os.readlink(f"/proc/{pid}/exe")
    except OSError:
        program = "a program that this user may not read"
    yield Check(area, "process", "ok", f"it runs {program}")
    if _other_files(pid):
        what = f"it has its own file system (a container): its /x is /proc/{pid}/root/x here"
        yield Check(area, "namespace", "ok", what)
    yield _opens(area, lambda: DirectTarget(of_process(pid)), f"gomap pid {pid}")
    environment = _file(f"/proc/{pid}/environ")
    if environment is not None:
        values = dict(one.partition("=")[::2] for one in environment.split("\0"))
        told = values.get("GOTRACEBACK")
        if told in ("crash", "wer"):
            yield Check(area, "gotraceback", "ok", f"GOTRACEBACK is {told}: a fatal error leaves a core file")
        else:
            what = f"GOTRACEBACK is {told or 'not set'}: a fatal error or panic leaves no core file"
            yield Check(area, "gotraceback", "advice", what, "export GOTRACEBACK=crash    # before the program starts")
    words = next(
        (line.split() for line in (_file(f"/proc/{pid}/limits") or "").splitlines() if "core file" in line), []
    )
    if len(words) >= 6:
        soft, hard = (resource.RLIM_INFINITY if word == "unlimited" else int(word) for word in words[4:6])
        yield _limit(area, soft, hard, "like this one", f"prlimit --pid {pid} --core=unlimited")


def _other_files(pid: int) -> bool:
    """Whether the process has another root or mount namespace than gomap."""
    try:
        return os.readlink(f"/proc/{pid}/ns/mnt") != os.readlink("/proc/self/ns/mnt") or not os.path.samefile(
            f"/proc/{pid}/root", "/"
        )
    except OSError:
        return False


def _opens(area: str, opened: Callable[[], DirectTarget], command: str) -> Check:
    """Whether gomap can look into it, and how; else what the kernel or the files lack."""
    try:
        target = opened()
        return Check(area, "opens", "ok", f"{target.go_version or 'Go'}: {command} answers")
    except GomapError as error:
        said = str(error)
        mend = None
        if "CAP_SYS_PTRACE" in said:
            mend = f"sudo {command}"
        elif "no Go debug information" in said:
            mend = "go build    # without -ldflags=-s or -w"
        return Check(area, "opens", "missing", said, mend)


# -- what is printed ---------------------------------------------------------------------------------


def _text(checks: Sequence[Check], width: int) -> str:
    missing = sum(check.state == "missing" for check in checks)
    advice = sum(check.state == "advice" for check in checks)
    told = f"{human.plural(missing, 'required thing')} missing" if missing else "nothing that is required is missing"
    lines = [told + (f"; optional: {human.plural(advice, 'improvement')}" if advice else "")]
    area = None
    for check in checks:
        if check.area != area:
            area = check.area
            lines += ["", human.visible(area)]
        wrapped = textwrap.wrap(human.visible(check.what), max(width - 12, 20), break_long_words=False)
        lines.append(f"  {check.state:8}  {wrapped[0]}")
        lines += [" " * 12 + rest for rest in wrapped[1:]]
        if check.mend is not None:
            lines.append(" " * 12 + human.visible(check.mend))  # whole, so that it can be copied
    return "\n".join(lines) + "\n"


def _result(checks: Sequence[Check]) -> DoctorResult:
    return DoctorResult(all(check.state != "missing" for check in checks), list(checks))
