"""Looks keys up in all maps that a program has just published: all that a map has, and what the program asked itself.

Runs in gdb (get_every_key.py) and beside Delve: it takes any Target.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

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
#: Programs follow 8 pointers below one value, through any number of structs.
DEPTH = 40


def look_up_all(target: Target, maps: Mapping[str, Any]) -> dict[str, Any]:
    """By expression: how many keys there were, and everything that was not as the program says."""
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
            keys = _held(target, t, address, problems)
        found, absent = _asked(target, t, address, truth["lookups"], problems)
        answers[expr] = {"keys": keys, "found": found, "absent": absent, "problems": problems[:5]}
    return answers


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
    target: Target, t: GoType, address: int, asked: list[Mapping[str, Any]], problems: list[str]
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
        if result.walked or result.found != one["found"] or not same_path(result, one):
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
