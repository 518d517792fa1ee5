"""The tables of gomap triage: a class for the rows of each."""

from dataclasses import dataclass
from typing import Annotated, Optional
from zlib import crc32

from gomap.results.fields import Address, Word


@dataclass(frozen=True)
class CoreOfFleet:
    """A core file, and what its program died of."""

    core: Annotated[str, "its path or URL"]
    size: Annotated[int, "bytes of the file as it is stored"]
    taken: Annotated[Optional[str], "when the file was last written, in UTC; null where its file system does not say"]
    state: Annotated[
        Word,
        "`read`; `partly`, where a step failed or a limit was reached, and the rows of the other steps are there; "
        "or `failed`",
    ]
    error: Annotated[Optional[str], "why it was not read, or not completely"]
    missing: Annotated[Optional[str], "what of the core was not looked at; null where nothing is known to be missing"]
    seconds: Annotated[float, "how long reading it took"]
    cpu: Annotated[float, "seconds of processor time of that"]
    memory: Annotated[int, "bytes that the process which read it had in memory at most"]
    program: Annotated[
        Optional[str], "import path of the main package; the file's name where the build does not say it"
    ]
    file: Annotated[Optional[str], "the program's file that was used"]
    build: Annotated[
        Optional[str],
        "the program's build ID: GNU's in hexadecimal, else Go's; with a hash of the file behind it where it does not "
        "tell builds apart (`-ldflags=-buildid=redacted`) or there is none",
    ]
    built: Annotated[
        Optional[str], "the time of the commit that it was built from; without one, when the program's file was written"
    ]
    go: Annotated[Optional[str], "Go's version"]
    arch: Annotated[Optional[str], "`amd64`, `arm64`, `386` or `s390x`"]
    died: Annotated[
        Optional[Word],
        "`fatal error`, `panic` or `signal`; `none` where none of these was found; null where the search for one "
        "failed or was not reached, or the core is truncated",
    ]
    cause: Annotated[
        Optional[str],
        "what it died of, with N in place of each number: equal in cores that died alike. Without `--with-keys`, a "
        "panic's own value is left out",
    ]
    message: Annotated[
        Optional[str],
        "the text as it is; without `--with-keys` a panic's has N in place of numbers, and is null where the program "
        "gave its own value",
    ]
    function: Annotated[Optional[str], "where it died: the function"]
    source: Annotated[Optional[str], "its file"]
    line: Annotated[Optional[int], "the line"]
    operation: Annotated[
        Optional[Word], "the map operation that ended: `read`, `write`, `delete`, `iterate`, `clear` or `grow`"
    ]
    sent: Annotated[bool, "of a signal: whether a process sent it, so that the line does not say why"]
    place: Annotated[
        Optional[str],
        "the line to look at: where it died; of a signal that was sent, where a goroutine holds `map`; null then if a "
        "package variable holds it",
    ]
    map: Annotated[
        Optional[str],
        "the map that it is about: the way to it, with * in place of indices and keys; null without a name",
    ]
    map_type: Annotated[Optional[str], "its type; null where the death has nothing to do with a map"]
    map_by: Annotated[
        Optional[Word],
        "why that map: `operation`, the program died in an operation on it; `damaged`, it is corrupt; `largest`, "
        "memory ran out, a signal was sent or no end was found, and it holds half of what all maps hold or more",
    ]
    goroutines: Annotated[Optional[int], "goroutines"]
    maps: Annotated[Optional[int], "maps"]
    entries: Annotated[Optional[int], "their entries"]
    bytes: Annotated[Optional[int], "what they hold"]
    waste: Annotated[Optional[int], "what of that the live entries do not need"]
    checked: Annotated[Optional[int], "maps that were checked"]
    corrupt: Annotated[Optional[int], "those of them that are corrupt"]
    not_checked: Annotated[Optional[int], "maps and variables that were found and not checked"]


@dataclass(frozen=True)
class MapsOfFleet:
    """Maps of one core that are alike: of one type, with one way to them but for indices and keys."""

    core: Annotated[str, "the core"]
    program: Annotated[Optional[str], "as in cores"]
    build: Annotated[Optional[str], "as in cores"]
    built: Annotated[Optional[str], "as in cores"]
    map: Annotated[
        Optional[str], "the way to them, with * in place of indices and keys; null where no variable leads there"
    ]
    kind: Annotated[
        Word,
        "what the way starts from: `global`, `local`, `argument`, `captured`, `dead`; `slot`, a word of a goroutine's "
        "stack that belongs to no variable; `heap` or `stack`, where the headers of maps lie that nothing named leads "
        "to",
    ]
    function: Annotated[Optional[str], "the function whose variable or stack it is; null of package variables"]
    source: Annotated[Optional[str], "its file"]
    line: Annotated[Optional[int], "the line"]
    type: Annotated[Optional[str], "their type; null where it is not known"]
    maps: Annotated[int, "how many they are"]
    entries: Annotated[int, "their entries"]
    bytes: Annotated[int, "what they hold"]
    waste: Annotated[int, "what of that the live entries do not need"]
    rebuilt: Annotated[int, "what new maps with the same entries would hold"]
    std: Annotated[bool, "whether they are the standard library's own"]
    address: Annotated[Address, "the header of the largest of them"]
    example: Annotated[Optional[str], "a way to that one as it can be typed; null without `--with-keys`"]


@dataclass(frozen=True)
class HoldersOfFleet:
    """Variables at one place that hold maps which are alike."""

    core: Annotated[str, "the core"]
    map: Annotated[Optional[str], "the maps, as in maps"]
    map_function: Annotated[Optional[str], "the maps' `function`, as in maps"]
    type: Annotated[str, "the maps' type"]
    holder: Annotated[Optional[str], "the way from the variable, with * in place of indices and keys; null of a slot"]
    kind: Annotated[Word, "as in maps"]
    function: Annotated[Optional[str], "whose variable it is; null of package variables"]
    source: Annotated[Optional[str], "its file"]
    line: Annotated[Optional[int], "the line at which the goroutine is in it"]
    holders: Annotated[int, "how many such ways there are"]
    goroutines: Annotated[int, "how many goroutines have them"]


@dataclass(frozen=True)
class GoroutinesOfFleet:
    """Goroutines of one core that are at one place."""

    core: Annotated[str, "the core"]
    status: Annotated[str, "`running`, `runnable`, `syscall`, or what they wait for: `chan receive`"]
    function: Annotated[
        Optional[str],
        "where they are: the newest function of the program's own module, else of another one; null in the runtime",
    ]
    source: Annotated[Optional[str], "its file"]
    line: Annotated[Optional[int], "the line"]
    created_by: Annotated[Optional[str], "the function whose go statement made them"]
    created_source: Annotated[Optional[str], "its file"]
    created_line: Annotated[Optional[int], "the line of the go statement"]
    goroutines: Annotated[int, "how many they are"]
    example: Annotated[int, "the number of the first"]


@dataclass(frozen=True)
class RaceOfFleet:
    """A goroutine inside a map operation, or in a function in which another one died of a data race."""

    core: Annotated[str, "the core"]
    goroutine: Annotated[int, "its number"]
    role: Annotated[Word, "`inside` a map operation, or `suspect`: in the function of a data race"]
    operation: Annotated[Optional[Word], "`read`, `write`, `delete`, `iterate`, `clear` or `grow`"]
    fatal: Annotated[bool, "whether a fatal error or a panic ended the operation"]
    status: Annotated[str, "as in goroutines"]
    function: Annotated[Optional[str], "the function that the operation is in"]
    source: Annotated[Optional[str], "its file"]
    line: Annotated[Optional[int], "the line"]
    map: Annotated[Optional[str], "the map, as in maps"]
    type: Annotated[Optional[str], "its type"]
    address: Annotated[Optional[Address], "its header"]


@dataclass(frozen=True)
class FindingOfFleet:
    """Faults of one kind in one map."""

    core: Annotated[str, "the core"]
    map: Annotated[Optional[str], "the map, as in maps"]
    function: Annotated[Optional[str], "as in maps"]
    type: Annotated[str, "its type"]
    address: Annotated[Optional[Address], "its header"]
    code: Annotated[str, "the kind, as in the codes of docs/json.md"]
    number: Annotated[int, "how many there are"]
    message: Annotated[Optional[str], "the first of them in words; null without `--with-keys`"]


@dataclass(frozen=True)
class AdviceOfFleet:
    """A change that would save memory."""

    core: Annotated[str, "the core"]
    kind: Annotated[str, "the change, as in hmap-advise"]
    map: Annotated[Optional[str], "the map, as in maps; null of several maps"]
    type: Annotated[Optional[str], "its type"]
    maps: Annotated[int, "how many maps it is about"]
    change: Annotated[str, "what to change"]
    held: Annotated[int, "bytes of the heap that are free then"]
    allocated: Annotated[int, "bytes that are not allocated while the map grows"]
    scanned: Annotated[int, "bytes that each collection does not scan"]
    within: Annotated[int, "0 where the figures are exact, else by how much they may be more or less"]


#: The tables by name, in the order that they are described in.
TABLES: dict[str, type] = {
    "cores": CoreOfFleet,
    "maps": MapsOfFleet,
    "holders": HoldersOfFleet,
    "goroutines": GoroutinesOfFleet,
    "races": RaceOfFleet,
    "findings": FindingOfFleet,
    "advice": AdviceOfFleet,
}
#: Changes with the tables' columns: what was written with others is written again.
COLUMNS = format(crc32(repr({name: list(row.__annotations__) for name, row in TABLES.items()}).encode()), "08x")
