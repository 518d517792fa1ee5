"""Every growth of maps while the program runs, each with the line of the program's own that caused it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gomap.errors import GomapError, NoDebugInfo
from gomap.golang.layouts.classic.grown import FUNCTIONS as CLASSIC
from gomap.golang.layouts.classic.grown import ClassicGrowths
from gomap.golang.layouts.classic.map import load_factor_of
from gomap.golang.layouts.grown import Growth, Growths, Rules
from gomap.golang.layouts.swiss.grown import FUNCTIONS as SWISS
from gomap.golang.layouts.swiss.grown import SwissGrowths
from gomap.golang.runtime.malloc import allocator
from gomap.golang.runtime.pclntab import Functions
from gomap.golang.runtime.rtype import DescribedTypes
from gomap.gotypes import GoType
from gomap.maps import shape_of
from gomap.memory import forget
from gomap.reads import gather
from gomap.target import Location, Target
from gomap.trace.calls import RETURNED, Calls, HeaderPlace
from gomap.trace.port import Hit, Pointed, Stops

#: By what stays of a header's address, the identity of its newest growth: the thread at which one trace ended may reach
#: it again in the next trace. Seeds make it differ in another process.
_newest: dict[tuple[int, ...], tuple[int, ...]] = {}
#: Headers in it.
MAX_NEWEST = 1 << 20
#: Growths that are kept one by one: of all others only the sums are.
MAX_KEPT = 10_000


@dataclass(frozen=True)
class Traced:
    """One growth. header: what stays of the header's address. site: the line that caused it. type: the map's."""

    growth: Growth
    header: tuple[int, ...]
    goroutine: int | None
    site: Location | None
    type: GoType


@dataclass
class Sum:
    """The growths of maps of one type at one line. maps: the newest growth of each, by what stays of its header's
    address and by its seed."""

    site: Location | None
    type: GoType
    growths: int = 0
    kinds: dict[str, int] = field(default_factory=dict)
    maps: dict[tuple[tuple[int, ...], int], Growth] = field(default_factory=dict)
    goroutines: set[int] = field(default_factory=set)
    least: int = 0
    most: int = 0
    allocated: int = 0
    copied: int = 0
    copied_bytes: int = 0

    def add(self, one: Traced) -> None:
        """Counts a growth."""
        grown = one.growth
        self.least = min(self.least, grown.entries) if self.growths else grown.entries
        self.most = max(self.most, grown.entries)
        self.growths += 1
        self.kinds[grown.kind] = self.kinds.get(grown.kind, 0) + 1
        self.maps[(one.header, grown.seed)] = grown
        if one.goroutine is not None:
            self.goroutines.add(one.goroutine)
        self.allocated += grown.allocated
        self.copied += grown.copied
        self.copied_bytes += grown.copied_bytes


class GrowthTrace:
    """Collects growths. wanted: address of the only header that counts, None for all maps. most: growths after which it
    is enough. gone: what happened to that map, where it is no more. unread: growths that could not be read; why: the
    reason for the first.

    Raises GomapError for a program whose functions, types or goroutines are not known.
    """

    def __init__(self, target: Target, wanted: int | None, most: int | None) -> None:
        self._target, self._most = target, most
        self._types = DescribedTypes(target)
        functions = Functions(target)
        self._growths, named = growths_of(target, self._types, functions)
        self._calls = Calls(target, functions)
        self._place = None if wanted is None else HeaderPlace(self._calls, wanted)
        self.gone: str | None = None
        self._known: dict[int, tuple[GoType, Any] | GomapError] = {}
        self._named = {address: name for name, address in named.items()}
        self.hits = self.count = self.unread = 0
        self.why = ""
        self.sums: dict[tuple[Location | None, int], Sum] = {}
        self.kept: list[Traced] = []

    @property
    def stops(self) -> Stops:
        """The runtime's functions that grow maps, where they are entered."""
        pointed, only = {}, {}
        for address, name in self._named.items():
            arguments = [(self._calls.register_of(i), size) for i, size in self._growths.pointed(name)]
            pointed[address] = [*(Pointed(*one) for one in arguments), *self._calls.pointed_to_by_g()]
            if self._place is not None:
                only[address] = self._place.only(arguments[0][0])
        return Stops(list(self._named), None, pointed, only)

    def capacity(self, entries: int) -> int:
        """The size to give to make for a map that ends with this many entries."""
        return self._growths.capacity(entries)

    def hit(self, hit: Hit) -> bool:
        """Whether that was enough."""
        self.hits += 1
        name = self._named.get(hit.address)
        if name is None:
            return False
        try:
            arguments = self._calls.arguments(hit, self._growths.functions[name])
            address, descriptor = self._growths.map_and_type(name, arguments)
            if self._place is not None and not self._place.is_at(hit, address):
                return False
            if self._place is not None and self._place.has_returned(hit, address):
                self.gone = RETURNED
                return True
            t, shape = self._type(descriptor)
            grown = self._growths.read(name, arguments, shape, hit.read)
        except GomapError as error:
            self.unread += 1
            self.why = self.why or str(error)
            return False
        state, header = (grown.seed, *grown.state), self._calls.lasting(hit, address)
        if _newest.get(header) == state:
            return False  # the same call: a signal, or its stack's growth, brought the thread here again
        if len(_newest) >= MAX_NEWEST:
            _newest.clear()
        self._add(Traced(grown, header, self._calls.goroutine(hit), self._calls.site(hit), t), descriptor)
        _newest[header] = state
        return self._most is not None and self.count >= self._most

    def _add(self, one: Traced, descriptor: int) -> None:
        self.count += 1
        self.sums.setdefault((one.site, descriptor), Sum(one.site, one.type)).add(one)
        if len(self.kept) < MAX_KEPT:
            self.kept.append(one)

    def _type(self, descriptor: int) -> tuple[GoType, Any]:
        """The map type of that descriptor, and its shape. Raises GomapError, the same one each time."""
        if descriptor not in self._known:
            forget(self._target.memory)  # reflect may have made it since
            try:
                t = self._types.at(descriptor)
                self._known[descriptor] = t, shape_of(t, self._target.arch)
            except GomapError as error:
                self._known[descriptor] = GomapError(f"the map type at {descriptor:#x}: {error}")
        known = self._known[descriptor]
        if isinstance(known, GomapError):
            raise known
        return known

    def final(self, one: Sum) -> int:
        """Entries of its largest map: at its last growth, with the key that was inserted then, or now, where its header
        is still there."""
        header, arch = self._types.map_header(), self._target.arch
        seed, count = (header.field(n) or header.field(o) for n, o in (("seed", "hash0"), ("used", "count")))
        most = one.most + 1
        if seed is None or count is None:
            return most
        there = {(grown.address, grown.seed) for grown in one.maps.values()}
        for address, data in gather(self._target.memory, sorted({at for at, _ in there}), header.size):
            own = b"" if data is None else bytes(data)
            if own and (address, arch.uint(own, seed.offset, seed.type.size)) in there:
                most = max(most, arch.uint(own, count.offset, count.type.size))
        return most


def growths_of(target: Target, types: DescribedTypes, functions: Functions) -> tuple[Growths, dict[str, int]]:
    """The layout's functions that grow maps, and their addresses."""
    rules = Rules(target.arch, types.map_header(), allocator(target))
    found = functions.find([*SWISS, *CLASSIC])
    if any(name in SWISS for name in found):
        return SwissGrowths(rules, types.map_table()), found
    if not found:
        raise NoDebugInfo("the program has no function that grows maps: nothing in it puts entries into one")
    return ClassicGrowths(rules, load_factor_of(target)), found
