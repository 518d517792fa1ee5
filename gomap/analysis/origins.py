"""Which source lines allocated what a map consists of, by the samples that the heap profiler took of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gomap.errors import GomapError
from gomap.golang.runtime import mapcalls
from gomap.golang.runtime.modules import OWN, Modules, modules
from gomap.golang.runtime.pclntab import Functions
from gomap.heap.profile import Profile, ProfileBucket, scaled
from gomap.target import Location, Target

#: The objects allocated for a map: (name of the part, addresses).
Objects = Iterable[tuple[str, Iterable[int]]]


@dataclass
class Origin:
    """One line. location: of the innermost call that is not of the runtime or of a package that operates on maps for
    others; None where the runtime alone is on the stack. caller: the innermost call of the program's own module, where
    that is another. samples: of what was allocated there. objects, bytes: that these stand for. sampled: bytes of the
    samples themselves. parts: their number by what they are. stacks: their number by what allocated them."""

    location: Location | None
    caller: Location | None
    samples: int = 0
    objects: int = 0
    bytes: int = 0
    sampled: int = 0
    parts: Counter[str] = field(default_factory=Counter)
    stacks: dict[ProfileBucket, int] = field(default_factory=dict)


@dataclass
class Origins:
    """Of one map. lines: those that allocated most first. unreadable: samples whose bucket is corrupt."""

    lines: list[Origin] = field(default_factory=list)
    samples: int = 0
    unreadable: int = 0

    @property
    def bytes(self) -> int:
        """Bytes that the samples of all lines stand for."""
        return sum(one.bytes for one in self.lines)


class OriginLines:
    """Who called the allocator: the lines of a program's stacks. What a bucket's stack says is worked out once."""

    def __init__(self, target: Target, profile: Profile) -> None:
        self.profile, self.rate = profile, profile.rate
        self._functions = Functions(target)
        self._modules: Modules = modules(target)
        self._known: dict[int, tuple[Location | None, Location | None]] = {}

    def stack(self, bucket: ProfileBucket) -> list[Location]:
        """The calls, the innermost first: of each pc its own, as the others of inlined calls follow."""
        found = []
        for pc in bucket.stack:
            try:
                found.append(self._functions.frames(pc - 1)[0])
            except GomapError:
                found.append(Location(f"{pc:#x}", None, None))
        return found

    def of(self, bucket: ProfileBucket) -> tuple[Location | None, Location | None]:
        """Origin.location and Origin.caller."""
        if bucket.address not in self._known:
            calls = [one for one in self.stack(bucket) if not mapcalls.is_between(one.function)]
            location = calls[0] if calls else None
            caller = next((one for one in calls if self._modules.owner(one.function) == OWN), None)
            self._known[bucket.address] = location, None if caller == location else caller
        return self._known[bucket.address]

    def of_maps(self, samples: Mapping[int, int]) -> Origins:
        """Of all samples those whose stack says that they were allocated for a map: arrays, tables and directories, and
        headers but for those that a function allocates without a call. Whether something leads to the map is not
        asked."""
        found = Origins()
        every = Counter(samples.values())
        for address in [one for one in every if not self._is_of_map(one)]:
            del every[address]
        self._add(found, {address: Counter({"": number}) for address, number in every.items()})
        for one in found.lines:
            one.parts.clear()
        return found

    def _is_of_map(self, address: int) -> bool:
        bucket = self.profile.bucket(address)
        for call in self.stack(bucket) if bucket is not None else ():
            if mapcalls.is_of_map(call.function):
                return True
            if not mapcalls.is_between(call.function):
                return False
        return False

    def origins(self, objects: Objects, samples: Mapping[int, int]) -> Origins:
        """The lines of the allocated objects. samples: as in Profile.samples."""
        found = Origins()
        parts: dict[int, str] = {}  # an object is in several places in a map that grows, or shares its memory
        for what, addresses in objects:
            for address in samples.keys() & addresses:
                parts.setdefault(address, what)
        counts: dict[int, Counter[str]] = {}
        for address, what in parts.items():
            counts.setdefault(samples[address], Counter())[what] += 1
        self._add(found, counts)
        return found

    def _add(self, found: Origins, counts: Mapping[int, Counter[str]]) -> None:
        """Fills in the lines. counts: of each bucket's samples, by what they are."""
        lines: dict[tuple[Location | None, Location | None], Origin] = {}
        for address, kinds in counts.items():
            number, bucket = sum(kinds.values()), self.profile.bucket(address)
            if bucket is None:
                found.unreadable += number
                continue
            key = self.of(bucket)
            line = lines.setdefault(key, Origin(*key))
            objects, bytes_ = scaled(number, bucket.size, self.rate)
            line.samples += number
            line.objects += objects
            line.bytes += bytes_
            line.sampled += number * bucket.size
            line.parts += kinds
            line.stacks[bucket] = number
        found.lines = sorted(lines.values(), key=lambda one: (-one.bytes, -one.samples))
        found.samples = sum(one.samples for one in found.lines)
