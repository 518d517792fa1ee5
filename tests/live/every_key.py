"""Looks keys up in all maps that a program has just published: all that a map has, and what the program asked itself;
and in all other maps that its process has.

Runs in gdb (get_every_key.py) and beside Delve: it takes any Target.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Set
from itertools import islice
from typing import Any

from gomap.commands import check
from gomap.commands.declare import Context
from gomap.errors import NoSuchVariable, OptimizedOut
from gomap.expr import resolve_map
from gomap.golang.hashing import hasher_of, typehash_plan
from gomap.golang.lookup import Lookup, candidates, lookup
from gomap.gotypes import GoType
from gomap.keys import Keys
from gomap.maps import view
from gomap.target import Target
from gomap.values import Limits, Values

#: Keys looked up in one map: all of them, but for a few maps of hundreds of thousands.
MOST = 8000
#: Of thousands of maps of one type that many are asked.
OF_ONE_TYPE = 40
#: Maps of up to so many keys are asked for keys of other maps, so many each.
FEW, EACH = 200, 5
#: Programs follow 8 pointers below one value, through any number of structs.
DEPTH = 40


def answer(target: Target, truth: Mapping[str, Any], where: str) -> str:
    """What `get-every-key` and `get-every-key everywhere` print. truth: the stage's."""
    maps = published(truth)
    if not where:
        return json.dumps(look_up_all(target, maps))
    return json.dumps(look_up_everywhere(target, {int(one["address"], 16) for one in maps.values()}))


def published(truth: Mapping[str, Any]) -> dict[str, Any]:
    """One stage's maps, by what leads to them: those that no variable has by their addresses."""
    return {**truth["maps"], **{f"{one['address']}:{one['type']}": one for one in truth["unnamed"].values()}}


def look_up_all(target: Target, maps: Mapping[str, Any], walked: bool = False) -> dict[str, Any]:
    """By expression: how many keys there were, and everything that was not as the program says.

    walked: whether it is a process whose hash function is not known, so that lookups go through all entries.
    """
    done: set[tuple[int, str]] = set()  # many variables hold one map
    answers: dict[str, Any] = {}
    for expr, truth in maps.items():
        try:
            _, t, address = resolve_map(target, expr)
        except (OptimizedOut, NoSuchVariable):  # the caller knows whether the compiler may have dropped it
            answers[expr] = None
            continue
        problems: list[str] = []
        keys = 0
        if address and (address, t.name) not in done:
            done.add((address, t.name))
            keys = 0 if walked else _held(target, t, address, problems)
        found, absent = _asked(target, t, address, truth["lookups"], problems, walked)
        answers[expr] = {"keys": keys, "found": found, "absent": absent, "problems": problems[:5]}
    return answers


def look_up_everywhere(target: Target, published: Set[int]) -> dict[str, Any]:
    """Every map that hmap-check --all comes to, without a finding, and that is not one of the published: all its keys,
    and of those of other maps of its kind and the key of zeros the ones that it has not. What is there, a walk says."""
    report = check.run(Context(target), {"EXPR": None, "--all": True, "--full": False})
    # A variable that has not been set yet in its frame leads anywhere.
    problems = [
        f"{a.code}: {a.message}" for a in report.anomalies if a.severity != "note" and " of goroutine " not in a.message
    ]
    seen = Counter[str]()
    held: dict[tuple[int, str], tuple[GoType, list[bytes]]] = {}
    others: dict[str, list[bytes]] = {}
    hasher = hasher_of(target)
    keys = absent = 0
    for one in report.data["maps"]:
        problems += [] if one["ok"] else [f"not ok: {one}"]
        seen[one["type"]] += 1
        if one["address"] is None or int(one["address"], 16) in published or seen[one["type"]] > OF_ONE_TYPE:
            continue
        if "go.shape." in one["type"]:
            continue  # a type that generic code has for its maps, and no expression can name
        _, t, address = resolve_map(target, f"{one['address']}:{one['type']}")
        keys += _held(target, t, address, problems)
        mine = [entry.key for entry in islice(view(target, t, address).entries(), FEW) if entry.key is not None]
        held[address, t.name] = t, mine
        others.setdefault(t.key.name, [bytes(t.key.size)]).extend(mine[:2])
    for (address, _), (t, mine) in held.items():
        found = view(target, t, address)
        if found.count > len(mine):
            continue
        plans, equality = candidates(found, hasher), typehash_plan(t.key)
        assert equality is not None
        for key in others[t.key.name][:EACH]:
            there = any(hasher.equal(equality, key, own) for own in mine)
            result = lookup(found, hasher, plans, key)
            absent += not there
            if result.walked or result.found != there:
                problems.append(f"{address:#x} {t.name}: {key.hex()} is {'' if there else 'not '}there, and {result}")
    return {"maps": len(report.data["maps"]), "keys": keys, "absent": absent, "problems": problems[:5]}


def _held(target: Target, t: GoType, address: int, problems: list[str]) -> int:
    """Looks up the keys that a walk finds: each lookup must come to that very entry."""
    found, hasher = view(target, t, address), hasher_of(target)
    plans, equality = candidates(found, hasher), typehash_plan(t.key)
    assert equality is not None
    keys = 0
    for entry in islice(found.entries(), MOST):
        assert entry.key is not None
        keys += 1
        result = lookup(found, hasher, plans, entry.key)
        if result.walked:
            problems.append(f"no hash of {entry.key.hex()}")
        elif result.nan:
            if hasher.equal(equality, entry.key, entry.key):
                problems.append(f"taken for a NaN: {entry.key.hex()}")
        elif not result.found or result.elem_address != entry.elem_address:
            problems.append(f"not found: {entry.key.hex()}, {result}")
    return keys


def _asked(
    target: Target, t: GoType, address: int, asked: list[Mapping[str, Any]], problems: list[str], walked: bool
) -> tuple[int, int]:
    """Looks up the keys that the program looked up itself; returns how many it found, and how many not."""
    keys = Keys(target, hasher_of(target))
    values = Values(keys.target, Limits(depth=DEPTH), keys.hasher.types)
    found = view(keys.target, t, address) if address else None
    plans = candidates(found, keys.hasher) if found is not None else []
    for one in asked:
        key = keys.parse(t.key, one["key"])
        if found is None:
            continue
        result = lookup(found, keys.hasher, plans, key)
        if result.walked != walked or result.found != one["found"] or not (walked or same_path(result, one)):
            problems.append(f"the program says {one}, and gomap {result}")
        elif result.found and not same_value(values.json(t.elem, result.elem), one["value"]):
            problems.append(f"{one}: its value is {values.json(t.elem, result.elem)}")
    here = sum(one["found"] for one in asked)
    return here, len(asked) - here


def same_path(result: Lookup, one: Mapping[str, Any]) -> bool:
    """Whether the hash and every step are those of the program's own search: its NaN has none."""
    if one["hash"] is None:
        return result.nan and not result.path
    path = [[s.table, s.bucket, s.overflow, s.old, s.slot, s.reason] for s in result.path]
    return result.hash == int(one["hash"], 16) and path == one["path"]


def same_value(ours: Any, theirs: Any) -> bool:
    """Whether two JSON values are one; what is cut short may go on as it likes."""
    if ours == theirs or not isinstance(ours, str) or not isinstance(theirs, str):
        return bool(ours == theirs)
    head, whole = (text.encode("utf-8", "surrogateescape") for text in (ours, theirs))
    return "..." in ours or (len(head) >= 256 and whole.startswith(head))
