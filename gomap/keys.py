"""Keys as people type them -> the bytes that a key has in memory: Go literals, and values of the program.

What a key points to (the bytes of a string, what an interface holds) gets addresses that no program has, and a
copy of the target that sees them: hashing and comparing need not know that a key was typed by hand.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from typing import Any, Callable, NamedTuple, Protocol

from gomap import syncmap
from gomap.errors import BadExpression, GomapError, MemoryFault
from gomap.golang.hashing.hasher import Hasher
from gomap.golang.hashing.plans import typehash_plan
from gomap.golang.layouts.slots import MAX_ITEM
from gomap.golang.layouts.structure import counted
from gomap.golang.runtime.rtype import descriptor_of, dynamic
from gomap.gotypes import POINTER_KINDS, GoType, Kind, plain_name, same
from gomap.human import an, plural
from gomap.known import may_have_text
from gomap.literals import LiteralReader, bare, said
from gomap.memory import Memory
from gomap.spelling import float_of
from gomap.target import Target, Variable
from gomap.typenames import find, means
from gomap.values import Limits, Values

#: Keys of one map that are compared with a text, and that are looked into for types.
MAX_PRINTED, MAX_LEARNT = 1 << 16, 1 << 12
MAX_NAMED = 4
_NUMBERS = (Kind.INT, Kind.UINT, Kind.FLOAT)


class Scratch:
    """The target's memory, and behind its end what keys typed by hand point to."""

    def __init__(self, inner: Memory, pointer_size: int) -> None:
        self._inner = inner
        self._base = self._end = 0x7FFF << 48 if pointer_size == 8 else 0xFFF00000
        self._data = bytearray()

    def add(self, data: bytes) -> int:
        """The address at which `data` now lies."""
        address = self._end
        self._data += data.ljust(-(-max(len(data), 1) // 16) * 16, b"\0")
        self._end = self._base + len(self._data)
        return address

    def read(self, address: int, size: int) -> bytes:
        """As Memory.read, also of what `add` has put behind the end of the target's memory."""
        if self._base <= address < self._end:
            if address + size > self._end:
                raise MemoryFault(address, size)
            return bytes(self._data[address - self._base : address - self._base + size])
        return self._inner.read(address, size)


class KeyBytes(NamedTuple):
    """A key that a map has: its bytes, None where they can't be read, and where they lie."""

    key: bytes | None
    key_address: int


class HasKeys(Protocol):
    """A map that a key is looked for in: a MapView, or a sync.Map."""

    @property
    def count(self) -> int:
        """How many entries it has."""

    def entries(self) -> Iterator[Any]:
        """Its live entries, each with its key's bytes as `key`."""


class SyncKeys:
    """The keys of a sync.Map, which have one type: the variable is the sync.Map itself."""

    def __init__(self, target: Target, variable: Variable) -> None:
        self._target, self._variable = target, variable

    @cached_property
    def count(self) -> int:
        """How many live entries the sync.Map has, counted by walking it."""
        return sum(1 for _ in syncmap.entries(self._target, self._variable))

    def entries(self) -> Iterator[KeyBytes]:
        """The key of each live entry; its bytes are None where they can't be read."""
        for entry in syncmap.entries(self._target, self._variable):
            data = None
            with suppress(MemoryFault):
                data = self._target.memory.read(entry.key_address, min(entry.key_type.size, MAX_ITEM))
            yield KeyBytes(data, entry.key_address)


@dataclass
class Keys:
    """Makes keys of one target. `target` sees what they point to; `hasher` knows what they hold.

    resolve: gives the value of the program that an expression names; None where literals are all there is.
    """

    target: Target
    hasher: Hasher
    resolve: Callable[[str], Variable] | None = None
    scratch: Scratch = field(init=False)
    #: Types of what keys of the map hold, by name.
    learnt: dict[str, GoType] = field(default_factory=dict)
    #: Names of types that were typed: those that functions declare may have one name.
    named: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.scratch = Scratch(self.target.memory, self.target.arch.pointer_size)
        self.target = copy.copy(self.target)
        self.target.memory = self.scratch
        self.hasher.types.target = self.target
        self.hasher.target = self.target

    def parse(self, t: GoType, text: str) -> bytes:
        """The key of type t that `text` writes or names. Raises BadExpression."""
        reader = LiteralReader(self, text)
        data = reader.value(t)
        reader.space()
        if reader.at < len(text):
            raise BadExpression(f"{said(text)} goes on after a key of type {t.name}: {said(reader.rest())}")
        return data

    def find(self, t: GoType, text: str, found: HasKeys | None, limits: Limits) -> bytes:
        """As parse, for a key of this map: types that debug information does not have may be those of its keys, and a
        text that was cut short is compared with them as they are printed with these limits."""
        try:
            key = self.parse(t, text)
        except BadExpression as error:
            if found is None or not ("..." in text or "{" in text or "(" in text or may_have_text(t)):
                raise
            if self._learn(t, found):
                with suppress(BadExpression):
                    return self.parse(t, text)
            printed = self._printed(t, text, found, limits)
            if not printed:
                raise
            if len(printed) > 1:
                raise _several(t, f"are printed as {text!r}", printed) from error
            return printed[0][0]
        if self.named and found is not None:
            equal = self._equal(t, key, found)
            if len(equal) > 1:
                raise _several(t, f"are {text!r}, of types of one name", equal)
        return key

    def _learn(self, t: GoType, found: HasKeys) -> bool:
        """Collects the dynamic types of the interfaces in the map's keys. Returns False if there are none."""
        plan = typehash_plan(t)
        for entry in islice(counted(found.count, found.entries()), MAX_LEARNT):
            if plan is not None and entry.key is not None:
                with suppress(GomapError):
                    self.hasher.equal(plan, entry.key, entry.key)  # which looks into each interface
        self.learnt.update((held.name, held) for held, _, _ in self.hasher.held.values())
        return bool(self.learnt)

    def type_named(self, name: str) -> GoType | None:
        """The type of that name in the program, or among the dynamic types of the map's own keys; None where neither
        has it."""
        found = find(self.target, name)
        if found is None:
            found = next((t for known, t in self.learnt.items() if means(name, known)), None)
        return found

    def _equal(self, t: GoType, key: bytes, found: HasKeys) -> Sequence[tuple[bytes, int]]:
        """The map's keys that a typed key is equal to, with their addresses, where several types have a name that was
        typed."""
        plan = typehash_plan(t)
        if plan is None or found.count > MAX_PRINTED or not self._learn(t, found):
            return ()
        types = {id(one): plain_name(one) for one, _, _ in self.hasher.held.values() if not self._is_typed(one)}
        if not any(count > 1 for name, count in Counter(types.values()).items() if name in self.named):
            return ()
        equal = []
        for entry in counted(found.count, found.entries()):
            with suppress(GomapError):
                if entry.key is not None and self.hasher.equal(plan, key, entry.key):
                    equal.append((entry.key, entry.key_address))
        return equal

    def _is_typed(self, t: GoType) -> bool:
        return self.hasher.types.is_pretended(t)

    def _printed(self, t: GoType, text: str, found: HasKeys, limits: Limits) -> Sequence[tuple[bytes, int]]:
        """The keys that are printed as the text, with their addresses."""
        if found.count > MAX_PRINTED:
            return ()
        values = Values(self.target, limits, self.hasher.types)
        wanted, forms = bare(text), [values.key_text, values.shown_key]
        return [
            (entry.key, entry.key_address)
            for entry in counted(found.count, found.entries())
            if entry.key is not None and any(bare(form(t, entry.key)) == wanted for form in forms)
        ]

    def assigned(self, t: GoType, value: Variable) -> bytes:
        """A value of the program as a key of type t: as Go assigns it, and numbers as Go converts them.

        Raises BadExpression, MemoryFault, OptimizedOut.
        """
        memory, given = self.target.memory, value.type
        if given.size > MAX_ITEM:
            raise BadExpression(f"{value.name} has {given.size:,} bytes: it is too large for a key")
        data = value.read(memory, 0, given.size)
        if given.kind is Kind.INTERFACE:
            held = dynamic(self.hasher.types, given, data)
            if held is None:
                if t.kind is not Kind.INTERFACE:
                    raise BadExpression(f"{value.name} is nil, not {an(t.name)}")
                return bytes(t.size)
            interface, (given, word, direct) = given, held
            if given.size > MAX_ITEM:
                raise BadExpression(f"{value.name} holds {given.size:,} bytes: they are too large for a key")
            if t.kind is Kind.INTERFACE and typehash_plan(given) is not None:
                # Its value has a descriptor, which distinguishes its type from others of the same name.
                first = descriptor_of(self.hasher.types, self.target.arch.pointer(data, 0), interface.methods)
                return self.target.arch.pack(self._first(t, first)) + data[t.size // 2 :]
            data = self.target.arch.pack(word) if direct else memory.read(word, given.size)
        if t.kind is Kind.INTERFACE:
            return self.interface(t, given, data)
        if t.kind in _NUMBERS and given.kind in _NUMBERS:
            return self._number(t, value.name, given, data)
        pointers = t.kind in POINTER_KINDS and (given.kind in POINTER_KINDS or given.name == "uintptr")
        if t.kind is Kind.POINTER and given.kind is Kind.POINTER:
            pointers = plain_name(t) == plain_name(given)
        if pointers or (t.kind is given.kind and _alike(t, given)):
            return data
        raise BadExpression(f"{value.name} is {an(given.name)}, not {an(t.name)}{self._instead(t, given, value.name)}")

    def _instead(self, t: GoType, given: GoType, name: str) -> str:
        if name.startswith("&") and given.kind is Kind.POINTER and given.elem.name == t.name:
            return ": leave out the &"
        if given.kind is Kind.POINTER and given.lazy_elem is not None and given.elem.name == t.name:
            return ": write * in front of it"
        if t.kind is Kind.POINTER and t.lazy_elem is not None and t.elem.name == given.name:
            return ": write & in front of it"
        return ""

    def _number(self, t: GoType, name: str, given: GoType, data: bytes) -> bytes:
        order = self.target.arch.byte_order
        value: int | float
        if given.kind is Kind.FLOAT:
            value = float_of(data, given.size, order)
        else:
            value = int.from_bytes(data[: given.size], order, signed=given.kind is Kind.INT)  # type: ignore[arg-type]
        try:
            return self.parse(t, repr(value))
        except BadExpression:
            raise BadExpression(f"{name} is {value}, which is not {an(t.name)}") from None

    def string(self, raw: bytes) -> bytes:
        """A string of these bytes."""
        arch = self.target.arch
        return arch.pack(self.scratch.add(raw) if raw else 0) + arch.pack(len(raw))

    def interface(self, t: GoType, held: GoType, data: bytes) -> bytes:
        """An interface of type t that holds `data` of type `held`."""
        arch = self.target.arch
        plan = typehash_plan(held)
        if plan is None:
            raise BadExpression(f"{an(held.name)} can't be a key: it can't be compared")
        held = replace(held)
        descriptor = self.scratch.add(b"\0" * 8 * arch.pointer_size)
        self.hasher.types.pretend(descriptor, held)
        first = self._first(t, descriptor)
        if "." in held.name:
            self.named.add(plain_name(held))
        self.hasher.held[first, t.methods] = (held, plan, False)
        return arch.pack(first) + arch.pack(self.scratch.add(data))

    def _first(self, t: GoType, descriptor: int) -> int:
        """The first word of an interface of type t that holds a value of the descriptor's type."""
        return (
            self.scratch.add(self.target.arch.pack(0) + self.target.arch.pack(descriptor)) if t.methods else descriptor
        )


def _several(t: GoType, what: str, keys: Sequence[tuple[bytes, int]]) -> BadExpression:
    """The refusal to choose one of the map's keys, which have type t. keys: with their addresses."""
    places = ", ".join(f"{address:#x}:{t.name}" for _, address in keys[:MAX_NAMED])
    return BadExpression(f"{plural(len(keys), 'key')} of the map {what}: use {places}")


def _alike(t: GoType, given: GoType) -> bool:
    """Whether one can be converted to the other: types of one kind that consist of the same."""
    if plain_name(t) == plain_name(given):
        return same(t, given)
    if t.size != given.size or t.length != given.length:
        return False
    if t.kind is Kind.STRUCT:
        fields = [(f.name, f.offset, f.type.name) for f in t.fields]
        return fields == [(f.name, f.offset, f.type.name) for f in given.fields]
    return t.kind not in (Kind.ARRAY, Kind.POINTER) or t.elem.name == given.elem.name
