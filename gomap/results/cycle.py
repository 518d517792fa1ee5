"""hmap-cycle."""

from dataclasses import dataclass
from typing import Annotated, Optional

from gomap.results.fields import Address


@dataclass(frozen=True)
class CycleObject:
    """An object on a cycle."""

    address: Annotated[Optional[Address], "where it lies"]
    type: Annotated[str, "its type"]


@dataclass(frozen=True)
class CycleRow:
    """A way that leads back to where it began."""

    path: Annotated[
        list[str],
        'the text of the first object, then the text that each reference adds, which may be empty: `["root", '
        '".Children[1]", "", ".Parent"]`; `...` stands for references of a long cycle that are left out',
    ]
    text: Annotated[str, "the same as one text: `root.Children[1].Parent -> root`"]
    address: Annotated[Optional[Address], "of the first object"]
    type: Annotated[str, "its type"]
    length: Annotated[int, "references on the cycle"]
    objects: Annotated[list[CycleObject], "the objects on it; of long cycles the first and the last"]


@dataclass(frozen=True)
class CycleKindRow:
    """Cycles through the same types."""

    text: Annotated[str, "the nearest of them, as in `cycles`"]
    types: Annotated[list[str], "types of the objects on them"]
    cycles: Annotated[int, "how many they are"]


@dataclass(frozen=True)
class CycleResult:
    """What a variable leads to that leads back to itself."""

    expr: Annotated[str, "the expression as it was given"]
    type: Annotated[str, "the variable's type"]
    cycles: Annotated[list[CycleRow], "the ways that lead back, the nearest first"]
    kinds: Annotated[
        list[CycleKindRow],
        "the same by kind, which text lists: cycles through the same types, reached through the same types; those "
        "within one package of a library are of one kind, as all ways around a container/list are",
    ]
    visited: Annotated[int, "objects that were looked at"]
    unreadable: Annotated[int, "those that could not be read"]
