"""hmap-snapshot."""

from dataclasses import dataclass
from typing import Annotated, Optional


@dataclass(frozen=True)
class ListedRow:
    """A map whose entries are in the file."""

    expr: Annotated[str, "the expression as it was given"]
    entries: Annotated[int, "its entries in the file"]
    cut: Annotated[bool, "some of its keys or values were saved only in part, because they are too long or too deep"]


@dataclass(frozen=True)
class SnapshotResult:
    """What was saved."""

    file: Annotated[str, "the file that was written"]
    size: Annotated[int, "its bytes"]
    maps: Annotated[int, "maps and sync.Maps in it"]
    entries: Annotated[int, "their entries"]
    bytes: Annotated[int, "what they own, as in [hmap-top](#hmap-top)"]
    process: Annotated[
        Optional[str],
        "says which process it is: the same in all debuggers and in its core files. A digest of the random hash keys "
        "that the process drew when it started; null where these are not known",
    ]
    lacks: Annotated[
        Optional[str],
        "what of the heap was not searched for maps that no variable leads to; null where all of it was",
    ]
    listed: Annotated[list[ListedRow], "the maps of `--entries`"]
