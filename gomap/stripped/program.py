"""A stripped Go program's names: types from its descriptors, the runtime's structures from a table, its variables as
they are found in memory. What a debugger's symbol table and debug information answer, for a Target."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Callable

from gomap import elf
from gomap.analysis.identify import Identifier
from gomap.errors import GomapError, NoDebugInfo
from gomap.golang.hashing.process import memhash_with
from gomap.golang.runtime.abitype import KIND_MASK, KINDS
from gomap.golang.runtime.heap import Heap
from gomap.golang.runtime.maptypes import descriptors
from gomap.golang.runtime.rtype import DescribedTypes
from gomap.gotypes import GoType, Kind, consist_of_same, fixed
from gomap.heap.census import Census, census
from gomap.memory import CachedMemory, Memory
from gomap.stripped import buildinfo, find, hashkeys, layouts
from gomap.target import GLOBAL, Arch, Captured, Frame, Goroutine, Location, Record, Registers, Variable, Wanted

#: What package variables of the program are called, whose names are gone.
PLACE = re.compile(r"(data|bss)\+0x([0-9a-f]+)\Z")
#: The note about names, after the reason why there are none.
BY_ADDRESS = "Maps are named by address then, as hmap-top lists them"
_ENDS = {"data": ("data", "edata", "gcdatamask"), "bss": ("bss", "ebss", "gcbssmask")}
#: Variables that every answer needs, and the conditions that they satisfy.
_NEEDED = {
    "runtime.mheap_": "no variable of the program leads to the heap's spans",
    "runtime.allgs": "no variable of the program lists goroutines",
}
#: Bytes of variables that tell one process from another.
MAX_OWN = 1 << 16
#: Spans whose address the heap's arenas must lead back from.
PROOF = 8
#: What a type's name has in front of its own: a package, with its path or without.
_PACKAGE = re.compile(r"[^\s\[\]{}()*;,<>]*[./]")


@dataclass(frozen=True)
class Root:
    """A word of data or bss that leads to something of a known type."""

    name: str
    address: int
    type: GoType


class KeptMemory:
    """Memory of which the type descriptors, which never change, are read once."""

    def __init__(self, inner: Memory) -> None:
        self._inner = inner
        self._start, self._data = 0, b""

    def renew(self, inner: Memory) -> None:
        """Reads from `inner` from now on: the memory of the program at another stop."""
        self._inner = inner

    def keep(self, start: int, size: int) -> None:
        """Reads `size` bytes at `start` now, and answers from them until the next `keep`."""
        self._start, self._data = start, self._inner.read(start, size)

    def read(self, address: int, size: int) -> bytes:
        """As Memory.read."""
        at = address - self._start
        if at >= 0 and at + size <= len(self._data):
            return self._data[at : at + size]
        return self._inner.read(address, size)


class Stripped:
    """A program without debug information, whose memory can be read. Raises NoDebugInfo, BadElf, OSError.

    path: of its file. moved: how far it was loaded from where it was linked. It is itself a Target without frames.
    """

    backend, kind, running, goroutine = "direct", "live", 0, None
    package: str | None = "main"

    def __init__(self, path: str, memory: Memory, moved: int) -> None:
        why = elf.why_no_debug_info(path)
        with elf.mapped(path) as data:
            parsed, info = elf.parse(data), buildinfo.read(data)
            word = 8 if parsed.wide else 4
            machine = elf.MACHINES.get(parsed.machine, "?")
            self.arch = Arch(machine, word, "little" if parsed.order == "<" else "big")
            if info is None or info.minor is None:
                raise NoDebugInfo(why)
            row, self.notes = layouts.row_of(info.minor, machine, info.experiments)
            if row is None:
                raise NoDebugInfo(
                    f"{why}. It is of Go 1.{info.minor} for {machine}, and gomap's table of the runtime's structures "
                    f"has {layouts.known()}"
                )
            self._build, self._moved, self._row, self.path = info, moved, row, path
            self._layouts = layouts.Layouts(row, word)
            self._raw = memory
            t = self._layouts.find("runtime.moduledata")
            module = None if t is None else find.module_data(data, memory, moved, self.arch, t)
        if t is None or module is None:
            raise NoDebugInfo(
                f"{why}. Its module data (runtime.firstmoduledata) was not found in memory: it has not started, or is "
                "another build"
            )
        #: The message for an unknown name.
        self.nameless = f"{why}. {BY_ADDRESS}"
        self._module: Record = Record(self.arch, t, module, memory.read(module, t.size))
        self._kept = KeptMemory(CachedMemory(memory))
        self._kept.keep(self._module["types"], min(self._module["etypes"] - self._module["types"], find.MAX_SECTION))
        self.memory: Memory = self._kept
        self._types = DescribedTypes(self)
        self._symbols: dict[str, int] = {"runtime.firstmoduledata": module}
        self._missing: set[str] = set()
        self._index: Mapping[str, Sequence[int]] | None = None
        self._known: dict[str, GoType | None] = {}
        self._roots: list[Root] | None = None
        self._census: Census | None = None

    @property
    def go_version(self) -> str | None:
        """As the program's build information says."""
        return self._build.version

    @property
    def own_data(self) -> tuple[int, int]:
        """Address and size of variables that the runtime sets, the hash functions' random keys among them."""
        start, end = self._module["noptrbss"], self._module["enoptrbss"]
        return start, min(end - start, MAX_OWN)

    def again(self, memory: Memory | None = None) -> Stripped:
        """For another command: what was not found may be there now. memory: where it is another object by now."""
        self._raw = memory or self._raw
        self._missing.clear()
        self._roots, self._census = None, None
        self._kept.renew(CachedMemory(self._raw))
        return self

    # -- types -------------------------------------------------------------------------------------------

    def find_type(self, name: str) -> GoType | None:
        """A structure of the runtime, or the type of the program that has this full name."""
        found = self._layouts.find(name)
        if found is None:
            if name not in self._known:
                self._known[name] = self._named(name)
            found = self._known[name]
        return found

    def _named(self, name: str) -> GoType | None:
        if self._index is None:
            self._index = self._short_names()
        wanted = name.replace("%2e", ".")
        found: list[GoType] = []
        for address in self._index.get(_short(wanted), ()):
            if self._types.name(address) != wanted:
                continue
            try:
                found.append(self._types.at(address))
            except GomapError:
                continue
        # Functions declare types of one name each.
        return found[0] if found and all(consist_of_same(found[0], one) for one in found[1:]) else None

    def _short_names(self) -> dict[str, list[int]]:
        """Descriptors of the program's types by their names without packages."""
        found: dict[str, list[int]] = {}
        try:
            for address, text in descriptors(self._types):
                found.setdefault(_short(text), []).append(address)
        except GomapError:
            pass
        return found

    # -- the runtime's variables -------------------------------------------------------------------------

    def symbol(self, name: str) -> int | None:
        """Address of one of the runtime's variables; None if it is not found. Raises NoDebugInfo, MemoryFault for
        variables that every answer needs."""
        if name not in self._symbols and name not in self._missing:
            self._missing.add(name)  # while it is looked for, too
            try:
                self._look_for(name)
            except GomapError:
                if name in _NEEDED:
                    self._missing.discard(name)
                    raise
            if name in _NEEDED and name not in self._symbols:
                self._missing.discard(name)
                raise NoDebugInfo(f"{name} was not found in memory: {_NEEDED[name]}")
        return self._symbols.get(name)

    def _look_for(self, name: str) -> None:
        if name == "runtime.mheap_":
            found = next((one for one in find.heaps(self, self._areas()) if self._is_heap(one)), None)
        elif name == "runtime.allgs":
            found = find.goroutines(self, self._areas())
        elif name == "runtime.allm":
            found = find.threads(self, self._areas())
        elif name in self._hash_names():
            self._find_keys()
            return
        else:
            return
        if found is not None:
            self._symbols[name] = found

    def _areas(self) -> list[find.Area]:
        """What package variables lie in that are not constant from the start."""
        record = self._module
        pairs = (("bss", "ebss"), ("noptrbss", "enoptrbss"), ("data", "edata"))
        return [find.area(self, record[low], record[high]) for low, high in pairs]

    def _is_heap(self, address: int) -> bool:
        """Whether the arenas of this mheap lead from each of its spans back to that."""
        self._symbols["runtime.mheap_"] = address
        try:
            heap = Heap(self)
            spans, _ = heap.every()
            proved = sum(
                one is not None and one.address == span.address
                for span in spans[:PROOF]
                for one in [heap.span_of(span.start)]
            )
            if spans and proved == min(len(spans), PROOF):
                return True
        except GomapError:
            pass
        del self._symbols["runtime.mheap_"]
        return False

    def _hash_names(self) -> tuple[str, ...]:
        """hashkey, aeskeysched, useAeshash by their names in this version."""
        if "internal/runtime/maps.hashkey" in self._row.constants:
            return tuple(f"internal/runtime/maps.{one}" for one in ("hashkey", "aeskeysched", "UseAeshash"))
        return tuple(f"runtime.{one}" for one in ("hashkey", "aeskeysched", "useAeshash"))

    def _find_keys(self) -> None:
        names = self._hash_names()
        self._missing.update(names)
        moved, constants = "/" in names[0], "runtime.m4" in self._row.constants
        target = self

        def make(schedule: bytes | None, hashkey: bytes) -> tuple[object, bool]:
            return memhash_with(target.arch, schedule, hashkey, moved, constants), moved

        record = self._module
        areas = [find.area(self, record["noptrbss"], record["enoptrbss"])]
        found = hashkeys.find(self, self.census(), areas, make)  # type: ignore[arg-type]
        if found is None:
            return
        if found.schedule is not None:
            # hashkey is not used then. The flag is true: its place is not known, and any byte that is not 0 says so.
            data = self.memory.read(found.schedule, 16)
            flag = found.schedule + next(i for i, byte in enumerate(data) if byte)
            self._symbols.update(zip(names, (found.schedule, found.schedule, flag)))
        elif found.hashkey is not None:
            self._symbols[names[0]] = found.hashkey

    # -- variables ---------------------------------------------------------------------------------------

    def variable(self, name: str, callers: bool = True) -> Variable | None:
        """A variable or constant of the runtime that the core asks for, found by what it must satisfy (find.py); None
        for others."""
        word = self.arch.pointer_size
        if name == "runtime.allgs":
            address, g = self.symbol(name), self.find_type("runtime.g")
            if address is None or g is None:
                return None
            pointer = GoType(Kind.POINTER, "*runtime.g", word, lazy_elem=fixed(g))
            return Variable(name, GoType(Kind.SLICE, "[]*runtime.g", 3 * word, lazy_elem=fixed(pointer)), address)
        if name in ("runtime.buildVersion", "runtime.modinfo"):
            at, length = self._build.version_at if name.endswith("Version") else self._build.modules_at
            data = self.arch.pack(at + self._moved) + self.arch.pack(length)
            return Variable(name, GoType(Kind.STRING, "string", 2 * word), data=data, place=GLOBAL)
        if name == "runtime.waitReasonStrings":
            return self._reasons()
        if name in self._row.constants:
            value = self._row.constants[name] & (1 << 8 * word) - 1
            return Variable(name, GoType(Kind.INT, "int", word), data=self.arch.pack(value), place=GLOBAL)
        if PLACE.match(name):
            return next((_as_variable(one) for one in self.roots() if one.name == name), None)
        return None

    def _reasons(self) -> Variable | None:
        """The texts of why goroutines wait: an array of strings of known lengths."""
        name, reasons, word = "runtime.waitReasonStrings", self._row.reasons, self.arch.pointer_size
        if name not in self._symbols and name not in self._missing:
            self._missing.add(name)
            lengths = [len(one) for one in reasons]
            try:
                where = find.area(self, self._module["data"], self._module["edata"])
                words = where.words
                for i in range(len(words) - 2 * len(lengths) + 1):
                    if words[i + 3] == lengths[1] and list(words[i + 1 : i + 2 * len(lengths) : 2]) == lengths:
                        first = self.memory.read(words[i + 2], lengths[1])
                        if first == reasons[1].encode():
                            self._symbols[name] = where.start + i * word
                            break
            except GomapError:
                pass
        at = self._symbols.get(name)
        if at is None:
            return None
        text = GoType(Kind.STRING, "string", 2 * word)
        count = len(reasons)
        return Variable(
            name, GoType(Kind.ARRAY, f"[{count}]string", count * text.size, count, lazy_elem=fixed(text)), at
        )

    def frame_variables(self, wanted: Callable[[GoType], bool]) -> Iterator[Variable]:
        """None: a stripped program has no names of local variables."""
        return iter(())

    def package_variables(self, wanted: Callable[[GoType], bool]) -> Iterator[Variable]:
        """The words of data and bss that lead to something of a wanted type, each named by where it lies."""
        for one in self.roots():
            if wanted(one.type):
                yield _as_variable(one)

    def roots(self) -> list[Root]:
        """What data and bss have that leads to something whose type is known: maps, interfaces, and pointers to objects
        whose type the allocator has noted."""
        if self._roots is None:
            self._roots = []
            with suppress(GomapError):
                self._roots = list(self._find_roots())
        return self._roots

    def census(self) -> Census:
        """Every map header of the heap, looked for once a command. Raises GomapError."""
        if self._census is None:
            self._census = census(self, Heap(self), DescribedTypes(self))
        return self._census

    def _find_roots(self) -> Iterator[Root]:
        every = self.census()
        heap, types = every.reader.heap if every.reader is not None else Heap(self), DescribedTypes(self)
        headers = {address for address, array in zip(every.addresses, every.arrays) if array}
        identifier = Identifier(self, heap, types)
        word, record = self.arch.pointer_size, self._module
        low, high = record["text"], max(record["enoptrbss"], record["ebss"])
        for label, (start, end, mask) in _ENDS.items():
            where = find.area(self, record[start], record[end])
            words = where.words
            before = -1
            for i in self._marked(mask, len(words)):
                # An interface's first word is none of them.
                first = words[i - 1] if i and before != i - 1 else 0
                before, value = i, words[i]
                if value < 4096:
                    continue
                held = self._interface(types, first, words[i - 2]) if first > 4096 and i > 1 else None
                if held is not None:
                    yield Root(f"{label}+{(i - 1) * word:#x}", where.start + (i - 1) * word, held)
                    continue
                if low <= value < high:
                    continue
                t = self._led_to(heap, types, identifier, headers, words[i : i + 3])
                if t is not None:
                    yield Root(f"{label}+{i * word:#x}", where.start + i * word, t)

    def _marked(self, mask: str, count: int) -> Iterator[int]:
        """Indexes of the words that the collector takes for pointers (moduledata.gcdatamask, gcbssmask)."""
        found = self._module.type.field(mask)
        inner = found.type.field("bytedata") if found is not None else None
        if found is None or inner is None:
            yield from range(count)
            return
        at = self.arch.pointer(self._module.data, found.offset + inner.offset)
        bits = self.memory.read(at, (count + 7) // 8)
        for i, byte in enumerate(bits):
            while byte:
                low = byte & -byte
                yield 8 * i + low.bit_length() - 1
                byte ^= low

    def _interface(self, types: DescribedTypes, first: int, before: int) -> GoType | None:
        """The type of an interface with this first word; None if no interface has it. before: the word in front of it,
        which is the itab's own type in the runtime's caches of itabs (abi.TypeAssertCacheEntry)."""
        word, record = self.arch.pointer_size, self._module
        low, high = record["types"], record["etypes"]
        try:
            data = self.memory.read(first, 2 * word + 4)
            inter, held = self.arch.pointer(data), self.arch.pointer(data, word)
            if low <= inter < high and low <= held < high:  # runtime.itab: Inter, Type, and Hash, a copy of the type's
                hash_ = self.memory.read(held + 2 * word, 4)
                if before == held or types.at(inter).kind is not Kind.INTERFACE or hash_ != data[2 * word :]:
                    return None
                types.descriptor(held)
                return GoType(Kind.INTERFACE, types.name(inter), 2 * word, methods=True)
            # What an interface holds is of no interface type; the runtime's caches have such in a row.
            if low <= first < high and KINDS[types.descriptor(first).kind & KIND_MASK][0] is not Kind.INTERFACE:
                return GoType(Kind.INTERFACE, "interface {}", 2 * word) if types.name(first) else None
        except GomapError:
            pass
        return None

    def _led_to(
        self, heap: Heap, types: DescribedTypes, identifier: Identifier, headers: set[int], words: Sequence[int]
    ) -> GoType | None:
        """The type of a variable that begins with these words; None where it is not known."""
        word, value = self.arch.pointer_size, words[0]
        try:
            if value in headers:
                known = identifier.identify(value)
                return known.type if known.known_by in ("hashes", "allocator") and not known.others else None
            noted = heap.type_at(value)
            if noted is None or noted[1] != value:
                return None
            t = types.at(noted[0])
            place = heap.at(value)
            room = 0 if place is None or place.span is None else place.span.object
        except GomapError:
            return None
        if len(words) > 2 and t.size and room >= 2 * t.size and 0 < words[1] <= words[2] <= room // t.size:
            # An array of several values, and how many of them the variable has and can have: a slice.
            return GoType(Kind.SLICE, "[]" + t.name, 3 * word, lazy_elem=fixed(t))
        return GoType(Kind.POINTER, "*" + t.name, word, lazy_elem=fixed(t))

    # -- frames, of which it knows none ------------------------------------------------------------------

    def unwind(self, goroutine: Goroutine, wanted: Wanted) -> Sequence[Frame]:
        """No frames: StrippedTarget unwinds stacks."""
        return ()

    def registers(self, goroutine: Goroutine) -> Registers | None:
        """None: only a debugger has them."""
        return None

    def captured(self, code: int, slot: int) -> Sequence[Captured]:
        """Nothing: what closures captured is not known without debug information."""
        return ()

    def location(self, pc: int) -> Location | None:
        """None: StrippedTarget knows functions and lines."""
        return None


def _as_variable(one: Root) -> Variable:
    return Variable(one.name, one.type, one.address)


def _short(name: str) -> str:
    """A type's name without packages."""
    return _PACKAGE.sub("", name)
