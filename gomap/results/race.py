"""hmap-race."""

from dataclasses import dataclass
from typing import Annotated, Optional

from gomap.results.fields import Address, Word
from gomap.results.shared import CallFacts, HolderRow


@dataclass(frozen=True)
class DeathRow:
    """What ended the program."""

    kind: Annotated[Word, "`fatal error`, `panic` or `signal`"]
    message: Annotated[
        Optional[str],
        "the runtime's text, the panic's value or the signal's name; null when it could not be read",
    ]
    goroutine: Annotated[Optional[int], "the goroutine that its thread was running; null when it ran none"]
    function: Annotated[Optional[str], "the function of that goroutine, as in `inside`"]
    file: Annotated[Optional[str], "its file"]
    line: Annotated[Optional[int], "the line"]
    operation: Annotated[
        Optional[Word],
        "the map operation that it ended: `read`, `write`, `delete`, `iterate`, `clear` or `grow`; null outside of all",
    ]
    race: Annotated[bool, "whether the runtime reported a data race on a map"]
    fault: Annotated[Optional[Address], "of a memory fault: the address that could not be accessed"]
    sent: Annotated[bool, "of a signal: whether a process sent it"]
    sender: Annotated[Optional[int], "the process that sent it"]


@dataclass(frozen=True)
class InsideRow:
    """A goroutine inside a map operation."""

    goroutine: Annotated[int, "the goroutine's number"]
    operation: Annotated[Word, "`read`, `write`, `delete`, `iterate`, `clear` or `grow`"]
    function: Annotated[
        Optional[str],
        "the nearest caller in the program's own module; without one the nearest caller outside of Go's own "
        "packages, else the nearest outside of the runtime",
    ]
    file: Annotated[Optional[str], "its file"]
    line: Annotated[Optional[int], "the line there"]
    through: Annotated[Optional[CallFacts], "the caller of the operation, when it is another one"]
    address: Annotated[
        Optional[Address],
        "of the map's header; null when the map is nil or the address could not be read",
    ]
    type: Annotated[Optional[str], "the map's type"]
    fatal: Annotated[bool, "whether a fatal error or a panic ended the operation"]
    ended: Annotated[Optional[Word], "which of them: `fatal error` or `panic`"]
    message: Annotated[Optional[str], "what the runtime said then, as in `deaths`; null when it could not be read"]
    left: Annotated[bool, "whether deferred functions have run since that panic"]
    call: Annotated[str, "the runtime's function in which the operation began"]
    status: Annotated[str, "as in [hmap-alias](#hmap-alias)"]
    nil: Annotated[bool, "whether the map is nil"]
    deduced: Annotated[bool, "whether `address` was not read but concluded: `map-deduced` says from what"]
    nil_maps: Annotated[list[HolderRow], "for a nil map: the variables that may hold it"]


@dataclass(frozen=True)
class RacedMapRow:
    """A map that goroutines are inside of, or that is marked as being written to."""

    address: Annotated[Address, "of the header"]
    type: Annotated[Optional[str], "the map's type"]
    writing: Annotated[bool, "whether hashWriting (Swiss: writing) is set"]
    holders: Annotated[list[HolderRow], "who has it"]


@dataclass(frozen=True)
class SuspectRow:
    """A goroutine in the function of a reported data race."""

    goroutine: Annotated[int, "the goroutine's number"]
    function: Annotated[str, "the function"]
    file: Annotated[Optional[str], "its file"]
    line: Annotated[Optional[int], "where the goroutine is in it"]
    status: Annotated[str, "as in [hmap-alias](#hmap-alias)"]


@dataclass(frozen=True)
class RaceScanned:
    """What was searched."""

    goroutines: Annotated[int, "goroutines"]
    maps: Annotated[int, "maps that their variables and package variables lead to"]


@dataclass(frozen=True)
class RaceResult:
    """Which goroutines are inside map operations."""

    deaths: Annotated[list[DeathRow], "what ended the program; empty while it lives"]
    inside: Annotated[list[InsideRow], "goroutines inside a map operation, by map"]
    maps: Annotated[list[RacedMapRow], "those maps, and all with hashWriting (Swiss: writing) set"]
    suspects: Annotated[
        list[SuspectRow],
        "of a reported data race: the other goroutines with the same function on their stacks",
    ]
    scanned: Annotated[RaceScanned, "what was searched"]
