"""hmap-top over a heap, against what the program publishes."""

from __future__ import annotations

from typing import Any

from tests.support import schema
from tests.support.debuggers import Answer

#: A map whose type reflect has made: the linker's list has it not.
REFLECTED = "map[int][3]string"


def check_rows(answer: Answer, notes: Any) -> Any:
    """The ranking has every map of the program that has an array, with its entries and its type."""
    assert answer.error is None, answer.error
    told = answer.json()
    assert not schema.faults(told, schema.answer("hmap-top"))
    assert told["truncated"] is None
    maps, heap = told["data"]["maps"], told["data"]["heap"]
    assert (heap["searched"], heap["complete"], heap["why"]) == (True, True, None)
    rows = {one["address"]: one for one in maps}
    assert len(rows) == len(maps)
    more = [one for one in maps if one["kind"] in ("heap", "stack")]
    assert (heap["maps"], heap["entries"]) == (len(more), sum(one["count"] for one in more))
    assert heap["on_stacks"] == sum(one["kind"] == "stack" for one in more)
    kept = {address: (type_, count) for address, type_, count in notes["kept"] + notes["miscounted"]}
    assert not [address for address, _, _ in notes["lookalikes"] if address in rows]
    assert {a: rows[a]["count"] for a, (_, n) in kept.items() if n} == {a: n for a, (_, n) in kept.items() if n}
    for address, (type_, count) in kept.items():
        if address not in rows:
            continue
        one = rows[address]
        if type_ == REFLECTED:
            assert (one["type"], one["path"]) == (None, address)
        else:
            assert type_ in (one["type"], *one["type_or"]), (type_, one)
            assert one["kind"] != "heap" or one["path"] == f"{address}:{one['type']}"
        if count >= 8 and "NaN" not in type_ and type_ not in (REFLECTED, "map[float64]int"):
            assert one["kind"] != "heap" or one["type_known_by"] in ("hashes", "allocator"), one
    return told["data"]
