"""Maps that the program goes on writing to while they are read: what may be torn, and how far numbers may be off.

Every command reads, reads the headers again, reads again what has changed, and states the bound. maps.view notes each
map that it makes a view of (HeldMemory.noted); `bounds` reads the headers of all of them once more. `steady` is for
work that finds faults: a map that is written to looks like one that is corrupt.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, cast

from gomap import maps, report
from gomap.anomaly import Anomaly
from gomap.errors import GomapError, MemoryFault
from gomap.golang.layouts.layout import MapView
from gomap.golang.layouts.structure import Structure
from gomap.golang.runtime.malloc import Allocator
from gomap.human import plural
from gomap.memory import RecordingMemory, forget, noted
from gomap.reads import gather
from gomap.results.answer import BoundFacts, MapBound
from gomap.target import Target

#: How often a map is read that changed while it was.
MAX_READINGS = 3
#: Seconds after which nothing is read once more.
PATIENCE = 1.0
#: A fault counts if the memory that it was found in stays the same in so many more readings, and the fault with it,
#: which is looked for again after each so many; of a large map, whose readings take longer than PATIENCE, after the
#: first so many. Seconds before each reading, 0.02 in all: uneven, so that no writer stays in step with them.
AT_REST, LOOK_AGAIN = 16, 6
PAUSES = (0.0, 0.0003, 0.0011, 0.0007, 0.0023, 0.0002, 0.0047)
#: Maps whose bounds are listed one by one.
MAX_TOLD = 256

_R = TypeVar("_R")


@dataclass(frozen=True)
class Bounds:
    """What may be torn in an answer about a program that goes on. maps: whose headers were read again. written: those
    of them that changed, with the most that their number of entries may be off. gone: headers that are in memory that
    can't be read any more, or hold something else. untold: those of all these for which the answer has no bound of its
    own."""

    maps: int = 0
    written: dict[int, int] = field(default_factory=dict)
    gone: int = 0
    untold: int = 0

    @property
    def entries(self) -> int:
        """The most that the number of entries of all of them together may be off."""
        return sum(self.written.values())

    def of(self, address: int) -> int:
        """The most that the number of entries of the map whose header is at `address` may be off."""
        return self.written.get(address, 0)

    def facts(self) -> BoundFacts:
        """The same as a result, for JSON: the maps with the largest bounds first, at most MAX_TOLD."""
        ordered = sorted(self.written.items(), key=lambda item: (-item[1], item[0]))
        of = [MapBound(address, bound) for address, bound in ordered[:MAX_TOLD]]
        return BoundFacts(self.maps, len(self.written), self.gone, self.entries, of)


def begin(target: Target) -> None:
    """Forgets what was noted before."""
    seen = noted(target.memory)
    if seen is not None:
        seen.clear()
        getattr(target.memory, "counted", []).clear()
        forget(target.memory)


def bounds(target: Target) -> Bounds | None:
    """The bounds for all maps looked at so far: their headers are read again. None if the program is stopped."""
    seen = noted(target.memory) if target.running else None
    if seen is None:
        return None
    forget(target.memory)
    written, gone = dict[int, int](), set[int]()
    for address, now in _now(target, seen):
        one = seen[address]
        if now is None:
            gone.add(address)
        elif one.first.nonsense is None and (one.written or now != one.first.header.data):
            try:
                if maps.again(one.first).nonsense is None:
                    written[address] = one.high - one.low
                else:
                    gone.add(address)
            except GomapError:
                gone.add(address)
    number = len(seen)
    for census in getattr(target.memory, "counted", ()):
        number += sum(address not in seen for address in census.addresses)
        for row, count in census.reader.changed():
            address = census.addresses[row]
            if count is None:
                gone.add(address)
            elif address not in gone:
                written[address] = max(written.get(address, 0), abs(count - census.counts[row]))
    untold = sum(not (address in seen and seen[address].told) for address in (*written, *gone))
    return Bounds(number, written, len(gone), untold)


def bounds_of(target: Target, address: int, entries: int | None = None) -> int | None:
    """The bound of the map whose header lies there, which was looked at: None where it did not change since. entries:
    how many were found, where they have to agree with the header and do not."""
    seen = noted(target.memory) if target.running else None
    one: maps.Seen | None = None if seen is None else seen.get(address)
    if one is None:
        return None
    forget(target.memory, address, one.first.shape.header.size)
    try:
        maps.again(one.first)
    except GomapError:
        one.written = True
    one.told = True
    if entries is not None:
        one.widen(entries)
    return one.high - one.low if one.written else None


def _now(target: Target, seen: Mapping[int, maps.Seen]) -> Iterator[tuple[int, memoryview | None]]:
    """The headers, read again; None for one that can't be read."""
    sizes: dict[int, list[int]] = {}
    for address, one in seen.items():
        sizes.setdefault(one.first.shape.header.size, []).append(address)
    for size, addresses in sizes.items():
        yield from gather(target.memory, sorted(addresses), size)


def told(found: report.ToldBounds) -> list[Anomaly]:
    """The same in words."""
    anomalies = []
    if found.written:
        number, of = len(found.written), plural(found.maps, "map")
        most, at = max((bound, address) for address, bound in found.written.items())
        off = f": numbers of entries may be off by {found.entries:,}" if most else ""
        if found.maps == 1:
            return [Anomaly("warning", "torn-read", f"the map was written to while it was read{off}", at)]
        off += f" in all ({most:,} at most for one map, {at:#x})" if number > 1 and most else ""
        what = f"{number:,} of {of} {'were' if number > 1 else 'was'} written to while {{}} read{off}"
        what = what.format("they were" if number > 1 else "it was")
        anomalies.append(Anomaly("warning", "torn-read", what, at if number == 1 else None))
    if found.gone:
        verb = "were" if found.gone > 1 else "was"
        what = f"{plural(found.gone, 'map')} {verb} freed while the program was read"
        anomalies.append(Anomaly("warning", "freed", what, None))
    return anomalies


# -- work that finds faults -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reading(Generic[_R]):
    """result: of the work. written: whether the map was written to while the work read it, so that faults mean nothing.
    bound: the most that its number of entries may be off, if asked for; None if the program is stopped."""

    result: _R
    written: bool = False
    bound: int | None = None


def steady(target: Target, work: Callable[[Target], _R], faults: Callable[[_R], object]) -> Reading[_R]:
    """Does the work, and repeats it if it finds faults in a map that is being written to. faults: the faults in a
    result, empty if there are none; for a map that does not change they are the same each time. Raises what the work
    raises."""
    if not target.running:
        return Reading(work(target))
    result, end = work(target), time.monotonic() + PATIENCE
    for i in range(MAX_READINGS):
        if not faults(result):
            return Reading(result)
        if i and time.monotonic() > end:
            break
        forget(target.memory)
        if _at_rest(target, work, faults, faults(result)):
            return Reading(result)
        forget(target.memory)
        result = work(target)
    return Reading(result, bool(faults(result)))


def counted(
    target: Target, work: Callable[[Target], _R], faults: Callable[[_R], object], entries: Callable[[], set[int]]
) -> Reading[_R]:
    """steady, of what has no header that counts: its entries are listed before and afterwards. The bound is how many of
    them are in one list alone."""
    if not target.running:
        return steady(target, work, faults)

    def listed() -> set[int]:
        forget(target.memory)
        try:
            return entries()
        except GomapError:  # what was written to leads anywhere
            return set()

    best: Reading[_R] | None = None
    end = time.monotonic() + PATIENCE
    for i in range(MAX_READINGS):
        if i and time.monotonic() > end:
            break
        before = listed()
        read = steady(target, work, faults)
        bound = len(before ^ listed())
        if best is None or bound < (best.bound or 0):
            best = Reading(read.result, read.written or bound > 0, bound)
        if not bound:
            break
    assert best is not None
    return best


def _at_rest(target: Target, work: Callable[[Target], _R], faults: Callable[[_R], object], wrong: object) -> bool:
    """Whether these faults are found again and again in memory that does not change."""
    recorder = _Recorder(target)
    try:
        if faults(work(cast(Target, recorder))) != wrong:
            return False
        regions, end = recorder.memory.regions(), time.monotonic() + PATIENCE
        for i in range(AT_REST):
            time.sleep(PAUSES[i % len(PAUSES)])
            forget(target.memory)
            if any(target.memory.read(at, len(data)) != data for at, data in regions):
                return False
            if i % LOOK_AGAIN == LOOK_AGAIN - 1:
                if faults(work(target)) != wrong:
                    return False
                if time.monotonic() > end:
                    break
    except MemoryFault:
        return False
    return True


class _Recorder:
    """The target, with a note of all memory that is read."""

    def __init__(self, inner: Target) -> None:
        self._inner, self.memory = inner, RecordingMemory(inner.memory)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


# -- walks ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Walked:
    """The result of a walk. found: the map with its header from before the walk. count: the header's count after the
    walk. bound: the largest difference between both counts and the entries found; None if the program is stopped, when
    they must agree. written: whether the map changed while it was read."""

    found: MapView
    structure: Structure
    count: int
    bound: int | None = None
    written: bool = False

    @property
    def anomalies(self) -> list[Anomaly]:
        """The faults of the map; if it was written to, only that."""
        if not self.written:
            return list(self.structure.anomalies)
        before, live = self.found.count, self.structure.total.live
        off = f" ± {self.bound:,}" if self.bound else ""
        what = f"the map was written to while it was read: it has {self.count:,}{off} entries"
        why = f"the header counted {before:,} before and {self.count:,} afterwards, and {live:,} entries were found"
        return [Anomaly("warning", "torn-read", f"{what} ({why})", self.found.address)]


def walked(found: MapView, rules: Allocator) -> Walked:
    """All of the map. Where the program goes on, the header is read again after the walk, and what changed is walked
    once more; the walk with the smallest bound counts. Raises MemoryFault, UnsupportedLayout."""
    target = found.target
    if not target.running:
        return Walked(found, found.structure(rules), found.count)
    best: Walked | None = None
    end = time.monotonic() + PATIENCE
    for i in range(MAX_READINGS):
        if i and time.monotonic() > end:
            break
        if i:
            forget(target.memory)
            found = maps.again(found)
        one = _walked(found, rules)
        if not one.written:
            _note(one)
            return one
        if best is None or (one.bound or 0) < (best.bound or 0):
            best = one
    assert best is not None
    _note(best)
    return best


def _walked(found: MapView, rules: Allocator) -> Walked:
    target = found.target

    def work(now: Target) -> tuple[MapView, Structure]:
        one = found if now is target else maps.on(found, now)
        return one, one.structure(rules)

    structure = found.structure(rules)
    forget(target.memory, found.address, found.shape.header.size)
    after = maps.again(found)
    counts = (after.count, found.count, structure.total.live)
    bound = max(counts) - min(counts)
    if after.header.data == found.header.data:
        wrong = _wrong((found, structure))
        if not wrong:
            return Walked(found, structure, found.count, 0)
        forget(target.memory)
        if _at_rest(target, work, _wrong, wrong):
            return Walked(found, structure, found.count, 0)
    return Walked(found, structure, after.count, bound, True)


def _wrong(read: tuple[MapView, Structure]) -> list[Any]:
    found, structure = read
    counted = [] if structure.total.live == found.count else [(found.count, structure.total.live)]
    strange = [structure.total.strange] if structure.total.strange else []
    return [*counted, *strange, *((one.code, one.message, one.address) for one in structure.anomalies)]


def _note(one: Walked) -> None:
    seen = noted(one.found.target.memory)
    if seen is not None and one.found.address in seen:
        known = seen[one.found.address]
        known.told = True
        if one.written:
            known.widen(one.structure.total.live)
