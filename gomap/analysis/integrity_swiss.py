"""The invariants of internal/runtime/maps.Map: map.go, table.go, and table_debug.go (checkInvariants)."""

from __future__ import annotations

import sys
from array import array
from dataclasses import replace
from typing import Any

from gomap.analysis.integrity import Checked, Findings, KeyCheck, sample_step
from gomap.arrays import numpy
from gomap.errors import GomapError
from gomap.golang.hashing import Hasher, Plan
from gomap.golang.lookup import h2, probe
from gomap.golang.malloc import Allocator
from gomap.golang.marks import SLOTS, marks_of
from gomap.golang.structure import Structure, SwissTable
from gomap.golang.swiss import CTRL_DELETED, CTRL_EMPTY, MARKS, MAX_DIRECTORY, SwissMap
from gomap.target import Record

#: Findings of Structure that say the same here.
_TAKEN = frozenset({"nil-table", "unreadable", "bad-table"})
#: Entries of a directory that are kept beside each other: those of some hundred million entries.
MAX_COMPARED = 1 << 18


def check(found: SwissMap, hasher: Hasher, plan: Plan | None, full: bool) -> Checked:
    """Every invariant of the map. plan: its hash function, None when it is not known."""
    return _Checker(found, hasher, plan, full).run()


class _Checker:
    def __init__(self, found: SwissMap, hasher: Hasher, plan: Plan | None, full: bool) -> None:
        self.map, self.target, self.shape = found, found.target, found.shape
        self.size = found.shape.slots.size
        self.findings = Findings(found.writing, found.address)
        seed = found.header["seed"]
        live = range(CTRL_EMPTY)
        self.keys = KeyCheck(found.target, found.shape.slots, hasher, plan, seed, live, self.findings, bounded=not full)
        self.step = sample_step(found.count, full)
        self.bits = 8 * self.target.arch.pointer_size
        self.depth = 0
        self.wrong: list[tuple[str, str, int]] = []
        self.places: set[tuple[int, int]] = set()  # (group, slot) of these
        self.wrong_marks = 0
        self.bogus: dict[int, int] = {}  # table (address) -> live slots that are no entries of their own
        self.live: dict[int, int] = {}  # table (address) -> live slots
        self.spoilt: set[int] = set()  # tables whose control bytes make no sense: they do not add up

    def run(self) -> Checked:
        findings, header = self.findings, self.map.header
        if header["writing"] > 1:
            what = f"writing is {header['writing']}, which no write leaves there"
            findings.add("bad-flags", what, self.map.address)
        elif self.map.writing:
            what = "the program is inside a write to this map (its write flag is up), or a race left it so"
            findings.note("writing", what, self.map.address)
        if not header["dirPtr"]:
            if header["used"]:
                what = f"the header counts {header['used']:,} entries, and there is no group"
                findings.add("count-mismatch", what, self.map.address)
            return Checked(0, 0, findings.done())
        if not self._directory_size():
            return Checked(0, 0, findings.done(), 0.0)
        structure = self.map.structure(Allocator())
        for one in structure.anomalies:
            if one.code in _TAKEN:
                findings.add(one.code, one.message, one.address)
                findings.unsure = True
        if self.map.small:
            self._small(structure)
        else:
            self._tables(structure)
        if self._seed_is_wrong():
            what = f"seed is {header['seed']:#x}, and with it no key has the control byte it is stored under"
            findings.only("bad-seed", what, self.map.address)
        else:
            for code, message, address in self.wrong:
                findings.add(code, message, address)
            self._duplicates(structure)
            self._adds_up(structure)
        live = structure.total.live
        share = self.keys.share(live, self.step)
        return Checked(live, self.keys.checked, findings.done(), share, self.keys.random)

    # -- the directory ---------------------------------------------------------------------------

    def _directory_size(self) -> bool:
        """dirLen, globalDepth and globalShift say one thing three times: the odd one out is told, and mended
        in our copy of the header. False: they say three things."""
        header, bits, add = self.map.header, self.bits, self.findings.add
        length, depth, shift = header["dirLen"], header["globalDepth"], header["globalShift"]
        if length == depth == shift == 0:
            return True
        of_length = length.bit_length() - 1 if length and not length & (length - 1) and length <= MAX_DIRECTORY else -1
        of_shift = bits - shift
        if of_length == depth == of_shift:
            self.depth = depth
            return True
        if not length and depth != of_shift:
            # Neither is a directory's: the map is small, and one of them is wrong.
            wrong = f"globalDepth is {depth}" if depth else f"globalShift is {shift}"
            add(
                "bad-depth" if depth else "bad-shift",
                f"{wrong}, and the map has no directory",
                self.map.address,
            )
            self._mend(0, 0, 0)
            return True
        if depth == of_shift and 0 <= depth < 40:
            what = f"dirLen is {length:,}, and globalDepth {depth} and globalShift {shift} say {1 << depth:,}"
            add("bad-dirlen", what, self.map.address)
        elif of_length == of_shift >= 0:
            add(
                "bad-depth",
                f"globalDepth is {depth}, and dirLen {length:,} and globalShift say {of_length}",
                self.map.address,
            )
        elif of_length == depth:
            add(
                "bad-shift",
                f"globalShift is {shift}, and dirLen {length:,} says {bits - depth}",
                self.map.address,
            )
        else:
            what = f"dirLen {length:,}, globalDepth {depth} and globalShift {shift} fit no two together"
            add("bad-dirlen", what, self.map.address)
            return False
        self.depth = of_length if of_length in (depth, of_shift) else depth
        self._mend(1 << self.depth, self.depth, bits - self.depth)
        return True

    def _mend(self, length: int, depth: int, shift: int) -> None:
        header, data = self.map.header, bytearray(self.map.header.data)
        for name, value in (("dirLen", length), ("globalDepth", depth), ("globalShift", shift)):
            f = header.type.field(name)
            assert f is not None
            data[f.offset : f.offset + f.type.size] = value.to_bytes(f.type.size, header.arch.byte_order)  # type: ignore[arg-type]
        self.map = replace(self.map)
        self.map.header = Record(header.arch, header.type, header.address, bytes(data))

    def _entries_of_directory(self) -> dict[int, list[int]]:
        """Every table with the indices of the directory entries that name it."""
        word = self.target.arch.pointer_size
        data = self.target.memory.read(self.map.header["dirPtr"], self.map.header["dirLen"] * word)
        entries = array("Q" if word == 8 else "I", data)
        if self.target.arch.byte_order != sys.byteorder:
            entries.byteswap()
        found: dict[int, list[int]] = {}
        for index, table in enumerate(entries):
            found.setdefault(table, []).append(index)
        return found

    def _directory(self, tables: dict[int, SwissTable]) -> dict[int, tuple[int, int]]:
        """Each table's part of the directory, as (first index, how many entries): what the entries and the
        table say, and where they differ, what fits the other tables."""
        length = self.map.header["dirLen"]
        if length > MAX_COMPARED:
            what = f"the directory has {length:,} entries: they were not compared one by one with their tables"
            self.findings.note("directory-not-compared", what, self.map.address)
            return {}
        try:
            entries = self._entries_of_directory()
        except GomapError:
            return {}  # told already
        header, size = self.map.header, 1 << self.depth
        lost = header["used"] != sum(table.used for table in tables.values())
        claimed: dict[int, int] = {}
        claims = {}
        for address, table in tables.items():
            length = size >> table.local_depth if table.local_depth <= self.depth else 0
            claims[address] = range(table.index, table.index + length)
            if table.index >= 0 and length and all(i in claims[address] for i in entries[address]):
                claimed.update((i, address) for i in entries[address])
        parts = {}
        if sum(map(len, claims.values())) > 4 * size:
            what = f"by the tables' localDepth the directory of {size:,} entries would have to be several times as long"
            self.findings.add("bad-local-depth", what, header["dirPtr"])
            self.findings.unsure = True
            return {}
        for address, table in tables.items():
            named, claim = entries[address], claims[address]
            first, length = named[0], len(named)
            parts[address] = (first, length)
            if named == list(claim):
                continue
            extra = [i for i in named if i not in claim]
            naming = set(named)
            missing = [i for i in claim if i not in naming]
            if named == list(range(first, first + length)) and length == len(claim):
                what = f"table {address:#x} has index {table.index}, and the directory names it at {first}"
                self.findings.add("bad-index", what, address)
            elif extra and len(extra) < length and (lost or named != list(range(first, first + length))):
                at = header["dirPtr"] + extra[0] * self.target.arch.pointer_size
                what = f"directory entry {extra[0]} names table {table.index}, whose entries are {claim.start} to"
                self.findings.add("bad-directory", f"{what} {claim.stop - 1}", at)
                self.findings.unsure = True
                parts[address] = (claim.start, len(claim))
            elif missing and not extra and not all(i in claimed for i in missing):
                parts[address] = (claim.start, len(claim))  # the entry that names none, or another, is told
            else:
                what = f"table {table.index} has localDepth {table.local_depth}, and {length} entries of the directory"
                self.findings.add("bad-local-depth", f"{what} name it (globalDepth {self.depth})", address)
        return parts

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

        for slot in self.keys.bad(data, [address], wanted):
            self.places.add((address, slot.slot))
            self._wrong_mark(0, f"slot {slot.slot}", slot.mark, slot.hash & whole, address)

    def _tables(self, structure: Structure) -> None:
        tables = {table.address: table for table in structure.tables}
        first_of = self._directory(tables)
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
                self.live[table.address] = MARKS.count_live(marks_of(data, self.size))
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
            meaning = "which a small map never has" if strange[0] == CTRL_DELETED else "which means nothing"
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
        np = numpy()
        wanted = (
            self._wanted_one(owner, start, firsts, masks, has_empty)
            if np is None
            else self._wanted_many(owner, start, firsts, masks, has_empty)
        )
        for slot in self.keys.bad(data, addresses, wanted):
            number = owner[slot.block]
            table, group = tables[number], slot.block - start[number]
            where = f"table {table.index} group {group} slot {slot.slot}"
            at = addresses[slot.block]
            self.places.add((at, slot.slot))
            entry = slot.hash >> self.bits - self.depth if self.depth else 0
            first, length = firsts[number]
            if not first <= entry < first + length:
                what = f"{where}: its key's hash names directory entry {entry}, which is another table's"
                self._wrong("misplaced-key", what, at, table.address)
                self.wrong_marks += h2(slot.hash) != slot.mark
            elif h2(slot.hash) != slot.mark:
                self._wrong_mark(table.address, where, slot.mark, slot.hash, at)
            else:
                home = next(probe(slot.hash, masks[number]))
                what = f"{where}: its key's search starts in group {home} and ends before it comes here"
                self._wrong("unreachable-key", what, at, table.address)

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

    def _wanted_one(
        self,
        owner: list[int],
        start: list[int],
        firsts: list[tuple[int, int]],
        masks: list[int],
        empty: bytes,
    ) -> Any:
        def wanted(block: int, mark: int, hash_: int) -> bool:
            number = owner[block]
            first, length = firsts[number]
            entry = hash_ >> self.bits - self.depth if self.depth else 0
            if h2(hash_) != mark or not first <= entry < first + length:
                return False
            for group in probe(hash_, masks[number]):
                if start[number] + group == block:
                    return True
                if empty[start[number] + group]:
                    return False
            return False

        return wanted

    def _wanted_many(
        self,
        owner: list[int],
        start: list[int],
        firsts: list[tuple[int, int]],
        masks: list[int],
        empty: bytes,
    ) -> Any:
        np = numpy()
        assert np is not None
        owners, starts = np.array(owner), np.array(start)
        first = np.array([f for f, _ in firsts])
        behind = np.array([f + n for f, n in firsts])
        mask, ends = np.array(masks), np.frombuffer(empty, np.uint8).astype(bool)

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

    def _wrong_mark(self, table: int, where: str, mark: int, hash_: int, address: int) -> None:
        self.wrong_marks += 1
        what = f"{where}: H2 is {mark:#04x}, and its key's hash has {h2(hash_):#04x}"
        self._wrong("bad-h2", what, address, table)

    def _wrong(self, code: str, message: str, address: int, table: int) -> None:
        if len(self.wrong) < 4096:
            self.wrong.append((code, message, address))
        self.bogus[table] = self.bogus.get(table, 0) + 1

    # -- what it adds up to ----------------------------------------------------------------------

    def _seed_is_wrong(self) -> bool:
        judged = self.keys.checked
        return self.wrong_marks >= max(4, judged // 2) and self.wrong_marks * 10 >= judged * 9

    def _duplicates(self, structure: Structure) -> None:
        starts = sorted(
            (t.groups_address, t.groups_address + t.groups * self.size, t.address) for t in structure.tables
        )
        for address, slot, other, other_slot in self.keys.duplicates():
            if (address, slot) in self.places or (other, other_slot) in self.places:
                continue  # told already
            what = f"slot {other_slot} of group {other:#x} has the same key as slot {slot} of group {address:#x}"
            self.findings.add("duplicate-key", what, other)
            table = next((t for start, end, t in starts if start <= other < end), 0)
            self.bogus[table] = self.bogus.get(table, 0) + 1

    def _adds_up(self, structure: Structure) -> None:
        header, add, findings = self.map.header, self.findings.add, self.findings
        used, live = header["used"], structure.total.live
        in_tables = used == sum(table.used for table in structure.tables)
        blamed = False
        for table in structure.tables:
            if table.address in self.spoilt:
                continue
            live_here = self.live.get(table.address, 0)
            missing = table.used - live_here
            if missing > 0 or -missing > self.bogus.get(table.address, 0):
                blamed = True
                code = "lost-entry" if in_tables and missing > 0 else "bad-used"
                what = f"table {table.index} counts {table.used} entries, and has {live_here}"
                add(code, what, table.address)
            if table.groups * SLOTS == live_here + table.tombstones:
                # growthLeft, which keeps that from happening, is wrong too then.
                add("no-empty-slot", f"table {table.index} has no empty slot: searches never end", table.address)
                continue
            limit = table.capacity * 7 // 8
            fits = {limit - n - table.tombstones for n in (table.used, live_here)}
            if table.growth_left not in fits:
                what = f"table {table.index} has growthLeft {table.growth_left}"
                told = f"{what}, and {limit} less {live_here} entries and {table.tombstones} tombstones is left"
                add("bad-growth-left", told, table.address)
        extra = sum(self.bogus.values())
        if not findings.unsure and not blamed and (used > live or live - used > extra):
            add(
                "count-mismatch",
                f"the header counts {used:,} entries, and there are {live:,}",
                self.map.address,
            )
        possible = header.type.field("tombstonePossible") is not None
        if possible and not header["tombstonePossible"] and structure.total.tombstones and not findings.unsure:
            what = f"tombstonePossible is false, and there are {structure.total.tombstones:,} tombstones"
            add("bad-tombstone-flag", what, self.map.address)
        if self.map.small and used > SLOTS and not findings.counts:
            add("count-mismatch", f"a small map counts {used:,} entries", self.map.address)


_KNOWN_SMALL = bytes(range(CTRL_EMPTY + 1))
_KNOWN = _KNOWN_SMALL + bytes([CTRL_DELETED])
_IS_EMPTY = bytes(1 if mark == CTRL_EMPTY else 0 for mark in range(256))
