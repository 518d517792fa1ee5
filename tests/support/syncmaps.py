"""hmap-sync, and sync.Maps in hmap-top and hmap-check, against what the program publishes."""

from __future__ import annotations

import collections
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from tests.support import schema, session
from tests.support.debuggers import Answer, Session
from tests.support.toolchains import Row

ENTRIES = 5000
#: What the runtime allocates for itself meanwhile.
NOISE = 16 << 10
#: Package unique has a trie for each type from Go 1.23 on: from 1.25 on one of its own.
HAS_UNIQUE = re.compile(r"go1\.(2[3-9]|[3-9])")
UNIQUE = ("internal/concurrent.HashTrieMap[", "internal/sync.HashTrieMap[", "unique.canonMap[")
#: Go 1.24 and 1.25 can be built with the sync.Map of Go 1.23.
VARIANTS = {"1.25.5": "nosynchashtriemap"}
TOP = "hmap-top -n 0 --values --json"
CHECK = "hmap-check --all --json"
SPOILT = "main.Keep.Large"
#: By stage: what is asked about the whole process, and about what was damaged.
WHOLE = {"amended": [TOP, CHECK], "spoilt": [f"hmap-check {SPOILT} --json", CHECK]}
#: The int keys of main.Keep.Large that keep a word of the heap alive each: the runtime itself has those below 256.
BOXED = 4000 - 256


def sync(expr: str) -> str:
    return f"hmap-sync {expr} --entries {ENTRIES} --json"


def rows(row: Row, optimised: bool) -> Iterator[Row]:
    yield row
    if row.name in VARIANTS and optimised:
        yield Row(f"{row.name}-{VARIANTS[row.name]}", row.version, VARIANTS[row.name])


def expressions(stage: str, optimised: bool) -> list[str]:
    """What changes from stage to stage, and at the first what does not."""
    names = ["Words", "Service.cache", "Any"]
    if stage == "amended":
        names += ["Never", "Mixed", "Same", "Large", "Deleted", "Pointer"]
    return [*(f"main.Keep.{name}" for name in names), *([] if optimised else ["service.cache"])]


def check(answers: Session, optimised: bool) -> None:
    stages = list(dict.fromkeys(answer.stage for answer in answers.answers))
    generations = set()
    for stage in stages:
        facts = answers.truth[stage]["notes"]["sync"]
        assert {*expressions(stage, optimised)} <= facts.keys()
        for expr in expressions(stage, optimised):
            answer = answers.at(stage, sync(expr))
            assert answer.error is None, (expr, answer.error)
            problems = [*schema.faults(answer.json(), schema.answer("hmap-sync")), *wrong(answer, facts[expr], expr)]
            assert not problems, (stage, expr, problems[:5])
            generations.add(facts[expr]["generation"])
    assert len(generations) == 1
    if generations == {"read-dirty"} and "promoted" in stages:
        # As many lookups as it said, the program then needed.
        left = answers.at("amended", sync("main.Keep.Words")).json()["data"]["read_dirty"]["misses_left"]
        assert left == answers.truth["promoted"]["notes"]["lookups"] > 0


def ranked(answers: Session) -> None:
    """hmap-top and hmap-check --all have every sync.Map once, with its entries and its memory."""
    truth = answers.truth["amended"]["notes"]
    top, checked = (answers.at("amended", command).json() for command in (TOP, CHECK))
    assert not schema.faults(top, schema.answer("hmap-top")) and not schema.faults(checked, schema.answer("hmap-check"))
    data = top["data"]
    rows = {one["address"]: one for one in data["maps"]}
    named = [one for one in data["maps"] if one["kind"] not in ("heap", "stack")]
    assert len(rows) == len(data["maps"]) == len(named) + data["heap"]["maps"]
    assert len(named) == data["total"]["maps"] == data["scanned"]["maps"]
    for name in ("allocated", "live", "rebuilt"):
        assert data["total"]["bytes"][name] == sum(one["bytes"][name] for one in named)
    assert data["total"]["entries"] == sum(one["count"] for one in named)
    found = {one["address"]: one for one in checked["data"]["maps"]}
    assert found.keys() == {address for address, one in rows.items() if one["type"] is not None}
    assert truth["sync"]["main.Keep.Never"]["address"] not in rows  # it owns nothing, as a nil map does
    for expr in ("Words", "Service.cache", "Mixed", "Same", "Large", "Deleted"):
        fact = truth["sync"][f"main.Keep.{expr}"]
        shown = answers.at("amended", sync(f"main.Keep.{expr}")).json()["data"]
        one, other = rows[fact["address"]], found[fact["address"]]
        assert (one["type"], one["count"], one["layout"]) == (fact["type"], fact["count"], fact["generation"])
        # Variables of main lead there as well, on shorter ways.
        assert one["path"] in (f"main.Keep.{expr}", f"k.{expr}", f"{expr.rpartition('.')[2].lower()}.m"), one
        assert one["bytes"]["allocated"] == shown["bytes"]["allocated"] >= one["bytes"]["rebuilt"] > 0, one
        assert one["load"] is None and one["shares"] is None
        if "heap" in fact:
            assert abs(one["bytes"]["allocated"] - fact["heap"]) <= NOISE
            # The keys are those of the program's own copy, too, and count where the search comes first.
            copies = [row["values"] for row in data["maps"] if row["path"] == f'all["main.Keep.{expr}"].held']
            assert abs(max(one["values"], *copies, 0) - BOXED * top["target"]["pointer_size"]) <= 64, one
        assert (other["type"], other["entries"], other["verdict"]) == (fact["type"], fact["count"], "intact"), other
        assert other["hashes_checked"] >= fact["count"] and other["share"] == 1
    for name, type_, count, path in (
        ("registry", "main.Registry", 300, "Registry"),
        ("hidden", "sync.Map", 1, "Hidden"),
        ("inner", "map[int16]string", 3, 'Hidden.Load("inner").(map[int16]string)'),
    ):
        one, other = rows[truth[name]], found[truth[name]]
        assert one["path"] in (f"main.Keep.{path}", f"k.{path}"), one
        assert (one["type"], one["count"], other["entries"], other["verdict"]) == (type_, count, count, "intact"), other
    if HAS_UNIQUE.match(top["target"]["go"]):  # the type is named after one of its shapes where a closure leads there
        tries = [one for one in data["maps"] if one["type"].startswith(UNIQUE) and one["count"] == truth["unique"]]
        assert [found[one["address"]]["verdict"] for one in tries] == ["intact"]
        assert found[tries[0]["address"]]["hashes_checked"] == truth["unique"]
    assert not [one for one in (*top["anomalies"], *checked["anomalies"]) if one["severity"] != "note"]


def spoilt(answers: Session) -> None:
    """One that was damaged is corrupt, and the others are not."""
    truth = answers.truth["spoilt"]["notes"]
    alone = answers.at("spoilt", f"hmap-check {SPOILT} --json").json()["data"]["maps"]
    every = answers.at("spoilt", CHECK).json()["data"]["maps"]
    assert [one["path"] for one in (*alone, *every) if one["verdict"] != "intact"] == [SPOILT, SPOILT]
    for one in (*alone, *(one for one in every if one["path"] == SPOILT)):
        assert [kind["code"] for kind in one["kinds"]] == [truth["finding"]] and one["ok"] is False


def wrong(answer: Answer, truth: Mapping[str, Any], expr: str) -> Iterator[str]:
    """What does not fit what the program says of its sync.Map. It stops in a function that main.main calls."""
    told = answer.json()
    data = told["data"]
    wanted = {name: truth[name] for name in ("type", "address", "generation", "count")}
    found = {name: data[name] for name in wanted}
    if found != wanted:
        yield f"{found}, not {wanted}"
    notes = [(one["code"], re.sub(r"\d+", "N", one["message"])) for one in told["anomalies"]]
    local = [] if expr.startswith("main.") else [("variable", f"{expr.split('.')[0]} is taken from frame N, main.main")]
    if notes != local or told["truncated"]:
        yield f"{told['anomalies']} {told['truncated']}"
    inside = read_dirty(data["read_dirty"]) if data["read_dirty"] else hash_trie(data["hash_trie"])
    for name, value in inside.items():
        if truth[name] != value:
            yield f"{name} is {value}, not {truth[name]}"
    if counted(truth["entries"]) != counted(
        [[session.bare(entry["key"]), entry["value"]] for entry in data["entries"]]
    ):
        yield f"entries {data['entries'][:3]}, not {truth['entries'][:3]}"
    measured = truth.get("heap")
    if measured and abs(data["bytes"]["allocated"] - measured) > NOISE:
        yield f"bytes {data['bytes']}, not {measured}"


def counted(entries: list[Any]) -> collections.Counter[str]:
    return collections.Counter(json.dumps(entry) for entry in entries)


def read_dirty(told: Mapping[str, Any]) -> dict[str, Any]:
    def keys(half: Mapping[str, int]) -> dict[str, int]:
        assert half["keys"] == half["live"] + half["deleted"] + half["expunged"]
        return {name: half[name] for name in ("live", "deleted", "expunged")}

    dirty = told["dirty"]["keys"] if told["dirty"]["address"] else None
    assert (told["misses_left"] is None) != told["amended"]
    return {
        "amended": told["amended"],
        "misses": told["misses"],
        "dirty": dirty,
        "read": keys(told["read"]),
        "in_dirty": keys(told["dirty"]),
        "only_dirty": told["dirty"]["only_here"],
    }


def hash_trie(told: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "root": int(told["root"] or "0", 16),
        "seed": told["seed"],
        "depth": told["depth"],
        "nodes": told["nodes"],
        "found": told["entries"],
        "chains": told["overflow_chains"],
        "overflow": told["overflow_entries"],
        "longest": told["longest_chain"],
    }
