"""Results as JSON: the only place that writes them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import repeat
from json.encoder import encode_basestring_ascii
from operator import attrgetter
from typing import Any, Callable

from gomap.results.fields import UNASKED, Encoded, FieldType, fields_of, is_result

_Encode = Callable[[Any], Any]
_encoder = json.JSONEncoder(allow_nan=False)
#: Rows that are written by columns.
MANY = 64


def line(result: Any) -> str:
    """The result as one line of JSON."""
    return "".join([*_pieces(encode(result)), "\n"])


def encode(result: Any) -> Any:
    """The result in the form that json.dumps takes, except for Encoded parts."""
    if isinstance(result, dict):
        return {name: encode(one) if is_result(one) else one for name, one in result.items()}
    encoded: dict[str, Any] = {}
    values, plan = _plan(result.__class__)
    for (name, convert, flat, _), value in zip(plan, values(result)):
        if flat is not None:
            encoded.update(encode(value))
        elif value is not UNASKED:
            encoded[name] = value if convert is None or value is None else convert(value)
    return encoded


@cache
def _plan(result: Any) -> tuple[_Encode, list[tuple[str, _Encode | None, type | None, bool]]]:
    """What gives the values of a result; and of each its name, what makes JSON of it, the class whose fields are fields
    of this one, and whether it may be missing."""
    known = fields_of(result)
    get = attrgetter(*(one.attribute for one in known))
    values = _itself if issubclass(result, tuple) else get if len(known) > 1 else lambda one: (get(one),)
    return values, [(one.name, _converter(one.type), one.type.object if one.flat else None, one.asked) for one in known]


def _itself(value: Any) -> Any:
    return value


def _converter(t: FieldType) -> _Encode | None:
    """What makes JSON of such a value, None where it is written as it is."""
    if t.form in ("address", "hash"):
        return (lambda address: hex(address) if address else None) if t.nullable and t.form == "address" else hex
    if t.form == "object" and t.part is None:
        return encode
    part = _converter(t.part) if t.part is not None else None
    if part is None or t.form != "list":
        return None
    if t.listing:
        return _listing
    return lambda values: [part(value) for value in values]


def _listing(rows: Any) -> Any:
    """A list of results. Long lists are written by columns, without a Python object for each."""
    if isinstance(rows, Encoded):
        return rows
    texts = _written(rows) if len(rows) >= MANY and len({row.__class__ for row in rows}) == 1 else None
    return [encode(row) for row in rows] if texts is None else Encoded(texts)


def _written(rows: Sequence[Any]) -> list[str] | None:
    """Each row as JSON; None where some have what was asked for, and others have not."""
    named = _columns(rows)
    if named is None:
        return None
    template = "{" + ", ".join(f'"{name}": %s' for name in named) + "}"
    return [template % row for row in zip(*named.values())]


def _columns(rows: Sequence[Any]) -> dict[str, Iterable[object]] | None:
    """By the fields' names what JSON has for them: str() of each. None as in _written."""
    named: dict[str, Iterable[object]] = {}
    values, plan = _plan(rows[0].__class__)
    for (name, convert, flat, asked), column in zip(plan, zip(*map(values, rows))):
        inside = _columns(column) if flat is not None else {}
        if asked and UNASKED in column:
            inside = {} if column.count(UNASKED) == len(column) else None
        elif flat is None and convert is encode and None not in column:
            texts = _written(column)
            inside = None if texts is None else {name: texts}
        elif flat is None:
            inside = {name: _texts(column if convert is None else [v if v is None else convert(v) for v in column])}
        if inside is None:
            return None
        named.update(inside)
    return named


def _texts(column: Sequence[Any]) -> Iterable[object]:
    types = set(map(type, column))
    if types == {int}:
        return column
    if types == {str}:
        return map(encode_basestring_ascii, column)
    if types == {float}:
        return map(float.__repr__, column)
    if types == {type(None)}:
        return repeat("null", len(column))
    return ["[]" if value == [] else _encoder.encode(value) for value in column]


def _pieces(value: Any) -> Iterator[str]:
    """What json.dumps says of the value, which is long where it has something Encoded."""
    if isinstance(value, Encoded):
        yield "["
        for i, part in enumerate(value.parts):
            yield f", {part}" if i else part
        yield "]"
    elif isinstance(value, dict) and any(isinstance(part, (dict, Encoded)) for part in value.values()):
        for i, (name, part) in enumerate(value.items()):
            yield f"{', ' if i else '{'}{json.dumps(name)}: "
            yield from _pieces(part)
        yield "}"
    else:
        # Only ASCII: lone surrogates (bytes that are not valid UTF-8) survive as escapes.
        yield json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(", ", ": "))
