"""What there is to say of a sync.Map."""

from __future__ import annotations

from dataclasses import dataclass, field

from gomap.anomaly import Anomaly
from gomap.golang.layouts.layout import MapView
from gomap.golang.layouts.structure import Bytes
from gomap.gotypes import GoType
from gomap.target import Target, Variable

#: Entries and nodes of one sync.Map that are looked at.
MAX_ENTRIES = 1 << 24
#: Entries that are read together while they are listed.
BATCH = 4096
#: Findings of one kind that are listed.
MAX_TOLD = 8


MUTEX_LOCKED = 1  # mutexLocked


@dataclass(frozen=True)
class SyncEntry:
    """One live entry: where its key and its value lie, each an interface (`key_type`, `value_type`).

    where: `read`, `dirty` (in the dirty map alone) or `trie`.
    """

    key_type: GoType
    key_address: int
    value_type: GoType
    value_address: int
    where: str


@dataclass
class Half:
    """The read or the dirty map. keys: those that were found by walking, of which `live` have a value,
    `deleted` have a nil pointer in their place, and `expunged` are deleted and not in the dirty map.
    own: live entries that the other one does not have."""

    view: MapView | None = None
    count: int = 0
    keys: int = 0
    live: int = 0
    deleted: int = 0
    expunged: int = 0
    own: int = 0


@dataclass
class ReadDirty:
    """A sync.Map up to Go 1.23. misses_left: misses until dirty becomes read; None where amended is not set."""

    amended: bool = False
    misses: int = 0
    misses_left: int | None = None
    read: Half = field(default_factory=Half)
    dirty: Half = field(default_factory=Half)


@dataclass
class Trie:
    """depth: levels of nodes, the root's included; chains: places where keys share a whole hash."""

    root: int | None = None
    depth: int = 0
    nodes: int = 0
    entries: int = 0
    chains: int = 0
    overflow: int = 0
    longest: int = 0
    seed: int = 0


@dataclass
class SyncMap:
    """The result of walking a sync.Map. count: live entries, as Range yields them. bytes: the memory that the
    sync.Map has allocated; what keys and values point to is not counted. locked: its mutex is held. untold: by code,
    the number of anomalies not in the list. inner: anomalies of the read and the dirty map themselves. bound: the
    most that count may be off; None if the program is stopped."""

    generation: str
    count: int = 0
    bytes: Bytes = field(default_factory=Bytes)
    locked: bool = False
    read_dirty: ReadDirty | None = None
    trie: Trie | None = None
    anomalies: list[Anomaly] = field(default_factory=list)
    untold: dict[str, int] = field(default_factory=dict)
    inner: list[Anomaly] = field(default_factory=list)
    bound: int | None = None

    @property
    def is_used(self) -> bool:
        """Whether anything was ever done with it: before that it owns nothing, as a nil map does."""
        return bool(self.count or self.bytes.allocated or self.anomalies)


def is_locked(target: Target, t: GoType, variable: Variable) -> bool:
    """Whether the sync.Mutex in field mu is held: its state is in an inner mutex from Go 1.24 on."""
    found = t.field("mu")
    offset = 0
    while found is not None:
        offset += found.offset
        if found.name == "state":
            data = variable.read(target.memory, offset, found.type.size)
            return bool(target.arch.uint(data, 0, len(data)) & MUTEX_LOCKED)
        found = found.type.field("mu") or found.type.field("state")
    return False


@dataclass
class SyncFindings:
    """Anomalies: the first few of each kind, and how many more there are."""

    anomalies: list[Anomaly] = field(default_factory=list)
    untold: dict[str, int] = field(default_factory=dict)

    def tell(self, severity: str, code: str, message: str, address: int | None) -> None:
        """Adds an anomaly; beyond MAX_TOLD of one code they are only counted."""
        if sum(one.code == code for one in self.anomalies) < MAX_TOLD:
            self.anomalies.append(Anomaly(severity, code, message, address))
        else:
            self.untold[code] = self.untold.get(code, 0) + 1


def own_bytes(
    items: list[tuple[int, int]], others: list[tuple[int, int]], values: dict[int, int], expunged: int | None
) -> int:
    """How many live entries one map has that the other one has not."""
    known = {entry for _, entry in others}
    return sum(bool(values.get(entry)) and values[entry] != expunged and entry not in known for _, entry in items)
