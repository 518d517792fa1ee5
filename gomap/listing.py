"""All entries of a map as JSON, for scripts that want a million of them.

A window of buckets at a time is taken apart by columns, as marks.py counts them: no Python object stands for
an entry, and only types that are not numbers or strings are formatted one value after another.
"""

from __future__ import annotations

import json
from itertools import compress, cycle, islice
from json.encoder import encode_basestring_ascii

from gomap.golang.slots import Bucket, Columns, columns, entries_of
from gomap.gotypes import GoType, Kind
from gomap.maps import MARKS, MapView
from gomap.values import Values

_INTEGERS = {1: "b", 2: "h", 4: "i", 8: "q"}


def entries_json(values: Values, t: GoType, found: MapView, wanted: int) -> list[str]:
    """A JSON object for each live entry of a map of type t in the order of found.entries(), `wanted` at most."""
    listed: list[str] = []
    for window, old in found.windows():
        listed += _window_json(values, t, found, window, old, wanted - len(listed))
        if len(listed) >= wanted:
            break
    return listed


def _window_json(values: Values, t: GoType, found: MapView, window: list[Bucket], old: bool, wanted: int) -> list[str]:
    shape, target = found.shape.slots, values.target
    live = MARKS[found.shape.layout].live
    cells = columns(target.arch, shape, window, live).first(wanted)
    if shape.indirect_key or shape.indirect_elem:
        entries = list(islice(entries_of(target.memory, target.arch, shape, window, live, old), wanted))
        keys = [_one(values, t.key, entry.key) for entry in entries]
        elems = [_one(values, t.elem, entry.elem) for entry in entries]
    else:
        keys = _column(values, t.key, cells, shape.keys_off, shape.key_stride)
        elems = _column(values, t.elem, cells, shape.elems_off, shape.elem_stride)
    numbers = [bucket[0] for bucket in window]
    places = cells.spread(lambda _, numbers=numbers: numbers)  # type: ignore[misc]
    tails = [f', "slot": {slot}, "old": {"true" if old else "false"}}}' for slot in range(8)]
    ends = compress(cycle(tails), cells.live)
    return [
        f'{{"key": {key}, "value": {elem}, "bucket": {place}{end}'
        for key, elem, place, end in zip(keys, elems, places, ends)
    ]


def _column(values: Values, t: GoType, cells: Columns, offset: int, stride: int) -> list[str]:
    word = cells.arch.pointer_size
    if t.kind in (Kind.INT, Kind.UINT) and t.size in _INTEGERS:
        code = _INTEGERS[t.size]
        return list(map(str, cells.words(offset, stride, code if t.kind is Kind.INT else code.upper())))
    if t.kind is Kind.STRING:
        code = _INTEGERS[word].upper()
        texts = values.strings(cells.words(offset, stride, code), cells.words(offset + word, stride, code))
        return list(map(encode_basestring_ascii, texts))
    return [_one(values, t, item) for item in cells.items(offset, stride, t.size)]


def _one(values: Values, t: GoType, data: bytes | None) -> str:
    return json.dumps(values.json(t, data), allow_nan=False)
