"""The random keys of a process's hash functions, found by trying: the right ones hash keys of maps to their marks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from gomap.analysis.identify import Identifier
from gomap.errors import GomapError
from gomap.golang.hashing.hasher import Hasher
from gomap.golang.hashing.memhash import MemHash
from gomap.golang.layouts.layout import MapView
from gomap.golang.layouts.lookup import all_fit, sample_of
from gomap.golang.runtime.heap import Heap
from gomap.golang.runtime.rtype import DescribedTypes
from gomap.heap.census import Census
from gomap.stripped.find import Area, random_blocks
from gomap.target import Target

#: Maps whose keys are tried, and how many keys have to agree: by chance one does in 128 times.
MAPS, ENOUGH = 64, 6
#: Maps that sift the thousands of candidates, of which the right one agrees with one at least; and agreeing keys that
#: leave no doubt: by chance they agree once in 2**224 times.
SIFTING, CERTAIN = 8, 32
#: Keys of one map that are tried.
KEYS = 8
#: Maps with fewer keys are left out: they agree by chance too often.
FEWEST = 2
#: Maps of the heap that are looked at for some whose type is known.
LOOKED_AT = 512


Sample = Sequence[tuple[int, bytes]]


@dataclass(frozen=True)
class HashKeys:
    """Where they are. schedule: aeskeysched, None where hashes are computed without AES. hashkey: None where that is
    not used."""

    schedule: int | None
    hashkey: int | None


def find(
    target: Target, every: Census, areas: Sequence[Area], make: Callable[[bytes | None, bytes], tuple[MemHash, bool]]
) -> HashKeys | None:
    """every: the maps of the heap. make: gives hashes with aeskeysched, or None, and hashkey; and what Hasher calls
    signatures."""
    types = DescribedTypes(target)
    word, order = target.arch.pointer_size, target.arch.byte_order
    candidates: list[tuple[HashKeys, MemHash, bool]] = []
    for where in areas:
        if target.arch.name in ("amd64", "arm64", "386"):
            for address, data in random_blocks(where, word, 16 * word, order):
                candidates.append((HashKeys(address, None), *make(data, bytes(4 * word))))
        for address, data in random_blocks(where, word, 4 * word, order):
            candidates.append((HashKeys(None, address), *make(None, data)))
    if not candidates:
        return None
    tried = [(one, sample_of(one, KEYS)) for one in islice(_maps(target, every, types), MAPS)]
    hashers = [(keys, Hasher(target, mem, types, signatures)) for keys, mem, signatures in candidates]
    sifted = [(keys, hasher) for keys, hasher in hashers if _agreed(tried[:SIFTING], hasher)]
    return _best(tried, sifted) or _best(tried, hashers)


def _best(tried: Sequence[tuple[MapView, Sample]], hashers: Sequence[tuple[HashKeys, Hasher]]) -> HashKeys | None:
    best, most = None, ENOUGH - 1
    for keys, hasher in hashers:
        agreed = _agreed(tried, hasher)
        if agreed > most:
            best, most = keys, agreed
        if most >= CERTAIN:
            break
    return best


def _maps(target: Target, every: Census, types: DescribedTypes) -> Iterator[MapView]:
    """Maps of the heap whose types are known without hashes, the largest first."""
    identifier = Identifier(target, every.reader.heap if every.reader is not None else Heap(target), types)
    order = sorted(range(len(every.counts)), key=lambda index: -every.counts[index])
    for index in order[:LOOKED_AT]:
        if every.counts[index] < FEWEST:
            return
        try:
            known = identifier.identify(every.addresses[index])
        except GomapError:
            continue
        if known.view is not None:
            yield known.view


def _agreed(tried: Sequence[tuple[MapView, Sample]], hasher: Hasher) -> int:
    """How many keys of maps agree, all of whose keys do."""
    return sum(len(sample) for one, sample in tried if len(sample) >= FEWEST and all_fit(one, hasher, sample))
