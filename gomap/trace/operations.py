"""Writes to maps, read where the runtime's function for them is entered, or where it marks the map: what is done, with
which key.

The functions are those of mapcalls.WRITES, found by name. Where a thread is at the first instruction of one, or has
just marked the map, nothing else has been written yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gomap.errors import GomapError, NoDebugInfo
from gomap.golang.layouts.layout import MapView
from gomap.golang.layouts.lookup import candidates, lookup
from gomap.golang.layouts.slots import MAX_ITEM
from gomap.golang.runtime.mapcalls import WRITERS, WRITES, WriteCall, operation
from gomap.golang.runtime.pclntab import Functions
from gomap.keys import Keys
from gomap.maps import on
from gomap.target import Target
from gomap.trace.calls import Calls
from gomap.trace.port import Hit

#: Which argument is the map type's descriptor, which the header.
DESCRIPTOR, HEADER = 0, 1
_KEY = 2
#: How many arguments are read.
_COUNT = {"pointer": 3, "value": 3, "string": 4, None: 2}


@dataclass(frozen=True)
class Operation:
    """A write that begins. what: assign, delete or clear. address: of the map's header. descriptor: of its type.
    nested: whether another of these functions has called this one, and was the operation. key: the words that the key
    is passed in; () for clear."""

    what: str
    address: int
    descriptor: int
    nested: bool
    call: WriteCall
    key: tuple[int, ...]


class Operations:
    """The functions of one program that write to maps.

    Raises NoDebugInfo where there are none, GomapError where they can't be looked for.
    """

    def __init__(self, calls: Calls, functions: Functions) -> None:
        self._calls, self._functions = calls, functions
        found = functions.find(list(WRITES))
        if not found:
            raise NoDebugInfo("the program has no function that writes to maps")
        #: By address of their first instruction.
        self.calls: Mapping[int, WriteCall] = {address: WRITES[name] for name, address in found.items()}
        self._callers: dict[int, bool] = {}
        self._names: dict[int, str] = {}

    def header_register(self) -> str:
        """The register that has the header's address where one of the functions is entered."""
        return self._calls.register_of(HEADER)

    def read(self, hit: Hit) -> Operation:
        """The operation that begins where the thread is. Raises GomapError."""
        call = self.calls[hit.address]
        arguments = self._calls.arguments(hit, _COUNT[call.key])
        return Operation(
            call.operation,
            arguments[HEADER],
            arguments[DESCRIPTOR],
            self._is_nested(hit),
            call,
            tuple(arguments[_KEY:]),
        )

    def _is_nested(self, hit: Hit) -> bool:
        pc = self._calls.caller(hit)
        if pc not in self._callers:
            try:
                self._callers[pc] = self._functions.entry(pc) in self.calls
            except GomapError:
                self._callers[pc] = False
        return self._callers[pc]

    def key(self, one: Operation, size: int, hit: Hit) -> bytes:
        """The key as it lies in memory. size: of the map's keys. Raises MemoryFault, GomapError for clear."""
        return _key(self._calls.target, one.call, one.key, size, hit)

    def marking(self, hit: Hit) -> WriteCall | None:
        """The write whose function has just marked a map; None where the thread is in no function that does so."""
        try:
            start = self._functions.entry(hit.address)
            if start not in self._names:
                self._names[start] = self._functions.name(start)
        except GomapError:
            return None
        return WRITERS.get(self._names[start])

    def is_of_map(self, hit: Hit) -> bool:
        """Whether the thread is in a function that operates on maps."""
        try:
            return any(operation(at.function) is not None for at in self._functions.frames(hit.address))
        except GomapError:
            return False

    def marked_key(self, call: WriteCall, size: int, hit: Hit) -> bytes | None:
        """The key of a write that has just marked its map; None where it is not known. Raises MemoryFault, GomapError
        for clear."""
        words = [self._calls.stored(hit, _KEY + i) for i in range(_COUNT[call.key] - _KEY)]
        known = tuple(word for word in words if word is not None)
        return _key(self._calls.target, call, known, size, hit) if len(known) == len(words) else None


def has_key(keys: Keys, found: MapView, key: bytes) -> bool:
    """Whether the map has the key now, as the program itself looks for it. keys: know the bytes of typed keys too.
    Raises GomapError: a key that has no hash, a corrupt map."""
    now = on(found, keys.target)
    result = lookup(now, keys.hasher, candidates(now, keys.hasher), key, bounded=True)
    if result.broken is not None and not result.found:
        raise GomapError(result.broken.message)
    return bool(result.found)


def _key(target: Target, call: WriteCall, words: tuple[int, ...], size: int, hit: Hit) -> bytes:
    arch = target.arch
    if call.key == "pointer":
        if size > MAX_ITEM:
            raise GomapError(f"a key of {size:,} bytes is not read")
        return hit.read(words[0], size) if size else b""
    if call.key == "string":
        return b"".join(map(arch.pack, words))
    if call.key == "value":
        word = arch.pack(words[0])
        return word[:size] if arch.byte_order == "little" else word[len(word) - size :]
    raise GomapError("clear has no key")
