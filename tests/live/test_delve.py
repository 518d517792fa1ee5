"""The contract over Delve: every number and entry against the program's own, and against gdb's answers.

Plain builds are read through /proc/PID/mem and optimised ones through Delve; cores the other way round.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support import FOLDER, debuggers, delves, lookups, session, toolchains, type_graph
from tests.support.debuggers import Answer, Gdb, Session
from tests.support.delves import Dlv
from tests.support.toolchains import Row
from tests.support.truths import check_all

Target = Callable[[str], Path]

#: What old Delves and reads past Delve are tried on: every layout, growth, all types, values in registers.
FEW = ("alias", "basic", "growth", "layout", "overload", "types")

every_program = pytest.mark.parametrize("program", session.PROGRAMS)


KEYS = "get-every-key"


def questions(binary: Path, check: bool = False) -> dict[str, list[str]]:
    """check: what hmap-check says of every map, and all its keys looked up."""
    return {
        stage: [*session.questions(exprs), *(map(lookups.check, exprs) if check else ()), *([KEYS] if check else ())]
        for stage, exprs in session.published(binary).items()
    }


def all_right(answers: Session, binary: Path, optimised: bool, kind: str) -> None:
    """Numbers and entries, hmap-check's findings, and keys looked up where their names were asked for."""
    check_all(answers, binary, optimised, kind)
    problems = []
    for stage in {answer.stage for answer in answers.answers}:
        given = [answer for answer in answers.answers if answer.stage == stage]
        problems += lookups.problems(given, answers.truth[stage]["maps"])
        for answer in given:
            if answer.command == KEYS:
                problems += [f"{expr}: {what}" for expr, one in answer.json().items() for what in one["problems"]]
    assert not problems, "\n".join(problems[:40])


BUILDS = [*((program, False) for program in session.PROGRAMS), *((program, True) for program in FEW)]


@pytest.mark.each_kind
@pytest.mark.parametrize(("program", "fast"), BUILDS)
def test_live(program: str, fast: bool, toolchain: Row, dlv: Dlv) -> None:
    binary = toolchains.build(program, toolchain, optimised=fast)
    asked = questions(binary, check=not fast)
    all_right(delves.visit(dlv, binary, asked, direct=not fast), binary, fast, "live")


@pytest.mark.each_kind
@every_program
def test_core(program: str, toolchain: Row, dlv: Dlv, system_gdb: Gdb) -> None:
    """A core is the one state that two debuggers see alike: what they say of it is the same."""
    core_says_the_same(program, toolchain, dlv, system_gdb, optimised=False)


@pytest.mark.each_kind
@pytest.mark.parametrize("program", FEW)
def test_core_of_optimised(program: str, toolchain: Row, dlv: Dlv, system_gdb: Gdb) -> None:
    core_says_the_same(program, toolchain, dlv, system_gdb, optimised=True)


def core_says_the_same(program: str, toolchain: Row, dlv: Dlv, gdb: Gdb, optimised: bool) -> None:
    binary = toolchains.build(program, toolchain, optimised)
    stages = debuggers.stages(binary)
    core = debuggers.make_core(binary, stages[-3 if program == "growth" else -1])
    asked = session.questions(session.published(binary)[core.stage])
    more = [] if optimised or program == "large" else lookups.questions(core.truth[core.stage]["maps"])
    answers = delves.examine(dlv, core, [*asked, *more], direct=optimised)
    all_right(answers, binary, optimised, "core")
    both = [*asked, *more] if program == "basic" else asked
    same_as_gdb(answers, debuggers.examine(gdb, core, both))


@pytest.mark.parametrize("program", FEW)
@pytest.mark.parametrize("direct", [False, True], ids=["rpc", "direct"])
def test_old_delve(program: str, direct: bool, old_dlv: Dlv, old_go: Row, optimised: bool) -> None:
    """Delve 1.20.2 gives out 1000 bytes a request."""
    binary = toolchains.build(program, old_go, optimised)
    asked = questions(binary, check=direct and not optimised)
    all_right(delves.visit(old_dlv, binary, asked, direct), binary, optimised, "live")


@pytest.mark.parametrize("program", FEW)
def test_both_ways_of_reading(program: str, system_go: Row, dlv: Dlv, optimised: bool) -> None:
    """The ways that test_live leaves out."""
    binary = toolchains.build(program, system_go, optimised)
    all_right(delves.visit(dlv, binary, questions(binary), direct=optimised), binary, optimised, "live")


def same_as_gdb(found: Session, wanted: Session) -> None:
    """All that both were asked. What one can't tell of a local the other can't either, in the same words."""
    problems, compared = [], 0
    for ours, theirs in zip(found.answers, wanted.answers):
        assert ours.command == theirs.command
        if not ours.command.endswith("--json") and "--json" not in ours.command:
            continue
        if ours.error != theirs.error or facts(ours) != facts(theirs):
            problems.append(f"{ours.command}:\n  Delve {ours.output[:1500]}\n  gdb   {theirs.output[:1500]}")
        # A package variable is always there.
        if ours.error is not None and is_global(ours.command):
            problems.append(f"{ours.command}: {ours.error}")
        compared += 1
    assert not problems, "\n".join(problems[:3])
    assert compared > 0


def is_global(command: str) -> bool:
    return command.split()[1].lstrip("*").startswith("main.")


def facts(answer: Answer) -> Any:
    said = answer.json()
    assert said.get("target", {}).pop("backend", "gdb") in ("gdb", "delve")
    return said


@pytest.mark.each_kind
@pytest.mark.parametrize("program", ["alias", "headercopy"])
def test_alias(program: str, toolchain: Row, dlv: Dlv, system_gdb: Gdb) -> None:
    """Package variables and everything they lead to, as gdb finds them."""
    binary = toolchains.build(program, toolchain, optimised=False)
    core = debuggers.make_core(binary, debuggers.stages(binary)[-1])
    command = "hmap-alias --all --json"
    ours = delves.examine(dlv, core, [command], direct=True).answers[0]
    theirs = debuggers.examine(system_gdb, core, [command]).answers[0]
    assert (ours.error, theirs.error) == (None, None)
    found, wanted = ours.json()["data"], theirs.json()["data"]
    assert groups(found) == groups(wanted)
    assert groups(found)
    headers = [{header for group in data["groups"] for header in group["headers"]} for data in (wanted, found)]
    assert len(headers[0] - headers[1]) <= 1, headers  # what Keep.Closure has, where Delve does not know closures
    # What closures captured: all of it in programs of Go 1.23 and later, before them maps alone, and those in gdb.
    assert found["scanned"]["maps"] >= wanted["scanned"]["maps"]
    if program == "alias":
        captured = "main.Keep.Closure.m"
        assert captured in paths(wanted)
        assert (captured in paths(found)) == (toolchain.name not in ("1.21.13", "1.22.10"))
    assert nil_maps(found) == nil_maps(wanted)


def paths(data: Any) -> set[str]:
    return {way["path"] for group in data["groups"] for holder in group["holders"] for way in (holder, *holder["also"])}


def is_compared(holder: Any) -> bool:
    """Not of what closures captured: before Go 1.23 gdb's side finds maps alone there, and can't tell nil ones from
    other words that are zero. The standard library has closures that hold maps."""
    return "/" not in holder["path"] and not holder["path"].startswith("main.Keep.Closure.")


def groups(data: Any) -> list[Any]:
    """What is said of each map, the paths apart: where several ways lead there, search order picks one."""

    def compared(group: Any) -> list[Any]:
        return [holder for holder in group["holders"] if is_compared(holder)]

    return sorted(
        (
            min(group["headers"]),
            group["type"],
            group["count"],
            group["buckets"],
            group["shared_by"],
            len(compared(group)),
            sorted((holder["function"] or "", holder["address"] or "") for holder in compared(group)),
        )
        for group in data["groups"]
        if compared(group)
    )


def nil_maps(data: Any) -> list[Any]:
    told = [holder for holder in data["nil_maps"] if is_compared(holder)]
    return sorted((holder["path"], holder["kind"]) for holder in told)


# -- types -----------------------------------------------------------------------------------------------


@pytest.mark.each_kind
def test_types_are_those_of_gdb(toolchain: Row, dlv: Dlv, system_gdb: Gdb, optimised: bool, tmp_path: Path) -> None:
    """Names, kinds, sizes, offsets and what lies behind, for all that the program's maps are made of."""
    binary = toolchains.build("types", toolchain, optimised)
    with delves.bridge(dlv, ["exec", str(binary)]) as bridge:
        delves.run_to_first_stop(bridge)
        bridge.stopped()
        # What gdb calls int and uint, asked for by these names, is C's.
        names = sorted({str(v["type"]) for v in bridge.build.package_variables().values()} - {"int", "uint"})
        found = type_graph.graph(bridge.build.types.find, names)
    wanted = in_gdb(system_gdb, binary, names, tmp_path)
    shared = found.keys() & wanted.keys()
    assert len(shared) > 300, f"{len(found)} types in Delve, {len(wanted)} in gdb, {len(shared)} in both"
    different = {name: (found[name], wanted[name]) for name in shared if not agree(found[name], wanted[name])}
    assert not different, json.dumps(dict(list(different.items())[:5]), indent=1)
    # Every map that the program has, with its header and whatever its buckets hold.
    maps = {name for name, one in wanted.items() if one["kind"] == "map"}
    assert maps <= found.keys(), maps - found.keys()


def in_gdb(gdb: Gdb, binary: Path, names: list[str], folder: Path) -> dict[str, Any]:
    asked, facts_ = folder / "names", folder / "facts"
    asked.write_text(json.dumps(names))
    script = FOLDER / "types_in_gdb.py"
    env = {"GOMAP_NAMES": str(asked), "GOMAP_FACTS": str(facts_), "GOMAP_ROOT": str(toolchains.ROOT)}
    settings = ["-iex", "set auto-load python-scripts off"]
    run = debuggers.run_gdb(gdb, [*settings, str(binary), "-x", str(script)], env)
    assert facts_.exists(), run.stdout + run.stderr
    wanted: dict[str, Any] = json.loads(facts_.read_text())
    return wanted


def agree(ours: Any, theirs: Any) -> bool:
    if ours == theirs:
        return True
    # gdb has no kind of type in what it keeps of debug information, and goes by the fields.
    if theirs["kind"] == "slice" and ours["kind"] == "struct" and ours["size"] == theirs["size"]:
        return [f[0] for f in ours["fields"]] == ["array", "len", "cap"]
    # An array of no size with a name of its own: Delve does not tell what of.
    return bool(theirs["kind"] == "array" and theirs["size"] == 0 and ours == {**theirs, "behind": [""]})
