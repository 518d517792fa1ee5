"""Frames as Delve tells of them, with their variables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from delve_bridge.types import Raw


@dataclass(frozen=True)
class DelveFrame:
    """optimised: whether the compiler may have taken the function's variables apart."""

    level: int
    function: str
    file: str | None
    line: int | None
    optimised: bool = True


@dataclass(frozen=True)
class Called:
    """A frame with its pc and its call frame's address: an offset (negative) from the end of the goroutine's stack, an
    address on the system's. variables: arguments and locals, those of inner scopes last."""

    frame: DelveFrame
    pc: int
    offset: int
    variables: Sequence[Raw] = ()


def with_hidden(raws: Sequence[Raw]) -> Iterator[tuple[Raw, bool]]:
    """A frame's variables, which are those of the innermost scope first, with whether their name means another."""
    seen = set()
    for raw in raws:
        yield raw, raw["name"] in seen
        seen.add(raw["name"])
