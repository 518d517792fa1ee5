"""internal/runtime/maps.Map: the Swiss map of Go 1.24 and later, with interleaved or split groups.

Follows internal/runtime/maps: map.go (Map, NewMap), table.go (table, rehash, split),
group.go (ctrlGroup, groupsReference). Groups come in two layouts (cmd/compile/internal/reflectdata/map.go,
MapGroupType): slots of key and elem, or an array of keys and one of elems (GOEXPERIMENT=mapsplitgroup).
"""

from __future__ import annotations

import sys
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate, islice

from gomap.anomaly import Anomaly
from gomap.arrays import expect
from gomap.columns.choose import counting
from gomap.columns.marks import SLOTS
from gomap.errors import MemoryFault
from gomap.golang.layouts.marks import Strip
from gomap.golang.layouts.slots import Bucket, behind, entries_of, member
from gomap.golang.layouts.structure import Bytes, MapEntry, Structure, SwissTable
from gomap.golang.layouts.swiss.shape import (
    CTRL_DELETED,
    CTRL_EMPTY,
    MARKS,
    MAX_DIRECTORY,
    MAX_LOAD_DEN,
    MAX_LOAD_NUM,
    MAX_TABLE_CAPACITY,
    TABLE_FIELDS,
    SwissShape,
)
from gomap.golang.runtime.malloc import Allocator
from gomap.gotypes import has_pointers
from gomap.memory import CHUNK, Buffer
from gomap.reads import GAP, blocks, gather
from gomap.results.show import SwissFacts
from gomap.target import Record, Target, read_record, unpacker

FIRST_ENTRIES = 1 << 12
#: Entries of a large directory that name one table, on average.
MOST_ENTRIES = 1 << 8
#: When a directory names so many tables, some of them are looked at before it is read on.
MANY_TABLES, LOOKED_AT = 1 << 16, 64
#: After so many tables that can't be read, and fewer that can, the rest are not tried.
MAX_UNREADABLE = 1 << 10
#: Tables whose groups are checked together: half a megabyte where keys and elems are words.
BATCH = 32
#: Tables of one cell that are counted together.
TOGETHER = 16
MAX_FAULTS = 4
#: Tables without an empty slot that are reported.
MAX_ENDLESS = 8


@dataclass
class SwissMap:
    """The map whose header lies at `address` (*internal/runtime/maps.Map)."""

    target: Target
    shape: SwissShape
    address: int
    header: Record = field(init=False)
    _unproved: bool = True

    def __post_init__(self) -> None:
        self.header = read_record(self.target, self.shape.header, self.address)

    @property
    def count(self) -> int:
        """Map.used: the number of entries."""
        return self.header["used"]

    @property
    def writing(self) -> bool:
        """Whether Map.writing is set."""
        return self.header["writing"] != 0

    @property
    def writing_at(self) -> int:
        """Address of Map.writing."""
        return self.header.address_of("writing")

    @property
    def flags(self) -> list[str]:
        """`writing`, while Map.writing is set."""
        return ["writing"] if self.writing else []

    @property
    def small(self) -> bool:
        """One group and no table: Map.dirLen is 0."""
        return self.header["dirLen"] == 0

    @property
    def nonsense(self) -> str | None:
        """What in the header no map can have: memory that is something else. None for one that can be a map's."""
        header, word = self.header, self.target.arch.pointer_size
        pointer, length, depth = header["dirPtr"], header["dirLen"], header["globalDepth"]
        if self.address % word or pointer % word:
            return "addresses that are not aligned"
        if header["writing"] > 1 or header.get("tombstonePossible") > 1:
            return "booleans that are neither true nor false"
        if length & (length - 1) or length > MAX_DIRECTORY or (length or 1) != 1 << min(depth, 64):
            return f"a directory of {length:#x} entries with depth {depth}"
        if self.count > (MAX_TABLE_CAPACITY * length or SLOTS) or (self.count and not pointer):
            return f"{self.count:,} entries in a directory of {length:,}"
        return None

    @property
    def size(self) -> int:
        """Entries of the directory, by the header: what a walk takes, however few entries there are."""
        length: int = self.header["dirLen"]
        return length

    @property
    def array_address(self) -> int:
        """Map.dirPtr: the directory, or a small map's group; 0 where nothing is allocated."""
        return self.header["dirPtr"]

    @property
    def extents(self) -> list[tuple[int, int]]:
        """(address, bytes) of what the header names: the one group, or the directory."""
        size = self.shape.slots.size if self.small else self.header["dirLen"] * self.target.arch.pointer_size
        return [(self.header["dirPtr"], size)] if self.header["dirPtr"] else []

    def storage(self) -> dict[int, str]:
        """Addresses of what this map keeps its entries in: its one group, or its directory and tables."""
        pointer = self.header["dirPtr"]
        if not pointer:
            return {}
        if self.small:
            return {pointer: "group"}
        found = {pointer: "directory"}
        found.update((address, "table") for address in self._directory(Structure(address=None)))
        return found

    def objects(self) -> Iterator[tuple[str, Iterable[int]]]:
        """As layout.MapView has it."""
        yield "header", (self.address,)
        if self.small:
            yield "groups", (self.header["dirPtr"],)
        else:
            yield "directory", (self.header["dirPtr"],)
            tables = self.tables(Structure(address=None))
            yield "table", [table.address for table in tables]
            yield "groups", [table.groups_address for table in tables]
        slots = self.shape.slots
        if slots.indirect_key or slots.indirect_elem:
            for data in self.contents():
                yield from behind(slots, self.target.arch, data)

    def layout_facts(self, structure: Structure) -> SwissFacts:
        """The header's fields as a result, for JSON."""
        header = self.header
        known = self.shape.header.field("tombstonePossible") is not None
        return SwissFacts(
            used=header["used"],
            seed=header["seed"],
            dir_len=header["dirLen"],
            global_depth=header["globalDepth"],
            tables=len(structure.tables),
            small=self.small,
            writing=self.writing,
            tombstone_possible=bool(header["tombstonePossible"]) if known else None,
            clear_seq=header["clearSeq"],
        )

    def structure(self, allocator: Allocator) -> Structure:
        """Counts everything by reading the control columns of all groups, each table once."""
        header = self.header
        structure = Structure(address=header["dirPtr"] or None)
        if header["dirPtr"]:
            structure.tables = self.tables(structure)
            self._count_groups(structure)
        structure.total.include(structure.main)
        structure.total.buckets = structure.main.buckets
        structure.bytes = self._bytes(structure, allocator)
        return structure

    def _count_groups(self, structure: Structure) -> None:
        size = self.shape.slots.size
        starts = list(accumulate((table.groups for table in structure.tables), initial=0))
        largest = max((table.groups for table in structure.tables), default=1)
        structure.strip = Strip(1 if self.small else starts[-1], largest)
        if self.small:
            try:
                group = self.target.memory.read(self.header["dirPtr"], size)
            except MemoryFault as fault:
                self._report(structure, "unreadable", f"the group: {fault}", fault.address)
            else:
                marks = counting().marks_of(group, size)
                structure.strip.add(0, marks, MARKS, structure.main.add(marks, MARKS))
            return
        # Tables come in the order of memory. Those of one cell of the strip are counted together, for its sake too.
        expect(starts[-1] * size)
        strip, per_cell = structure.strip, structure.strip.per_cell
        cells = [start // per_cell for start in starts]
        whole = [first == (end - 1) // per_cell for first, end in zip(cells, starts[1:])]
        waiting: list[list[tuple[int, bytes]]] = [[] for _ in strip.live]
        for data, arrays in self._groups(structure):
            for (_, _, index), marks in zip(arrays, counting().marks_of_arrays(data, arrays, size)):
                if whole[index]:
                    together = waiting[cells[index]]
                    together.append((index, marks))
                    if len(together) >= TOGETHER:
                        strip.live[cells[index]] += self._count_tables(structure, together)
                        together.clear()
                else:
                    strip.add(starts[index], marks, MARKS, self._count_tables(structure, [(index, marks)]))
        for cell, left in enumerate(waiting):
            strip.live[cell] += self._count_tables(structure, left)

    def _count_tables(self, structure: Structure, tables: list[tuple[int, bytes]]) -> int:
        """Counts the marks (index of the table, its marks) of whole tables. How many slots are live."""
        marks = b"".join([own for _, own in tables])
        for index, own in tables:
            if CTRL_EMPTY not in own:
                self._endless(structure, structure.tables[index])
        if CTRL_DELETED in marks:
            for index, own in tables:
                structure.tables[index].tombstones = own.count(CTRL_DELETED)
        return structure.main.add(marks, MARKS)

    def _endless(self, structure: Structure, table: SwissTable) -> None:
        if sum(one.code == "no-empty-slot" for one in structure.anomalies) < MAX_ENDLESS:
            what = f"table {table.index} has no empty slot: the search for a key that is not in it never ends"
            structure.anomalies.append(Anomaly("warning", "no-empty-slot", what, table.address))

    def _groups(self, structure: Structure) -> Iterator[tuple[Buffer, list[tuple[int, int, int]]]]:
        """Groups of all tables by address, neighbours together: bytes, and where in them whose groups lie, as
        (offset, bytes, index of the table).

        The bytes hold until the next are asked for. What can't be read becomes an anomaly.
        """
        size, memory = self.shape.slots.size, self.target.memory
        tables = sorted((table.groups_address, table.groups * size, i) for i, table in enumerate(structure.tables))
        addresses, sizes = [address for address, _, _ in tables], [length for _, length, _ in tables]
        # Among the arrays of tables lie those of a table that was split, and of other maps: one more is read along.
        gap = MAX_TABLE_CAPACITY // SLOTS * size + GAP
        for first, end, base, data in blocks(memory, addresses, sizes, gap):
            if not isinstance(data, MemoryFault):
                yield data, [(address - base, length, index) for address, length, index in tables[first:end]]
                continue
            for address, length, index in tables[first:end]:
                try:
                    yield memory.read(address, length), [(0, length, index)]
                except MemoryFault as fault:
                    where = f"table {structure.tables[index].address:#x}"
                    self._report(structure, "unreadable", f"{where}: {fault}", fault.address)

    def batches(self, structure: Structure) -> Iterator[list[tuple[int, bytes]]]:
        """Groups of all tables as (index of the table, bytes), those of BATCH tables at a time.

        What can't be read becomes an anomaly.
        """
        size = self.shape.slots.size
        batch: list[tuple[int, bytes]] = []
        for index, table in enumerate(structure.tables):
            try:
                data = self.target.memory.read(table.groups_address, table.groups * size)
            except MemoryFault as fault:
                self._report(structure, "unreadable", f"table {table.address:#x}: {fault}", fault.address)
                continue
            batch.append((index, data))
            if len(batch) >= BATCH:
                yield batch
                batch = []
        if batch:
            yield batch

    def _directory(self, structure: Structure) -> dict[int, int]:
        """Directory read in chunks: table address -> number of entries that name it, in directory order."""
        arch, header = self.target.arch, self.header
        length, word = header["dirLen"], arch.pointer_size
        if length > MAX_DIRECTORY or length & (length - 1):
            message = f"dirLen {length:#x} is not a power of two that a map can have: the header is corrupt"
            structure.anomalies.append(Anomaly("error", "bad-dirlen", message, self.address))
            return {}
        if header["globalDepth"] != length.bit_length() - 1:
            message = f"dirLen {length} does not go with globalDepth {header['globalDepth']}"
            structure.anomalies.append(Anomaly("error", "bad-depth", message, self.address))
        found: Counter[int] = Counter()
        step = CHUNK // word
        faults = 0
        code = "Q" if word == 8 else "I"
        # Few entries first: they show whether it is worth while to read on.
        for first in (0, *range(FIRST_ENTRIES, length, step)):
            here = min(step if first else FIRST_ENTRIES, length - first)
            try:
                data = self.target.memory.read(header["dirPtr"] + first * word, here * word)
            except MemoryFault as fault:
                structure.anomalies.append(Anomaly("error", "unreadable", f"directory: {fault}", fault.address))
                faults += 1
                if faults >= MAX_FAULTS:
                    break
                continue
            pointers = array(code, data)
            if arch.byte_order != sys.byteorder:
                pointers.byteswap()
            found.update(pointers)
            # Hashes are spread evenly: tables have about as many entries as their neighbours have.
            few = len(found) * MOST_ENTRIES < first
            if few or found[0] > max(length // 2, step) or not self._leads_to_tables(found):
                what = f"the directory of {length:,} entries does not lead to tables: dirLen is corrupt"
                structure.anomalies.append(Anomaly("error", "bad-dirlen", what, self.address))
                break
        if found.pop(0, 0):
            structure.anomalies.append(Anomaly("error", "nil-table", "the directory has nil entries", header["dirPtr"]))
        return found

    def _leads_to_tables(self, found: Counter[int]) -> bool:
        """Whether what looks like a large directory is one: of some of its tables, half can be tables."""
        if len(found) < MANY_TABLES or not self._unproved:
            return True
        self._unproved = False
        groups_off, groups = member(self.shape.table, "groups")
        mask_off, mask_type = member(groups, "lengthMask")
        arch, good = self.target.arch, 0
        for address in islice(found, LOOKED_AT):
            try:
                data = self.target.memory.read(address + groups_off + mask_off, mask_type.size)
            except MemoryFault:
                continue
            good += arch.uint(data, 0, mask_type.size) * SLOTS < MAX_TABLE_CAPACITY
        return good * 2 >= LOOKED_AT

    def tables(self, structure: Structure) -> list[SwissTable]:
        """The tables that the directory has, each once; none for a small map.

        structure: gets an anomaly for each table that can't be read.
        """
        if self.small:
            return []
        directory = self._directory(structure)
        shape = self.shape.table
        groups_off, groups = member(shape, "groups")
        data_off, _ = member(groups, "data")
        mask_off, mask_type = member(groups, "lengthMask")
        arch = self.target.arch
        unpack = unpacker(
            arch,
            [
                *((f.offset, f.type.size) for f in (shape.field(name) for name in TABLE_FIELDS) if f is not None),
                (groups_off + mask_off, mask_type.size),
                (groups_off + data_off, arch.pointer_size),
            ],
        )
        found: dict[int, SwissTable] = {}
        lost = 0
        for address, data in gather(self.target.memory, list(directory), shape.size):
            if data is None:
                self._report(structure, "unreadable", f"table {address:#x} can't be read", address)
                lost += 1
                if lost > max(MAX_UNREADABLE, len(found)):
                    what = f"after {lost:,} tables that can't be read the others were not tried"
                    structure.anomalies.append(Anomaly("error", "unreadable", what, self.header["dirPtr"]))
                    break
                continue
            index, local_depth, capacity, used, growth_left, mask, groups_address = unpack(data)
            signed = _signed(index, arch.pointer_size)
            entries = directory[address]
            table = SwissTable(
                address, signed, local_depth, entries, capacity, used, growth_left, mask + 1, groups_address
            )
            if table.groups * SLOTS > MAX_TABLE_CAPACITY or mask & (mask + 1):
                message = f"table {address:#x} has a lengthMask of {mask:#x}, which no table can have"
                self._report(structure, "bad-table", message, address)
                continue
            found[address] = table
        return [found[address] for address in directory if address in found]

    def _report(self, structure: Structure, code: str, message: str, address: int) -> None:
        if sum(a.code == code for a in structure.anomalies) < 8:
            structure.anomalies.append(Anomaly("error", code, message, address))
        else:
            structure.untold[code] = structure.untold.get(code, 0) + 1

    def _bytes(self, structure: Structure, allocator: Allocator) -> Bytes:
        shape, slots = self.shape, self.shape.slots
        word = self.target.arch.pointer_size
        base = allocator.allocated(shape.header.size, True)
        allocated = base
        if self.small:
            allocated += allocator.allocated(structure.main.buckets * slots.size, shape.scan)
        else:
            if structure.tables:
                entries = sum(table.directory_entries for table in structure.tables)
                allocated += allocator.allocated(entries * word, True)
            each_table = allocator.allocated(shape.table.size, True)
            for groups, tables in Counter(table.groups for table in structure.tables).items():
                allocated += tables * (each_table + allocator.allocated(groups * slots.size, shape.scan))
        live = structure.total.live
        each = slots.key.size + slots.elem.size + word * (slots.indirect_key + slots.indirect_elem)
        indirect = slots.indirect_key * allocator.allocated(slots.key.size, has_pointers(slots.key))
        indirect += slots.indirect_elem * allocator.allocated(slots.elem.size, has_pointers(slots.elem))
        return Bytes(
            allocated=allocated + live * indirect,
            live=live * each,
            rebuilt=self.rebuilt(live, allocator) + live * indirect,
        )

    def rebuilt(self, entries: int, allocator: Allocator) -> int:
        """Bytes of a map made with room for so many entries: NewMap, newTable."""
        shape, word = self.shape, self.target.arch.pointer_size
        base = allocator.allocated(shape.header.size, True)
        if not entries:
            return base
        if entries <= SLOTS:
            return base + allocator.allocated(shape.slots.size, shape.scan)
        wanted = entries * MAX_LOAD_DEN // MAX_LOAD_NUM
        tables = _power_of_two(-(-wanted // MAX_TABLE_CAPACITY))
        groups = _power_of_two(max(wanted // tables, SLOTS)) // SLOTS
        each = allocator.allocated(shape.table.size, True) + allocator.allocated(groups * shape.slots.size, shape.scan)
        return base + allocator.allocated(tables * word, True) + tables * each

    def contents(self) -> Iterator[bytes]:
        """Whole groups, in pieces: all that can hold live entries."""
        if not self.header["dirPtr"]:
            return
        structure = Structure(address=None)
        if self.small:
            try:
                yield self.target.memory.read(self.header["dirPtr"], self.shape.slots.size)
            except MemoryFault:
                return  # structure() reports it
        else:
            structure.tables = self.tables(structure)
            for batch in self.batches(structure):
                yield b"".join(data for _, data in batch)

    def entries(self) -> Iterator[MapEntry]:
        """Live entries in the order of groups, table by table as the directory names them."""
        for window, old in self.windows():
            yield from entries_of(self.target.memory, self.target.arch, self.shape.slots, window, MARKS.live, old)

    def windows(self) -> Iterator[tuple[list[Bucket], bool]]:
        """All groups in that order, some at a time, and that they are none of an old array."""
        structure = Structure(address=None)
        pointer = self.header["dirPtr"]
        if not pointer:
            return
        places = [(pointer, 1)]
        if not self.small:
            places = [(table.groups_address, table.groups) for table in self.tables(structure)]
        size, bucket = self.shape.slots.size, 0
        for address, groups in places:
            try:
                data = self.target.memory.read(address, groups * size)
            except MemoryFault:
                data = b""  # structure() reports it
            if data:
                yield (
                    [(bucket + i, 0, address + i * size, data[i * size : (i + 1) * size]) for i in range(groups)],
                    False,
                )
            bucket += groups


def _signed(value: int, size: int) -> int:
    return value - (1 << 8 * size) if value >> (8 * size - 1) else value


def _power_of_two(n: int) -> int:
    """The smallest power of two that is not below n: alignUpPow2."""
    return 1 << max(n - 1, 0).bit_length()
