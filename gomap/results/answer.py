"""What all answers have."""

from dataclasses import dataclass
from typing import Annotated, Optional

from gomap.anomaly import Anomaly
from gomap.results.fields import Address, Word

SCHEMA = "gomap/1"


@dataclass(frozen=True)
class TargetFacts:
    """What was looked at."""

    backend: Annotated[
        Word,
        "`gdb`, `delve`, `direct` for a process or core file without a debugger, or `image` for a file of hmap-record",
    ]
    kind: Annotated[Word, "`live`, `core` or `recorded`"]
    go: Annotated[
        Optional[str],
        "Go's version as the program has it, `go1.27.3`; null where it is not known. No answer depends on it",
    ]
    arch: Annotated[Word, "`amd64`, `arm64`, `386` or `s390x`"]
    pointer_size: Annotated[int, "bytes of a pointer"]
    byte_order: Annotated[Word, "`little` or `big`"]


@dataclass(frozen=True)
class Cut:
    """Something that was left out."""

    what: Annotated[str, "what was left out, or why the answer is incomplete"]
    shown: Annotated[int, "how many are in the answer"]
    of: Annotated[Optional[int], "how many there are; null if not known"]
    option: Annotated[Optional[str], "the option that shows more, as it is typed, `-n 0`; null if there is none"] = None


@dataclass(frozen=True)
class MapBound:
    """A map that was written to while it was read."""

    address: Annotated[Address, "of the header"]
    bound: Annotated[
        int, "the most that the map's number of entries may be off; 0 where its header changed and counts as many"
    ]


@dataclass(frozen=True)
class BoundFacts:
    """What may be torn in an answer about a program that went on."""

    maps: Annotated[int, "maps whose headers were read again at the end"]
    written: Annotated[int, "those of them that were written to while they were read"]
    gone: Annotated[int, "those whose headers are not there any more"]
    entries: Annotated[int, "the most that the numbers of entries of all of them together may be off"]
    of: Annotated[list[MapBound], "the maps that were written to, those with the largest bounds first, 256 at most"]


@dataclass(frozen=True)
class Answer:
    """What a command prints when all goes well."""

    schema: Annotated[Word, "`gomap/1`"]
    command: Annotated[str, "the command's name"]
    target: Annotated[TargetFacts, "what was looked at"]
    data: Annotated[object, "the answer itself, see each command"]
    anomalies: Annotated[list[Anomaly], "what an intact program would not have, and notes; empty when all is well"]
    truncated: Annotated[Optional[list[Cut]], "what was left out; null when the answer is whole"]
    bounds: Annotated[
        Optional[BoundFacts],
        "of a program that went on while it was read: what may be torn; null where it stood still",
    ]


@dataclass(frozen=True)
class BareAnswer:
    """An answer that is not about a program."""

    schema: Annotated[Word, "`gomap/1`"]
    command: Annotated[str, "the command's name"]
    data: Annotated[object, "the answer itself"]


@dataclass(frozen=True)
class ErrorFacts:
    """The error of a command that failed."""

    code: Annotated[str, "one of those below"]
    message: Annotated[
        str,
        "one line for people; it ends with notes on the variables that were named (taken from a caller's frame, or "
        "dead at this pc)",
    ]


@dataclass(frozen=True)
class Failure:
    """What a command prints that has no answer."""

    schema: Annotated[Word, "`gomap/1`"]
    command: Annotated[str, "the command's name"]
    error: Annotated[ErrorFacts, "why there is no answer"]
