"""Maps as the samples of a profile: the path to a map is the stack, its numbers are the values."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from gomap.analysis.beyond import NO_VARIABLE, UNKNOWN
from gomap.analysis.held import Holder
from gomap.analysis.ranking import Ranking
from gomap.profiles.messages import Frame

#: Name and unit of what each map counts for.
VALUES = (("maps", "count"), ("entries", "count"), ("bytes", "bytes"), ("waste", "bytes"))
RETAINED = ("retained", "bytes")


def samples(ranking: Ranking, others: Ranking, retained: bool) -> dict[tuple[Frame, ...], list[int]]:
    """The values of each stack, added up; maps whose paths have one shape are one stack. others: maps that no variable
    led to. retained: whether the bytes that each map retains are the last value."""
    found: dict[tuple[Frame, ...], list[int]] = {}
    for one, number in chain(ranking.counted(), others.counted()):
        values = [number, one.count * number, one.bytes.allocated * number, one.bytes.waste * number]
        if retained:
            values.append((one.retained or 0) * number)
        stack = (*_way(one.holder), Frame("type unknown" if one.type is UNKNOWN else one.type.name))
        before = found.get(stack)
        found[stack] = values if before is None else [sum(both) for both in zip(before, values)]
    return found


def _way(holder: Holder) -> Iterator[Frame]:
    """The package variable, or the function and then its variable, and each step from there to the map. Each has the
    whole path as its name, since pprof adds up frames of one name."""
    if holder.kind in NO_VARIABLE:
        yield Frame("no variable")
        return
    place, name = holder.place, ""
    if place.kind != "global":
        function = place.function or "?"
        yield Frame(function, place.file or "", place.line or 0)
        name = f"{function} "
    for step in holder.way.steps:
        name += step
        yield Frame(name)
