"""What answers have to be, by the classes of gomap/results: every field is there, of its type, and no other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gomap.results.answer import Answer, BareAnswer, Failure
from gomap.results.contract import COMMANDS, LINES
from gomap.results.fields import FieldType, ResultField, fields_of


@dataclass(frozen=True)
class Wanted:
    """A whole line of JSON. asked: fields of data that have to be there."""

    result: type
    command: str
    data: type | None = None
    asked: tuple[str, ...] = ()


def answer(command: str, entries: bool = False) -> Wanted:
    """The whole object that a command prints when all goes well."""
    result = BareAnswer if command == "gomap doctor" else Answer
    return Wanted(result, command, {**COMMANDS, **LINES}[command], ("entries",) if entries else ())


def failure(command: str) -> Wanted:
    return Wanted(Failure, command)


def faults(value: Any, wanted: Wanted | type, path: str = "") -> list[str]:
    """Where a value is not as wanted, in words; none when it is."""
    if not isinstance(wanted, Wanted):
        return _object(value, wanted, path)
    found = _object(value, wanted.result, path)
    if not found and value["command"] != wanted.command:
        found.append(f"command: {value['command']!r}")
    if not found and wanted.data is not None:
        found = _object(value["data"], wanted.data, "data")
        found += [f"data.{name}: missing" for name in wanted.asked if name not in value["data"]]
    return found


def _object(value: Any, result: type, path: str) -> list[str]:
    if not isinstance(value, dict):
        return [f"{path}: no object but {value!r}"]
    known = {one.name: one for one in every_field(result)}
    found = [f"{path}.{name}: missing" for name, one in known.items() if name not in value and not one.asked]
    found += [f"{path}.{name}: unknown" for name in value if name not in known]
    for name, one in known.items():
        if name in value:
            found += _value(value[name], one, one.type, f"{path}.{name}".lstrip("."))
    return found


def every_field(result: type) -> list[ResultField]:
    """The fields of a class, with those of the classes whose fields it has."""
    found = []
    for one in fields_of(result):
        found += every_field(one.type.object) if one.flat and one.type.object else [one]
    return found


def _value(value: Any, field: ResultField, t: FieldType, path: str) -> list[str]:
    if t.nullable and value is None:
        return []
    if t.object is not None:
        return _object(value, t.object, path)
    if t.part is not None and isinstance(value, list if t.form == "list" else dict):
        items = value.values() if isinstance(value, dict) else value
        return [fault for item in items for fault in _value(item, field, t.part, path + "[]")]
    if t.form == "word":
        return [] if value in field.words else [f"{path}: {value!r} is none of {field.words}"]
    return [] if _is(value, t.form) else [f"{path}: {value!r} is not {t.form}"]


def _is(value: Any, form: str) -> bool:
    if form in ("address", "hash"):
        return isinstance(value, str) and value == hex(int(value, 16)) and (value != "0x0" or form == "hash")
    if form == "fraction":
        return type(value) is float and 0 <= value <= 1
    if form == "histogram":
        return isinstance(value, list) and len(value) == 9 and all(_is(n, "integer") for n in value)
    if form == "integer":
        return type(value) is int and value >= 0
    types = {"string": (str,), "boolean": (bool,), "signed": (int,), "number": (float,), "change": (float,)}
    return type(value) in {**types, "scalar": (str, bool, int, float), "object": (dict,)}.get(form, ())
