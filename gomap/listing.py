"""Entries of a map as JSON or as text, by the thousand, for scripts that want a million of them.

It splits a window of buckets at a time into columns, as marks.py counts them: there is no Python object for an entry,
and only values that are not numbers or strings are formatted one by one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from itertools import chain
from json.encoder import encode_basestring_ascii

from gomap.errors import BadExpression
from gomap.golang.layouts.layout import MapView
from gomap.gotypes import SCALAR_KINDS, GoType, Kind
from gomap.known import find
from gomap.rows import INTEGERS, Column, Rows, rows_of
from gomap.syntax import unquote
from gomap.values import UNREADABLE, Limits, Values

#: Of one entry.
_OBJECT = '{"key": %s, "value": %s, "bucket": %s, "slot": %s, "old": OLD}'
#: The same with what people see of keys and values whose types have a text of their own.
_WITH_TEXT = '{"key": %s, "value": %s, "bucket": %s, "slot": %s, "old": OLD, "key_text": %s, "value_text": %s}'


def entries_json(values: Values, t: GoType, found: MapView, wanted: int) -> tuple[list[str], int]:
    """A JSON object for each live entry of a map of type t in the order of found.entries(), `wanted` at most:
    (a window's at a time, parted by commas; how many in all)."""
    listed: list[str] = []
    total = 0
    for rows in rows_of(t, found):
        rows = rows.first(wanted - total)
        total += len(rows)
        if len(rows):
            listed.append(rows_json(values, rows))
        if total >= wanted:
            break
    return listed, total


def rows_json(values: Values, rows: Rows, keys_alone: bool = False) -> str:
    """A JSON object for each row, parted by commas. keys_alone: with null for the elems, which are not read."""
    keys, nothing = rows.keys(), ["null"] * len(rows)
    elems = None if keys_alone else rows.elems()
    told = nothing if elems is None else _json(values, elems, _one)
    parts = [_json(values, keys, _key), told, rows.numbers, rows.slots()]
    form = _OBJECT
    if values.has_text(rows.key) or values.has_text(rows.elem):
        form = _WITH_TEXT
        parts += [_known(values, keys, True), nothing if elems is None else _known(values, elems, False)]
    one = form.replace("OLD", "true" if rows.old else "false")
    return ", ".join([one] * len(rows)) % tuple(chain.from_iterable(zip(*parts)))


def _known(values: Values, column: Column, of_key: bool) -> Sequence[object]:
    """What people see of each, null where the type has no text of its own."""
    items = column.items()
    if not values.has_text(column.type):
        return ["null"] * len(items)
    show = values.shown_key if of_key else values.shown
    return [encode_basestring_ascii(show(column.type, item)) for item in items]


def texts(values: Values, column: Column, of_key: bool) -> Sequence[str]:
    """What people see of each."""
    t = column.type
    if t.kind in (Kind.INT, Kind.UINT) and t.size in INTEGERS and not values.has_text(t):
        return [UNREADABLE if one is None else str(one) for one in column.numbers(t.size, t.kind is Kind.INT)]
    if t.kind is Kind.STRING and column.cells is not None:
        return values.quoted(*_headers(values, column))
    show = values.shown_key if of_key else values.shown
    return [show(t, item) for item in column.items()]


def raw_texts(values: Values, column: Column, of_key: bool) -> Sequence[str]:
    """The same; for strings, their contents without quotes."""
    if column.type.kind is Kind.STRING:
        if column.cells is not None:
            return values.strings(*_headers(values, column))
        return [str(values.json(column.type, item)) for item in column.items()]
    found = texts(values, column, of_key)
    if column.type.kind is Kind.INTERFACE or find(column.type) is not None:  # which may hold strings
        return [bare(text) if text.startswith('"') else text for text in found]
    return found


_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"', re.S)


def bare(text: str) -> str:
    """The text within quotes, with the mark for the rest of a long string after it; other text unchanged."""
    quoted = _QUOTED.match(text)
    try:
        return text if quoted is None else unquote(quoted.group()) + text[quoted.end() :]
    except BadExpression:  # JSON has other escapes
        return text


def _one(values: Values, t: GoType, data: bytes | None) -> str:
    return json.dumps(values.json(t, data), allow_nan=False)


def _key(values: Values, t: GoType, data: bytes | None) -> str:
    return json.dumps(values.key(t, data), allow_nan=False)


def _headers(values: Values, column: Column) -> tuple[Sequence[int], Sequence[int]]:
    """Addresses and lengths of strings."""
    word, cells = values.target.arch.pointer_size, column.cells
    assert cells is not None
    code = INTEGERS[word].upper()
    at, stride = column.offset, column.stride
    return cells.words(at, stride, code), cells.words(at + word, stride, code)


def _json(values: Values, column: Column, one: Callable[[Values, GoType, bytes | None], str]) -> Sequence[object]:
    """What JSON's text is made of: str() of each. one: makes the text of a value that has parts."""
    t = column.type
    if column.cells is not None:
        if t.kind in (Kind.INT, Kind.UINT) and t.size in INTEGERS:
            return column.numbers(t.size, t.kind is Kind.INT)
        if t.kind is Kind.STRING:
            return list(map(encode_basestring_ascii, values.strings(*_headers(values, column))))
        if t.kind is Kind.STRUCT and _is_flat(t, values.limits):
            fields = [_field(values, column.part(f.type, f.offset)) for f in t.fields]
            shown = ", ".join(f"{f.name.replace('%', '%%')}:%s" for f in t.fields)
            template = f"{t.name.replace('%', '%%')}{{{shown}}}"
            return [encode_basestring_ascii(template % row) for row in zip(*fields)]
    return [one(values, t, item) for item in column.items()]


def _is_flat(t: GoType, limits: Limits) -> bool:
    """Whether all fields of a struct are shown, and none of them has parts: no limit depends on the others' text."""
    kinds = (*SCALAR_KINDS, Kind.COMPLEX)
    return limits.depth > 0 and 0 < len(t.fields) <= 2 * limits.items and all(f.type.kind in kinds for f in t.fields)


def _field(values: Values, column: Column) -> Sequence[object]:
    """Values in Go syntax: str() of each."""
    t = column.type
    if t.kind in (Kind.INT, Kind.UINT) and t.size in INTEGERS:
        return column.numbers(t.size, t.kind is Kind.INT)
    if t.kind is Kind.STRING:
        return values.quoted(*_headers(values, column))
    return [values.text(t, item) for item in column.items()]
