"""Who holds a map, as hmap-alias tells it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tests.support import schema
from tests.support.debuggers import Answer


def answered(answer: Answer) -> Any:
    assert answer.error is None, (answer.command, answer.error)
    said = answer.json()
    faults = schema.faults(said, schema.answer("hmap-alias"))
    assert not faults, faults[:10]
    return said["data"]


def ways(data: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(the map's address, how it is held) of every way that is told."""
    for group in data["groups"]:
        for holder in group["holders"]:
            for way in (holder, *holder["also"]):
                yield group["address"], way
