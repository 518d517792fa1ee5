"""The tables of fields in docs/json.md and docs/fleet.md, made from the classes of gomap/results:
python3 -m direct.reference."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from gomap.results.contract import SECTIONS, SHARED
from gomap.results.fields import FieldType, fields_of
from gomap.results.fleet import TABLES

REFERENCE = Path(__file__).absolute().parent.parent / "docs" / "json.md"
FLEET = REFERENCE.with_name("fleet.md")
HEAD = "| field | type | meaning |\n|---|---|---|\n"
_LINKS = {result: f"[{name}](#{name})" for name, result in SHARED.items()}


def rows(result: type, before: str = "") -> Iterator[str]:
    """The rows of a class, with those of the objects in it that have no section of their own."""
    for one in fields_of(result):
        inside = (one.type.part or one.type).object
        if one.flat and inside is not None:
            if inside not in _LINKS:  # else the text names the section that has them
                yield from rows(inside, before)
            continue
        path = before + one.name
        meaning = f"*asked*, {one.meaning}" if one.asked else one.meaning
        yield f"| `{path}` | {type_of(one.type)} | {meaning} |\n"
        if inside is not None and inside not in _LINKS:
            yield from rows(inside, f"{path}[]." if one.type.form == "list" else f"{path}.")


def type_of(t: FieldType) -> str:
    """A field's type as docs/json.md writes it."""
    text = _LINKS.get(t.object, t.form) if t.object is not None else t.form
    if t.part is not None:
        part = type_of(t.part)
        text = t.form if part == "object" else f"{t.form} of {part}"
    return f"{text} or null" if t.nullable else text


def made(text: str, sections: Mapping[str, type] = SECTIONS) -> str:
    """docs/json.md with the tables as they have to be. sections: those of another file."""
    for heading, result in sections.items():
        table = re.compile(rf"(^##+ {heading}\n(?:(?!#).*\n)*?)\| field .*\n(?:\|.*\n)+", re.M)
        text, found = table.subn(lambda match, result=result: match[1] + HEAD + "".join(rows(result)), text)  # type: ignore[misc]
        if found != 1:
            raise ValueError(f"the file needs one section {heading} with a table that begins with {HEAD!r}")
    return text


if __name__ == "__main__":
    REFERENCE.write_text(made(REFERENCE.read_text("utf-8")), "utf-8")
    FLEET.write_text(made(FLEET.read_text("utf-8"), TABLES), "utf-8")
