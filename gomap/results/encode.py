"""Results as JSON: the only place that writes them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any, Callable

from gomap.results.fields import UNASKED, Encoded, FieldType, fields_of

_Encode = Callable[[Any], Any]


def line(result: Any) -> str:
    """The result as one line of JSON."""
    return "".join([*_pieces(encode(result)), "\n"])


def encode(result: Any) -> Any:
    """The result as json.dumps takes it, but for what is Encoded."""
    if isinstance(result, dict):
        return {name: encode(one) if hasattr(one, "__dataclass_fields__") else one for name, one in result.items()}
    encoded: dict[str, Any] = {}
    for name, attribute, convert, flat in _plan(result.__class__):
        value = getattr(result, attribute)
        if flat:
            encoded.update(convert(value) if convert is not None else value)
        elif value is not UNASKED:
            encoded[name] = value if convert is None or value is None else convert(value)
    return encoded


@cache
def _plan(result: type) -> list[tuple[str, str, _Encode | None, bool]]:
    return [(one.name, one.attribute, _converter(one.type), one.flat) for one in fields_of(result)]


def _converter(t: FieldType) -> _Encode | None:
    """What makes JSON of such a value, None where it is written as it is."""
    if t.form in ("address", "hash"):
        return (lambda address: hex(address) if address else None) if t.nullable and t.form == "address" else hex
    if t.form == "object" and t.part is None:
        return encode
    part = _converter(t.part) if t.part is not None else None
    if part is None or t.form != "list":
        return None
    return lambda values: values if isinstance(values, Encoded) else [part(value) for value in values]


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
        # Only ASCII: lone surrogates, which stand for bytes that are no UTF-8, survive as escapes.
        yield json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(", ", ": "))
