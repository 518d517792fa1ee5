"""hmap-whatis of every place that the program publishes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.support import schema
from tests.support.debuggers import Session

#: How many of main.Places the program pointers fills in at each stage.
PLACES = {"current": 27, "growing": 3, "freed": 11}


def ask(i: int) -> str:
    return f"hmap-whatis main.Places[{i}] --json"


def commands(stage: str) -> list[str]:
    return [*map(ask, range(PLACES[stage])), "hmap-whatis &main.Gone --json", "hmap-whatis main.Gone --json"]


def check(session: Session, stage: str) -> None:
    truth = session.truth[stage]
    places = truth["notes"]["places"]
    assert len(places) == PLACES[stage]
    seen = set()
    for i, (what, address, *of) in enumerate(places):
        data = data_of(session, stage, ask(i))
        assert data["address"] == address
        problem = wrong(data, what, of, truth, stage)
        assert problem is None, (stage, what, address, of, problem, data)
        seen.add(what)
    assert {"elem", "stale"} & seen
    gone = truth["maps"]["main.Gone"]
    header = data_of(session, stage, "hmap-whatis main.Gone --json")
    assert (header["map"]["address"], header["array"]) == (gone["address"], "header")
    variable = data_of(session, stage, "hmap-whatis &main.Gone --json")
    assert (variable["map"], variable["where"], variable["variable"]) == (None, "data", "main.Gone")


def data_of(session: Session, stage: str, command: str) -> Any:
    answer = session.at(stage, command)
    assert answer.error is None, (command, answer.error)
    found = answer.json()
    faults = schema.faults(found, schema.answer("hmap-whatis"))
    assert not faults, faults
    return found["data"]


def wrong(data: Mapping[str, Any], what: str, of: list[Any], truth: Mapping[str, Any], stage: str) -> str | None:
    """How the answer differs from what the program says, None where it does not."""
    maps = truth["maps"]
    if what in ("key", "elem", "mark", "last", "free slot", "header"):
        return wrong_in_map(data, what, of, maps[of[0]])
    told: tuple[Any, ...]
    if what == "stale" and stage == "growing" and maps["main.Gone"]["layout"] == "classic":
        facts = maps["main.Gone"]
        index, slot = place_in(int(data["address"], 16), facts, facts["buckets"]["old_address"])
        told = (data["map"] and data["map"]["address"], data["array"], data["bucket"], data["slot"], data["part"])
        expected = (facts["address"], "oldbuckets", index, slot, "elem")
        return None if told == expected and data["old"] else f"not {expected}"
    if data["map"] is not None:
        return "no map has it"
    span, object_of = data["span"], data["span"] and data["span"]["object"]
    if what == "stale":
        held = bool(span and span["allocated"])  # of a span that is free as a whole nothing is told
        return None if data["where"] == "heap" and (stage == "growing") == held else "freed or not"
    if what in ("kept", "freed"):
        told = (data["where"], span["state"], span["allocated"], object_of)
        return None if told == ("heap", "in-use", what == "kept", data["address"]) else what
    if what == "object":
        told = (int(object_of, 16), span["object_bytes"], span["allocated"], span["noscan"])
        return None if told == (of[0], of[1], True, True) else f"{of}"
    if what == "stack":
        return None if (data["where"], data["function"]) == ("stack", of[0]) else "stack"
    if what == "code":
        return None if (data["where"], data["function"]) == ("code", of[0]) else "code"
    if what == "global":
        return None if (data["where"], data["variable"]) == ("data", of[0]) else "global"
    if what == "constant":
        return None if data["where"] == "read-only data" else "constant"
    assert what in ("mapped", "c"), what
    return None if (data["where"], span) == (None, None) else "not Go's memory"


def wrong_in_map(data: Mapping[str, Any], what: str, of: list[Any], facts: Mapping[str, Any]) -> str | None:
    shape, address = facts["shape"], int(data["address"], 16)
    if data["map"] is None or (data["map"]["address"], data["map"]["path"]) != (facts["address"], of[0]):
        return "another map"
    if data["map"]["type"] != facts["type"]:
        return "another type"
    if what == "header":
        return None if data["array"] == "header" else "no header"
    if what == "mark":
        mark = "tophash" if facts["layout"] == "classic" else "ctrl"
        return None if (data["part"], data["slot"]) == (mark, of[1]) else mark
    if what == "last":
        if facts["layout"] == "classic":
            return None if (data["part"], data["slot"]) == ("overflow-pointer", None) else "overflow pointer"
        return None if data["part"] in (None, "elem") else "the group's last byte"
    if what == "free slot":
        return None if (data["part"], data["slot"], data["state"]) == ("elem", of[1], "empty") else "free slot"
    indirect = shape["indirect_key"] if what == "key" else shape["indirect_elem"]
    if (data["part"], data["state"], data["indirect"]) != (what, "live", indirect):
        return f"{what}, live"
    if of[1] is not None and data["key"] != of[1]:
        return f"the slot of key {of[1]}"
    arrays = {"buckets": facts["buckets"]["address"], "oldbuckets": facts["buckets"]["old_address"]}
    base = arrays.get(data["array"])
    if base is not None and place_in(address, facts, base, what) != (data["bucket"], data["slot"]):
        return f"bucket and slot {place_in(address, facts, base, what)}"
    known = {"buckets", "oldbuckets", "overflow"} if facts["layout"] == "classic" else {"group"}
    return None if indirect or data["array"] in known else f"one of {known}"


def place_in(address: int, facts: Mapping[str, Any], base: str, what: str = "elem") -> tuple[int, int]:
    """(bucket, slot) by the shape and the array's address that the program gives."""
    shape = facts["shape"]
    index, inside = divmod(address - int(base, 16), shape["bucket_size"])
    return index, (inside - shape[f"{what}s_off"]) // shape[f"{what}_stride"]
