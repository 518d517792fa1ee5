"""What changed between two snapshots: which map is which, and by how much each has changed.

Within one process a map is its header's address, as long as no other map has been allocated there since: a new map has
a new seed. A map that was emptied has a new seed too (clear, and the delete of its last entry): it is the same one
where clearSeq went up, or where it still has its array, and that array is empty, or is so large that no other map is
likely to get it, or the same variable (not an element of a container) leads to it. What else has a new seed at its old
address is another map, or was emptied, filled again and grown: Change.replaced.

Across processes and builds a map is what has its type and path (no path: its type and the function that allocated it);
of several the largest are compared with each other.

Cost is linear in the number of maps: rows that agree in all columns are skipped, and only rows that are shown become
objects.
"""

from __future__ import annotations

import contextlib
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import nlargest
from operator import itemgetter
from typing import Callable, Optional

from gomap.snapshots.columns import UNKNOWN_NUMBER, SavedEntries, Scalar, Snapshot

#: An array of so many bytes is an object of its own (runtime/sizeclasses.go: larger ones are in no size class).
LARGE = 32 << 10
#: Row of the first and of the second snapshot; None where it is not there.
Pair = tuple[Optional[int], Optional[int]]


@dataclass(frozen=True)
class Figures:
    """tombstones, load: None where they are not known."""

    count: int = 0
    bytes: int = 0
    tombstones: int | None = 0
    load: float | None = 0.0


NOTHING = Figures()


@dataclass(frozen=True)
class Change:
    """what: appeared, vanished, grew or shrank (by entries; by bytes where these are as many), or changed: its
    tombstones or load. path: in the second snapshot or, where no variable leads to the map there, in the first. lost:
    no variable leads to it any more. replaced: a map of its type lies at its address in both snapshots, and nothing
    proves that it is one."""

    what: str
    type: str
    path: str
    owner: str
    kind: str
    origin: str
    address: int
    before: Figures
    after: Figures
    lost: bool = False
    replaced: bool = False

    @property
    def entries(self) -> int:
        """By how many entries the map grew; negative where it shrank."""
        return self.after.count - self.before.count

    @property
    def bytes(self) -> int:
        """By how many bytes held the map grew; negative where it shrank."""
        return self.after.bytes - self.before.bytes

    @property
    def tombstones(self) -> int:
        """0 where one of the two numbers is not known."""
        before, after = self.before.tombstones, self.after.tombstones
        return 0 if before is None or after is None else after - before


@dataclass
class ChangedGroup:
    """The changed maps of one type that one package variable or function leads to; owner empty: no variable does.
    alone: the change, of the group that grew most, where that is one map."""

    owner: str
    type: str
    number: dict[str, int] = field(default_factory=dict)
    entries: int = 0
    bytes: int = 0
    tombstones: int = 0
    alone: Change | None = None


@dataclass
class Total:
    """Sums over maps. bytes: held."""

    maps: int = 0
    entries: int = 0
    bytes: int = 0
    tombstones: int = 0


@dataclass
class Difference:
    """same_process: told by hash keys; None where these are not known. unchanged: maps that are the same in all.
    every: how many have changed. grew_most: the group that did."""

    same_process: bool | None
    before: Total
    after: Total
    number: dict[str, int]
    unchanged: int
    groups: list[ChangedGroup]
    changes: list[Change]
    every: int = 0
    grew_most: ChangedGroup | None = None


#: What changes can be ranked by, with the columns.
ORDERS = {"bytes": "held", "entries": "counts", "tombstones": "tombstones", "load": "loads"}
WHATS = ("appeared", "vanished", "grew", "shrank", "changed")


def compare(before: Snapshot, after: Snapshot, by: str, most: int, as_one: bool = False) -> Difference:
    """most: how many changes are listed, the largest first; 0: all. as_one: each side has at most one map, and the user
    wants these compared."""
    known = before.source.process, after.source.process
    same = None if not all(known) else known[0] == known[1]
    number = dict.fromkeys(WHATS, 0)
    groups: dict[tuple[str, str], ChangedGroup] = {}
    pairs: list[tuple[float, int, int, Pair, str]] = []
    unchanged = 0
    look = _Looks(before, after, by, bool(same))
    one: Pair = (0 if len(before) else None, 0 if len(after) else None)
    for pair in [one] * (one != (None, None)) if as_one else _pairs(before, after, bool(same)):
        what = look.what(pair)
        if what is None:
            unchanged += 1
            continue
        number[what] += 1
        look.add(groups, pair, what)
        pairs.append((*look.amounts(pair), -len(pairs), pair, what))
    key = itemgetter(0, 1, 2)
    best = sorted(pairs, key=key, reverse=True) if not most else nlargest(most, pairs, key=key)
    order: Callable[[ChangedGroup], float] = {
        "entries": lambda one: one.entries, "tombstones": lambda one: one.tombstones
    }.get(by, lambda one: one.bytes)  # fmt: skip
    grew = [one for one in groups.values() if order(one) > 0]
    grew_most = max(grew, key=lambda one: (order(one), one.bytes), default=None)
    if grew_most is not None and sum(grew_most.number.values()) == 1:
        grew_most.alone = look.change(*look.firsts[grew_most.owner, grew_most.type])
    return Difference(
        same,
        _total(before),
        _total(after),
        number,
        unchanged,
        sorted(groups.values(), key=lambda one: (abs(order(one)), one.entries), reverse=True),
        [look.change(pair, what) for _, _, _, pair, what in best],
        len(pairs),
        grew_most,
    )


def _total(one: Snapshot) -> Total:
    dead = sum(number for number in one.tombstones if number > 0)
    return Total(len(one), sum(one.counts), sum(one.held), dead)


def _pairs(before: Snapshot, after: Snapshot, same_process: bool) -> Iterator[Pair]:
    """Every map of both, once."""
    return _by_address(before, after) if same_process else _by_name(before, after)


def _by_address(before: Snapshot, after: Snapshot) -> Iterator[Pair]:
    """Both are in the order of addresses."""
    one, two = before.addresses, after.addresses
    i = j = 0
    while i < len(one) and j < len(two):
        a, b = one[i], two[j]
        if a == b:
            if is_same(before, i, after, j):
                yield i, j
            else:
                yield i, None
                yield None, j
            i, j = i + 1, j + 1
        elif a < b:
            yield i, None
            i += 1
        else:
            yield None, j
            j += 1
    yield from ((k, None) for k in range(i, len(one)))
    yield from ((None, k) for k in range(j, len(two)))


def is_same(before: Snapshot, i: int, after: Snapshot, j: int) -> bool:
    """Whether what lies at one address of one process is the same map in both."""
    type_, other = before.texts[before.types[i]], after.texts[after.types[j]]
    if before.seeds[i] == after.seeds[j]:
        # Without a seed (a sync.Map) the type decides; with one, a guessed type may have been guessed differently.
        return bool(before.seeds[i]) or type_ == other
    if type_ and other and type_ != other:
        return False
    if after.clears[j] > before.clears[i]:
        return True
    array = after.arrays[j]
    if not array or array != before.arrays[i]:
        return False
    path = _path(after, j)
    named = bool(path) and "[" not in path and path == _path(before, i)
    return named or not after.counts[j] or after.held[j] >= LARGE


def _by_name(before: Snapshot, after: Snapshot) -> Iterator[Pair]:
    rows: dict[tuple[str, str, str, str], tuple[list[int], list[int]]] = {}
    for side, one in enumerate((before, after)):
        texts = one.texts
        for i, (type_, path, owner) in enumerate(zip(one.types, one.paths, one.owners)):
            # A path has its owner's name, but where it begins with a function's variable.
            key = texts[type_], texts[path], texts[owner], "" if path and texts[path] else texts[one.origins[i]]
            found = rows.get(key)
            if found is None:
                found = rows[key] = [], []
            found[side].append(i)
    for some, others in rows.values():
        if len(some) > 1:
            some.sort(key=lambda i: (before.held[i], before.counts[i]), reverse=True)
        if len(others) > 1:
            others.sort(key=lambda j: (after.held[j], after.counts[j]), reverse=True)
        yield from zip(some, others)
        yield from ((i, None) for i in some[len(others) :])
        yield from ((None, j) for j in others[len(some) :])


class _Looks:
    def __init__(self, before: Snapshot, after: Snapshot, by: str, same_process: bool) -> None:
        self.before, self.after, self.by, self.same_process = before, after, by, same_process
        self.firsts: dict[tuple[str, str], tuple[Pair, str]] = {}

    def what(self, pair: Pair) -> str | None:
        """Change.what; None of a map that is the same in all."""
        i, j = pair
        if i is None:
            return "appeared"
        if j is None:
            return "vanished"
        before, after = self.before, self.after
        entries, bytes_ = after.counts[j] - before.counts[i], after.held[j] - before.held[i]
        if entries or bytes_:
            return "grew" if (entries or bytes_) > 0 else "shrank"
        if after.tombstones[j] == before.tombstones[i] and after.loads[j] == before.loads[i]:
            return None
        return "changed"

    def amounts(self, pair: Pair) -> tuple[float, int]:
        """By how much it has changed: what changes are ranked by, and entries."""
        i, j = pair
        column = ORDERS[self.by]
        old = 0 if i is None else self.before.column(column)[i]
        new = 0 if j is None else self.after.column(column)[j]
        amount = 0 if UNKNOWN_NUMBER in (old, new) else abs(new - old)
        entries = (0 if j is None else self.after.counts[j]) - (0 if i is None else self.before.counts[i])
        return amount, abs(entries)

    def add(self, groups: dict[tuple[str, str], ChangedGroup], pair: Pair, what: str) -> None:
        i, j = pair
        side, row = (self.after, j) if j is not None else (self.before, i or 0)
        owner, type_ = side.texts[side.owners[row]], side.texts[side.types[row]]
        if not owner and i is not None:
            owner = self.before.texts[self.before.owners[i]]
        group = groups.get((owner, type_))
        if group is None:
            group = groups[owner, type_] = ChangedGroup(owner, type_)
            self.firsts[owner, type_] = pair, what
        group.number[what] = group.number.get(what, 0) + 1
        before, after = self.before, self.after
        old = (0, 0, 0) if i is None else (before.counts[i], before.held[i], before.tombstones[i])
        new = (0, 0, 0) if j is None else (after.counts[j], after.held[j], after.tombstones[j])
        group.entries += new[0] - old[0]
        group.bytes += new[1] - old[1]
        if UNKNOWN_NUMBER not in (old[2], new[2]):
            group.tombstones += new[2] - old[2]

    def change(self, pair: Pair, what: str) -> Change:
        i, j = pair
        side, row = (self.after, j) if j is not None else (self.before, i or 0)

        def told(name: str) -> str:
            now = side.texts[side.column(name)[row]]
            return now or ("" if i is None else self.before.texts[self.before.column(name)[i]])

        lost = i is not None and j is not None and bool(_path(self.before, i)) and not _path(self.after, j)
        return Change(
            what, told("types"), told("paths"), told("owners"), told("kinds"), told("origins"), side.addresses[row],
            _figures(self.before, i), _figures(self.after, j), lost, self._replaced(pair),
        )  # fmt: skip

    def _replaced(self, pair: Pair) -> bool:
        i, j = pair
        if not self.same_process or (i is None) == (j is None):
            return False
        mine, row, other = (self.after, j, self.before) if j is not None else (self.before, i, self.after)
        address = mine.addresses[row or 0]
        k = bisect_left(other.addresses, address)
        there = k < len(other) and other.addresses[k] == address
        return there and other.texts[other.types[k]] == mine.texts[mine.types[row or 0]]


def _path(one: Snapshot, i: int) -> str:
    return one.texts[one.paths[i]]


def _figures(one: Snapshot, i: int | None) -> Figures:
    if i is None:
        return NOTHING
    dead, load = one.tombstones[i], one.loads[i]
    return Figures(
        one.counts[i], one.held[i], None if dead == UNKNOWN_NUMBER else dead, None if load == UNKNOWN_NUMBER else load
    )


# -- one map -------------------------------------------------------------------------------------------


@dataclass
class EntryChanges:
    """Of one map. changed: (key, value before, value after)."""

    before: SavedEntries
    after: SavedEntries
    added: list[tuple[Scalar, Scalar]] = field(default_factory=list)
    removed: list[tuple[Scalar, Scalar]] = field(default_factory=list)
    changed: list[tuple[Scalar, Scalar, Scalar]] = field(default_factory=list)
    unchanged: int = 0


def compare_entries(before: SavedEntries, after: SavedEntries) -> EntryChanges:
    """In the order of keys. Keys with the same text (such as NaN) are compared in the order of the maps."""
    found = EntryChanges(before, after)
    old = _numbered(before)
    for key, value in _numbered(after).items():
        if key not in old:
            found.added.append((key[1], value))
            continue
        was = old.pop(key)
        if was == value and type(was) is type(value):
            found.unchanged += 1
        else:
            found.changed.append((key[1], was, value))
    found.removed = [(key[1], value) for key, value in old.items()]
    for changes in (found.added, found.removed, found.changed):
        with contextlib.suppress(TypeError):
            changes.sort(key=itemgetter(0))
    return found


def _numbered(listed: SavedEntries) -> dict[tuple[int, Scalar], Scalar]:
    """The values by key; keys with the same text are numbered."""
    found: dict[tuple[int, Scalar], Scalar] = {}
    again: dict[Scalar, int] = {}
    for key, value in zip(listed.keys, listed.values):
        if (0, key) in found:
            again[key] = again.get(key, 0) + 1
            found[again[key], key] = value
        else:
            found[0, key] = value
    return found
