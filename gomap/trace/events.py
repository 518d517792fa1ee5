"""What is done to one map while the program runs: an insert, a delete, a clear, a growth, or any write to it.

It is seen in one of two ways. A word of the map's header changes, which a debug register of the processor notices: then
the thread stands in the middle of a function of the runtime, behind the instruction that wrote. Or a breakpoint stands
in the functions of the runtime that do it: then nothing has been done yet, and a lookup tells whether the key is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from gomap.errors import GomapError, MemoryFault
from gomap.golang.hashing.plans import typehash_plan
from gomap.golang.layouts.layout import MapView
from gomap.golang.runtime.mapcalls import WriteCall, has_key_kind, is_between
from gomap.golang.runtime.pclntab import Functions
from gomap.golang.runtime.rtype import DescribedTypes
from gomap.gotypes import GoType, same
from gomap.keys import Keys
from gomap.maps import view
from gomap.memory import forget
from gomap.target import Location, Target
from gomap.trace.calls import RETURNED, Calls, HeaderPlace
from gomap.trace.growths import growths_of
from gomap.trace.operations import HEADER, Operation, Operations, has_key
from gomap.trace.port import Hit
from gomap.values import Scalar, Values, whole

#: Of Swiss maps: (m *Map, typ *abi.MapType, key unsafe.Pointer). Compiled code calls runtime.mapdelete, which it may be
#: inlined into or not.
DELETE = "internal/runtime/maps.(*Map).Delete"
#: What a program may not do, so that the linker leaves the runtime's function out.
_NEVER = {"delete": "deletes keys of maps", "clear": "clears maps", "growth": "makes maps grow"}
OTHER_TYPE, ANOTHER = "a map of another type is there now", "another map is there now"
#: What each event is of, of the functions in mapcalls.WRITES.
OF = {"write": ("assign", "delete", "clear"), "insert": ("assign",), "delete": ("delete",), "clear": ("clear",)}


@dataclass(frozen=True)
class Wanted:
    """What to stop at. event: write, insert, delete, growth, clear or len; limit: of len>N. on: the same as it was
    typed. expr, type, address: the map's. key: its bytes, None for any. log: whether the program goes on."""

    expr: str
    type: GoType
    address: int
    on: str
    event: str
    limit: int | None = None
    key: bytes | None = None
    log: bool = False


@dataclass(frozen=True)
class Event:
    """what: insert, overwrite, assign (an insert or an overwrite), delete, clear, growth, or gone: the map's memory is
    used for something else. key: as JSON has it; key_text: as people see it; both None where it is not known. entries:
    of the map, once it is done, where that is known. why: of what is gone."""

    what: str
    goroutine: int | None
    site: Location | None
    key: Scalar | None = None
    key_text: str | None = None
    entries: int | None = None
    why: str = ""


@dataclass(frozen=True)
class Word:
    """Bytes of a header that tell of an event. name: the field's."""

    name: str
    address: int
    size: int


class Watcher:
    """Tells at each stop whether what is wanted has happened.

    Raises GomapError for a program whose functions or types are not known.
    """

    def __init__(self, target: Target, wanted: Wanted, keys: Keys, depth: int) -> None:
        self.target, self.wanted, self._keys, self._depth = target, wanted, keys, depth
        functions = Functions(target)
        self._types = types = DescribedTypes(target)
        self.calls = Calls(target, functions)
        self.operations = Operations(self.calls, functions)
        self._functions = functions
        #: The map as it was at the last stop.
        self._map = view(target, wanted.type, wanted.address)
        self.watched = self._map.terms.watched
        self.place = HeaderPlace(self.calls, wanted.address)
        self._growths: Any = None
        self._growing: Mapping[int, str] = {}
        if wanted.event == "growth":
            self._growths, found = growths_of(target, types, functions)
            self._growing = {address: name for name, address in found.items()}
        #: The functions to stop in, by the instruction to stop at.
        self._entries: dict[int, int] = {}
        if not self._wanted_entries():
            words = _NEVER.get(wanted.event, "assigns to keys of maps")
            raise GomapError(f"nothing in the program {words} of this type: it has no function for it")
        self._earlier = -1
        self.move()
        #: The seed that it has unless it is another map; None where it gets another one, or may have got one.
        self._seed: int | None = self._map.seed
        #: Whether each stop since the last one was told of.
        self._follows = True
        self._known: dict[int, bool] = {}
        #: The last call that came to one of the places, and what a signal has left then.
        self._before: tuple[object, bytes | None] | None = None
        self.events = 0

    # -- what a debugger is to stop at -------------------------------------------------------------------------

    @property
    def word(self) -> Word | None:
        """What to watch; None for a growth, of which no word of every header tells, and for a header that moves."""
        event, watched = self.wanted.event, self.watched
        if event == "growth" or self.place.unwatched is not None:
            return None
        return self.field({"write": watched.writing, "clear": watched.cleared}.get(event, watched.count))

    @property
    def unwatched(self) -> str | None:
        """Why the map's header has no word that can be watched; None if it has one, or the event needs none."""
        return None if self.wanted.event == "growth" else self.place.unwatched

    @property
    def address(self) -> int:
        """Of the map's header at the last stop."""
        return self._map.address

    def field(self, name: str) -> Word:
        """A field of the header, where that is."""
        found = self._map.shape.header.field(name)
        assert found is not None, "the layout was told by its fields"
        return Word(name, self.address + found.offset, found.type.size)

    @property
    def places(self) -> list[int]:
        """The instructions to stop at, without a word to watch."""
        return list(self._entries)

    @property
    def functions(self) -> list[str]:
        """The names of the functions that these are in."""
        return sorted(self._functions.name(entry) for entry in self._entries.values())

    def move(self) -> bool:
        """Whether there are other places, each an instruction earlier: they are the places now."""
        self._earlier += 1
        moved = {entry: self.calls.begun(entry, self._earlier) for entry in self._wanted_entries()}
        if any(place is None for place in moved.values()):
            return False
        self._entries = {place: entry for entry, place in moved.items() if place is not None}
        return True

    def entry(self, place: int) -> int:
        """The first instruction of the function that one of the places is in."""
        return self._entries[place]

    def call(self, entry: int) -> WriteCall:
        """What the function that starts there does."""
        return self.operations.calls[entry]

    def grown_header(self, entry: int) -> int:
        """Which argument of the function that grows maps is the map's header."""
        count = self._growths.functions[self._growing[entry]]
        return int(self._growths.map_and_type(self._growing[entry], list(range(count)))[0])

    def typed(self, address: int, size: int) -> bytes:
        """Bytes that a key points to, one that was typed too. Raises MemoryFault."""
        return bytes(self._keys.target.memory.read(address, size))

    def _wanted_entries(self) -> list[int]:
        if self._growing:
            return list(self._growing)
        wanted = OF.get(self.wanted.event, ("assign",))
        return [
            entry
            for entry, call in self.operations.calls.items()
            if call.operation in wanted and self.is_of_keys(entry)
        ]

    def is_of_keys(self, entry: int) -> bool:
        """Whether a function is one for maps with such keys."""
        name = self._functions.name(entry)
        return "_fast" not in name or has_key_kind(name, self.wanted.type.key)

    def lose(self) -> None:
        """It may not have been told of all stops since the last one."""
        self._seed, self._follows = None, False

    # -- what a stop is ----------------------------------------------------------------------------------------

    def at_word(self, hit: Hit) -> Event | None:
        """What has happened where the word was written; None for nothing that is wanted."""
        before, seed, follows = self._map, self._seed, self._follows
        self._follows = True
        try:
            now = self._again(self.address)
        except MemoryFault:
            return self._gone(hit, "its header can't be read any more")
        inside, by = self._inside(hit)
        if inside is None:
            if by is not None and self.watched.shared:
                return None  # an iterator that begins sets its flag
            return self._gone(hit, f"something else is written to its header, in {self._name(hit.address)}")
        if self._seen(inside, now) and follows and seed is not None and now.seed != seed:
            return self._gone(hit, ANOTHER)
        wanted = self.wanted
        if inside.what not in OF.get(wanted.event, ("assign",)):
            return None
        if wanted.event == "write" and (not now.writing or (follows and before.writing)):
            return None  # the write ends
        if wanted.event in ("insert", "delete") and follows and now.count == before.count:
            return None
        if wanted.limit is not None and now.count != wanted.limit + 1:
            return None
        return self._found(hit, inside, begins=wanted.event == "write")

    def at_place(self, hit: Hit, follows: bool = True) -> Event | None:
        """What is about to happen where a thread is at one of the places; None for nothing that is wanted. follows:
        whether this is asked once at each such stop."""
        begun, hit = hit, self.calls.entered(hit, self._entries[hit.address])
        name = self._growing.get(hit.address)
        if name is not None:
            arguments = self.calls.arguments(hit, self._growths.functions[name])
            header, descriptor = self._growths.map_and_type(name, arguments)
            if not self.place.is_at(hit, header):
                return None
            now = self._again(header)
            gone = self._is_another(hit, descriptor)
            if gone is not None:
                return self._gone(hit, gone)
            if follows and self._comes_again(begun, tuple(arguments), True):
                return None
            return self._made(hit, "growth", None, now.count)
        header = hit.register(self.operations.header_register())
        if not self.place.is_at(hit, header):
            return None
        now, one = self._again(header), self.operations.read(hit)
        if one.nested or (one.what != "assign" and not now.count):
            return None  # a map without entries is not written to by the others
        gone, seed = self._is_another(hit, one.descriptor), self._seed
        # Where only some of the writes are stopped at, another one may have given the map another seed.
        self._seen(one, now)
        if follows and self.wanted.event == "write" and seed is not None and now.seed != seed:
            gone = gone or ANOTHER
        if gone is not None:
            return self._gone(hit, gone)
        key = self._key(hit, one)
        has = None if key is None else self._has(key)
        changes = one.what == "clear" or (has is not None and has == (one.what == "delete"))
        # In front of another insert of a key, a delete that does not come by here may have undone the first one.
        comes_by = self.wanted.event in ("write", "clear")
        if follows and self._comes_again(begun, (one.key, key, has), changes and comes_by):
            return None
        return self._found(hit, one, begins=True)

    def _seen(self, one: Operation, now: MapView) -> bool:
        """Whether the map has entries behind the operation: one that becomes empty gets another seed."""
        keeps = one.what == "assign" or (one.what == "delete" and now.count > 1)
        self._seed = now.seed if keeps else None
        return keeps

    def _comes_again(self, hit: Hit, call: object, changes: bool) -> bool:
        """Whether the thread came to this place before, in the same call: a signal's handler leads back to it.
        call: what is known of it. changes: whether it changes the map's header, so that another one would find another
        header."""
        state = (hit.address, call, self.calls.position(hit), self._map.header.data)
        signalled = self.calls.signalled(hit)
        before, self._before = self._before, (state, signalled)
        if before is None or before[0] != state:
            return False
        return changes or (signalled is not None and signalled != before[1])

    def _is_another(self, hit: Hit, descriptor: int) -> str | None:
        """Why what is written to is another map; None where nothing tells so. One type may have several descriptors, as
        in plugins."""
        if self.place.has_returned(hit, self.address):
            return RETURNED
        if descriptor not in self._known:
            try:
                self._known[descriptor] = same(self._types.at(descriptor), self.wanted.type)
            except GomapError:
                return None
        return None if self._known[descriptor] else OTHER_TYPE

    def _found(self, hit: Hit, one: Operation, begins: bool) -> Event | None:
        """The event, if it is wanted. begins: nothing has been written yet."""
        wanted, key = self.wanted, self._key(hit, one)
        if wanted.key is not None and not (key is not None and self._is_wanted(key)):
            return None
        what, event, now = one.what, wanted.event, self._map.count
        count: int | None = now
        if begins:
            has = self._has(key) if key is not None else None
            if what == "clear" and event == "clear" and not now:
                return None
            if what == "assign" and has is not None:
                what = "overwrite" if has else "insert"
            if (event == "delete" and has is False) or (event in ("insert", "len") and has):
                return None
            if wanted.limit is not None and now != wanted.limit:
                return None
            changed = {"insert": 1, "overwrite": 0, "delete": None if has is None else -int(has)}.get(what)
            count = 0 if what == "clear" else None if changed is None else now + changed
        elif what == "assign":
            what = "insert"
        elif what == "clear":
            count = 0
        return self._made(hit, what, key, count)

    def _made(self, hit: Hit, what: str, key: bytes | None, entries: int | None, why: str = "") -> Event:
        told, text = (None, None) if key is None else self.told(key)
        self.events += 1
        return Event(what, self.calls.goroutine(hit), self.calls.site(hit), told, text, entries, why)

    def _gone(self, hit: Hit, why: str) -> Event:
        return self._made(hit, "gone", None, None, why)

    # -- the operation that a thread is inside of --------------------------------------------------------------

    def _inside(self, hit: Hit) -> tuple[Operation | None, str | None]:
        """(the write to the map that the thread is in the middle of, the function of the runtime that it is in)."""
        found: Operation | None = None
        function: str | None = None
        for pc, top in self.calls.frames(hit):
            try:
                entry, name = self._functions.entry(pc), self._functions.name(pc)
            except GomapError:
                break
            if not is_between(name):
                break
            function = function or name
            call = self.operations.calls.get(entry)
            if name == DELETE and top:
                header, _, key = self.calls.arguments_of(hit, entry, top, 3)
                if header == self.address:
                    by_pointer = WriteCall("delete", "pointer")
                    return Operation("delete", header, 0, False, by_pointer, (key,)), function
            if call is not None and top:
                words = self.calls.arguments_of(hit, entry, top, 4)
                if words[HEADER] == self.address:
                    own = words[2 : {"string": 4, None: 2}.get(call.key, 3)]
                    known = Operation(call.operation, words[HEADER], 0, False, call, tuple(own))
                    return known, function
                found = Operation(call.operation, self.address, 0, False, call, ())
        return found, function

    def _name(self, pc: int) -> str:
        try:
            return self._functions.name(pc)
        except GomapError:
            return f"{pc:#x}"

    # -- keys --------------------------------------------------------------------------------------------------

    def _key(self, hit: Hit, one: Operation) -> bytes | None:
        if not one.key:
            return None
        with suppress(GomapError):
            return self.operations.key(one, self.wanted.type.key.size, hit)
        return None

    def _is_wanted(self, key: bytes) -> bool:
        plan = typehash_plan(self.wanted.type.key)
        assert plan is not None, "a key has been parsed"
        assert self.wanted.key is not None, "a key is wanted"
        with suppress(GomapError):
            return self._keys.hasher.equal(plan, self.wanted.key, key)
        return False

    def _has(self, key: bytes) -> bool | None:
        """Whether the map has the key; None where that can't be told."""
        try:
            return has_key(self._keys, self._map, key)
        except GomapError:
            return None

    def told(self, key: bytes) -> tuple[Scalar, str]:
        """A key as JSON has it, and as people see it."""
        t = self.wanted.type.key
        values = Values(self._keys.target, whole(self._depth), self._keys.hasher.types)
        return values.key(t, key), values.shown_key(t, key)

    # -- the header --------------------------------------------------------------------------------------------

    def _again(self, address: int) -> MapView:
        """The map with its header read now. Raises MemoryFault."""
        forget(self.target.memory)
        self._map = view(self.target, self.wanted.type, address)
        return self._map

    def entries(self) -> int:
        """Entries of the map as its header counts them. Raises MemoryFault."""
        return self._again(self.address).count
