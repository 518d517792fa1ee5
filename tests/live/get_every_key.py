"""Sourced by gdb: `get-every-key EXPR` looks up every key of a map by its hash, and keys the map does not have.

Prints one JSON object: how many keys there are (by walking), how many lookups found their very slot, how many
hold a NaN, how many absent keys were tried and how many of these were found.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import gdb

from gdbext.target import GdbTarget
from gomap.expr import resolve_map
from gomap.golang.hashing import Hasher, hasher_of, typehash_plan
from gomap.golang.lookup import choose, lookup
from gomap.gotypes import GoType, Kind
from gomap.maps import view

#: Keys looked up in one map.
MOST = 60
ABSENT = 6


class GetEveryKey(gdb.Command):
    def __init__(self) -> None:
        super().__init__("get-every-key", gdb.COMMAND_DATA)

    def invoke(self, argument: str, from_tty: bool) -> None:
        target = GdbTarget()
        _, t, address = resolve_map(target, argument)
        said = {"keys": 0, "found": 0, "nan": 0, "walked": 0, "absent": 0, "absent_found": 0}
        if address:
            found, hasher = view(target, t, address), hasher_of(target)
            plan = choose(found, hasher)
            equality = typehash_plan(t.key)
            assert equality is not None
            keys = []
            for entry in found.entries():
                assert entry.key is not None
                keys.append(entry.key)
                if len(keys) > MOST:
                    break
                said["keys"] += 1
                result = lookup(found, hasher, plan, entry.key)
                said["walked"] += result.walked
                if result.nan:
                    said["nan"] += 1
                    assert not hasher.equal(equality, entry.key, entry.key)
                elif result.found and result.elem_address == entry.elem_address:
                    said["found"] += 1
            # Of a larger map not all keys are known here: nothing is known to be absent.
            for key in absent(hasher, t.key, keys) if len(keys) <= MOST else ():
                said["absent"] += 1
                result = lookup(found, hasher, plan, key)
                said["walked"] += result.walked
                said["absent_found"] += result.found
        gdb.write(json.dumps(said))


def absent(hasher: Hasher, t: GoType, keys: list[bytes]) -> Iterator[bytes]:
    """Keys that a walk does not find: others with a bit changed, strings cut short."""
    plan = typehash_plan(t)
    assert plan is not None
    if t.kind is Kind.INTERFACE or not t.size:
        return
    word = hasher.target.arch.pointer_size
    for key in keys[:ABSENT]:
        changed = bytearray(key)
        if t.kind is Kind.STRING:
            length = int.from_bytes(key[word:], "little")
            changed[word:] = (length - 1 if length else 0).to_bytes(word, "little")
        elif t.kind in (Kind.STRUCT, Kind.ARRAY):
            if any(type(one).__name__ != "Memory" for one in plan):
                return
            first = next((one for one in plan if one.size), None)  # type: ignore[union-attr]
            if first is None:
                return
            changed[first.offset] ^= 0x55
        elif t.kind is Kind.BOOL:
            changed[0] ^= 1
        else:
            changed[t.size // 2] ^= 0x55
        if not any(hasher.equal(plan, bytes(changed), other) for other in keys):
            yield bytes(changed)


GetEveryKey()
