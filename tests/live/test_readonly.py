"""Looking changes nothing: the program sums its own memory before and after, and gdb's events tell of no change."""

from __future__ import annotations

import json
import platform
from pathlib import Path
from typing import Callable

import pytest

from tests.support import debuggers, session, toolchains
from tests.support.debuggers import Gdb
from tests.support.toolchains import Row

Target = Callable[[str], Path]

MAPS = ("main.Keep.Ints", "main.Keep.Words", "main.Keep.Large", "main.Keep.Nested")
#: The argument of exit_group.
STATUS = "output $x0" if platform.machine() == "aarch64" else "output $rdi"
WATCH = (f"source {session.HELPERS}", "gomap_watch")


def every_command(folder: Path, stage: str) -> list[str]:
    """All that the extension does, well and badly, as text and as JSON."""
    on_each = [
        "hmap-show {} --entries 100 --buckets 0",
        "hmap-show {} --json",
        "hmap-evac {}",
        "hmap-evac {} --json",
        "hmap-alias {} main.Keep.Ints",
        "hmap-record {} " + str(folder / stage) + ".{}.hmap",
        "hmap-show {}.nosuch",
        'output $hmap_len("{}")',
        'output $hmap_load("{}")',
        "gomap_children {}",
    ]
    return [
        *(command.replace("{}", expr) for expr in MAPS for command in on_each),
        "hmap-alias --all",
        "hmap-alias --json --depth 3",
        "hmap-race",
        "hmap-race --json",
        "hmap-show main.Keep.Ints --iterators",
        "hmap-show 0x10:map[int]int",
        "complete hmap-show main.",
        "help hmap",
        "hmap-show ints",
        "gomap_user_frame",
        "hmap-show ints --json --entries 5",
        "hmap-alias",
        "info locals",
        "print main.Keep",
        "set hmap printer off",
        "set hmap printer on",
        "backtrace -full 3",
        "frame 0",
    ]


def test_the_program_finds_itself_unchanged(target: Target, gdb: Gdb, tmp_path: Path) -> None:
    binary = target("selfcheck")
    first, last = debuggers.stages(binary)
    commands = {
        first: [*WATCH, *every_command(tmp_path, first)],
        # The program compares after the last stop, and leaves with 0 or 3. It is stopped on its way out: gdb
        # loses the exit code of a program with threads now and then ("Couldn't get registers").
        last: [*every_command(tmp_path, last), "gomap_seen", "catch syscall exit_group", "continue", STATUS],
    }
    answers = debuggers.visit(gdb, binary, commands)
    assert json.loads(answers.at(last, "gomap_seen").output) == []
    assert "exit_group" in answers.at(last, "continue").output
    assert answers.at(last, STATUS).output == "0"
    given = [a for a in answers.answers if a.command.split()[0].startswith("hmap-") and "nosuch" not in a.command]
    allowed = ("hmap-show ints", "hmap-show 0x10:")
    failed = [(a.command, a.error) for a in given if a.error is not None and not a.command.startswith(allowed)]
    assert not failed and len(given) >= 60
    assert len(list(tmp_path.iterdir())) == 2 * len(MAPS)


def write(difference: int) -> str:
    """A gdb command that adds this to a byte of the program's variable main.Keep.Plain.Int."""
    return (
        "python v = gdb.parse_and_eval(\"'main.Keep'\"); a = int(v['Plain']['Int'].address); "
        "i = gdb.selected_inferior(); "
        f"i.write_memory(a, bytes([(i.read_memory(a, 1)[0][0] + {difference}) % 256]))"
    )


def test_a_change_would_be_noticed(system_go: Row, system_gdb: Gdb) -> None:
    """The same watch, where gdb itself writes what is there already."""
    binary = toolchains.build("selfcheck", system_go, optimised=False)
    _first, last = debuggers.stages(binary)
    changes = [write(0), "set var $rcx = $rcx"]
    answers = debuggers.visit(system_gdb, binary, {last: [*WATCH, *changes, "gomap_seen"]})
    memory, register = json.loads(answers.at(last, "gomap_seen").output)
    assert memory.startswith("memory at 0x") and register == "register"


def test_the_program_would_notice(system_go: Row, system_gdb: Gdb) -> None:
    """One word that gdb changes ends the program, before it comes to its next stage."""
    binary = toolchains.build("selfcheck", system_go, optimised=False)
    first, last = debuggers.stages(binary)
    commands = {first: [write(1)]}
    with pytest.raises(AssertionError, match=f"the program ended before stage {last}"):
        debuggers.visit(system_gdb, binary, commands)
