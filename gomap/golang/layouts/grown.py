"""A growth of a map, read where the runtime's function that grows it is entered: what all layouts share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Callable, Protocol

from gomap.golang.runtime.malloc import Allocator
from gomap.gotypes import GoType
from gomap.target import Arch, Record

#: Memory as it is now: (address, size).
Read = Callable[[int, int], bytes]


@dataclass(frozen=True)
class Growth:
    """address: of the map's header. seed: of its hashes, which no other map of that address has. entries: of the map.
    kind: doubling or same-size of a bucket array; first-table, table or split of a Swiss map. slots, new_slots: of the
    array or table that is replaced, and of what replaces it. copied: entries that move, at once or, of a bucket array,
    in steps. allocated: bytes of the new arrays, tables and directory. directory: entries of the new directory, where
    it doubles. state: what no other growth of this map has, however often a thread comes to the function's start."""

    address: int
    seed: int
    entries: int
    kind: str
    slots: int
    new_slots: int
    copied: int
    copied_bytes: int
    allocated: int
    state: tuple[int, ...]
    directory: int | None = None


class Growths(Protocol):
    """One layout's functions that grow maps."""

    @property
    def functions(self) -> Mapping[str, int]:
        """Their linker names, each with the number of its arguments."""

    def map_and_type(self, function: str, arguments: Sequence[int]) -> tuple[int, int]:
        """Addresses of the header and of the map type's descriptor (*abi.MapType)."""

    def pointed(self, function: str) -> Sequence[tuple[int, int]]:
        """The arguments whose memory `read` needs, by their number, each with the bytes there; the header's first."""

    def read(self, function: str, arguments: Sequence[int], shape: Any, read: Read) -> Growth:
        """What grows. shape: of the map's type. Raises MemoryFault, GomapError."""

    def capacity(self, entries: int) -> int:
        """What make has to be given so that a map does not grow to so many entries."""


def record(arch: Arch, t: GoType, address: int, read: Read) -> Record:
    """The struct of type t at `address`, its bytes taken by `read`."""
    return Record(arch, t, address, read(address, t.size))


@dataclass(frozen=True)
class Rules:
    """What growths are reckoned with. header: of maps, as the runtime itself declares it."""

    arch: Arch
    header: GoType
    allocator: Allocator
