"""hmap-check and hmap-get asked of all maps that a program published, and their answers against the program's own."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tests.support import schema
from tests.support.debuggers import Answer
from tests.support.every_key import same_value

#: Keys of one map that are asked for, of those it has and of those it has not.
EACH = 1
#: Without numpy no more keys than that are hashed, one bucket in a power of two. gdb's Python may have none.
SAMPLE = 10_000


def check(expr: str) -> str:
    return f"hmap-check {expr} --json"


def get(expr: str, key: str) -> str:
    return f"hmap-get {expr} {key} --json"


def some(truth: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Of the keys that the program looked up itself."""
    asked = truth["lookups"]
    return [one for found in (True, False) for one in [one for one in asked if one["found"] is found][:EACH]]


def questions(maps: Mapping[str, Any]) -> list[str]:
    """maps: the truth of one stage."""
    return [question for expr, truth in maps.items() for question in _each(expr, truth)]


def _each(expr: str, truth: Mapping[str, Any]) -> Iterator[str]:
    yield check(expr)
    for one in some(truth):
        yield get(expr, one["key"])


def problems(answers: Iterable[Answer], maps: Mapping[str, Any]) -> list[str]:
    """What is not as the program says. A variable that the compiler dropped is another test's matter."""
    given = {answer.command: answer for answer in answers if answer.error is None}
    found = []
    for expr, truth in maps.items():
        if check(expr) in given:
            found += [f"{expr}: {what}" for what in intact(given[check(expr)].json(), truth)]
        for one in some(truth):
            answer = given.get(get(expr, one["key"]))
            if answer is not None:
                found += [f"{answer.command}: {what}" for what in looked_up(answer.json(), one)]
    return found


def intact(answer: Any, truth: Mapping[str, Any]) -> list[str]:
    """What hmap-check finds wrong with a map that is as the program wants it, or does not see of it."""
    faults = schema.faults(answer, schema.answer("hmap-check"))
    if faults or truth["torn"]:  # torn: a copy of a header, which the program knows to be wrong
        return faults
    (one,) = answer["data"]["maps"]
    found = [f"{a['code']}: {a['message']}" for a in answer["anomalies"] if a["severity"] != "note"]
    # A key with a NaN may lie anywhere: there is nothing to check of its place, and that is said.
    odd = sum("NaN" in json.dumps(key) for key, _ in truth["entries"] or ())
    whole = one["share"] == 1 and not odd
    if (one["ok"], one["verdict"]) != ((True, "intact") if whole else (None, "no-fault-found")):
        found.append(f"{one['ok']}, {one['verdict']}")
    if answer["data"]["complete"] is not whole:
        found.append(f"complete: {answer['data']['complete']}")
    left = {part["what"]: part["number"] for part in one["unchecked"]}
    hashed_all = one["hashes_checked"] + sum(left.values()) == one["entries"]
    if not hashed_all or left.get("nan-keys", 0) != odd or (one["share"] == 1 and set(left) > {"nan-keys"}):
        found.append(f"{one['unchecked']} of {one['entries']} keys, {odd} with a NaN")
    if one["entries"] != truth["len"]:
        found.append(f"{one['entries']} entries, not {truth['len']}")
    if any(a["code"] == "no-hash" for a in answer["anomalies"]):
        found.append("no hash was recomputed")
    return found + hashed(answer, truth)


def hashed(answer: Any, truth: Mapping[str, Any]) -> list[str]:
    """What is wrong with the number of keys that hmap-check says it hashed: one that holds a NaN has no hash to
    compare, and of all others none may be left out without a word."""
    (one,) = answer["data"]["maps"]
    number, entries, parts = one["hashes_checked"], one["entries"], answer["truncated"]
    if one["share"] == 1:
        odd = sum("NaN" in json.dumps(key) for key, _ in truth["entries"] or ())
        return [] if (number + odd, parts) == (entries, None) else [f"{number} hashes of {entries} keys, {parts}"]
    found = []
    if answer["target"]["backend"] != "gdb" or entries <= SAMPLE:
        found.append(f"of {entries} keys only {number} were hashed")
    if (
        parts != [{"what": "hashes", "shown": number, "of": entries, "option": None}]
        or one["share"] != number / entries
    ):
        found.append(f"{number} hashes of {entries} keys are told as {one['share']} and {parts}")
    step = next(2**n for n in range(64) if entries <= SAMPLE * 2**n)
    if not entries / 2 < number * step < entries * 2:
        found.append(f"{number} hashes of {entries} keys are not one in {step}")
    return found


def looked_up(answer: Any, one: Mapping[str, Any]) -> list[str]:
    """one: what the program's own lookup of the key gave."""
    faults = schema.faults(answer, schema.answer("hmap-get"))
    if faults:
        return faults
    data, found = answer["data"], []
    if data["found"] != one["found"]:
        found.append(f"found {data['found']}")
    if data["walked"]:
        found.append("not by its path")
    if [step["matched"] for step in data["path"]].count(True) != data["found"]:
        found.append(f"the path: {data['path']}")
    if data["path"] and data["path"][-1]["matched"] != data["found"]:
        found.append(f"the path goes on: {data['path']}")
    path = [[step["table"], step["bucket"], step["overflow"], step["old"], step["slot"]] for step in data["path"]]
    if one["hash"] is not None and (data["hash"], path) != (one["hash"], [step[:5] for step in one["path"]]):
        found.append(f"hash {data['hash']} and path {path}, not {one['hash']} and {one['path']}")
    if not same_value(data["value"], one["value"]):
        found.append(f"value {data['value']!r}")
    return found
