"""Looking a key up in a classic map: runtime.mapaccessK."""

from __future__ import annotations

from collections.abc import Iterator

from gomap.columns.marks import SLOTS
from gomap.golang.layouts.classic.map import ClassicMap
from gomap.golang.layouts.classic.shape import EMPTY_REST, EVACUATED, MAX_BYTES
from gomap.golang.layouts.search import Endless, KeySearch, ProbedBucket, SearchStep


def follow(found: ClassicMap, search: KeySearch, hash_: int) -> None:
    """layout.MapView.follow."""
    target, shape, header = found.target, found.shape, found.header
    size = shape.slots.size
    if not found.count or not header["buckets"]:
        return
    place = ProbedBucket(bucket := hash_ & (1 << found.B) - 1, False, header["buckets"] + bucket * size)
    if header["oldbuckets"]:
        before = hash_ & found.old_count - 1
        old = ProbedBucket(before, True, header["oldbuckets"] + before * size)
        if target.memory.read(old.address, 1)[0] not in EVACUATED:
            place = old
        else:
            search.step(old, None, "moved")
    passed: set[int] = set()
    address = place.address
    while address not in passed:
        place = ProbedBucket(place.bucket, place.old, address, len(passed))
        passed.add(address)
        data = target.memory.read(address, size)
        if search.bucket(place, data):
            return
        if EMPTY_REST in data[:SLOTS]:
            search.step(place, data.index(EMPTY_REST), "ends")
            return
        address = target.arch.pointer(data, shape.overflow_off)
        search.step(place, None, "goes-on" if address else "ends")
        if not address:
            return
    raise Endless(f"the overflow chain leads back to {address:#x}: the program's search for this key never ends")


def arrays_of(found: ClassicMap, most: int) -> Iterator[tuple[int, int]]:
    """layout.MapView.arrays_of: both arrays, the old one first. `most` limits a directory, which there is none of."""
    header = found.header
    for address, count in ((header["oldbuckets"], found.old_count), (header["buckets"], 1 << min(found.B, 40))):
        if address and count * found.shape.slots.size <= MAX_BYTES:
            yield address, count


def place(step: SearchStep) -> str:
    """layout.MapView.place."""
    overflow = f" overflow {step.overflow}" if step.overflow else ""
    return f"{'old ' if step.old else ''}bucket {step.bucket}{overflow}"


def going_on(step: SearchStep) -> str:
    """layout.MapView.going_on."""
    if step.reason == "goes-on":
        return "no match, no empty slot: continue in the overflow bucket"
    if step.slot is None:
        return "no match, no overflow bucket: the search ends"
    return f"no match, empty from slot {step.slot} on: the search ends"
