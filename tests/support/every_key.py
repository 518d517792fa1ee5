"""Looks keys up in all maps that a program has just published: all that a map has, and what the program asked itself;
and in all other maps that its process has.

Runs in gdb (get_every_key.py) and beside Delve: it takes any Target.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Set
from itertools import islice
from typing import Any, Callable

from gomap.analysis.alias import everywhere
from gomap.analysis.roots import Roots
from gomap.commands import check
from gomap.commands.check import map_or_sync
from gomap.declare import Context, Settings
from gomap.errors import GomapError, NoSuchVariable, OptimizedOut
from gomap.expr import keys_of, resolve_map
from gomap.frontend import run
from gomap.golang.hashing.hasher import hasher_of
from gomap.golang.hashing.plans import typehash_plan
from gomap.golang.layouts.lookup import candidates, lookup
from gomap.golang.layouts.search import Lookup
from gomap.gotypes import GoType, Kind
from gomap.maps import view
from gomap.ongoroutine import OnGoroutine
from gomap.render.text import Style
from gomap.target import Target
from gomap.values import Limits, Values
from tests.support import holders

#: Keys looked up in one map: all of them, but for a few maps of hundreds of thousands.
MOST = 8000
#: Of thousands of maps of one type that many are asked.
OF_ONE_TYPE = 40
#: Maps of up to so many keys are asked for keys of other maps, so many each.
FEW, EACH = 200, 5
#: Keys of one map that are looked up as they are printed, and how they are printed.
PRINTED, LIMITS = 300, Limits(depth=6)
#: Rows of hmap-top that are found by the address alone, each by a search.
BARE = 12
#: Programs follow 8 pointers below one value, through any number of structs.
DEPTH = 40


def answer(
    target: Target, truth: Mapping[str, Any], where: str, at_frame: Callable[[int], Target | None] | None = None
) -> str:
    """What `get-every-key` prints, alone and with `everywhere`, `paths`, `rows`, `named` or `holders`. truth: the
    stage's. at_frame: as resolve_paths has it."""
    maps = published(truth)
    if where == "named":
        return json.dumps(named(target, truth["notes"]))
    if where.startswith("holders"):
        return json.dumps(holders.ask(target, truth, where.endswith("optimised")))
    if where == "rows":
        return json.dumps(type_rows(target))
    if where == "paths":
        assert at_frame is not None
        return json.dumps(resolve_paths(target, at_frame))
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


def named(target: Target, notes: Mapping[str, Any]) -> dict[str, Any]:
    """What the program go_targets/exprs notes, as hmap-show and hmap-get answer it: the header that each expression
    leads to, and the value of each key."""

    def ask(name: str, line: str) -> Any:
        outcome = run(name, f"{line} --json", lambda: target, Settings(), Style())
        return outcome.error if outcome.error is not None else json.loads(outcome.output)["data"]

    maps, keys = {}, {}
    for expr in notes["maps"]:
        data = ask("hmap-show", expr)
        maps[expr] = data if isinstance(data, str) else data["address"]
    for expr, key, _ in notes["keys"]:
        data = ask("hmap-get", f"{expr} {key}")
        keys[f"{expr} {key}"] = data if isinstance(data, str) else data["value"] if data["found"] else None
    return {"maps": maps, "keys": keys}


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
    for one in report.data.maps:
        problems += [] if one.ok is not False else [f"not ok: {one}"]
        seen[one.type] += 1
        if not one.address or one.address in published or seen[one.type] > OF_ONE_TYPE:
            continue
        if "go.shape." in one.type:
            continue  # a type that generic code has for its maps, and no expression can name
        t, address = map_or_sync(Context(target), f"{one.address:#x}:{one.type}")
        if t.kind is not Kind.MAP:
            continue  # hmap-check has looked at a sync.Map's keys
        # Keys of the tests' own garbage are too long to be told apart as they are printed.
        keys += _held(target, t, address, problems, printed=one.kind not in ("heap", "stack"))
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
    return {"maps": len(report.data.maps), "keys": keys, "absent": absent, "problems": problems[:5]}


def _held(target: Target, t: GoType, address: int, problems: list[str], printed: bool = True) -> int:
    """Looks up the keys that a walk finds: each lookup must come to that very entry."""
    found, hasher = view(target, t, address), hasher_of(target)
    plans, equality = candidates(found, hasher), typehash_plan(t.key)
    assert equality is not None
    if printed:
        _printed(target, t, address, problems)
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


def _printed(target: Target, t: GoType, address: int, problems: list[str]) -> None:
    """Looks up the keys as hmap-show --entries prints them, all of which differ: each must come to its entry."""
    keys = keys_of(target)
    values = Values(keys.target, LIMITS, keys.hasher.types)
    found, plans, printed = view(keys.target, t, address), None, set()
    for entry in islice(found.entries(), PRINTED):
        assert entry.key is not None
        text = values.key_text(t.key, entry.key)
        if "NaN" in text:
            continue
        try:
            raw = keys.find(t.key, text, found, LIMITS)
        except GomapError as error:
            problems.append(f"{text} is refused: {error}")
            continue
        plans = candidates(found, keys.hasher) if plans is None else plans
        result = lookup(found, keys.hasher, plans, raw)
        if result.elem_address != entry.elem_address:
            problems.append(f"{text} leads to {result}, not to {entry}")
        if text in printed:
            problems.append(f"two keys are printed as {text}")
        printed.add(text)


def resolve_paths(target: Target, at_frame: Callable[[int], Target | None]) -> dict[str, Any]:
    """Resolves every path that hmap-alias, hmap-top and hmap-check print, in the frame that it belongs to.

    at_frame: selects a frame of the selected goroutine; None where there is none of that number.
    """
    ways: dict[tuple[int | None, str], set[int]] = {}
    for once in (False, True):  # hmap-alias, and hmap-top and hmap-check
        found = everywhere(target, Roots(target, "all"), once=once)
        for address, held in [*found.maps.items(), (0, found.nil)]:
            for holder in [way for one in held for way in (one, *one.also)]:
                place = holder.place
                if place.goroutine is None or place.goroutine == target.goroutine:
                    ways.setdefault((place.frame, holder.path), set()).add(address)
    problems, resolved = [], 0
    for (frame, path), wanted in sorted(
        ways.items(), key=lambda way: (-1 if way[0][0] is None else way[0][0], way[0][1])
    ):
        selected = target if frame is None else at_frame(frame)
        if selected is None:
            continue
        try:
            _, _, address = resolve_map(selected, path)
        except GomapError as error:
            problems.append(f"{path} in frame {frame} is refused: {error}")
            continue
        resolved += 1
        if {address} != wanted:
            problems.append(f"{path} in frame {frame} is {address:#x}, not {[hex(one) for one in wanted]}")
    return {"resolved": resolved, "problems": problems[:20], "number": len(problems)}


def type_rows(target: Target) -> dict[str, Any]:
    """Gives every row that hmap-top prints back to it: the map's address with its type, of some the address alone, and
    its path, looked up from the row's frame on."""
    listed = json.loads(run("hmap-top", "-n 0 --json", lambda: target, Settings(), Style()).output)["data"]["maps"]
    # Of maps that are alike text has the first; of the others the name that JSON has is typed.
    text = run("hmap-top", "-n 0 --full --std", lambda: target, Settings(), Style(width=4000)).output
    printed = dict(re.findall(r"^.*  (0x[0-9a-f]+):(\S.*)$", text, re.M))
    problems, seen, bare = [], Counter[str](), Counter[str]()
    if len(printed) < 16:
        problems.append(f"only {len(printed)} rows are printed")
    for one in listed:
        address, name = one["address"], one["type"]
        if name is None:
            continue
        seen[name] += 1
        if seen[name] > OF_ONE_TYPE:
            continue
        typed = [f"{address}:{printed.get(address, name)}"]
        if sum(bare.values()) < BARE and not bare[name]:
            bare[name] += 1
            typed.append(address)
        for expr in typed:
            try:
                t, got = map_or_sync(Context(target), expr)
            except GomapError as error:
                problems.append(f"{expr} is refused: {error}")
                continue
            # What the descriptors call byte is uint8 in debug information, and generic code has names of its own.
            if got != int(address, 16) or (t.name != name and "go.shape." not in name):
                problems.append(f"{expr} is {t.name} at {got:#x}, not {name}")
        selected = target if one["goroutine"] is None else OnGoroutine(target, one["goroutine"], one["frame"])
        try:
            _, got = map_or_sync(Context(selected), one["path"])
        except GomapError as error:
            problems.append(f"{one['path']} of goroutine {one['goroutine']} is refused: {error}")
            continue
        if got != int(address, 16):
            problems.append(f"{one['path']} of goroutine {one['goroutine']} is {got:#x}, not {address}")
    own = sum(one["goroutine"] is not None for one in listed)
    return {"rows": len(listed), "own": own, "bare": sum(bare.values()), "problems": problems[:20]}


def _asked(
    target: Target, t: GoType, address: int, asked: list[Mapping[str, Any]], problems: list[str], walked: bool
) -> tuple[int, int]:
    """Looks up the keys that the program looked up itself; returns how many it found, and how many not."""
    keys = keys_of(target)
    values = Values(keys.target, Limits(depth=DEPTH), keys.hasher.types)
    found = view(keys.target, t, address) if address else None
    plans = candidates(found, keys.hasher) if found is not None else []
    for one in asked:
        key = keys.find(t.key, one["key"], found, LIMITS)
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
    """Whether two JSON values are one; what is truncated may go on as it likes."""
    if ours == theirs or not isinstance(ours, str) or not isinstance(theirs, str):
        return bool(ours == theirs)
    head, whole = (text.encode("utf-8", "surrogateescape") for text in (ours, theirs))
    return "..." in ours or (len(head) >= 256 and whole.startswith(head))
