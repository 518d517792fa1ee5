"""The directory of a Swiss map: whether all fields agree on its size, and which entries belong to each table.

internal/runtime/maps: map.go (directoryIndex, installTableSplit), table_debug.go (checkInvariants).
"""

from __future__ import annotations

import sys
from array import array
from dataclasses import dataclass, field

from gomap.errors import GomapError
from gomap.golang.layouts.integrity import EXPLAINED, Findings
from gomap.golang.layouts.structure import SwissTable
from gomap.golang.layouts.swiss.map import SwissMap
from gomap.golang.layouts.swiss.shape import MAX_DIRECTORY
from gomap.golang.layouts.swiss.writing import are_renumbered, replaced
from gomap.target import Record

#: Entries of a directory that are kept beside each other: those of some hundred million entries.
MAX_COMPARED = 1 << 18


@dataclass(frozen=True)
class Size:
    """The directory has 1 << depth entries. depth: None if unknown; small: there is no directory. code, message: the
    fault, None without one."""

    depth: int | None
    code: str | None = None
    message: str = ""
    small: bool = False


def size_of(header: Record, bits: int) -> Size:
    """dirLen, globalDepth and globalShift say one thing three times: the odd one out is wrong. bits: of a pointer."""
    length, depth, shift = header["dirLen"], header["globalDepth"], header["globalShift"]
    if length == depth == shift == 0:
        return Size(0, small=True)
    of_length = length.bit_length() - 1 if length and not length & (length - 1) and length <= MAX_DIRECTORY else -1
    of_shift = bits - shift
    if of_length == depth == of_shift:
        return Size(depth)
    if not length and depth != of_shift:
        # Neither is a directory's: the map is small, and one of them is wrong.
        code, wrong = ("bad-depth", f"globalDepth is {depth}") if depth else ("bad-shift", f"globalShift is {shift}")
        return Size(0, code, f"{wrong}, and the map has no directory", small=True)
    if depth == of_shift and 0 <= depth < 40:
        what = f"dirLen is {length:,}, and globalDepth {depth} and globalShift {shift} say {1 << depth:,}"
        return Size(depth, "bad-dirlen", what)
    if of_length == of_shift >= 0:
        what = f"globalDepth is {depth}, and dirLen {length:,} and globalShift say {of_length}"
        return Size(of_length, "bad-depth", what)
    if of_length == depth:
        return Size(depth, "bad-shift", f"globalShift is {shift}, and dirLen {length:,} says {bits - depth}")
    what = f"dirLen {length:,}, globalDepth {depth} and globalShift {shift} do not agree, not even two of them"
    return Size(None, "bad-dirlen", what)


@dataclass
class Directory:
    """The entries of a map's directory against its tables. incoming: tables that are about to replace another, which
    still counts."""

    map: SwissMap
    findings: Findings
    depth: int
    incoming: set[int] = field(default_factory=set)

    def parts(self, tables: dict[int, SwissTable]) -> dict[int, tuple[int, int]]:
        """Each table's part of the directory, as (first index, how many entries): what the entries and the
        table say, and where they differ, what fits the other tables. tables: by address."""
        length = self.map.header["dirLen"]
        if length > MAX_COMPARED:
            what = f"the directory has {length:,} entries: they were not compared one by one with their tables"
            self.findings.note("directory-not-compared", what, self.map.address)
            why = "not compared with their tables: there are too many"
            self.findings.skip("directory-entries", length, length, why)
            return {}
        try:
            entries = self._entries()
        except GomapError:
            return {}  # told already
        old = self._replaced(entries, tables)
        claims = {address: self._claim(table) for address, table in tables.items()}
        if sum(map(len, claims.values())) > 4 << self.depth:
            size = 1 << self.depth
            what = f"by the tables' localDepth the directory of {size:,} entries would have to be several times as long"
            self.findings.add("bad-local-depth", what, self.map.header["dirPtr"])
            self.findings.unsure = True
            return {}
        claimed = {
            i
            for address, table in tables.items()
            if table.index >= 0 and claims[address] and all(i in claims[address] for i in entries[address])
            for i in entries[address]
        }
        first_of = {address: named[0] for address, named in entries.items()}
        renumbered = self.map.writing and are_renumbered(tables.values(), first_of, self.depth)
        lost = self.map.header["used"] != sum(table.used for table in tables.values())
        parts = {}
        for address, table in tables.items():
            named, claim = entries[address], claims[address]
            by_claim = (
                address == old
                or address in self.incoming
                or self._differs(table, named, claim, claimed, lost, renumbered)
            )
            parts[address] = (claim.start, len(claim)) if by_claim else (named[0], len(named))
        return parts

    def _entries(self) -> dict[int, list[int]]:
        """Every table with the indices of the directory entries that name it."""
        arch = self.map.target.arch
        word = arch.pointer_size
        data = self.map.target.memory.read(self.map.header["dirPtr"], self.map.header["dirLen"] * word)
        entries = array("Q" if word == 8 else "I", data)
        if arch.byte_order != sys.byteorder:
            entries.byteswap()
        found: dict[int, list[int]] = {}
        for index, table in enumerate(entries):
            found.setdefault(table, []).append(index)
        return found

    def _replaced(self, entries: dict[int, list[int]], tables: dict[int, SwissTable]) -> int | None:
        """The table that a write is replacing in the directory."""
        swap = replaced(entries, tables, self.depth) if self.map.writing else None
        if swap is None:
            return None
        old, self.incoming = swap
        what = f"table {old:#x} is being replaced in the directory ({EXPLAINED})"
        self.findings.note("writing", what, old)
        return old

    def _claim(self, table: SwissTable) -> range:
        """The entries of the directory that a table says are its own."""
        length = (1 << self.depth) >> table.local_depth if table.local_depth <= self.depth else 0
        return range(table.index, table.index + length)

    def _differs(
        self, table: SwissTable, named: list[int], claim: range, claimed: set[int], lost: bool, renumbered: bool
    ) -> bool:
        """Reports directory entries that do not match a table's index and localDepth. Returns whether the table is
        right.

        claimed: entries that point to the table that claims them. lost: the header's and the tables' counts differ.
        """
        if named == list(claim):
            return False
        first, length = named[0], len(named)
        in_a_row = named == list(range(first, first + length))
        extra = [i for i in named if i not in claim]
        missing = set(claim).difference(named)
        if in_a_row and length == len(claim):
            what = f"table {table.address:#x} has index {table.index}, but the directory names it at {first}"
            self.findings.add("bad-index", what, table.address, renumbered)
            return False
        if extra and len(extra) < length and (lost or not in_a_row):
            at = self.map.header["dirPtr"] + extra[0] * self.map.target.arch.pointer_size
            what = f"directory entry {extra[0]} names table {table.index}, whose entries are {claim.start} to"
            self.findings.add("bad-directory", f"{what} {claim.stop - 1}", at)
            self.findings.unsure = True
            return True
        if missing and not extra and not missing <= claimed:
            return True  # the entry that points to nothing or to another table is reported
        what = f"table {table.index} has localDepth {table.local_depth}, and {length} entries of the directory"
        self.findings.add("bad-local-depth", f"{what} name it (globalDepth {self.depth})", table.address)
        return False
