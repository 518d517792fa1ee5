"""hmap-alias: who shares which map, against the addresses that the program publishes of its own variables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Callable

import pytest

from tests.support import debuggers, directly, schema, session, toolchains
from tests.support.debuggers import Answer, Gdb
from tests.support.toolchains import Row

Target = Callable[[str], Path]

SEARCH = "hmap-alias --all --json"
SHARED = "hmap-alias --json"
PROGRAMS = ("alias", "deepcopy", "headercopy", "nilwrite", "snapshots")


def compare(exprs: Sequence[str]) -> str:
    return f"hmap-alias {' '.join(exprs)} --json"


def package_variables(exprs: Sequence[str]) -> list[str]:
    return [expr for expr in exprs if expr.startswith("main.")]


def questions(exprs: Sequence[str], optimised: bool) -> list[str]:
    named = package_variables(exprs) if optimised else list(exprs)
    pairs = [compare([first, second]) for first, second in zip(named, named[1:])][:8]
    compared = dict.fromkeys([compare(named), *pairs])
    return [f"source {session.HELPERS}", *compared, "gomap_user_frame", SEARCH]


@pytest.mark.each_kind
@pytest.mark.parametrize("program", PROGRAMS)
def test_live(program: str, toolchain: Row, gdb: Gdb) -> None:
    check_stages(toolchains.build(program, toolchain, optimised=False), gdb, optimised=False)


def test_copied_headers_in_words(both_layouts: Row, system_gdb: Gdb) -> None:
    """Each header comes with its own count and the variables that lead to it."""
    binary, exprs = (
        toolchains.build("headercopy", both_layouts, optimised=False),
        ("main.Keep.Small", "main.Keep.SmallCopy"),
    )
    line = f"hmap-alias {' '.join(exprs)}"
    found = debuggers.visit(system_gdb, binary, {"diverged": [line]})
    lines, maps = found.at("diverged", line).output.splitlines(), found.truth["diverged"]["maps"]
    assert [maps[expr]["len"] for expr in exprs] == [2, 3]
    for expr in exprs:
        header = lines.index(f"header {maps[expr]['address']}  {maps[expr]['len']} entries")
        assert lines[header + 1].split() == ["package", "variable", expr]


@pytest.mark.parametrize("program", ["alias", "nilwrite"])
def test_live_optimised(program: str, toolchain: Row, gdb: Gdb) -> None:
    """Package variables, where the locals are not to be relied on."""
    check_stages(toolchains.build(program, toolchain, optimised=True), gdb, optimised=True)


def check_stages(binary: Path, gdb: Gdb, optimised: bool) -> None:
    stages = {stage: questions(exprs, optimised) for stage, exprs in session.published(binary).items()}
    next(iter(stages.values())).append(SHARED)
    answers = debuggers.visit(gdb, binary, stages)
    for stage, commands in stages.items():
        check([answers.at(stage, command) for command in commands[1:]], answers.truth[stage], optimised)


@pytest.mark.each_kind
@pytest.mark.parametrize(("program", "stage"), [("alias", "argument"), ("nilwrite", "before")])
def test_core(program: str, stage: str, target: Target, gdb: Gdb, optimised: bool) -> None:
    core = debuggers.make_core(target(program), stage)
    commands = questions(session.published(core.binary)[stage], optimised)
    answers = debuggers.examine(gdb, core, commands)
    check([answers.at(stage, command) for command in commands[1:]], core.truth[stage], optimised)
    if gdb.name == "system":  # without a debugger no frame can be selected, as gomap_user_frame does
        asked = [command for command in commands if command.startswith("hmap") and command != SEARCH]
        check(directly.examine(core, asked).answers, core.truth[stage], optimised)


def check(answers: Sequence[Answer], truth: Mapping[str, Any], optimised: bool) -> None:
    for answer in answers:
        assert answer.error is None, (answer.command, answer.error)
        if answer.command == "gomap_user_frame":
            continue
        faults = schema.faults(answer.json(), schema.answer("hmap-alias"))
        assert not faults, faults[:10]
        problems = list(wrong(answer.json()["data"], truth))
        if answer.command == SEARCH:
            problems += missing(answer.json()["data"], truth, optimised)
        elif answer.command == SHARED:
            problems += [
                f"{g['address']} is not shared" for g in answer.json()["data"]["groups"] if len(g["holders"]) < 2
            ]
        else:
            problems += partition(answer, truth)
        assert not problems, answer.command + "\n" + "\n".join(problems[:20])


def known(truth: Mapping[str, Any]) -> dict[str, Any]:
    """What the program says of the maps that an expression leads to: the parts of maps too."""
    nested = {expr: facts for expr, facts in truth["unnamed"].items() if expr.split('["')[0] in truth["maps"]}
    return {**truth["maps"], **nested}


def paths(holder: Mapping[str, Any]) -> Iterator[str]:
    """All ways that are told to lead to one variable."""
    for way in (holder, *holder["also"]):
        yield way["path"].split(".(map[")[0]


def arrays(facts: Mapping[str, Any]) -> str:
    """What maps have in common that share entries: the header, or where it was copied the first array."""
    return str(facts["buckets"]["address"] or facts["address"])


def wrong(data: Mapping[str, Any], truth: Mapping[str, Any]) -> Iterator[str]:
    """Holders that are said to hold another map than the program says."""
    maps = known(truth)
    for group in data["groups"]:
        seen = {arrays(maps[path]) for holder in group["holders"] for path in paths(holder) if path in maps}
        if len(seen) > 1:
            yield f"group {group['address']} brings {seen} together"
        if group["address"] not in group["headers"] or (group["shared_by"] == "header") != (len(group["headers"]) == 1):
            yield f"group {group['address']} has headers {group['headers']}, shared by {group['shared_by']}"
        for holder in group["holders"]:
            for path in paths(holder):
                facts = maps.get(path)
                if facts is None:
                    continue
                if facts["nil"] or facts["address"] not in group["headers"]:
                    yield f"{path} is {facts['address']}, and told as one of {group['headers']}"
                if group["shared_by"] == "header" and (facts["count"], facts["type"]) != (
                    group["count"],
                    group["type"],
                ):
                    yield f"{path}: {group['count']} entries of {group['type']}"
                if group["shared_by"] == "header" and facts["buckets"]["address"] != group["buckets"]:
                    yield f"{path}: buckets {group['buckets']}, not {facts['buckets']['address']}"
    for holder in data["nil_maps"]:
        yield from (f"{path} is not nil" for path in paths(holder) if path in maps and not maps[path]["nil"])


def partition(answer: Answer, truth: Mapping[str, Any]) -> Iterator[str]:
    """The expressions asked for, all of them, each in the group where it belongs."""
    exprs = answer.command.split()[1:-1]
    data = answer.json()["data"]
    wanted: dict[str, set[str]] = {}
    for expr in exprs:
        if not truth["maps"][expr]["nil"]:
            wanted.setdefault(arrays(truth["maps"][expr]), set()).add(expr)
    found = [
        {way["path"] for holder in group["holders"] for way in (holder, *holder["also"])} for group in data["groups"]
    ]
    if sorted(map(sorted, found)) != sorted(map(sorted, wanted.values())):
        yield f"groups are {found}, not {list(wanted.values())}"
    nil = {way["path"] for holder in data["nil_maps"] for way in (holder, *holder["also"])}
    if nil != {expr for expr in exprs if truth["maps"][expr]["nil"]}:
        yield f"nil maps are {nil}"


def missing(data: Mapping[str, Any], truth: Mapping[str, Any], optimised: bool) -> Iterator[str]:
    """Variables that the search should have come to: the frame's, and the package's in any build."""
    held = {path for group in data["groups"] for holder in group["holders"] for path in paths(holder)}
    nil = {path for holder in data["nil_maps"] for path in paths(holder)}
    for expr, facts in known(truth).items():
        if expr.startswith("*") or (optimised and not expr.startswith("main.")):
            continue
        if expr not in (nil if facts["nil"] else held):
            yield f"{expr} is not found{' among the nil maps' if facts['nil'] else ''}"


@pytest.mark.parametrize(
    ("stage", "holder"),
    [
        ("main", ("m1", "local", "main.main")),
        ("main", ("cfg.M", "field", "main.main")),
        ("main", ("arr[3]", "element", "main.main")),
        ("main", ("boxed", "interface", "main.main")),
        ("main", ('nested["in"]', "map-value", "main.main")),
        ("main", ("main.Global", "global", None)),
        ("argument", ("arg", "argument", "main.use")),
        # Captured by value: debug information has a copy among the closure's own variables.
        ("value", ("m", "local", "main.capture.func1")),
        ("reference", ("r", "captured", "main.capture.func2")),
    ],
)
def test_kinds_of_holders(stage: str, holder: tuple[str, str, str | None], toolchain: Row, gdb: Gdb) -> None:
    """Each holder says what it is, and in which function it lives."""
    binary = toolchains.build("alias", toolchain, optimised=False)
    exprs = session.published(binary)
    stages = {name: questions(exprs[name], False) for name in exprs}
    stages["main"].append(SHARED)
    answers = debuggers.visit(gdb, binary, stages)
    holders = [h for group in answers.at(stage, SEARCH).json()["data"]["groups"] for h in group["holders"]]
    found = [h for h in holders if holder[0] in paths(h)]
    assert len(found) == 1, [h["path"] for h in holders]
    told = (
        found[0] if next(paths(found[0])) == holder[0] else next(w for w in found[0]["also"] if w["path"] == holder[0])
    )
    assert (told["kind"], told["function"]) == holder[1:]


def test_nil_map_at_its_panic(toolchain: Row, gdb: Gdb, tmp_path: Path) -> None:
    """Stopped where the runtime panics: which variable is nil, and in which function."""
    binary = toolchains.build("nilwrite", toolchain, optimised=False)
    truth = tmp_path / "truth"
    script = [
        "break runtime.gopanic",
        "run",
        f"source {session.HELPERS}",
        "gomap_user_frame",
        SEARCH,
        "hmap-show counts",
    ]
    commands = ["-iex", "set auto-load python-scripts off", "-x", str(debuggers.LOAD)]
    for command in script:
        commands += ["-ex", command]
    run = debuggers.run_gdb(gdb, [*commands, str(binary)], {"GOMAP_STAGE": "panic", "GOMAP_TRUTH": str(truth)})
    answer = next(line for line in run.stdout.splitlines() if line.startswith("{"))
    data = Answer("panic", SEARCH, answer, None).json()["data"]
    nil = {path: holder["function"] for holder in data["nil_maps"] for path in paths(holder)}
    assert nil["counts"] == nil["stats.Counts"] == "main.record"
    assert "map[string]int  counts  nil" in run.stdout
    assert "Traceback" not in run.stderr and "Python" not in run.stderr
