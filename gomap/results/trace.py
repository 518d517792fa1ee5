"""hmap-trace: growths, and with --writes the writes to one map."""

from dataclasses import dataclass
from typing import Annotated, Optional

from gomap.results.fields import UNASKED, Address, Asked, GoScalar, Word
from gomap.results.shared import CallFacts


@dataclass(frozen=True)
class GrownEntries:
    """Entries of maps when they grew."""

    least: Annotated[int, "the fewest"]
    most: Annotated[int, "the most"]


@dataclass(frozen=True)
class CopiedFacts:
    """What growths copy: of a classic map in steps, after the growth began."""

    entries: Annotated[int, "entries"]
    bytes: Annotated[int, "their keys and elems, as slots hold them"]


@dataclass(frozen=True)
class GrowthLineRow:
    """The growths of maps of one type at one source line."""

    location: Annotated[
        Optional[CallFacts],
        "the innermost call that is not in the runtime, reflect, maps, iter, sync or unique; null where the stack "
        "does not tell",
    ]
    type: Annotated[str, "the maps' type"]
    growths: Annotated[int, "growths there"]
    kinds: Annotated[dict[str, int], "how many are of which kind, as in `growths`"]
    maps: Annotated[int, "different maps"]
    entries: Annotated[GrownEntries, "entries of the map at a growth"]
    allocated: Annotated[int, "bytes of new arrays, tables and directories, in the allocator's size classes"]
    copied: Annotated[CopiedFacts, "what is copied: of a classic map in steps, after the growth began"]
    goroutines: Annotated[list[int], "ids of the goroutines"]
    capacity: Annotated[
        int, "the size to give to make so that the largest of these maps would not have grown to its entries"
    ]


@dataclass(frozen=True)
class GrowthEventRow:
    """One growth."""

    address: Annotated[Address, "of the map's header"]
    type: Annotated[str, "the map's type"]
    kind: Annotated[
        Word,
        "classic: `doubling` or `same-size`; Swiss: `first-table` (from one group to a table), `table` (to one of "
        "twice the capacity) or `split` (into two)",
    ]
    entries: Annotated[int, "entries of the map then"]
    slots: Annotated[int, "slots of the array, group or table that is replaced"]
    new_slots: Annotated[int, "slots of what replaces it"]
    directory: Annotated[Optional[int], "length of the new directory, where a split needs one"]
    copied: Annotated[int, "entries that are copied"]
    allocated: Annotated[int, "bytes"]
    goroutine: Annotated[Optional[int], "the goroutine's id; null where it can't be read"]
    location: Annotated[Optional[CallFacts], "as in `lines`"]


@dataclass(frozen=True)
class WrittenKeyRow:
    """A key of the map."""

    key: Annotated[GoScalar, "the key"]
    key_text: Annotated[
        Optional[str], "the key as people see it ([values.md](values.md)); null where its type has no text of its own"
    ]
    writes: Annotated[int, "writes to it"]


@dataclass(frozen=True)
class WriteLineRow:
    """The writes at one source line."""

    location: Annotated[Optional[CallFacts], "as in `lines`"]
    writes: Annotated[int, "writes there"]
    effects: Annotated[dict[str, int], "how many did what, as in `writes`"]
    goroutines: Annotated[list[int], "ids of the goroutines"]


@dataclass(frozen=True)
class WriteEventRow:
    """One write."""

    effect: Annotated[
        Word,
        "`insert` (a new key), `overwrite` (the elem of a key that is there), `delete`, `absent` (a delete of a key "
        "that is not there) or `clear`. Deleting from an empty map and clearing one are not writes",
    ]
    key: Annotated[Optional[GoScalar], "the key; null of clear, and where it can't be told"]
    key_text: Annotated[Optional[str], "the key as people see it; null where its type has no text of its own"]
    entries: Annotated[int, "entries of the map after it"]
    goroutine: Annotated[Optional[int], "the goroutine's id; null where it can't be read"]
    location: Annotated[Optional[CallFacts], "as in `lines`"]


@dataclass(frozen=True)
class WritesFacts:
    """The writes to one map."""

    method: Annotated[
        Word,
        "`watchpoint` (the program stops where the map's header is marked, twice a write) or `breakpoints` (it stops "
        "at each write to any map; there an `overwrite` or `absent` may be counted twice, as a thread may come there "
        "again in one call)",
    ]
    instead: Annotated[Optional[str], "why breakpoints; null of a watchpoint"]
    effects: Annotated[dict[str, int], "how many writes did what, as in `writes`"]
    lines: Annotated[list[WriteLineRow], "by source line, those with most writes first"]
    keys: Annotated[list[WrittenKeyRow], "the 20 keys that were written to most"]
    uncounted: Annotated[int, "writes of keys that are not counted in `keys`: those after 10,000 different ones"]
    writes: Annotated[list[WriteEventRow], "the first 10,000 writes one by one, in their order"]


@dataclass(frozen=True)
class TraceResult:
    """Growths while the program ran, or writes."""

    expr: Annotated[Optional[str], "the map that was asked about, as typed; null of all maps"]
    address: Annotated[Optional[Address], "of its header; null of all maps"]
    type: Annotated[Optional[str], "its type; null of all maps"]
    ended: Annotated[
        Word,
        "why the program stopped: `count` (as many as -n says), `time` (--for), `interrupted` (Ctrl-C), "
        "`breakpoint` (one of the user's), `stopped` (a signal, a panic, runtime.Breakpoint, another client), "
        "`freed` (another map, or something else, is where the map of EXPR was) or `exited`",
    ]
    seconds: Annotated[float, "how long the program was let run, its stops included"]
    cpu_seconds: Annotated[
        Optional[float],
        "processor time that the program itself took in it; null where it has ended or runs on another machine",
    ]
    method: Annotated[
        Word,
        "`uprobes` (the kernel records each growth, and the program does not stop), `breakpoints`, or `watchpoint` "
        "(with --writes)",
    ]
    instead: Annotated[Optional[str], "why not uprobes, or not a watchpoint; null where --by asked for breakpoints"]
    stops: Annotated[int, "how often the program was stopped for it: 0 with uprobes"]
    hits: Annotated[int, "how often a thread came to where the method looks: with breakpoints, the stops"]
    lost: Annotated[
        int, "growths that uprobes did not record, because the kernel's buffer was full or the kernel was busy"
    ]
    count: Annotated[int, "growths; with --writes, writes"]
    lines: Annotated[list[GrowthLineRow], "growths by source line and map type, those that allocated most first"]
    growths: Annotated[list[GrowthEventRow], "the first 10,000 growths one by one, in their order"]
    written: Annotated[
        Asked[WritesFacts], "`--writes`: the writes to the map; `lines` and `growths` are empty then"
    ] = UNASKED
