"""Our pretty-printer where the one in Go's runtime-gdb.py is wrong, with that one loaded beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

import pytest

from tests.support import debuggers, session, toolchains
from tests.support.debuggers import LOAD, Gdb, Session
from tests.support.toolchains import Row

#: Whether Go's printer is wrong about the map that an expression names, by its truth.
Wrong = Callable[[str, Any], bool]


def printable(expr: str) -> bool:
    """gdb's own parser can name it: package variables, and no element of a slice. No pointers, and nothing huge."""
    return expr.startswith("main.") and "SliceOfMaps" not in expr and expr not in ("main.Pointer", "main.Keep.Huge")


def visited(program: str, toolchain: Row, gdb: Gdb) -> tuple[Session, Path]:
    """The program's stages, each map printed at each. Go's script is loaded after us at the first stage and again
    at each: it puts itself first, and at the next stage we must be first again."""
    binary = toolchains.build(program, toolchain, optimised=False)
    script = f"source {runtime_gdb(toolchain)}"
    commands: dict[str, list[str]] = {"*": []}
    for stage, exprs in session.published(binary).items():
        asked = [f"gomap_children {expr}" for expr in exprs if printable(expr)]
        start = [f"source {session.HELPERS}", script, f"source {LOAD}"] if len(commands) == 1 else []
        commands[stage] = [*start, *asked, *extra(program, stage), script]
    return debuggers.visit(gdb, binary, commands), binary


def runtime_gdb(toolchain: Row) -> Path:
    """Go's own script for gdb."""
    return toolchains.ensure(toolchain).resolve().parents[1] / "src" / "runtime" / "runtime-gdb.py"


def extra(program: str, stage: str) -> list[str]:
    """What is asked besides."""
    if (program, stage) != ("types", "filled"):
        return []
    lengths = [
        f'output $hmap_len("{expr}")'
        for expr in ("main.Boxed", "main.NamedMap", "main.NilMap", "main.SliceOfMaps[0]", "main.PathMap")
    ]
    return [
        *lengths,
        "set print elements 4",
        "print 'main.NamedMap'",
        "print 'main.NilMap'",
        "set hmap printer off",
        "python print(type(gdb.default_visualizer(gdb.parse_and_eval(\"'main.NamedMap'\"))).__module__)",
        "python print(type(gdb.default_visualizer(gdb.parse_and_eval(\"'main.IntToInt8'\"))).__name__)",
        "set hmap printer on",
        "python print(type(gdb.default_visualizer(gdb.parse_and_eval(\"'main.IntToInt8'\"))).__module__)",
    ]


def check(program: str, toolchain: Row, gdb: Gdb, wrong: Wrong, at_least: int = 1) -> None:
    """The printer shows what the program says of every map for which wrong(truth) holds: Go's fails on these."""
    answers, _ = visited(program, toolchain, gdb)
    problems, seen = [], 0
    for answer in answers.answers:
        if not answer.command.startswith("gomap_children "):
            continue
        expr = answer.command.split(maxsplit=1)[1]
        truth = answers.truth[answer.stage]["maps"][expr]
        if not wrong(expr, truth):
            continue
        seen += 1
        problem = answer.error or difference(answer.json(), truth)
        if problem:
            problems.append(f"{expr} at {answer.stage}: {problem}")
    assert not problems, "\n".join(problems[:20])
    assert seen >= at_least


def difference(told: Any, truth: Any) -> str | None:
    if told is None or not told["module"].startswith("gdbext."):
        return f"another printer answers: {str(told)[:200]}"
    entries = f"{truth['len']} entr{'y' if truth['len'] == 1 else 'ies'}"
    text = f"{truth['type']}(nil)" if truth["nil"] else f"{truth['type']} with {entries}"
    if told["text"] != text:
        return f"{told['text']!r} is not {text!r}"
    if told["children"] != 2 * truth["len"] or told["hint"] != "map":
        return f"{told['children']} children of {truth['len']} entries"
    return session.difference(told, truth, cut=True) if truth["entries"] is not None else None


@pytest.mark.each_kind
def test_maps_of_several_tables(toolchain: Row, gdb: Gdb) -> None:
    """Go's prints garbage and an error from 1.24 on. (Classic maps: as large.)"""
    check("growth", toolchain, gdb, lambda expr, truth: truth["len"] > 900 or len(truth["tables"] or ()) > 1, 2)


def test_maps_in_the_middle_of_a_growth(toolchain: Row, gdb: Gdb) -> None:
    """Go's counts entries twice, or loses them; a third of them in a growth to the same size."""
    # A Swiss table grows all at once: for these maps it is every stage on the way.
    check("growth", toolchain, gdb, lambda expr, truth: truth["swiss"] or truth["growth"]["state"] == "doubling", 10)
    check("growth", toolchain, gdb, lambda expr, truth: truth["swiss"] or truth["growth"]["state"] == "same-size", 6)


def test_deleted_cells(toolchain: Row, gdb: Gdb) -> None:
    """Go's shows them as live."""
    check("deletes", toolchain, gdb, lambda expr, truth: truth["slots"]["tombstones"] > 0, 2)


def test_maps_ever_ranged_over(toolchain: Row, gdb: Gdb) -> None:
    """Go's fails on them."""
    check("types", toolchain, gdb, lambda expr, truth: truth["source"] == "range", 60)


def test_keys_over_128_bytes(toolchain: Row, gdb: Gdb) -> None:
    """Go's shows the pointers."""
    check(
        "layout",
        toolchain,
        gdb,
        lambda expr, truth: truth["shape"]["indirect_key"] or truth["shape"]["indirect_elem"],
        5,
    )


def test_elems_of_no_size(toolchain: Row, gdb: Gdb) -> None:
    """Go's fails on map[K]struct{}."""
    check("layout", toolchain, gdb, lambda expr, truth: "struct {}" in truth["type"], 5)


def test_nil_maps(toolchain: Row, gdb: Gdb) -> None:
    """Go's fails on them."""
    check("types", toolchain, gdb, lambda expr, truth: truth["nil"], 3)


def test_named_map_types(toolchain: Row, gdb: Gdb) -> None:
    """Go's does not know them."""
    check("types", toolchain, gdb, lambda expr, truth: not truth["type"].startswith("map["), 3)


def test_maps_in_interfaces(toolchain: Row, gdb: Gdb) -> None:
    """Go's does not look into them."""
    check("types", toolchain, gdb, lambda expr, truth: expr == "main.Boxed")


@pytest.mark.parametrize("expr", ["main.Boxed", "main.NamedMap", "main.NilMap", "main.SliceOfMaps[0]", "main.PathMap"])
def test_length_function(expr: str, toolchain: Row, gdb: Gdb) -> None:
    """Go's $len raises from 1.24 on. Ours knows interfaces and named types too."""
    answers, _ = visited("types", toolchain, gdb)
    answer = answers.at("filled", f'output $hmap_len("{expr}")')
    assert (answer.error, answer.output) == (None, str(answers.truth["filled"]["maps"][expr]["len"]))


def test_print_and_turning_off(toolchain: Row, gdb: Gdb) -> None:
    answers, _ = visited("types", toolchain, gdb)

    def output(command: str) -> str:
        answer = answers.at("filled", command)
        assert answer.error is None, answer.error
        return answer.output.strip()

    printed = output("print 'main.NamedMap'")
    assert printed.startswith("$1 = main.Named with 2 entries = {") and '["one"] = 1' in printed, printed
    assert output("print 'main.NilMap'") == "$2 = map[main.Point][]int(nil)"
    told = [answer.output.strip() for answer in answers.answers if answer.command.startswith("python print(type")]
    off_named, off_int, on_int = told
    assert on_int.startswith("gdbext."), told
    assert ("gdbext" not in off_named, off_int, on_int) == (True, "MapTypePrinter", on_int), told
