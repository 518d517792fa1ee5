"""hmap-race where the program died of something else than a data race: the runtime's own report on standard error and
the program's truth say of what, in which operation, on which map and line."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from delve_bridge.console import Console
from gomap.render.text import Style
from tests.support import debuggers, delves, directly, races, toolchains
from tests.support.debuggers import LOAD, NO_SCRIPTS, Answer, Gdb, typed
from tests.support.delves import Dlv
from tests.support.races import RACE, TOURED, WORDS, told
from tests.support.toolchains import Row

WAYS = (
    "badstate", "body", "compare", "deadlock", "deferred", "fault", "inside", "nilglobal", "nilkey", "oom", "overflow",
    "plain", "quit", "stringer", "unhashable", "unlock", "value",
)  # fmt: skip
#: Ways whose traces lie in memory as the toolchain has them: every row is asked of these.
EVERYWHERE = ("fault", "oom", "overflow", "quit", "unhashable")
#: What differs without optimisation: where arguments lie, and which functions are on the stack.
PLAIN = frozenset({"deferred", "fault", "nilglobal", "overflow", "unhashable"})
#: An operation on a map in a traceback.
_OPERATES = r"^(?:runtime|reflect|internal/runtime/maps)\.(?:\S*map|\(\*Map\)|\(\*Iter\))\S*\(.*\)$"


@dataclass(frozen=True)
class Said:
    """The runtime's report. place: (goroutine, function, line) of the first function of the program's own, in front of
    which a map operation is where the program died in one."""

    kind: str
    message: str
    place: tuple[int, str, int] | None


def said(text: str, inside: bool) -> Said:
    found = re.search(r"^(?:(fatal error|panic): (.*)|(SIG\w+: .*))$", text, re.M)
    assert found, text[:2000]
    kind, message, signal = found.groups()
    # The panic that ended it is the last of those that it was in.
    message = (re.findall(r"^\tpanic: (.*)$", text, re.M) or [message])[-1]
    trace = re.search(r"^goroutine (\d+) (?:[^\n]*)\[running.*\]:\n([\s\S]*?)(?:\n\n|\Z)", text, re.M)
    if signal is not None or trace is None:
        return Said(kind or "signal", message or signal, None)
    calls = trace[2]
    if inside:
        operation = re.search(_OPERATES, calls, re.M)
        assert operation, calls
        calls = calls[operation.end() :]
    own = re.search(r"^(main\..*)\(.*\)\n\t.*\.go:(\d+)", calls, re.M)
    assert own, calls
    return Said(kind, message, (int(trace[1]), own[1], int(own[2])))


def check(data: Any, words: Answer, report: Said, truth: Mapping[str, Any]) -> None:
    operation = truth["notes"]["operation"]
    (death,) = data["deaths"]
    assert (death["kind"], death["message"], death["operation"]) == (report.kind, report.message, operation)
    assert (death["race"], death["sent"]) == (False, report.kind == "signal")
    assert death["sender"] == (truth["notes"]["pid"] if death["sent"] else None)
    place = report.place and (death["goroutine"], death["function"], death["line"])
    assert place == report.place
    text = " ".join(words.output.split())
    kind = "signal" if death["sent"] else f"{report.kind}:"
    assert text.startswith(f"{kind} {report.message}"), words.output
    assert "concurrent map" not in text and "lock" not in text.replace("unlock", "").replace("deadlock", ""), text
    fatal = [one for one in data["inside"] if one["fatal"] and not one["left"]]
    if operation is None:
        assert fatal == []
        return
    (one,), (facts,) = fatal, truth["maps"].values()
    assert (one["goroutine"], one["function"], one["line"]) == report.place
    assert (one["operation"], one["ended"], one["message"]) == (operation, report.kind, report.message)
    assert (one["nil"], one["address"]) == (facts["nil"], None if facts["nil"] else facts["address"])
    assert one["type"] == facts["type"]
    (name,) = truth["maps"]
    assert name in ({held["path"] for held in one["nil_maps"]} if one["nil"] else text), words.output


def ways(row: Row, names: tuple[str, ...]) -> tuple[str, ...]:
    classic = races.is_classic(row)
    return tuple(way for way in names if classic or way != "badstate")


def test_deaths(toolchain: Row, system_gdb: Gdb, dlv: Dlv) -> None:
    everything = toolchain.name in TOURED
    for way in ways(toolchain, WAYS if everything else EVERYWHERE):
        binary = toolchains.build("deaths", toolchain, optimised=way not in PLAIN or toolchain.name == "1.21.13")
        core, report = races.dead(binary, way)
        truth = core.truth[way]
        sessions = [debuggers.examine(system_gdb, core, [RACE, WORDS])]
        # The old Delve does not know this Go, and the new one may lose calls of goroutines in system calls.
        sessions += [delves.examine(dlv, core, [RACE, WORDS])] if everything else []
        sessions.append(directly.examine(core, [RACE, WORDS]))
        for session in sessions:
            data = told(session.at(way, RACE), unsure=(1,) if way == "quit" else ())
            check(data, session.at(way, WORDS), said(report, truth["notes"]["operation"] is not None), truth)
            if way == "quit":
                check_waiting(data, truth)
            if way == "deferred":
                check_left(data)


def check_waiting(data: Any, truth: Mapping[str, Any]) -> None:
    """A goroutine waits inside a write, and has nothing to do with the signal."""
    (one,) = data["inside"]
    assert (one["operation"], one["fatal"], one["address"]) == ("write", False, truth["maps"]["main.ByName"]["address"])


def check_left(data: Any) -> None:
    """The operation ended with a panic, and the program died of another one in a deferred function."""
    (one,) = data["inside"]
    assert (one["ended"], one["left"], one["nil"]) == ("panic", True, True)
    assert (one["function"], one["message"]) == ("main.deferred", "assignment to entry in nil map")
    assert [held["path"] for held in one["nil_maps"]] == ["main.Cache"]


def test_about_to_die(both_layouts: Row, system_gdb: Gdb, dlv: Dlv, tmp_path: Path) -> None:
    """Live, stopped in the runtime's own functions on the way to the end: the same as of the core."""
    binary = toolchains.build("deaths", both_layouts, optimised=True)
    for way, kind, places in (
        ("fault", "fatal error", ("runtime.throw", "runtime.fatalthrow")),
        ("overflow", "fatal error", ("runtime.fatalthrow",)),  # on the thread's own stack, where gdb shows no goroutine
        ("unhashable", "panic", ("runtime.gopanic", "runtime.fatalpanic")),
    ):
        core, report = races.dead(binary, way)
        wanted = said(report, True)
        stops = [line for place in places for line in (f"break {place}", "continue", RACE)]
        stops[1] = "run"
        env = {"GOMAP_STAGE": way, "GOMAP_TRUTH": str(tmp_path / "truth")}
        script = [*NO_SCRIPTS, "-x", str(LOAD), *typed("handle SIGSEGV nostop noprint", *stops, "kill")]
        run = debuggers.run_gdb(system_gdb, [*script, str(binary)], env, cwd=tmp_path)
        answers = [json.loads(line) for line in run.stdout.splitlines() if line.startswith('{"schema"')]
        assert len(answers) == len(places), run.stdout + run.stderr
        with delves.bridge(dlv, ["exec", str(binary)], stage=way) as session:  # stops by itself
            delves.run_to_first_stop(session)
            answers.append(json.loads(Console(session, Style()).execute(RACE).output))
        for answer in answers:
            (one,) = answer["data"]["inside"]
            assert (one["ended"], one["message"]) == (kind, wanted.message), one
            assert (one["goroutine"], one["function"], one["line"]) == wanted.place
        assert core.truth[way]["notes"]["operation"] in ("read", "write")
