"""Stacks that Delve does not unwind whole: calls that it skips, deep ones, those of C. gdb skips nothing."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from collections.abc import Sequence
from typing import Any

import pytest

from delve_bridge.console import Console
from delve_bridge.rpc import Client
from gomap.render.text import Style
from tests.support import debuggers, delves, toolchains
from tests.support.debuggers import Gdb
from tests.support.delves import Dlv, entries, says, window
from tests.support.toolchains import Row


def types_of_variables(answer: Any) -> set[str]:
    """Types of the maps that a variable holds, and not only a word of a stack."""
    groups = answer["data"]["groups"]
    return {group["type"] for group in groups if any(one["kind"] != "slot" for one in group["holders"])}


def test_calls_that_are_skipped(toolchain: Row, dlv: Dlv, system_gdb: Gdb) -> None:
    """Delve goes by frame pointers, which a function that is stopped in front of its own does not have yet: either its
    callers' maps are told, or that they may be missing. gdb skips nothing."""
    binary, search = toolchains.small("leaf", toolchain, optimised=True), "hmap-alias --scope all --all --json"
    whole, other = {"map[string]int", "map[int]int"}, r"goroutine (?!1 )\d+ in runtime\.sigtramp "
    with window(dlv, str(binary)) as console:
        says(console, "continue")
        for stop in ("break runtime.sigtramp", None):
            answer = json.loads(says(console, search))
            held = types_of_variables(answer)
            told = [one["message"] for one in answer["anomalies"] if not one["message"].startswith("goroutine 1: ")]
            between = r"goroutine \d+: the calls between \S+ and \S+ could not be unwound: "
            assert held <= whole and all(re.match(between, one) for one in told), (held, told)
            # A signal may come anywhere, and what it has interrupted not be needed to see both maps.
            assert len(told) == (held != whole) if stop is not None else told or held == whole, (held, told)
            unseen, all_of_them = len(answer["anomalies"]), answer["data"]["scanned"]["goroutines"]
            seen = f"{all_of_them - unseen} of {all_of_them} goroutines" if unseen else f"; {all_of_them} goroutines"
            assert seen in " ".join(says(console, search.replace("--json", "")).split())
            assert f"{seen.strip('; ')} searched)" in says(console, "hmap-race")
            if stop is not None:
                says(console, stop)
                assert any(re.match(other, says(console, "continue")) for _ in range(50))
    run = debuggers.run_gdb(system_gdb, ["-x", str(debuggers.LOAD), "-ex", "run", "-ex", search, str(binary)])
    answer = json.loads(next(line for line in run.stdout.splitlines() if line.startswith("{")))
    assert {group["type"] for group in answer["data"]["groups"]} == whole
    assert not answer["anomalies"]


def test_a_deep_stack(both_layouts: Row, dlv: Dlv, system_gdb: Gdb, monkeypatch: pytest.MonkeyPatch) -> None:
    """All frames of a goroutine are one request, and its one map is one, whatever old stacks still have of it."""
    binary, search, shown = (
        toolchains.small("deep", both_layouts),
        "hmap-alias --scope all --json",
        "hmap-show m --json",
    )
    asked, exchange = [0], Client._exchange

    def counting(client: Client, calls: Sequence[Any], wait: float | None) -> list[Any]:
        asked[0] += len(calls)
        return exchange(client, calls, wait)

    with window(dlv, str(binary)) as console:
        says(console, "continue")
        monkeypatch.setattr(Client, "_exchange", counting)
        answers = [json.loads(says(console, line)) for line in (search, shown)]
        says(console, "frame 1900")
        answers.append(json.loads(says(console, shown)))
    assert asked[0] < 500
    commands = ["run", search, shown, "frame 1900", shown]
    run = debuggers.run_gdb(system_gdb, ["-x", str(debuggers.LOAD), *(f"-ex={one}" for one in commands), str(binary)])
    answers += [json.loads(line) for line in run.stdout.splitlines() if line.startswith("{")]
    assert len(answers) == 6
    for found, newest, older in (answers[:3], answers[3:]):
        (group,) = found["data"]["groups"]
        assert (group["address"], group["count"]) == (newest["data"]["address"], 1)
        assert {one["code"] for one in newest["anomalies"]} <= {"variable"}  # gdb stops below runtime.Breakpoint
        # The function does not use m any more, which is told where its frame is within reach.
        told = {older["error"]["code"]} if "error" in older else {one["code"] for one in older["anomalies"]}
        assert told - {"variable"} in ({"left-behind"}, {"not-set"})
        assert found["data"]["scanned"]["frames"] > 2000
        assert {one["code"] for one in found["anomalies"]} <= {"not-a-map"}


@pytest.mark.each_kind
def test_called_by_c(toolchain: Row, dlv: Dlv) -> None:
    """Behind a call from C's own thread there is nothing of Go's to miss. Behind one from C that Go has called there
    is, where Delve does not find back to it, or takes the stack for it that was moved in the meantime."""
    if shutil.which("gcc") is None:
        pytest.skip("no C compiler")
    with window(dlv, str(toolchains.small("called-by-c", toolchain))) as console:
        for key in (1, 2):
            says(console, "continue")
            assert [one["key"] for one in entries(console, "m")] == [key]
            answer = json.loads(says(console, "hmap-alias --scope all --all --json"))
            (mine,) = {holder["goroutine"] for group in answer["data"]["groups"] for holder in group["holders"]}
            told = {int(message.split(":")[0].split()[1]) for message in problems(answer)}
            assert told <= {1}, answer["anomalies"]
            assert (mine == 1) is (key == 1)


def problems(answer: Any) -> list[str]:
    """What is said of stacks."""
    return [one["message"] for one in answer["anomalies"] if one["code"] == "stack"]


def test_calls_that_are_skipped_while_a_stack_grows(toolchain: Row, dlv: Dlv) -> None:
    """There the thread is on the system's stack, from which Delve goes on with a goroutine that has no frame yet."""
    whole = {"map[string]int", "map[int]int"}
    with window(dlv, str(toolchains.small("growing", toolchain, optimised=True))) as console:
        says(console, "continue")
        says(console, "break runtime.newstack")
        for _ in range(4):
            while not re.match(r"goroutine (?!1 )\d+ in runtime\.newstack ", says(console, "continue")):
                pass
            answer = json.loads(says(console, "hmap-alias --scope all --all --json"))
            held = types_of_variables(answer)
            told = [one["message"] for one in answer["anomalies"]]
            assert held <= whole and len(told) == (held != whole), (held, told)
            between = r"goroutine \d+: the calls between main\.deep and main\.outer could not be unwound: "
            assert all(re.match(between, one) for one in told), told
            if len(told):
                break


def test_calls_that_are_skipped_in_a_race_build(dlv: Dlv, system_go: Row) -> None:
    if shutil.which("gcc") is None:
        pytest.skip("there is no C compiler")
    with window(dlv, str(toolchains.small("racy", system_go, optimised=True, race=True))) as console:
        says(console, "continue")
        for _ in range(40):
            says(console, "continue")
            answer = json.loads(says(console, "hmap-alias --scope all --all --json"))
            warned = {one["message"].split(":")[0] for one in answer["anomalies"]} - {"goroutine 1"}
            held = [way for group in answer["data"]["groups"] for way in group["holders"]]
            for function in ("main.inner", "main.outer"):
                told = {f"goroutine {way['goroutine']}" for way in held if way["function"] == function}
                assert len(told | warned) >= 4, (function, told, warned)


def test_stacks_that_are_lost_in_c(dlv: Dlv, system_go: Row) -> None:
    """Where Delve does not find back from C to Go, a search says whose frames it has not seen."""
    if shutil.which("gcc") is None:
        pytest.skip("no C compiler")
    process = subprocess.Popen(
        [toolchains.small("in-c", system_go)], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        assert [process.stderr.readline() for _ in range(2)] == ["running\n"] * 2
        time.sleep(0.2)  # into C
        with delves.bridge(dlv, ["attach", str(process.pid)]) as session:
            answer = json.loads(says(Console(session, Style()), "hmap-top --json"))
        found = {one["goroutine"] for one in answer["data"]["maps"] if one["path"] == "m"}
        told = {int(message.split(":")[0].split()[1]) for message in problems(answer)}
        assert len(found | told) == 2
    finally:
        process.kill()
        process.communicate()
