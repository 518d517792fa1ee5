"""hmap-break."""

from dataclasses import dataclass
from typing import Annotated, Optional

from gomap.results.fields import Address, GoScalar, Word
from gomap.results.shared import CallFacts


@dataclass(frozen=True)
class BreakEvent:
    """What the program is stopped at."""

    number: Annotated[int, "of the hmap-break, as in `breaks`"]
    expr: Annotated[str, "the map, as typed"]
    what: Annotated[
        Word,
        "`insert`, `overwrite`, `assign` (one of both: which is not known), `delete`, `clear`, `growth`, or `gone`: "
        "the map was freed and its memory is used for something else",
    ]
    key: Annotated[Optional[GoScalar], "the key; null where there is none, or it is not known"]
    key_text: Annotated[Optional[str], "the key as people see it; null as `key`"]
    entries: Annotated[Optional[int], "entries of the map once it is done; null where that is not known"]
    goroutine: Annotated[Optional[int], "the goroutine's id; null where it can't be read"]
    location: Annotated[
        Optional[CallFacts],
        "the innermost call that is not in the runtime, reflect, maps, iter, sync or unique; null where the stack "
        "does not tell",
    ]


@dataclass(frozen=True)
class BreakRow:
    """One hmap-break. Null in what only the session knows that has set it."""

    number: Annotated[int, "the debugger's own number of it, or the first of several; for --delete"]
    numbers: Annotated[list[int], "all numbers that the debugger has for it"]
    by: Annotated[Word, "`watchpoint`: in a debug register; `breakpoints`: in functions of the runtime"]
    enabled: Annotated[bool, "whether the debugger stops there"]
    events: Annotated[int, "how often it has happened"]
    expr: Annotated[Optional[str], "the map, as typed"] = None
    type: Annotated[Optional[str], "the map's type"] = None
    address: Annotated[Optional[Address], "of its header"] = None
    on: Annotated[Optional[str], "the event, as --on has it"] = None
    key: Annotated[Optional[GoScalar], "of --key; null without it"] = None
    log: Annotated[Optional[bool], "whether the program goes on (--log)"] = None
    word: Annotated[Optional[str], "the field of the header that is watched; null for breakpoints"] = None
    functions: Annotated[Optional[list[str]], "the functions that have breakpoints; empty for a watchpoint"] = None


@dataclass(frozen=True)
class BreakResult:
    """What stops the program when something is done to a map."""

    made: Annotated[Optional[int], "number of the one that the command has set; null where it has set none"]
    deleted: Annotated[list[int], "numbers of those that the command has removed"]
    breaks: Annotated[list[BreakRow], "all that there are now, by number"]
    last: Annotated[Optional[BreakEvent], "what the program is stopped at; null where it is stopped at none of them"]
