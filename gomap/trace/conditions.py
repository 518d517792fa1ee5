"""What an hmap-break waits for, as a Go expression that a debugger evaluates by itself: Delve's breakpoint conditions.

They use the processor's registers by name, and memory by address. A key is compared in pieces of up to eight bytes,
where the function that was called has its arguments: in registers where it begins, and in the room for them in front of
its frame once it works.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gomap.errors import GomapError
from gomap.golang.hashing.plans import Float, PlainBytes, String, typehash_plan
from gomap.golang.runtime.mapcalls import WriteCall, operation
from gomap.spelling import float_of
from gomap.trace.events import DELETE, OF, Watcher

#: Bytes of a key that a condition compares.
MAX_KEY = 256
CLEAR = "runtime.mapclear"
_SIZES = (8, 4, 2, 1)
#: Operations of mapcalls.operation, by those of mapcalls.WRITES.
_OPERATIONS = {"assign": "write", "delete": "delete", "clear": "clear"}


@dataclass(frozen=True)
class KeyPlace:
    """Where a key is: the expressions of its address, or of the word that it is passed in; and of a string's length."""

    call: WriteCall
    first: str
    second: str


class Conditions:
    """Of one watcher. Raises GomapError for a key that can't be compared in this way."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher, self._functions, self._arch = watcher, watcher.calls.functions, watcher.target.arch
        self._word = self._arch.pointer_size

    def at_word(self) -> str:
        """Where the word of the header was written."""
        watcher, wanted = self._watcher, self._watcher.wanted
        terms = [self._same_process()]
        word = watcher.word
        assert word is not None, "it is watched"
        if wanted.event == "write":
            terms.append(f"(*(*uint{8 * word.size})({word.address:#x}) & {watcher.watched.bits}) != 0")
        if wanted.limit is not None:
            terms.append(f"*(*uint{8 * word.size})({word.address:#x}) == {wanted.limit + 1}")
        wants = OF.get(wanted.event, ("assign",))
        if wanted.key is not None:
            terms.append(_either(self._with_key(wants)))
        else:  # growths and iterators write a classic map's flags too
            inner = [entry for operation in wants for entry in self._inner(operation)]
            bounds = self._bounds(inner)
            if wanted.event == "write" and "clear" in wants:
                bounds = self._until_marked(bounds)
            terms.append(_either(self._is_in("RIP", *one) for one in bounds))
        return " && ".join(terms)

    def at_places(self) -> str:
        """Where the functions of the runtime begin."""
        watcher, wanted = self._watcher, self._watcher.wanted
        terms = [self._same_process()]
        if wanted.event == "growth":
            terms.append(_either(self._grows()))
        else:
            register = watcher.operations.header_register().upper()
            terms.append(self._is_header(register))
            if wanted.event == "clear":
                count = watcher.field(watcher.watched.count)
                terms.append(f"*(*uint{8 * count.size})({register}+{count.address - watcher.address:#x}) != 0")
        if wanted.key is not None:
            terms.append(_either(self._entered_with_key()))
        return " && ".join(terms)

    # -- parts -------------------------------------------------------------------------------------------------

    def _same_process(self) -> str:
        """False in another process, as when the program was started again: there the addresses mean nothing."""
        target = self._watcher.target
        t, start = target.find_type("runtime.m"), target.symbol("runtime.m0")
        f = t.field("procid") if t is not None else None
        if f is None or start is None:
            return "true"
        value = target.arch.uint(target.memory.read(start + f.offset, f.type.size), 0, f.type.size)
        return f"*(*uint{8 * f.type.size})({start + f.offset:#x}) == {value}"

    def _grows(self) -> Iterator[str]:
        watcher = self._watcher
        for place in watcher.places:
            header = watcher.grown_header(watcher.entry(place))
            register = watcher.calls.register_of(header).upper()
            yield f"(RIP == {place:#x} && {self._is_header(register)})"

    def _is_header(self, register: str) -> str:
        """As HeaderPlace.is_at."""
        place, (g, goid, end) = self._watcher.place, self._watcher.calls.of_goroutine
        if place.stack is None:
            return f"{register} == {self._watcher.address:#x}"
        own = f"*(*uint64)({g.upper()}+{goid:#x}) == {place.stack.id}"
        return f"{own} && *(*uint64)({g.upper()}+{end:#x})-{register} == {place.below_end:#x}"

    def _entered_with_key(self) -> Iterator[str]:
        watcher = self._watcher
        for place in watcher.places:
            call = watcher.call(watcher.entry(place))
            if call.key is not None:
                first, second = (watcher.calls.register_of(n).upper() for n in (2, 3))
                yield f"(RIP == {place:#x} && {self._key(KeyPlace(call, first, second))})"

    def _with_key(self, operations: Sequence[str]) -> Iterator[str]:
        """In the middle of an operation: the function that has the key may have called another one."""
        for name in operations:
            holders = dict(self._holders(name))
            inner = list(self._inner(name))
            for entry in {*inner, *holders}:
                ((low, high),) = self._bounds([entry])
                here, size = self._is_in("RIP", low, high), self._size(entry)
                if entry in holders:
                    yield f"({here} && {self._kept(holders[entry], entry, size)})"
                    continue
                back = f"*(*uint64)(RSP+{size - self._word:#x})"
                for holder, call in holders.items():
                    ((low, high),) = self._bounds([holder])
                    key = self._kept(call, holder, size + self._size(holder))
                    yield f"({here} && {self._is_in(back, low, high)} && {key})"

    def _kept(self, call: WriteCall, entry: int, top: int) -> str:
        """top: bytes from the stack pointer to the top of the frame of the function that was called."""
        first, second = (top + self._watcher.calls.kept(entry, n) for n in (2, 3))
        words = (f"*(*uint64)(RSP+{first:#x})", f"*(*uint64)(RSP+{second:#x})")
        return self._key(KeyPlace(call, *words))

    def _holders(self, name: str) -> Iterator[tuple[int, WriteCall]]:
        """The functions that are called with the key, for maps with such keys."""
        for entry, call in self._watcher.operations.calls.items():
            if call.operation == name and call.key is not None and self._watcher.is_of_keys(entry):
                yield entry, call
        if name == "delete":
            for entry in self._functions.find([DELETE]).values():
                yield entry, WriteCall("delete", "pointer")

    def _inner(self, name: str) -> list[int]:
        """The functions that carry an operation out."""
        wanted = _OPERATIONS[name]
        names = [one for one in self._functions.names(b"map") if operation(one) == wanted]
        return list(self._functions.find(names).values())

    def _until_marked(self, bounds: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        """The same, of runtime.mapclear only up to the first store into the flags: it resets sameSizeGrow later, while
        the map is still marked as written to."""
        entry = self._functions.find([CLEAR]).get(CLEAR)
        watched = self._watcher.watched
        if entry is None or not watched.shared:
            return list(bounds)
        offset = self._watcher.field(watched.writing).address - self._watcher.address
        end = self._functions.end(entry)
        code = self._watcher.typed(entry, end - entry)
        store = re.search(rb"\x88[\x40-\x7f]" + re.escape(bytes([offset])), code)  # mov [register+offset], byte
        if store is None:
            return list(bounds)
        found = [(entry, entry + store.end() + 1)]
        for low, high in bounds:
            found += [(max(low, a), min(high, b)) for a, b in ((0, entry), (end, high)) if max(low, a) < min(high, b)]
        return found

    def _size(self, entry: int) -> int:
        begun = self._watcher.calls.begun(entry)
        return (begun and self._functions.frame_size(begun)) or self._word

    def _bounds(self, entries: Sequence[int]) -> list[tuple[int, int]]:
        """From where to where functions go: neighbours are one."""
        found: list[tuple[int, int]] = []
        for entry in sorted(set(entries)):
            end = self._functions.end(entry)
            if found and found[-1][1] == entry:
                found[-1] = found[-1][0], end
            else:
                found.append((entry, end))
        return found

    def _is_in(self, what: str, low: int, high: int) -> str:
        return f"({what} >= {low:#x} && {what} < {high:#x})"

    # -- keys --------------------------------------------------------------------------------------------------

    def _key(self, where: KeyPlace) -> str:
        key = self._watcher.wanted.key
        assert key is not None, "it is wanted"
        if where.call.key == "value":
            size = len(key)
            mask = "" if size == self._word else f" & {(1 << 8 * size) - 1:#x}"
            return f"({where.first}{mask}) == {self._arch.uint(key, 0, size):#x}"
        if where.call.key == "string":
            return " && ".join(self._string(key, where.first, where.second))
        plan = typehash_plan(self._watcher.wanted.type.key)
        if plan is None:
            raise self._refused()
        terms: list[str] = []
        for part in plan:
            if isinstance(part, (PlainBytes, Float)):
                data = key[part.offset : part.offset + part.size]
                if isinstance(part, Float):
                    value = float_of(data, part.size, self._arch.byte_order)
                    if not value or value != value:  # two zeros are equal, and a NaN to nothing
                        raise self._refused()
                terms += self._bytes(data, where.first, part.offset)
            elif isinstance(part, String):
                start, length = (f"*(*uint64)({where.first}+{part.offset + n:#x})" for n in (0, self._word))
                terms += self._string(key[part.offset : part.offset + 2 * self._word], start, length)
            else:
                raise self._refused()
        return " && ".join(terms) or "true"

    def _string(self, header: bytes, start: str, length: str) -> Iterator[str]:
        address, size = self._arch.pointer(header), self._arch.pointer(header, self._word)
        yield f"{length} == {size}"
        if size > MAX_KEY:
            raise _too_long(size)
        yield from self._bytes(self._watcher.typed(address, size), start, 0)

    def _bytes(self, data: bytes, start: str, offset: int) -> Iterator[str]:
        if len(data) > MAX_KEY:
            raise _too_long(len(data))
        at = 0
        while at < len(data):
            size = next(size for size in _SIZES if size <= len(data) - at)
            yield f"*(*uint{8 * size})({start}+{offset + at:#x}) == {self._arch.uint(data, at, size):#x}"
            at += size

    def _refused(self) -> GomapError:
        return GomapError(
            f"Delve can't compare keys of type {self._watcher.wanted.type.key.name} at a breakpoint: leave out --key"
        )


def _too_long(size: int) -> GomapError:
    return GomapError(f"a condition of Delve compares at most {MAX_KEY} bytes of a key, and this one has {size:,}")


def _either(terms: Iterator[str]) -> str:
    return f"({' || '.join(terms) or 'false'})"
