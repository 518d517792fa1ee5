"""Growths of Swiss maps: growToTable, newTable and installTableSplit of internal/runtime/maps (map.go), rehash, grow
and split of its table.go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gomap.columns.marks import SLOTS
from gomap.golang.layouts.grown import Growth, Read, Rules, record
from gomap.golang.layouts.swiss.shape import MAX_LOAD_DEN, MAX_LOAD_NUM, MAX_TABLE_CAPACITY, SwissShape
from gomap.gotypes import GoType

FIRST = "internal/runtime/maps.(*Map).growToTable"  # (m *Map, typ *abi.MapType)
AGAIN = "internal/runtime/maps.(*table).rehash"  # (t *table, typ *abi.MapType, m *Map)
FUNCTIONS = {FIRST: 2, AGAIN: 3}
#: How many standard deviations a table may get more keys than the average before make's size counts as too small.
DEVIATIONS = 5


@dataclass(frozen=True)
class SwissGrowths:
    """table: the runtime's own struct of a table."""

    rules: Rules
    table: GoType
    functions = FUNCTIONS

    def map_and_type(self, function: str, arguments: Sequence[int]) -> tuple[int, int]:
        """*internal/runtime/maps.Map and *abi.MapType, from the arguments of (*Map).growToTable or (*table).rehash."""
        return arguments[0 if function == FIRST else 2], arguments[1]

    def pointed(self, function: str) -> Sequence[tuple[int, int]]:
        """As Growths.pointed: the header, and the table that is too small."""
        header = self.rules.header.size
        return [(0, header)] if function == FIRST else [(2, header), (0, self.table.size)]

    def read(self, function: str, arguments: Sequence[int], shape: SwissShape, read: Read) -> Growth:
        """The growth that growToTable or rehash, just entered with these arguments, begins.

        function: its full name. read: the bytes at an address. Raises MemoryFault.
        """
        arch, word = self.rules.arch, self.rules.arch.pointer_size
        address, _ = self.map_and_type(function, arguments)
        header = record(arch, self.rules.header, address, read)
        entries, directory = header["used"], None
        if function == FIRST:
            kind, slots, new, tables, copied = "first-table", SLOTS, 2 * SLOTS, 1, entries
            allocated = self._allocated(word)  # of the directory
            state: tuple[int, ...] = ()  # there is one such growth; its group may be on a stack that moves
        else:
            table = record(arch, self.table, arguments[0], read)
            slots, copied, state = table["capacity"], table["used"], (arguments[0],)
            splits = 2 * slots > MAX_TABLE_CAPACITY
            kind, tables = ("split", 2) if splits else ("table", 1)
            new = 2 * MAX_TABLE_CAPACITY if splits else 2 * slots
            allocated = 0
            if splits and table["localDepth"] == header["globalDepth"]:
                directory = 2 * header["dirLen"]
                allocated = self._allocated(directory * word)
        groups = new // tables // SLOTS * shape.slots.size
        each = self._allocated(self.table.size) + self.rules.allocator.allocated(groups, shape.scan)
        stride = shape.slots.key_stride
        return Growth(
            address=address,
            seed=header["seed"],
            entries=entries,
            kind=kind,
            slots=slots,
            new_slots=new,
            copied=copied,
            copied_bytes=copied * (stride if shape.group == "interleaved" else stride + shape.slots.elem_stride),
            allocated=allocated + tables * each,
            state=state,
            directory=directory,
        )

    def _allocated(self, size: int) -> int:
        return self.rules.allocator.allocated(size, True)

    def capacity(self, entries: int) -> int:
        """Keys are spread over tables by their hashes: the fullest must not need more than a table has."""
        tables, _ = made(entries)
        for size in (entries, *(_size_of(many) for many in (tables, 2 * tables))):
            if size >= entries and _fits(entries, *made(size)):
                return size
        return _size_of(4 * tables)


def made(size: int) -> tuple[int, int]:
    """(tables, slots of each) of a map that make is given this size for: NewMap, newTable."""
    wanted = size * MAX_LOAD_DEN // MAX_LOAD_NUM
    tables = _power_of_two(-(-wanted // MAX_TABLE_CAPACITY))
    return tables, _power_of_two(max(wanted // tables, SLOTS))


def _fits(entries: int, tables: int, slots: int) -> bool:
    each = entries / tables
    most = slots * MAX_LOAD_NUM // MAX_LOAD_DEN
    return each <= most if tables == 1 else each + DEVIATIONS * each**0.5 <= most


def _size_of(tables: int) -> int:
    """The least size for which make gives so many tables of the largest capacity."""
    return -(-(MAX_TABLE_CAPACITY // 2 + 1) * tables * MAX_LOAD_NUM // MAX_LOAD_DEN)


def _power_of_two(n: int) -> int:
    return 1 << max(n - 1, 0).bit_length()
