"""The answers of hmap-show and hmap-evac against what a program publishes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support import schema, session
from tests.support.debuggers import Answer, Session
from tests.support.session import Asked


def check_all(answers: Session, binary: Path, optimised: bool, kind: str) -> None:
    problems = []
    seen = 0
    for asked in session.asked(answers, binary):
        if asked.show.error is not None:
            problems += refusal(asked, optimised)
            continue
        seen += 1
        problems += [f"{asked.where}: {problem}" for problem in check(asked, kind)]
    assert not problems, "\n".join(problems[:40])
    # Whatever the compiler threw away: what is behind package variables must always be there.
    assert seen > 0


def refusal(asked: Asked, optimised: bool) -> list[str]:
    """The compiler may leave a local nowhere: then both commands say so in one line, and JSON says it too."""
    if not optimised or asked.is_global:
        return [f"{asked.where}: {answer.command}: {answer.error}" for answer in (asked.show, asked.evac)]
    problems = []
    for answer in (asked.show, asked.evac):
        name = answer.command.split()[0]
        if answer.error is None:
            problems.append(f"{asked.where}: {name} answers and the other command does not")
            continue
        problems += schema.faults(answer.json(), schema.failure(name))
        error = answer.json()["error"]
        if error["code"] not in ("optimized-out", "no-such-variable"):
            problems.append(f"{asked.where}: {error}")
        if answer.error != f"{name}: {error['message']}" or "\n" in answer.error:
            problems.append(f"{asked.where}: {answer.error!r} is not the line of {error}")
    return problems


def check(asked: Asked, kind: str) -> list[str]:
    if asked.evac.error is not None:
        return [asked.evac.error]
    show, evac = asked.show.json(), asked.evac.json()
    problems = [
        *one_line(asked.show),
        *one_line(asked.evac),
        *schema.faults(show, schema.answer("hmap-show", entries=True)),
        *schema.faults(evac, schema.answer("hmap-evac")),
    ]
    if problems:
        return problems
    for answer in (show, evac):
        if answer["target"]["kind"] != kind or answer["data"]["expr"] != asked.expr:
            problems.append(f"{answer['target']} of {answer['data']['expr']}")
    return [
        *problems,
        *same_facts(show["data"], evac["data"], asked.truth),
        *same_entries(show, asked.truth),
        *consistent(show["data"]),
        *forecast_is_right(evac["data"], asked.truth),
        *anomalies_are_right(aside(show["anomalies"], asked), asked.truth),
        *anomalies_are_right(aside(evac["anomalies"], asked), asked.truth),
    ]


def one_line(answer: Answer) -> list[str]:
    if answer.output.endswith("\n") and answer.output.count("\n") == 1:
        return []
    return [f"{answer.command} prints more than a line: {answer.output[:200]!r}"]


def same_facts(show: dict[str, Any], evac: dict[str, Any], truth: Any) -> list[str]:
    address = None if truth["nil"] else truth["address"]
    wanted = {"type": truth["type"], "address": address, "nil": truth["nil"]}
    for name in ("layout", "group", "count", "load", "buckets", "slots", "flags", "growth", "classic", "swiss"):
        wanted[name] = truth[name]
    # What range and len say, where the program knows them to agree.
    wanted["live"] = truth["live"] if truth["torn"] else truth["range"]
    problems = differences({name: show[name] for name in wanted}, wanted)
    if not truth["torn"] and show["count"] != truth["len"]:
        problems.append(f"count is {show['count']}, len says {truth['len']}")
    overflow = truth["bytes"]["overflow"] or 0
    if show["bytes"]["overflow"] != overflow:
        problems.append(f"bytes.overflow is {show['bytes']['overflow']}, not {overflow}")
    old = truth["bytes"]["old_array"] or 0
    # The allocator rounds up, and the old array has overflow buckets.
    if (show["bytes"]["old"] == 0) != (old == 0) or show["bytes"]["old"] < old:
        problems.append(f"bytes.old is {show['bytes']['old']}, and the old array has {old}")
    for name in ("type", "address", "layout", "growth"):
        if evac[name] != wanted[name]:
            problems.append(f"hmap-evac: {name} is {evac[name]!r}, not {wanted[name]!r}")
    # A nil map has no tables to tell of.
    tables = truth["tables"] if not truth["nil"] else None
    if evac["tables"] != tables:
        problems.append(f"hmap-evac: tables are {evac['tables']}, not {truth['tables']}")
    return problems


def differences(found: Any, wanted: Any, path: str = "") -> list[str]:
    if isinstance(wanted, dict) and isinstance(found, dict):
        inside = [differences(found.get(key), wanted[key], f"{path}.{key}".lstrip(".")) for key in wanted]
        return [problem for problems in inside for problem in problems]
    if isinstance(wanted, float) or isinstance(found, float):
        return [] if wanted == pytest.approx(found, rel=1e-12) else [f"{path} is {found!r}, not {wanted!r}"]
    return [] if found == wanted and type(found) is type(wanted) else [f"{path} is {found!r}, not {wanted!r}"]


def same_entries(show: dict[str, Any], truth: Any) -> list[str]:
    data, said = show["data"], show["truncated"]
    entries, live = data["entries"], data["live"]
    if len(entries) != min(live, session.ENTRIES):
        return [f"{len(entries)} entries shown of {live}"]
    cut = any(part["what"] == "values" for part in said or ())
    told = [part for part in said or () if part["what"] == "entries"]
    part = {"what": "entries", "shown": len(entries), "of": live, "option": "--entries N"}
    expected = [part] if len(entries) < live else []
    problems = [] if told == expected else [f"truncated is {said}, with {len(entries)} of {live} entries"]
    places = {(entry["old"], entry["bucket"], entry["slot"]) for entry in entries}
    if not data["buckets"]["overflow"] + data["buckets"]["old_overflow"] and len(places) != len(entries):
        problems.append("two entries have one place")
    for entry in entries:
        end = data["buckets"]["old_count" if entry["old"] else "count"]
        if not (entry["bucket"] < end and entry["slot"] < 8):
            problems.append(f"an entry's place is {entry['bucket']}/{entry['slot']}, of {end} buckets")
            break
    if truth["entries"] is not None and not truth["torn"]:
        difference = session.difference(data, truth, cut)
        problems += [difference] if difference else []
    return problems


def consistent(data: dict[str, Any]) -> list[str]:
    """Numbers that must fit each other, whatever the program says."""
    slots, buckets, bytes_ = data["slots"], data["buckets"], data["bytes"]
    kinds = slots["live"] + slots["empty"] + slots["tombstones"] + slots["evacuated"]
    held = 8 * (buckets["count"] + buckets["overflow"] + buckets["old_count"] + buckets["old_overflow"])
    rules = {
        "the kinds of slots add up": kinds == slots["total"] == held,
        "live is slots.live": data["live"] == slots["live"],
        "fill adds up": sum(buckets["fill"]) == buckets["count"],
        "old_fill adds up": sum(buckets["old_fill"] or ()) == buckets["old_count"] - data["growth"]["evacuated"],
        "bytes.live fits into bytes.allocated": 0 <= bytes_["live"] <= bytes_["allocated"],
        "waste is the difference": bytes_["waste"] == bytes_["allocated"] - bytes_["live"],
        "parts fit into bytes.allocated": bytes_["old"] + bytes_["overflow"] <= bytes_["allocated"],
        "only a nil map has no bytes": (bytes_["allocated"] == 0) == data["nil"],
        "a map has one layout": [data["classic"] is None, data["swiss"] is None].count(True) == 1 + data["nil"],
    }
    return [f"not so: {rule}" for rule, holds in rules.items() if not holds]


def forecast_is_right(evac: dict[str, Any], truth: Any) -> list[str]:
    """Where the program's own numbers say how many new keys fit: runtime.mapassign, maps.table.growthLeft."""
    left = evac["forecast"]["entries_left"]
    if truth["tables"]:
        wanted = min(table["growth_left"] for table in truth["tables"])
    elif truth["swiss"]:
        wanted = 8 - truth["len"]
    else:
        return []  # what a classic map does next: test_growth_comes_when_forecast
    return [] if left == wanted or truth["torn"] else [f"entries_left is {left}, not {wanted}"]


def aside(anomalies: list[dict[str, Any]], asked: Asked) -> list[dict[str, Any]]:
    """The anomalies without the notes that say how a local variable was found."""
    return [one for one in anomalies if asked.is_global or (one["code"], one["severity"]) != ("variable", "note")]


def anomalies_are_right(anomalies: list[dict[str, Any]], truth: Any) -> list[str]:
    """A map that is as it should be has none; one whose count is wrong has that and no other."""
    codes = [anomaly["code"] for anomaly in anomalies]
    wanted = ["count-mismatch"] if truth["torn"] and truth["count"] != truth["live"] else []
    return [] if codes == wanted else [f"anomalies {anomalies}, expected {wanted}"]
