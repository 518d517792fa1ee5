"""What goes wrong gets one clear line, and the next command is given."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import debuggers, schema, session, toolchains
from tests.support.complaints import batch
from tests.support.debuggers import Answer, Gdb, Session
from tests.support.toolchains import TARGETS, Row

#: Expressions that name no map, and the code of the error.
EXPRESSIONS = {
    "nosuch": "no-such-variable",
    "main.nosuch": "no-such-variable",
    "example.com/no/such.Variable": "no-such-variable",
    "main.Maps.nosuch": "bad-expression",
    "main.Maps.Ints.nosuch": "bad-expression",
    "main.Nothing": "not-a-map",
    "main.Nothing.Number": "not-a-map",
    "main.Nothing.Text": "not-a-map",
    "main.Nothing.Any": "not-a-map",
    "main.Nothing.Pointer": "bad-expression",
    "*main.Nothing.Pointer": "bad-expression",
    "*main.Nothing.Number": "bad-expression",
    "main.Nothing.Holder.M": "bad-expression",
    'main.Maps.Whole["a"]': "bad-expression",
    "main.Maps.Whole[99]": "bad-expression",
    "main.Maps.Whole[1]": "not-a-map",
    "main.Maps.Whole[3": "bad-expression",
    "main.Nothing.Number[0]": "bad-expression",
    "main.": "bad-expression",
    ".": "bad-expression",
    "((main.Maps.Whole": "bad-expression",
    "'main.Maps.Whole": "bad-expression",
    "1+1": "bad-expression",
    "$pc": "not-a-map",
    "m" * 5000: "no-such-variable",
    "0x10:map[int]int": "memory-fault",
    "0xdeadbeefdeadbeef:map[int]int": "memory-fault",
    "0xffffffffffffffff:map[int]int": "memory-fault",
    "0xffffffffffffffffffff:map[int]int": "memory-fault",
    "0x10:map[nosuch]int": "no-such-type",
    "0x10:int": "not-a-map",
    "0x10:": "bad-expression",
    "": "usage",
    "main.Maps.Whole main.Maps.Whole": "usage",
    "main.Maps.Whole --nosuch": "usage",
}
#: Whole command lines that are wrong.
COMMANDS = {
    "hmap-show main.Maps.Whole --entries x": "usage",
    "hmap-show main.Maps.Whole --entries -1": "usage",
    "hmap-show main.Maps.Whole --entries": "usage",
    "hmap-show main.Maps.Whole --buckets 9-1": "usage",
    "hmap-show main.Maps.Whole --buckets z": "usage",
    "hmap-show main.Maps.Whole --buckets 1000": "bad-expression",
    "hmap-alias --scope nowhere": "usage",
    "hmap-alias --depth x": "usage",
    "hmap-alias main.Maps.Whole nosuch": "no-such-variable",
}
GOOD = "hmap-show main.Maps.Whole"


def stopped(toolchain: Row, optimised: bool = False) -> tuple[list[str], dict[str, str]]:
    """gdb arguments and environment that lead to the first stage of the program `corrupt`."""
    binary = toolchains.build("corrupt", toolchain, optimised)
    return [str(binary), "-ex", "run"], {"GOMAP_TRUTH": os.devnull}


def test_expressions_and_options(toolchain: Row, gdb: Gdb) -> None:
    wrong = {f"hmap-show {expr}": code for expr, code in EXPRESSIONS.items()} | COMMANDS
    wrong.update({f"hmap-evac {expr}": code for expr, code in list(EXPRESSIONS.items())[:12]})
    args, env = stopped(toolchain)
    asked = [line for command in wrong for line in (command, command + " --json", GOOD)]
    out, err, status = batch(gdb, args, asked, env)
    # Each fails twice, with a line each; the good command between them answers each time.
    assert len(err) == 2 * len(wrong), "\n".join(err)
    assert sum(line.startswith("map[int]int  main.Maps.Whole  0x") for line in out) == len(wrong)
    objects = [line for line in out if line.startswith("{")]
    assert len(objects) == len(wrong), out
    told = iter(err)
    for (command, code), text in zip(wrong.items(), objects):
        name = command.split()[0]
        answer = Answer("", command, text, None).json()
        assert not schema.faults(answer, schema.failure(name)), (command[:80], answer)
        assert answer["error"]["code"] == code, (command[:80], answer)
        for line in (next(told), next(told)):
            assert line.startswith(f"{name}: ") and len(line) > len(name) + 12, (command[:80], line)
    assert status == 0  # the last command was a good one


def test_a_batch_ends_with_the_failure_of_its_last_command(system_go: Row, gdb: Gdb) -> None:
    args, env = stopped(system_go)
    _, err, status = batch(gdb, args, [GOOD, "hmap-show nosuch"], env)
    assert (len(err), status != 0) == (1, True)


def test_functions(toolchain: Row, gdb: Gdb) -> None:
    args, env = stopped(toolchain)
    calls = ['$hmap_len("nosuch")', "$hmap_len()", '$hmap_load("main.Nothing")', "$hmap_len(1)", "$hmap_load(1, 2)"]
    out, err, _ = batch(gdb, args, [f"print {call}" for call in calls], env)
    assert (out, len(err)) == ([], len(calls)), (out, err)
    assert all("$hmap_" in line for line in err), err


def test_no_process(gdb: Gdb, system_go: Row) -> None:
    binary = toolchains.build("corrupt", system_go, optimised=False)
    for args in ([], [str(binary)]):
        commands = [
            "hmap-show m",
            "hmap-evac m",
            "hmap-alias",
            "hmap-alias m",
            "hmap-record m /nowhere/x",
            "print $hmap_len(1)",
        ]
        out, err, _ = batch(gdb, args, commands)
        assert (out, len(err)) == ([], len(commands)), (out, err)
        assert all("no process" in line for line in err), err
        out, _, _ = batch(gdb, args, ["hmap-show m --json", "complete hmap-show "])
        assert [Answer("", "", line, None).json()["error"]["code"] for line in out] == ["no-process"]


def test_running_program(toolchain: Row, gdb: Gdb, tmp_path: Path) -> None:
    """A program that waits for a reader of its truth, run in the background."""
    binary = toolchains.build("corrupt", toolchain, optimised=False)
    fifo = tmp_path / "truth"
    os.mkfifo(fifo)
    args = [str(binary), "-ex", "run &"]
    # gdb 18.1 waits for ever for the end of a program that it kills while it runs in the background.
    end = "python import os, signal; gdb.flush(); os.kill(gdb.selected_inferior().pid, signal.SIGKILL); os._exit(0)"
    commands = ["hmap-show m", "hmap-show m --json", "hmap-alias", end]
    out, err, _ = batch(gdb, args, commands, {"GOMAP_TRUTH": str(fifo)})
    told = [line for line in err if line.startswith("hmap-")]
    assert len(told) == 3 and all("the program is running" in line for line in told), err
    assert [Answer("", "", line, None).json()["error"]["code"] for line in out if line[0] == "{"] == ["target-running"]


def test_optimised_out(toolchain: Row, gdb: Gdb) -> None:
    """A variable that the compiler left nowhere: its name is known and the line says why it can't be read."""
    told = []
    for program in ("alias", "basic"):
        binary = toolchains.build(program, toolchain, optimised=True)
        told += [a for a in session.live(gdb, binary, True).answers if a.error and "is optimized out here" in a.error]
    assert told and all(a.json()["error"]["code"] == "optimized-out" for a in told)


@pytest.mark.parametrize("flag", ["-w", "-s"])
def test_no_debug_information(flag: str, swiss_go: Row, system_gdb: Gdb, tmp_path: Path) -> None:
    binary = tmp_path / "stripped"
    build = [
        str(toolchains.ensure(swiss_go)),
        "build",
        "-buildvcs=false",
        f"-ldflags={flag}",
        "-o",
        str(binary),
        "./corrupt",
    ]
    subprocess.run(build, cwd=TARGETS, env=toolchains._environment(swiss_go), check=True)
    commands = ["hmap-show main.Maps.Whole", "hmap-evac main.Maps.Whole --json", "complete hmap-show m"]
    out, err, _ = batch(system_gdb, [str(binary), "-ex", "run"], commands, {"GOMAP_TRUTH": os.devnull})
    assert len(err) == 2 and all("no Go debug information" in line for line in err), err
    assert [Answer("", "", line, None).json()["error"]["code"] for line in out] == ["no-debug-info"]


def test_c_program(gdb: Gdb, tmp_path: Path) -> None:
    program = tmp_path / "hello"
    compiler = shutil.which("cc")
    if compiler:
        (tmp_path / "hello.c").write_text("struct map { int used; } m; int main(void) { return m.used; }\n")
        subprocess.run([compiler, "-g", "-o", str(program), str(tmp_path / "hello.c")], check=True)
    else:
        program = Path(sys.executable)
    commands = ["hmap-show m", "hmap-alias", "hmap-evac m", "info locals"]
    _out, err, _ = batch(gdb, [str(program), "-ex", "starti"], commands)
    hmap = [line for line in err if line.startswith("hmap-")]
    assert len(hmap) == 3 and all("no Go debug information" in line for line in hmap), err


def test_core_of_another_build(toolchain: Row, gdb: Gdb) -> None:
    core = debuggers.make_core(toolchains.build("basic", toolchain, optimised=False), "start")
    other = toolchains.build("basic", toolchain, optimised=True)
    commands = ["hmap-show main.Keep.M", "hmap-show main.Keep.M --json", "hmap-alias", "hmap-evac main.Keep.M"]
    out, err, _ = batch(gdb, [str(other), str(core.path)], commands)
    assert len(err) == 4 and all("another build" in line for line in err), (out[-3:], err)
    assert [Answer("", "", line, None).json()["error"]["code"] for line in out] == ["wrong-program"]


# -- corrupt maps ------------------------------------------------------------------------------------

DAMAGED = "main.Maps.Ints"
ASKED = (
    f"hmap-show {DAMAGED} --json --entries 20",
    f"hmap-evac {DAMAGED} --json",
    f"hmap-show {DAMAGED} --entries 5",
    f"hmap-show {DAMAGED} --buckets 0",
    f"hmap-evac {DAMAGED}",
    "hmap-alias --all --json",
    "hmap-show main.Maps.Any --json --entries 5",
    "hmap-show main.Maps.Words --json --entries 5",
    "hmap-show main.Maps.Whole --json --entries 5",
    f'output $hmap_load("{DAMAGED}")',
    f'output $hmap_len("{DAMAGED}")',
    "print 'main.Maps'",
)
#: The anomaly that each damage must be told by. None: the map's own structure is as it was.
TOLD = {
    "B200": "bad-B",
    "B40": "bad-B",
    "cycle": "overflow-cycle",
    "buckets": "unreadable",
    "oldbuckets": "unreadable",
    "marks": "count-mismatch",
    "dirlen": "bad-dirlen",
    "dirlen7": "bad-dirlen",
    "directory": "unreadable",
    "table": "unreadable",
    "groups": "unreadable",
    "lengthmask": "bad-table",
    "control": "bad-marks",
    "count": "count-mismatch",
    "interface": None,
    "string": None,
}


def damaged(toolchain: Row, gdb: Gdb) -> tuple[Session, Path]:
    binary = toolchains.build("corrupt", toolchain, optimised=False)
    return debuggers.visit(gdb, binary, {"*": ASKED}, timeout=120), binary


def test_corrupt_maps(toolchain: Row, gdb: Gdb) -> None:
    """Nothing takes long, nothing breaks, and what is wrong is said."""
    answers, binary = damaged(toolchain, gdb)
    for answer in answers.answers:
        where = f"{answer.command} at {answer.stage}"
        assert not re.search(r"Traceback|Python Exception", answer.output + (answer.error or "")), where
        if answer.error is not None:
            assert "\n" not in answer.error and "please report" not in answer.error, (where, answer.error)
    for stage in debuggers.stages(binary):
        for command in ASKED[:2]:
            answer = answers.at(stage, command)
            assert answer.error is None, (stage, answer.error)
            codes = [anomaly["code"] for anomaly in answer.json()["anomalies"]]
            wanted = TOLD[stage]
            assert (wanted in codes) if wanted else (codes == []), (stage, command, answer.json()["anomalies"])
        whole = answers.at(stage, "hmap-show main.Maps.Whole --json --entries 5")
        problem = session.difference(whole.json()["data"], answers.truth[stage]["maps"]["main.Maps.Whole"], cut=False)
        assert problem is None, (stage, problem)
    shown = answers.at("interface", "hmap-show main.Maps.Any --json --entries 5").json()["data"]
    assert shown["live"] == 1 and shown["entries"][0]["value"] == "<unreadable>"
    shown = answers.at("string", "hmap-show main.Maps.Words --json --entries 5").json()
    assert shown["data"]["live"] == 1 and len(shown["data"]["entries"][0]["key"]) <= 256
