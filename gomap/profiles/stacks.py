"""All maps as a profile: the way from a variable to a map is a stack, and what the map takes its values."""

from __future__ import annotations

from collections.abc import Iterator

from gomap.analysis.beyond import NO_VARIABLE, UNKNOWN
from gomap.analysis.held import Holder
from gomap.analysis.ranking import Ranked, Ranking
from gomap.graph.path import DEREF, KeyPart, Path
from gomap.profiles.messages import Frame

#: Name and unit of what each map counts for.
VALUES = (("maps", "count"), ("entries", "count"), ("bytes", "bytes"), ("waste", "bytes"))
RETAINED = ("retained", "bytes")
#: In place of an index or a key, so that maps of one shape are one stack.
ANY = "[*]"


def samples(ranking: Ranking, others: Ranking, retained: bool) -> dict[tuple[Frame, ...], list[int]]:
    """What the maps of each way take together. others: maps that no variable led to. retained: also what each retains,
    as the last value."""
    found: dict[tuple[Frame, ...], list[int]] = {}
    for one, holder in _every(ranking, others):
        values = [1, one.count, one.bytes.allocated, one.bytes.waste]
        if retained:
            values.append(one.retained or 0)
        stack = (*_way(holder), Frame("type unknown" if one.type is UNKNOWN else one.type.name))
        before = found.get(stack)
        found[stack] = values if before is None else [sum(both) for both in zip(before, values)]
    return found


def _every(ranking: Ranking, others: Ranking) -> Iterator[tuple[Ranked, Holder]]:
    for part in (ranking, others):
        for one in part.maps:
            yield one, one.holder
        for alike in part.alike:
            for i in alike.positions:
                yield alike.example, alike.many.holder(i)


def _way(holder: Holder) -> Iterator[Frame]:
    """The package variable, or the function and then its variable, and what each step from there leads to, all under
    their whole names: pprof adds up what has one name."""
    if holder.kind in NO_VARIABLE:
        yield Frame("no variable")
        return
    place = holder.place
    path: Path = holder.way
    name = ""
    if place.kind != "global":
        function = place.function or "?"
        yield Frame(function, place.file or "", place.line or 0)
        name = f"{function} "
    for part in path.parts:
        if isinstance(part, (int, KeyPart)):
            name += ANY
        elif part == DEREF:
            continue
        elif part.startswith("(0x"):
            name = f"({part.partition(':')[2]}"
        else:
            for step in _steps(part):
                name += step
                yield Frame(name)
            continue
        yield Frame(name)


def _steps(part: str) -> list[str]:
    """Each step of ".a.b" by itself; a variable's name, an assertion and a call are one."""
    if not part.startswith(".") or part.startswith(".("):
        return [part]
    return [f".{name}" for name in part[1:].split(".")]
