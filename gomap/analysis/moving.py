"""A map that the program goes on writing to while it is read."""

from __future__ import annotations

from dataclasses import dataclass

from gomap.anomaly import Anomaly
from gomap.golang.layouts.layout import MapView
from gomap.golang.layouts.structure import Structure
from gomap.golang.runtime.malloc import Allocator
from gomap.gotypes import GoType
from gomap.maps import view
from gomap.memory import forget
from gomap.target import Target

#: How often a map is walked that changed while it was.
MAX_WALKS = 3


@dataclass(frozen=True)
class Walked:
    """A map as a walk found it. found: with its header as that was before. count: entries, as the header counted them
    afterwards. bound: how far apart both counts and the entries that were found are; None where the program stands
    still, and they have to agree."""

    found: MapView
    structure: Structure
    count: int
    bound: int | None = None

    @property
    def anomalies(self) -> list[Anomaly]:
        """That the map changed while it was read, where it did."""
        if not self.bound:
            return []
        before, live = self.found.count, self.structure.total.live
        what = f"the map was written to while it was read: it has {self.count:,} ± {self.bound:,} entries"
        why = f"the header counted {before:,} before and {self.count:,} afterwards, and {live:,} entries were found"
        return [Anomaly("warning", "torn-read", f"{what} ({why})", self.found.address)]


def walked(target: Target, t: GoType, address: int, allocator: Allocator) -> Walked:
    """The map whose header lies at `address`. Where the program goes on, the header is read again after the walk, and
    what changed is walked once more; the walk with the smallest bound counts. Raises MemoryFault, UnsupportedLayout."""
    if not target.running:
        found = view(target, t, address)
        return Walked(found, found.structure(allocator), found.count)
    best: Walked | None = None
    for _ in range(MAX_WALKS):
        forget(target.memory)
        found = view(target, t, address)
        structure = found.structure(allocator)
        forget(target.memory)
        counts = (view(target, t, address).count, found.count, structure.total.live)
        one = Walked(found, structure, counts[0], max(counts) - min(counts))
        if best is None or best.bound is None or (one.bound or 0) < best.bound:
            best = one
        if not one.bound and not structure.anomalies:
            break
    assert best is not None
    return best
