"""What is said of variables that are not set yet, or dead: that, and nothing that their garbage seems to be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from delve_bridge.console import Console
from delve_bridge.moves import resume, set_breakpoint
from gomap.render.text import Style
from tests.support import debuggers, delves, toolchains
from tests.support.debuggers import LOAD, NO_SCRIPTS, Gdb
from tests.support.delves import Dlv
from tests.support.toolchains import Row

ASKED = (
    *("hmap-show m", "hmap-get m one", "hmap-check m", "hmap-evac m", "hmap-alias m", "hmap-cycle t"),
    *("hmap-show t.m", "hmap-show pair[1].m", "hmap-sync pair[0].s", "hmap-show pair[0].all[0]", "hmap-show t.next.m"),
)
#: What both debuggers know. Delve does not list the others before the program is past their lines.
OLD = ("hmap-show old", "hmap-get old old", "hmap-check old", "hmap-evac old", "hmap-alias old", 'hmap-show old["old"]')
LATER = ("hmap-show later", "hmap-check later", "hmap-whatis later")
EARLY, LATE = ("-ex", "starti"), ("-ex", "break main.main", "-ex", "run")


def judge(line: str, output: str, listed: bool = True) -> None:
    """output: the answer in JSON, or a line of text. listed: the debugger has the variable."""
    # (Where the collector has taken the header away, a note lists what its variable may be.)
    assert "corrupt" not in " ".join(output.split()).replace("uninitialized, dead or corrupt", ""), (line, output)
    reasons = ("is dead at this pc", "is declared at line") if listed else ("no variable '",)
    assert any(reason in output for reason in reasons), (line, output)
    if output.startswith("{"):
        error = json.loads(output).get("error")
        if error is None and line.startswith(OLD):
            return  # what the collector has taken away may still lie there whole: it is shown, and said to be dead
        codes = {"not-set" if listed else "no-such-variable"}
        if line.startswith(OLD):
            codes |= {"bad-expression", "not-a-map"}  # of such a map: it is no key, and its elem is no map
        assert error is not None and error["code"] in codes, (line, output)


#: Runs commands in gdb, with and without --json, and prints what each answered or failed with.
RUN = """python
import json
def answer(line):
    try:
        return gdb.execute(line, to_string=True)
    except gdb.error as error:
        return str(error)
for line in {lines!r}:
    for one in (line, line + " --json"):
        print("@" + json.dumps([one, answer(one)]))
end
"""


def in_gdb(gdb: Gdb, script: Path, lines: tuple[str, ...], *arguments: str) -> list[list[str]]:
    """(the command, what it answered) of each."""
    script.write_text(RUN.format(lines=lines))
    run = debuggers.run_gdb(gdb, [*NO_SCRIPTS, "-x", str(LOAD), *arguments[:-1], "-x", str(script), arguments[-1]])
    answers = [json.loads(line[1:]) for line in run.stdout.splitlines() if line.startswith("@")]
    assert len(answers) == 2 * len(lines), run.stderr
    return answers


def through_delve(dlv: Dlv, lines: tuple[str, ...], *arguments: str, live: bool) -> list[list[str]]:
    with delves.bridge(dlv, arguments) as bridge:
        console = Console(bridge, Style())
        if live:
            set_breakpoint(bridge, "main.stop")
            resume(bridge, "continue")
        outcomes = [(one, console.execute(one)) for line in lines for one in (line, f"{line} --json")]
    return [[line, outcome.output or str(outcome.error)] for line, outcome in outcomes]


@pytest.mark.each_kind
def test_unset(toolchain: Row, gdb: Gdb, dlv: Dlv, tmp_path: Path) -> None:
    program, core, script = str(toolchains.small("unset", toolchain)), str(tmp_path / "core"), tmp_path / "script"
    live = "-ex", "break main.stop", "-ex", "run"
    for line, output in in_gdb(gdb, script, OLD + ASKED + LATER, *live, "-ex", f"gcore {core}", program):
        judge(line, output)
    for line, output in through_delve(dlv, OLD + ASKED, "exec", program, live=True):
        judge(line, output, listed=line.startswith(OLD))
    for line, output in in_gdb(gdb, script, OLD + ASKED + LATER, "-ex", f"core {core}", program):
        judge(line, output)
    for line, output in through_delve(dlv, OLD + ASKED, "core", program, core, live=False):
        judge(line, output, listed=line.startswith(OLD))
    Path(core).unlink()  # more than 1 GB


def test_before_main(system_go: Row, gdb: Gdb, dlv: Dlv, tmp_path: Path) -> None:
    """A nil map is still to be made by the program's own initialisation."""
    program, asked = str(toolchains.small("unset", system_go)), ("hmap-show main.Nil",)
    early, late = (in_gdb(gdb, tmp_path / "s", asked, *stop, program)[0][1] for stop in (EARLY, LATE))
    assert "main has not started yet" in " ".join(early.split()) and "make(" not in early
    assert "make(map[string]int)" in late
    with delves.bridge(dlv, ["exec", program]) as bridge:
        early = Console(bridge, Style()).execute(*asked).output
    assert "main has not started yet" in " ".join(early.split()) and "make(" not in early
