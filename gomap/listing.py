"""All entries of a map as JSON, for scripts that want a million of them.

A window of buckets at a time is taken apart by columns, as marks.py counts them: no Python object stands for
an entry, and only types that are not numbers or strings are formatted one value after another.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import chain, compress, cycle, islice
from json.encoder import encode_basestring_ascii
from typing import Callable

from gomap.golang.layouts.layout import MapView
from gomap.golang.layouts.slots import Bucket, Columns, columns, entries_of
from gomap.gotypes import SCALAR_KINDS, GoType, Kind
from gomap.values import Limits, Values

#: Of one entry; its slot and array, of which there are few, are filled in first.
_OBJECT = '{"key": %%s, "value": %%s, "bucket": %%s, "slot": %s, "old": %s}'
_INTEGERS = {1: "b", 2: "h", 4: "i", 8: "q"}


def entries_json(values: Values, t: GoType, found: MapView, wanted: int) -> tuple[list[str], int]:
    """A JSON object for each live entry of a map of type t in the order of found.entries(), `wanted` at most:
    (a window's at a time, parted by commas; how many in all)."""
    listed: list[str] = []
    total = 0
    for window, old in found.windows():
        text, count = _window_json(values, t, found, window, old, wanted - total)
        total += count
        if text:
            listed.append(text)
        if total >= wanted:
            break
    return listed, total


def _window_json(
    values: Values, t: GoType, found: MapView, window: list[Bucket], old: bool, wanted: int
) -> tuple[str, int]:
    shape, target = found.shape.slots, values.target
    live = found.marks.live
    cells = columns(target.arch, shape, window, live).first(wanted)
    keys: Sequence[object]
    elems: Sequence[object]
    if shape.indirect_key or shape.indirect_elem:
        entries = list(islice(entries_of(target.memory, target.arch, shape, window, live, old), wanted))
        keys = [_key(values, t.key, entry.key) for entry in entries]
        elems = [_one(values, t.elem, entry.elem) for entry in entries]
    else:
        keys = _column(values, t.key, cells, shape.keys_off, shape.key_stride, _key)
        elems = _column(values, t.elem, cells, shape.elems_off, shape.elem_stride)
    numbers = [bucket[0] for bucket in window]
    places = cells.spread(lambda _, numbers=numbers: numbers)  # type: ignore[misc]
    objects = [_OBJECT % (slot, "true" if old else "false") for slot in range(8)]
    template = ", ".join(compress(cycle(objects), cells.live))
    return template % tuple(chain.from_iterable(zip(keys, elems, places))), len(keys)


def _one(values: Values, t: GoType, data: bytes | None) -> str:
    return json.dumps(values.json(t, data), allow_nan=False)


def _key(values: Values, t: GoType, data: bytes | None) -> str:
    return json.dumps(values.key(t, data), allow_nan=False)


def _column(
    values: Values,
    t: GoType,
    cells: Columns,
    offset: int,
    stride: int,
    one: Callable[[Values, GoType, bytes | None], str] = _one,
) -> Sequence[object]:
    """What JSON's text is made of: str() of each. one: makes the text of a value that has parts."""
    word = cells.arch.pointer_size
    if t.kind in (Kind.INT, Kind.UINT) and t.size in _INTEGERS:
        code = _INTEGERS[t.size]
        return cells.words(offset, stride, code if t.kind is Kind.INT else code.upper())
    if t.kind is Kind.STRING:
        code = _INTEGERS[word].upper()
        texts = values.strings(cells.words(offset, stride, code), cells.words(offset + word, stride, code))
        return list(map(encode_basestring_ascii, texts))
    if t.kind is Kind.STRUCT and _is_flat(t, values.limits):
        columns_of_fields = [_texts(values, f.type, cells, offset + f.offset, stride) for f in t.fields]
        shown = ", ".join(f"{f.name.replace('%', '%%')}:%s" for f in t.fields)
        template = f"{t.name.replace('%', '%%')}{{{shown}}}"
        return [encode_basestring_ascii(template % row) for row in zip(*columns_of_fields)]
    return [one(values, t, item) for item in cells.items(offset, stride, t.size)]


def _is_flat(t: GoType, limits: Limits) -> bool:
    """Whether all fields of a struct are shown, and none of them has parts: no limit depends on the others' text."""
    kinds = (*SCALAR_KINDS, Kind.COMPLEX)
    return limits.depth > 0 and 0 < len(t.fields) <= 2 * limits.items and all(f.type.kind in kinds for f in t.fields)


def _texts(values: Values, t: GoType, cells: Columns, offset: int, stride: int) -> Sequence[object]:
    """Values in Go syntax: str() of each."""
    if t.kind in (Kind.INT, Kind.UINT) and t.size in _INTEGERS:
        return _column(values, t, cells, offset, stride)
    if t.kind is Kind.STRING:
        word = cells.arch.pointer_size
        code = _INTEGERS[word].upper()
        return values.quoted(cells.words(offset, stride, code), cells.words(offset + word, stride, code))
    return [values.text(t, item) for item in cells.items(offset, stride, t.size)]
