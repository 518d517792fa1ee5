"""Every write to one map while the program runs: the line of the program's own, the goroutine, what it did, the key.

A write marks the map's header when it begins and when it ends, so the program is stopped where that byte changes, by a
hardware watchpoint: writes to other maps cost nothing. The header counts more, as many or fewer entries at the end. Or
it is stopped in all functions that write to maps; then the program's own lookup, done here, tells whether the key is
there.
"""

from __future__ import annotations

from collections import Counter, deque
from contextlib import suppress
from dataclasses import dataclass, field

from gomap.errors import GomapError
from gomap.expr import keys_of
from gomap.golang.layouts.layout import MapView
from gomap.golang.runtime.mapcalls import WriteCall
from gomap.golang.runtime.pclntab import Functions
from gomap.gotypes import GoType, Kind
from gomap.maps import view
from gomap.memory import forget
from gomap.target import Location, Target
from gomap.trace.calls import RETURNED, Calls, HeaderPlace
from gomap.trace.operations import Operation, Operations, has_key
from gomap.trace.port import Hit, Stops
from gomap.values import Scalar, Values

#: Writes that are kept one by one, and keys that are counted.
MAX_KEPT = MAX_KEYS = 10_000
#: The newest keys of a line that are kept.
NEWEST = 3
#: What a write did, in the order in which people read it. absent: a delete of a key that is not there.
EFFECTS = ("insert", "overwrite", "delete", "absent", "clear")
#: Why a trace ends.
FREED = "the map was freed, and its header's memory is used for something else"
_PLAIN = frozenset({Kind.BOOL, Kind.INT, Kind.UINT, Kind.FLOAT, Kind.COMPLEX})


@dataclass(frozen=True)
class WrittenKey:
    """json: as hmap-get tells it. text: as people read it. told: the same where that is another text, for JSON."""

    json: Scalar
    text: str
    told: str | None


@dataclass(frozen=True)
class Written:
    """One write. effect: one of EFFECTS. key: None for clear, and where it is not known. entries: of the map after it.
    site: the line that caused it."""

    effect: str
    key: WrittenKey | None
    entries: int
    goroutine: int | None
    site: Location | None


@dataclass
class WriteSum:
    """The writes at one line. keys: the newest that differ, the oldest first."""

    site: Location | None
    effects: Counter[str] = field(default_factory=Counter)
    goroutines: set[int] = field(default_factory=set)
    keys: deque[WrittenKey] = field(default_factory=lambda: deque(maxlen=NEWEST))

    def add(self, one: Written) -> None:
        """Counts a write."""
        self.effects[one.effect] += 1
        if one.goroutine is not None:
            self.goroutines.add(one.goroutine)
        if one.key is not None:
            if one.key in self.keys:
                self.keys.remove(one.key)
            self.keys.append(one.key)


@dataclass(frozen=True)
class _Begun:
    """A write that has marked the map."""

    call: WriteCall
    key: WrittenKey | None
    entries: int
    goroutine: int | None
    site: Location | None


class WriteTrace:
    """Collects writes to a map. most: writes after which it is enough. instead: why functions are stopped at and not
    the byte; None where the byte is. gone: what happened to the map, where it is no more. unread: writes that could not
    be read; why: the reason for the first.

    Raises GomapError for a program whose functions or types are not known.
    """

    def __init__(self, target: Target, t: GoType, address: int, most: int | None, instead: str | None = None) -> None:
        self._target, self._type, self._most = target, t, most
        functions = Functions(target)
        self._calls = Calls(target, functions)
        self._operations = Operations(self._calls, functions)
        self._typed = keys_of(target)
        self._keys = _Keys(target, t.key, Values(target, types=self._typed.hasher.types, comments=False))
        self._map = view(target, t, address)
        self._place = HeaderPlace(self._calls, address)
        self.instead = self._place.unwatched or instead
        #: The functions that write, by the instruction at which each call has begun once.
        self._begins = {self._calls.begun(entry) or entry: entry for entry in self._operations.calls}
        self._writing, self._seed = self._map.writing, self._map.seed
        self._reseeds = self._writing
        self._begun: _Begun | None = None
        self._last: tuple[tuple[object, ...], bytes | None] | None = None
        self.hits = self.count = self.unread = self.uncounted = 0
        self.why = ""
        self.gone: str | None = None
        self.sums: dict[Location | None, WriteSum] = {}
        self.kept: list[Written] = []
        self.by_key: Counter[WrittenKey] = Counter()

    @property
    def stops(self) -> Stops:
        """Where the program stops: at changes of the header's mark, or at every call of a function that writes."""
        return Stops(watched=self._map.writing_at) if self.instead is None else Stops(list(self._begins))

    def hit(self, hit: Hit) -> bool:
        """Whether that was enough."""
        self.hits += 1
        try:
            done = self._changed(hit) if self.instead is None else self._entered(hit)
        except GomapError as error:
            self.unread += 1
            self.why = self.why or str(error)
            return False
        if done is not None:
            self._add(done)
        return self.gone is not None or (self._most is not None and self.count >= self._most)

    # -- where the header's mark changes ---------------------------------------------------------------

    def _changed(self, hit: Hit) -> Written | None:
        now = self._again(self._map.address)
        if now.writing == self._writing:
            if not self._operations.is_of_map(hit):
                self.gone = FREED
            return None  # another flag of the same byte
        self._writing = now.writing
        begun, self._begun = self._begun, None
        if now.writing:
            call = self._operations.marking(hit)
            if call is None or self._is_another(now):
                self.gone = FREED
                return None
            goroutine, site = self._calls.goroutine(hit), self._calls.site(hit)
            key = None
            if call.key is not None:
                with suppress(GomapError):  # a write whose key can't be read is a write
                    data = self._operations.marked_key(call, self._type.key.size, hit)
                    key = None if data is None else self._keys.told(data)
            self._begun = _Begun(call, key, now.count, goroutine, site)
            return None
        self._seen(now)
        if begun is None:
            return None  # it began before the trace
        effect = _effect(begun.call, now.count - begun.entries)
        if begun.call.operation == "clear" and not begun.entries:
            return None
        return Written(effect, begun.key, now.count, begun.goroutine, begun.site)

    def _again(self, address: int) -> MapView:
        forget(self._target.memory, address, self._map.shape.header.size)
        return view(self._target, self._type, address)

    def _seen(self, now: MapView) -> None:
        """The map as the next write finds it: what empties a map gives it another seed."""
        self._seed, self._reseeds = now.seed, False

    def _is_another(self, now: MapView) -> bool:
        return now.seed != self._seed and not self._reseeds

    # -- where a function is entered -------------------------------------------------------------------

    def _entered(self, hit: Hit) -> Written | None:
        begun, hit = hit, self._calls.entered(hit, self._begins[hit.address])
        one = self._operations.read(hit)
        if one.nested or not self._place.is_at(hit, one.address):
            return None
        now = self._again(one.address)
        if self._place.has_returned(hit, one.address):
            self.gone = RETURNED
            return None
        if self._is_another(now):
            self.gone = "the map was freed, and another map is at its address"
            return None
        self._seen(now)
        effect, key = self._outcome(one, now, hit)
        state = (one, effect, key, self._calls.position(hit), self._calls.caller(hit), now.header.data)
        signalled = self._calls.signalled(begun)
        before, self._last = self._last, (state, signalled)
        again = before is not None and state == before[0]
        signalled_again = before is not None and signalled is not None and signalled != before[1]
        self._reseeds = effect == "clear" or (effect == "delete" and now.count == 1) or not now.count
        if effect is None or (again and (effect in ("insert", "delete") or signalled_again)):
            return None  # nothing changes; or the same call, to which a signal brought the thread back
        after = {"insert": now.count + 1, "delete": now.count - 1, "clear": 0}.get(effect, now.count)
        return Written(effect, key, after, self._calls.goroutine(hit), self._calls.site(hit))

    def _outcome(self, one: Operation, now: MapView, hit: Hit) -> tuple[str | None, WrittenKey | None]:
        if one.what != "assign" and not now.count:
            return None, None  # an empty map is not written to
        if one.what == "clear":
            return "clear", None
        data = self._operations.key(one, self._type.key.size, hit)
        forget(self._target.memory)
        there = has_key(self._typed, now, data)
        key = self._keys.told(data)
        if one.what == "assign":
            return "overwrite" if there else "insert", key
        return "delete" if there else "absent", key

    # -- what is kept ----------------------------------------------------------------------------------

    def _add(self, one: Written) -> None:
        self.count += 1
        self.sums.setdefault(one.site, WriteSum(one.site)).add(one)
        if len(self.kept) < MAX_KEPT:
            self.kept.append(one)
        if one.key is not None:
            if one.key in self.by_key or len(self.by_key) < MAX_KEYS:
                self.by_key[one.key] += 1
            else:
                self.uncounted += 1


def _effect(call: WriteCall, more: int) -> str:
    """more: entries that the map has more than before."""
    if call.operation == "clear":
        return "clear"
    if call.operation == "assign":
        return "insert" if more > 0 else "overwrite"
    return "delete" if more < 0 else "absent"


class _Keys:
    """Keys of type t as people read them, told at once: what they point to may be changed later."""

    def __init__(self, target: Target, t: GoType, values: Values) -> None:
        self._target, self._t, self._values = target, t, values
        self._plain = _is_plain(t)
        self._has_text = values.has_text(t)
        self._told: dict[bytes, WrittenKey] = {}

    def told(self, data: bytes) -> WrittenKey:
        if data in self._told:
            return self._told[data]
        memory, word = self._target.memory, self._target.arch.pointer_size
        if self._t.kind is Kind.STRING:
            start, size = self._target.arch.pointer(data), self._target.arch.pointer(data, word)
            forget(memory, start, max(min(size, self._values.limits.text), 1))
        elif not self._plain:
            forget(memory)
        text = self._values.shown_key(self._t, data)
        key = WrittenKey(self._values.key(self._t, data), text, text if self._has_text else None)
        if self._plain and len(self._told) < MAX_KEYS:
            self._told[data] = key
        return key


def _is_plain(t: GoType) -> bool:
    """Whether values of type t have no pointers."""
    if t.kind is Kind.STRUCT:
        return all(_is_plain(f.type) for f in t.fields)
    return _is_plain(t.elem) if t.kind is Kind.ARRAY else t.kind in _PLAIN
