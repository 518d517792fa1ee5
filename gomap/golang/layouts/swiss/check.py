"""The invariants of internal/runtime/maps.Map: map.go, table.go, and table_debug.go (checkInvariants)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from gomap.columns.choose import columns, counting
from gomap.columns.marks import SLOTS
from gomap.errors import GomapError
from gomap.golang.hashing.hasher import Hasher
from gomap.golang.hashing.plans import Plan
from gomap.golang.layouts.integrity import (
    EXPLAINED,
    WRITING,
    Checked,
    Findings,
    KeyCheck,
    checked,
    sample_step,
)
from gomap.golang.layouts.structure import Structure, SwissTable
from gomap.golang.layouts.swiss.directory import Directory, size_of
from gomap.golang.layouts.swiss.lookup import h2, probe
from gomap.golang.layouts.swiss.map import SwissMap
from gomap.golang.layouts.swiss.shape import CTRL_DELETED, CTRL_EMPTY, MARKS
from gomap.golang.layouts.swiss.writing import SwissClear, clearing, mended, settled
from gomap.golang.runtime.malloc import Allocator
from gomap.gotypes import has_pointers

#: Findings of Structure that say the same here.
_TAKEN = frozenset({"nil-table", "bad-table"})
#: Misplaced keys that are kept for the report.
MAX_KEPT = 4096


class _WrongKey(NamedTuple):
    """A key that its hash does not lead to. table: its address, or that of a small map's group."""

    code: str
    message: str
    group: int
    slot: int
    table: int
    hash: int


class _Twin(NamedTuple):
    """Two slots (group, slot) of equal keys."""

    first: tuple[int, int]
    second: tuple[int, int]


def check(
    found: SwissMap, hasher: Hasher, plan: Plan | None, full: bool, absent: Callable[[int | None], bool]
) -> Checked:
    """Every invariant of the map. plan: its hash function, None when it is not known. absent: whether memory that can't
    be read is only missing in a core file."""
    return _SwissChecker(found, hasher, plan, full, absent).run()


class _Probed(NamedTuple):
    """The groups of some tables. owner: number of each group's table; empty: 1 for each group with an empty slot.
    start: number of each table's first group; firsts: its first directory entry, and how many it has; masks: groups
    less one."""

    owner: list[int]
    start: list[int]
    firsts: list[tuple[int, int]]
    masks: list[int]
    empty: bytes


@dataclass(frozen=True)
class _Off:
    """A number of a table that is not what its slots make it. explained: a write leaves it so."""

    code: str
    message: str
    table: SwissTable
    explained: bool


class _SwissChecker:
    def __init__(
        self, found: SwissMap, hasher: Hasher, plan: Plan | None, full: bool, absent: Callable[[int | None], bool]
    ) -> None:
        self.map, self.target, self.shape = found, found.target, found.shape
        self.size = found.shape.slots.size
        self.findings = Findings(found.writing, found.address, absent)
        seed = found.header["seed"]
        live = range(CTRL_EMPTY)
        self.keys = KeyCheck(found.target, found.shape.slots, hasher, plan, seed, live, self.findings, bounded=not full)
        self.step = sample_step(found.count, full)
        self.bits = 8 * self.target.arch.pointer_size
        self.depth = 0
        self.wrong: list[_WrongKey] = []
        self.untold: dict[str, int] = {}  # kinds of wrong keys that are not kept
        self.places: set[tuple[int, int]] = set()  # (group, slot) of wrong keys
        self.wrong_marks = 0
        self.bogus: dict[int, int] = {}  # table (address) -> live slots that are not entries of their own
        self.live: dict[int, int] = {}  # table (address) -> live slots
        self.spoilt: set[int] = set()  # tables whose control bytes make no sense: they do not add up
        self.incoming: set[int] = set()  # tables that are about to replace another, which still counts
        self.clear: SwissClear | None = None  # how far a clear has come

    def run(self) -> Checked:
        findings, header = self.findings, self.map.header
        self._flag()
        if not header["dirPtr"]:
            if header["used"]:
                what = f"the header counts {header['used']:,} entries but dirPtr is nil"
                findings.add("count-mismatch", what, self.map.address)
            return checked(findings, 0, self.keys)
        if not self._has_directory():
            findings.skip("entries", self.map.count, None, "not found: the directory is corrupt")
            return checked(findings, 0, self.keys)
        structure = self._walked()
        if self.map.small:
            self._small(structure)
        else:
            self._tables(structure)
        if self.map.writing:
            tables = [table for table in structure.tables if table.address not in self.incoming]
            self.clear = clearing(self.map, tables, self.live)
        if self._seed_is_wrong():
            what = f"seed is {header['seed']:#x}, but with it no key has its stored control byte"
            findings.only("bad-seed", what, self.map.address)
        else:
            self._tell_keys(structure)
            self._adds_up(structure)
        self.keys.left_out(structure.total.live, self.step)
        return checked(findings, structure.total.live - self._incoming_live(), self.keys)

    def _flag(self) -> None:
        if self.map.header["writing"] > 1:
            what = f"writing is {self.map.header['writing']}, a value that no write leaves there"
            self.findings.add("bad-flags", what, self.map.address)
        elif self.map.writing:
            self.findings.note("writing", f"writing {WRITING}", self.map.address)

    def _has_directory(self) -> bool:
        """Takes what the header says of the directory as a write or one wrong field has left it. Whether that makes
        sense."""
        before = settled(self.map) if self.map.writing else None
        if before is not None:
            self.findings.note("writing", f"{before.what} ({EXPLAINED})", self.map.address)
            self.map = mended(self.map, before.length, before.depth)
        size = size_of(self.map.header, self.bits)
        if size.code is not None:
            self.findings.add(size.code, size.message, self.map.address)
        if size.depth is None:
            return False
        if size.code is not None:
            self.map = mended(self.map, 0 if size.small else 1 << size.depth, size.depth)
        self.depth = size.depth
        return True

    def _walked(self) -> Structure:
        """The map's structure, whose anomalies are findings."""
        structure, findings = self.map.structure(Allocator()), self.findings
        for one in structure.anomalies:
            if one.code == "unreadable":
                findings.unread("parts", 1, one.message, one.address)
            elif one.code in _TAKEN:
                findings.add(one.code, one.message, one.address)
                findings.unsure = True
        findings.untold(structure.untold)
        return structure

    def _incoming_live(self) -> int:
        """Live slots of tables that still count nothing."""
        return sum(self.live.get(address, 0) for address in self.incoming)

    # -- groups ----------------------------------------------------------------------------------

    def _small(self, structure: Structure) -> None:
        address = self.map.header["dirPtr"]
        try:
            data = self.target.memory.read(address, self.size)
        except GomapError:
            return  # told already
        self._marks(address, "", data, 1, address, small=True)
        whole = (1 << self.bits) - 1

        def wanted(block: Any, mark: Any, hash_: Any) -> Any:
            return hash_ & 0x7F == mark

        self.live[address] = structure.total.live
        for slot in self.keys.bad(data, [address], wanted):
            self._wrong_mark(address, f"slot {slot.slot}", slot.mark, slot.hash & whole, address, slot.slot)

    def _tables(self, structure: Structure) -> None:
        tables = {table.address: table for table in structure.tables}
        directory = Directory(self.map, self.findings, self.depth)
        first_of = directory.parts(tables)
        self.incoming = directory.incoming
        unread = set(tables)
        for table in structure.tables:
            if table.capacity != table.groups * SLOTS:
                what = f"table {table.index} has capacity {table.capacity}, and {table.groups} groups of {SLOTS}"
                self.findings.add("bad-capacity", what, table.address)
                self.findings.unsure = True
                self.spoilt.add(table.address)
        number = 0
        for batch in self.map.batches(structure):
            for index, data in batch:
                table = structure.tables[index]
                unread.discard(table.address)
                self._marks(table.groups_address, f"table {table.index}", data, table.groups, table.address, False)
                self.live[table.address] = counting().count_live(counting().marks_of(data, self.size), MARKS)
            chosen = [(index, data) for index, data in batch if structure.tables[index].address not in self.spoilt]
            if self.step > 1:
                chosen = [one for i, one in enumerate(chosen) if not (number + i) & (self.step - 1)]
                number += len(batch)
            if chosen:
                self._hash(structure, chosen, first_of)
        self.spoilt |= unread

    def _marks(self, address: int, name: str, data: Any, groups: int, table: int, small: bool) -> None:
        """Control bytes that mean nothing. name: the table's; a small map has none."""
        columns = [bytes(data[slot :: self.size][:groups]) for slot in range(SLOTS)]
        for slot, column in enumerate(columns):
            strange = column.translate(None, _KNOWN_SMALL if small else _KNOWN)
            if not strange:
                continue
            group = next(i for i, mark in enumerate(column) if mark == strange[0])
            at = address + group * self.size
            place = 7 - slot if self.shape.slots.reversed_marks else slot
            meaning = "which a small map never has" if strange[0] == CTRL_DELETED else "which is invalid"
            where = f"slot {place}" if small else f"{name} group {group} slot {place}"
            what = f"{where}: its control byte is {strange[0]:#04x}, {meaning}"
            self.findings.add("bad-mark", what, at)
            self.spoilt.add(table)
            self.findings.unsure = True

    def _hash(self, structure: Structure, batch: list[tuple[int, Any]], first_of: dict[int, tuple[int, int]]) -> None:
        """Compares control bytes, directory entries and probe sequences of all keys with their hashes."""
        tables = [structure.tables[index] for index, _ in batch]
        data = b"".join([block for _, block in batch])
        addresses: list[int] = []
        owner: list[int] = []
        start: list[int] = []
        for number, table in enumerate(tables):
            start.append(len(addresses))
            end = table.groups_address + table.groups * self.size
            addresses += range(table.groups_address, end, self.size)
            owner += [number] * table.groups
        firsts = [first_of.get(table.address, (0, 1 << self.depth)) for table in tables]
        masks = [table.groups - 1 for table in tables]
        has_empty = self._has_empty(data, len(addresses))
        wanted = self._wanted_one if columns().plain else self._wanted_many
        for slot in self.keys.bad(data, addresses, wanted(_Probed(owner, start, firsts, masks, has_empty))):
            number = owner[slot.block]
            table, group = tables[number], slot.block - start[number]
            where = f"table {table.index} group {group} slot {slot.slot}"
            at = addresses[slot.block]
            entry = slot.hash >> self.bits - self.depth if self.depth else 0
            first, length = firsts[number]
            if not first <= entry < first + length:
                what = f"{where}: its key hashes to directory entry {entry}, which is another table's"
                self._wrong("misplaced-key", what, at, slot.slot, table.address, slot.hash)
                self.wrong_marks += h2(slot.hash) != slot.mark
            elif h2(slot.hash) != slot.mark:
                self._wrong_mark(table.address, where, slot.mark, slot.hash, at, slot.slot)
            else:
                home = next(probe(slot.hash, masks[number]))
                what = f"{where}: the search for its key starts in group {home} and ends before it reaches this group"
                self._wrong("unreachable-key", what, at, slot.slot, table.address, slot.hash)

    def _has_empty(self, data: bytes, count: int) -> bytes:
        """For every group, 1 if it has an empty slot: there a search ends."""
        total = bytearray(count)
        for slot in range(SLOTS):
            column = data[slot :: self.size].translate(_IS_EMPTY)
            if slot == 0:
                total[:] = column
            else:
                merged = int.from_bytes(total, "little") | int.from_bytes(column, "little")
                total[:] = merged.to_bytes(count, "little")
        return bytes(total)

    def _wanted_one(self, of: _Probed) -> Any:
        def wanted(block: int, mark: int, hash_: int) -> bool:
            number = of.owner[block]
            first, length = of.firsts[number]
            entry = hash_ >> self.bits - self.depth if self.depth else 0
            if h2(hash_) != mark or not first <= entry < first + length:
                return False
            for group in probe(hash_, of.masks[number]):
                if of.start[number] + group == block:
                    return True
                if of.empty[of.start[number] + group]:
                    return False
            return False

        return wanted

    def _wanted_many(self, of: _Probed) -> Any:
        np = columns().np
        owners, starts = np.array(of.owner), np.array(of.start)
        first = np.array([f for f, _ in of.firsts])
        behind = np.array([f + n for f, n in of.firsts])
        mask, ends = np.array(of.masks), np.frombuffer(of.empty, np.uint8).astype(bool)

        def wanted(block: Any, mark: Any, hash_: Any) -> Any:
            number = owners[block]
            good = (hash_ & np.uint64(0x7F)) == mark
            if self.depth:
                entry = (hash_ >> np.uint64(self.bits - self.depth)).astype(np.int64)
                good &= (first[number] <= entry) & (entry < behind[number])
            base, limit = starts[number], mask[number]
            at = (hash_ >> np.uint64(7)).astype(np.int64) & limit
            searching = np.flatnonzero(good & (base + at != block))
            at = at[searching]
            step = 0
            while len(searching):
                stuck = ends[base[searching] + at] | (step > limit[searching])
                good[searching[stuck]] = False
                searching, at = searching[~stuck], at[~stuck]
                step += 1
                at = (at + step) & limit[searching]
                further = base[searching] + at != block[searching]
                searching, at = searching[further], at[further]
            return good

        return wanted

    def _wrong_mark(self, table: int, where: str, mark: int, hash_: int, group: int, slot: int) -> None:
        self.wrong_marks += 1
        what = f"{where}: H2 is {mark:#04x}, but its key hashes to {h2(hash_):#04x}"
        self._wrong("bad-h2", what, group, slot, table, hash_)

    def _wrong(self, code: str, message: str, group: int, slot: int, table: int, hash_: int) -> None:
        if len(self.wrong) < MAX_KEPT:
            self.wrong.append(_WrongKey(code, message, group, slot, table, hash_))
            self.places.add((group, slot))
        else:
            self.untold[code] = self.untold.get(code, 0) + 1
        self.bogus[table] = self.bogus.get(table, 0) + 1

    # -- what it adds up to ----------------------------------------------------------------------

    def _seed_is_wrong(self) -> bool:
        cleared = self.clear.group if self.clear is not None else 0
        zeroed = sum(one.group == cleared for one in self.wrong) if cleared else 0  # their keys are of no seed
        judged, wrong = self.keys.checked - zeroed, self.wrong_marks - zeroed
        return wrong >= max(4, judged // 2) and wrong * 10 >= judged * 9

    def _tell_keys(self, structure: Structure) -> None:
        """Reports keys that are misplaced, unreadable or duplicate."""
        twins = list(self._twins(structure))
        hand = self._in_hand(structure, twins)
        self.keys.tell_unreadable(lambda group, slot: (group, slot) in hand)
        tables = {table.address: table for table in structure.tables}
        for one in self.wrong:
            explained = (one.group, one.slot) in hand or self._is_cut_off(one, tables)
            self.findings.add(one.code, one.message, one.group, explained)
        for code, number in self.untold.items():
            self.findings.more(code, number)
        for (group, slot), second in twins:
            what = f"slot {second[1]} of group {second[0]:#x} has the same key as slot {slot} of group {group:#x}"
            self.findings.add("duplicate-key", what, second[0], bool({(group, slot), second} & hand))

    def _twins(self, structure: Structure) -> list[_Twin]:
        starts = sorted(
            (t.groups_address, t.groups_address + t.groups * self.size, t.address) for t in structure.tables
        )
        found = []
        for address, slot, other, other_slot in self.keys.duplicates():
            if (address, slot) in self.places or (other, other_slot) in self.places:
                continue  # told already
            owners = {next((t for start, end, t in starts if start <= at < end), 0) for at in (address, other)}
            if len(owners & self.incoming) == 1:
                continue  # the table that it replaces has it too
            found.append(_Twin((address, slot), (other, other_slot)))
            table = next((t for start, end, t in starts if start <= other < end), 0)
            self.bogus[table] = self.bogus.get(table, 0) + 1
        return found

    def _in_hand(self, structure: Structure, twins: list[_Twin]) -> set[tuple[int, int]]:
        """Slots (group, slot) whose keys a write has cleared or is about to: a delete one, a clear a whole group."""
        bad = {*self.places, *self.keys.unreadable}
        same = {slot for pair in twins for slot in pair}
        if not self.map.writing or self.untold or not (bad or same):
            return set()
        if self.clear is not None and self.clear.group:
            return {one for one in bad | same if one[0] == self.clear.group}
        if self.map.small and len(bad | same) > 1:  # a clear may zero the control word last
            first, *rest = sorted(bad | same, key=lambda one: self.keys.is_cleared(one[0], one[1], whole=True))
            cleared = self.keys.is_cleared(*first) and all(self.keys.is_cleared(g, s, whole=True) for g, s in rest)
            return bad | same if cleared else set()
        if not bad:
            bad = {one for one in same if self.keys.is_cleared(*one)} if len(twins) == 1 else set()
        if len(bad) != 1 or not (self.shape.slots.indirect_key or has_pointers(self.shape.key)):
            return set()
        ((group, slot),) = bad
        table = next((t for t in structure.tables if 0 <= group - t.groups_address < t.groups * self.size), None)
        used = self.map.count if table is None else table.used
        live = structure.total.live if table is None else self.live.get(table.address, 0)
        return bad if live - used == 1 and self.keys.is_cleared(group, slot) else set()

    def _is_cut_off(self, one: _WrongKey, tables: dict[int, SwissTable]) -> bool:
        """Whether the search for the key ends in a group that a clear has emptied."""
        clear, table = self.clear, tables.get(one.table)
        if clear is None or table is None or one.code != "unreachable-key" or clear.table != one.table:
            return False
        for group in probe(one.hash, table.groups - 1):
            if group < clear.ahead:
                return True
            if table.groups_address + group * self.size == one.group:
                return False
        return False

    def _adds_up(self, structure: Structure) -> None:
        header, findings = self.map.header, self.findings
        counting = [table for table in structure.tables if table.address not in self.incoming]
        used = header["used"]
        live = structure.total.live - self._incoming_live()
        blamed = self._tables_add_up(structure.tables, used - sum(table.used for table in counting))
        extra = sum(n for table, n in self.bogus.items() if table not in self.incoming)
        if not findings.unsure and not blamed and (used > live or live - used > extra):
            what = f"the header counts {used:,} entries, but {live:,} are live"
            findings.add("count-mismatch", what, self.map.address, self._is_counted_next(live - used))
        possible = header.type.field("tombstonePossible") is not None
        tombstones = structure.total.tombstones
        if possible and not header["tombstonePossible"] and tombstones and not findings.unsure:
            what = f"tombstonePossible is false, but there are {tombstones:,} tombstones"
            findings.add("bad-tombstone-flag", what, self.map.address, tombstones == 1)
        if self.map.small and used > SLOTS and not findings.counts:
            findings.add("count-mismatch", f"a small map counts {used:,} entries", self.map.address)

    def _is_counted_next(self, more: int) -> bool:
        """Whether a write is about to count `more` live entries than the header does."""
        clear = self.clear
        if clear is None:
            return more == 1
        if self.map.small:
            return bool(clear.group) or more <= 0
        return more <= SLOTS

    def _tables_add_up(self, tables: list[SwissTable], beyond: int) -> bool:
        """Compares every table's numbers with its slots. Whether one of them does not have what it counts.

        beyond: entries that the header counts and the tables do not."""
        judged = [self._judge(table, beyond) for table in tables if table.address not in self.spoilt]
        off = [one for found in judged for one in found]
        alone = len({one.table.address for one in off}) < 2  # a write has one table in its hands
        for one in off:
            self.findings.add(one.code, one.message, one.table.address, one.explained and alone)
        return any(one.code in _COUNTS_WRONG for one in off)

    def _judge(self, table: SwissTable, beyond: int) -> list[_Off]:
        """What does not add up in a table: how many entries it counts, its empty slots, growthLeft."""
        live = self.live.get(table.address, 0)
        cleared = self.clear is not None and self.clear.table == table.address
        endless = self._has_no_empty_slot(table, live, cleared)
        rest = endless if endless is not None else self._growth_left(table, live, cleared)
        return [one for one in (self._used(table, live, beyond, cleared), rest) if one is not None]

    def _used(self, table: SwissTable, live: int, beyond: int, cleared: bool) -> _Off | None:
        missing = table.used - live
        if missing <= 0 and -missing <= self.bogus.get(table.address, 0):
            return None
        code = "lost-entry" if not beyond and missing > 0 else "bad-used"
        what = f"table {table.index} counts {table.used} entries, but {live} are live"
        first = (table.capacity, live, missing, beyond) == (2 * SLOTS, SLOTS, 1, -1)
        return _Off(code, what, table, first or (missing == -1 and beyond in (0, 1)) or cleared)

    def _has_no_empty_slot(self, table: SwissTable, live: int, cleared: bool) -> _Off | None:
        """growthLeft, which keeps that from happening, is wrong too then."""
        if table.groups * SLOTS != live + table.tombstones:
            return None
        what = f"table {table.index} has no empty slot: the search for a key that is not in it never ends"
        return _Off("no-empty-slot", what, table, cleared and self.clear is not None and bool(self.clear.group))

    def _growth_left(self, table: SwissTable, live: int, cleared: bool) -> _Off | None:
        limit = table.capacity * 7 // 8
        short = {table.growth_left - (limit - n - table.tombstones) for n in (table.used, live)}
        if 0 in short:
            return None
        what = f"table {table.index} has growthLeft {table.growth_left}"
        told = f"{what}, but {limit} less {live} entries and {table.tombstones} tombstones is left"
        # A clear counts last: until then growthLeft is what it was, with more entries and tombstones.
        clearing_it = cleared or (self.clear is not None and not (table.used or live or table.tombstones))
        return _Off("bad-growth-left", told, table, bool(short & {-1, 1}) or (clearing_it and max(short) < 0))


#: Of a table that does not have what it counts.
_COUNTS_WRONG = ("lost-entry", "bad-used")


_KNOWN_SMALL = bytes(range(CTRL_EMPTY + 1))
_KNOWN = _KNOWN_SMALL + bytes([CTRL_DELETED])
_IS_EMPTY = bytes(1 if mark == CTRL_EMPTY else 0 for mark in range(256))
