"""One wrong field of a classic map's header, where it explains that many keys are not where their hashes name them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gomap.columns.choose import columns
from gomap.errors import MemoryFault
from gomap.golang.layouts.classic.map import ClassicMap
from gomap.golang.layouts.classic.overflow import BucketArray
from gomap.golang.layouts.classic.scan import tophash
from gomap.golang.layouts.integrity import Findings, KeyCheck, Slot
from gomap.memory import CHUNK


@dataclass
class MisplacedKey:
    """A key that lies where its hash does not name it."""

    array: BucketArray
    bucket: int
    address: int
    slot: Slot


@dataclass(frozen=True)
class Cause:
    """zeroed: a clear has zeroed the keys, which explains it."""

    code: str
    message: str
    zeroed: bool = False


@dataclass(frozen=True)
class Evidence:
    """What the keys of a map have shown. growing: it has an old array. zeroing: a clear zeroes its array. live: entries
    found. wrong: the first keys that lie where their hashes do not name them; wrong_marks: how many have another
    tophash; wrong_places: how many another bucket."""

    map: ClassicMap
    main: BucketArray
    keys: KeyCheck
    growing: bool
    zeroing: bool
    live: int
    wrong: list[MisplacedKey]
    wrong_marks: int
    wrong_places: int

    def cause(self) -> Cause | None:
        """The one field of the header that explains them all. None where there is none."""
        judged, B = self.keys.checked, self.map.B
        if self.wrong_marks >= max(4, judged // 2) and self.wrong_marks * 10 >= judged * 9:
            what = f"hash0 is {self.map.header['hash0']:#x}, but with it no key has its stored tophash"
            return Cause("bad-seed", what, self.zeroing)
        if self.growing:
            return None
        if self.wrong_places >= max(4, judged // 8):
            fitting = next((fewer for fewer in reversed(range(B)) if self._fits(fewer)), None)
            if fitting is not None:
                return Cause("bad-B", f"B is {B}, but the keys are placed as with B {fitting}")
        if self.live < self.map.count and self.main.count and self._goes_on():
            return Cause("bad-B", f"B is {B}, but the array continues past its {self.main.count:,} buckets")
        return None

    def _fits(self, B: int) -> bool:
        """Whether the keys in the first 2^B buckets are where a map of that B has them."""
        inside = [w for w in self.wrong if w.bucket < 1 << B]
        return len(inside) >= 4 and all(w.slot.hash & (1 << B) - 1 == w.bucket for w in inside)

    def _goes_on(self) -> bool:
        """Whether behind the array lie buckets with keys that belong there if B were one more."""
        target, shape, count = self.map.target, self.map.shape.slots, self.main.count
        address = self.main.address + count * shape.size
        here = min(count, max(CHUNK // shape.size, 1))
        try:
            data = target.memory.read(address, here * shape.size)
        except MemoryFault:
            return False
        probe = KeyCheck(
            target, shape, self.keys.hasher, self.keys.plan, self.keys.seed, self.keys.live,
            Findings(False, 0), bounded=self.keys.bounded,
        )  # fmt: skip
        addresses = range(address, address + here * shape.size, shape.size)

        mask, named = columns().numbers(2 * count - 1), columns().numbers(range(count, count + here))

        def wanted(block: Any, mark: Any, hash_: Any) -> Any:
            return (hash_ & mask == named[block]) & (tophash(hash_, target.arch) == mark)

        bad = sum(1 for _ in probe.bad(data, addresses, wanted))
        return probe.checked > 0 and bad * 10 <= probe.checked
