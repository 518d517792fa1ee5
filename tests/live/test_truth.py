"""Every number and every entry that gdb shows, against what the program itself publishes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

import pytest

from tests.support import debuggers, session, toolchains
from tests.support.debuggers import Gdb
from tests.support.session import Asked
from tests.support.toolchains import Row
from tests.support.truths import check_all

Target = Callable[[str], Path]

#: Two stages of each program that has two, as far apart as they can be: what a core of it shows.
CORE_STAGES = (0, -1)
#: A core file is one more memory to read: these have every layout, kind of value and place of a header.
CORE_PROGRAMS = ("alias", "basic", "growth", "layout", "nilwrite", "stackmap", "types")

every_program = pytest.mark.parametrize("program", session.PROGRAMS)


@every_program
def test_live(program: str, target: Target, gdb: Gdb, optimised: bool) -> None:
    binary = target(program)
    check_all(session.live(gdb, binary, optimised), binary, optimised, "live")


@pytest.mark.parametrize("program", CORE_PROGRAMS)
def test_core(program: str, target: Target, gdb: Gdb, optimised: bool) -> None:
    binary = target(program)
    stages = debuggers.stages(binary)
    # In optimised builds one of them: what differs there is where variables live, and test_live has every stage.
    chosen = dict.fromkeys(stages[i] for i in core_stages(program, len(stages))[1 if optimised else 0 :])
    for stage in chosen:
        core = debuggers.make_core(binary, stage)
        check_all(session.dead(gdb, core), binary, optimised, "core")


def core_stages(program: str, count: int) -> tuple[int, ...]:
    """Stages of which a core is looked at. A growth is most itself in the middle."""
    return (count // 3, -3) if program == "growth" else CORE_STAGES


#: Stages of which the next insert of a new key grows these maps, and the stage at which it has happened.
GROWS = {
    "growth": (("before", "doubling-started"), ("small-full", "first-table"), ("before-split", "split")),
    "overload": (("at-limit", "grown"), ("littered", "swept")),
}


@pytest.mark.parametrize("program", list(GROWS))
def test_growth_comes_when_forecast(program: str, target: Target, gdb: Gdb, optimised: bool) -> None:
    """`No entry left` is said where the program's next insert does change the structure, and never elsewhere."""
    binary = target(program)
    asked = {(a.stage, a.expr): a for a in session.asked(session.live(gdb, binary, optimised), binary) if a.is_global}
    stages = debuggers.stages(binary)
    checked = 0
    for full, grown in GROWS[program]:
        for stage, expr in asked:
            littered = program == "overload" and (("Littered" in expr) != (full == "littered"))
            if stage != full or grown not in stages or littered:
                continue
            before, after = asked[full, expr], asked[grown, expr]
            assert room(before) != room(after), f"{expr} did not grow between {full} and {grown}"
            assert before.evac.json()["data"]["forecast"]["entries_left"] == 0, before.where
            checked += 1
    assert checked == (4 if program == "overload" else 2 * sum(grown in stages for _, grown in GROWS[program]))
    if program == "growth":
        no_growth_before_forecast(asked, stages)


def no_growth_before_forecast(asked: dict[tuple[str, str], Asked], stages: tuple[str, ...]) -> None:
    """Between two stages, a structure that stayed took no more new keys than it was said to have room for."""
    for first, second in zip(stages, stages[1:]):
        if second.startswith("same-size") or second == "ranged":
            continue  # keys came and went on the way there, and ranged is about new maps
        for expr in ("main.Keep.Ints", "main.Keep.Words"):
            before, after = asked[first, expr], asked[second, expr]
            added = after.truth["len"] - before.truth["len"]
            left = before.evac.json()["data"]["forecast"]["entries_left"]
            if room(before) == room(after):
                assert left is None or added <= left, f"{expr} took {added} from {first} to {second}, {left} forecast"
            elif before.truth["growth"]["state"] == "none" and before.truth["tables"] in (None, []):
                assert added > left, f"{expr} grew from {first} to {second} with {added} new keys, {left} forecast"


def room(asked: Asked) -> tuple[Any, ...]:
    """What changes when a map grows or is swept."""
    truth = asked.truth
    tables = [(table["index"], table["capacity"], table["tombstones"]) for table in truth["tables"] or ()]
    return truth["buckets"]["address"], truth["buckets"]["count"], tables


def test_directory_entries_of_each_table(swiss_go: Row, system_gdb: Gdb) -> None:
    """In words: from each table's first entry in the directory to the next one's."""
    binary, expr = toolchains.build("growth", swiss_go, optimised=False), "main.Keep.Ints"
    found = debuggers.visit(system_gdb, binary, {"shared": [f"hmap-evac {expr}"]})
    truth = found.truth["shared"]["maps"][expr]
    first = sorted(table["index"] for table in truth["tables"])
    ends = [*first[1:], truth["swiss"]["dir_len"]]
    wanted = {one: str(one) if one + 1 == end else f"{one}-{end - 1}" for one, end in zip(first, ends)}
    assert any("-" in told for told in wanted.values())
    lines = found.at("shared", f"hmap-evac {expr}").output.splitlines()
    rows = [line.split() for line in lines[next(i for i, line in enumerate(lines) if "local depth" in line) + 1 :]]
    assert {int(row[0]): row[2] for row in rows if row} == wanted
