"""The protocols of layouts of maps: each layout is a package (classic/, swiss/) that implements them.

A layout is recognized by the fields of its header (Layout.detect). Its behaviour is a MapView, its names for parts are
Terms. No code outside of a layout's package depends on which layout a map has.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Callable, Protocol

from gomap.columns.marks import MarkCode
from gomap.golang.hashing.hasher import Hasher
from gomap.golang.hashing.plans import Plan
from gomap.golang.layouts.integrity import Checked
from gomap.golang.layouts.search import KeySearch, SearchStep
from gomap.golang.layouts.slots import Bucket, SlotShape
from gomap.golang.layouts.spot import Spot
from gomap.golang.layouts.structure import Estimate, MapEntry, Structure, SwissTable
from gomap.golang.runtime.malloc import Allocator
from gomap.gotypes import GoType
from gomap.report import Section
from gomap.target import Arch, Record, Target


@dataclass(frozen=True)
class Watched:
    """Fields of a header that show what is done to the map, by name. count: of entries. writing: of the flag of a
    write, and bits: which of its bits that is. shared: whether other bits of it are set without a write. cleared: one
    that each clear of a map with entries changes, and that inserts leave as it is."""

    count: str
    writing: str
    bits: int
    shared: bool
    cleared: str


@dataclass(frozen=True)
class Terms:
    """The runtime's words for the parts of a map.

    array: the field of the header that leads to the slots. bucket: the name of eight slots. mark: the part of a key's
    hash that a slot keeps. marks: the name of the bytes that hold the marks; column: the same as a heading. states:
    marks that are not hashes, by name. rest: the mark after which a bucket is empty, None without such a mark. writing:
    the flag of a write. iterator: the type of a range loop's iterator. watched: the fields of a header that show what
    is done to the map.
    """

    array: str
    bucket: str
    mark: str
    marks: str
    column: str
    states: Mapping[int, str]
    rest: int | None
    writing: str
    iterator: str
    watched: Watched


@dataclass(frozen=True)
class Forecast:
    """entries_left: new keys that certainly fit before the map grows; None if not known. next: the growth after
    that, in words."""

    entries_left: int | None
    next: str


@dataclass(frozen=True)
class Growing:
    """The progress of a map's growth. answer: a line or two. tables: of a map that grows a table at a time."""

    answer: list[str]
    sections: list[Section]
    tables: list[SwissTable] | None = None


@dataclass(frozen=True)
class Description:
    """A map's layout and load in words; growth: None for a layout without partial growth."""

    layout: str
    load: str
    growth: str | None = None


class Shape(Protocol):
    """Where a map type's header, buckets and slots have their parts. group: which kind of groups, None for buckets.
    overflow_off: offset of a bucket's overflow pointer, None where buckets have none. key_path, elem_path: from the
    header to what a slot holds, by names of fields; * is what a pointer points to, and an array's element."""

    @property
    def layout(self) -> str:
        """The layout's name: classic or swiss."""

    @property
    def group(self) -> str | None:
        """How a Swiss group is laid out: interleaved (each elem behind its key) or split (arrays of keys and of elems);
        None for classic buckets."""

    @property
    def header(self) -> GoType:
        """The header's struct: runtime.hmap or internal/runtime/maps.Map."""

    @property
    def slots(self) -> SlotShape:
        """Where keys and elems lie in a bucket or group."""

    @property
    def overflow_off(self) -> int | None:
        """Offset of the overflow pointer in a bucket; None for groups."""

    @property
    def key_path(self) -> Sequence[str]:
        """The fields that lead from the header to a key."""

    @property
    def elem_path(self) -> Sequence[str]:
        """The fields that lead from the header to an elem."""

    @property
    def key(self) -> GoType:
        """The map's key type."""

    @property
    def elem(self) -> GoType:
        """The map's elem type."""

    @property
    def scan(self) -> bool:
        """Whether buckets contain pointers for the collector."""


class MapView(Protocol):
    """One map. Its header is read when the view is made."""

    @property
    def target(self) -> Target:
        """The program that the map is in."""

    @property
    def shape(self) -> Shape:
        """Where the map's type has its parts."""

    @property
    def terms(self) -> Terms:
        """The runtime's words for the parts of a map of this layout."""

    @property
    def marks(self) -> MarkCode:
        """What the mark of a slot (tophash or control byte) says."""

    @property
    def address(self) -> int:
        """Of the header (*runtime.hmap or *internal/runtime/maps.Map)."""

    @property
    def header(self) -> Record:
        """The header as it was when the view was made."""

    @property
    def count(self) -> int:
        """Entries, as the header counts them: len(m)."""

    @property
    def seed(self) -> int:
        """Of the map's hashes."""

    @property
    def writing(self) -> bool:
        """Whether a write has marked the map."""

    @property
    def writing_at(self) -> int:
        """Address of the byte of the header that a write marks when it begins and when it ends."""

    @property
    def flags(self) -> list[str]:
        """The flags that are set in the header, by name."""

    @property
    def size(self) -> int:
        """The least work of a walk, according to the header, however few entries there are."""

    @property
    def nonsense(self) -> str | None:
        """The part of the header that no map can have; None for a plausible header."""

    @property
    def array_address(self) -> int:
        """Address of the bucket array, directory or group in the header; 0 if nothing is allocated."""

    @property
    def extents(self) -> list[tuple[int, int]]:
        """(address, bytes) of the arrays that the header points to."""

    def storage(self) -> dict[int, str]:
        """Addresses of the arrays that hold the map's entries, each with its name."""

    def has_part(self, parts: Sequence[int]) -> bool:
        """Whether one of these addresses is a bucket, a group or a table of the map."""

    def objects(self) -> Iterator[tuple[str, Iterable[int]]]:
        """Addresses of everything allocated for the map, each with its name: header, directory, table, groups, buckets,
        oldbuckets, overflow, extra, key or elem. Some may be 0 or inside of another."""

    def layout_facts(self, structure: Structure) -> object:
        """The part of hmap-show's result under the layout's name."""

    # -- walking ---------------------------------------------------------------------------------

    def structure(self, allocator: Allocator) -> Structure:
        """Counts everything."""

    def entries(self) -> Iterator[MapEntry]:
        """Live entries."""

    def windows(self) -> Iterator[tuple[list[Bucket], bool]]:
        """All buckets in the order of entries, some at a time, and whether they are an old array's."""

    def contents(self) -> Iterator[bytes]:
        """Whole buckets, in pieces: all that can hold live entries."""

    def rebuilt(self, entries: int, allocator: Allocator) -> int:
        """Bytes of a new map of so many entries."""

    # -- other sizes that it could have ----------------------------------------------------------

    def reshaped(self, key: GoType, elem: GoType) -> MapView | None:
        """The same header, read as if the map had keys and elems of these types: for its sizes alone. None where the
        rule that lays slots out does not give the map's own type the size that it has."""

    def arrays_size(self, structure: Structure, allocator: Allocator) -> int:
        """Bytes of its arrays of buckets, as many as the structure has, of this view's shape."""

    def remade(self, entries: int, allocator: Allocator) -> Estimate:
        """Bytes of a map that make made for so many entries, with these in it, keys and elems behind pointers apart."""

    def filled(self, entries: int, structure: Structure, allocator: Allocator) -> Estimate:
        """Bytes that the map has allocated while it grew from empty to its size, those freed since included."""

    def oversized(self, structure: Structure) -> bool:
        """Whether it has more buckets than growing to so many entries makes: entries were deleted, or make was given a
        larger size."""

    def has_grown(self, structure: Structure) -> bool | None:
        """Whether its arrays became as large as they are by growing; False where make made them so; None where memory
        does not tell."""

    # -- looking up ------------------------------------------------------------------------------

    def mark(self, hash_: int) -> int:
        """The mark that a slot keeps of this hash."""

    def follow(self, search: KeySearch, hash_: int) -> None:
        """Looks for a key as the runtime does. Raises MemoryFault, Corrupt, Endless."""

    def arrays_of(self, most: int) -> Iterator[tuple[int, int]]:
        """(address, length) of arrays of buckets, those of the first `most` directory entries where there is one."""

    def place(self, step: SearchStep) -> str:
        """The place of a step of a lookup, in words."""

    def going_on(self, step: SearchStep) -> str:
        """Why a lookup continues or ends after this step, in words."""

    # -- what else is asked ----------------------------------------------------------------------

    def head(self, address: int, rules: Allocator) -> Spot | None:
        """The place of the address, if it is in the header or in an array that the header points to."""

    def inner(self, address: int, rules: Allocator, object_size: int | None) -> Spot | None:
        """The place of the address, if it is in a separately allocated part. object_size: as in analysis.locate."""

    def state(self, mark: int) -> str:
        """Of a slot with this mark: live, empty, tombstone or evacuated."""

    def check(
        self,
        hasher: Hasher,
        plan: Plan | None,
        allocator: Allocator,
        full: bool,
        absent: Callable[[int | None], bool],
    ) -> Checked:
        """Every invariant of the map."""

    def forecast(self, structure: Structure) -> Forecast:
        """The next growth, and the number of inserts until then."""

    def growing(self, structure: Structure) -> Growing:
        """The progress of its growth."""

    def describe(self, structure: Structure) -> Description:
        """Layout, load and state of growth in words."""

    def iteration(self, record: Record) -> tuple[int, int] | None:
        """(done, total) of an iterator of this map; None for words that are none, though they begin as one does."""

    @property
    def iterated(self) -> str:
        """What done and total of an iteration count."""


@dataclass(frozen=True)
class Layout:
    """detect: the shape of maps with this header, None when it is another layout's. view: the map of a shape that
    detect returned, at an address. Both raise UnsupportedLayout; view raises MemoryFault too."""

    name: str
    detect: Callable[[GoType, Arch], Any]
    view: Callable[[Target, Any, int], MapView]
    marks: MarkCode
