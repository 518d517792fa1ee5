"""Finds the runtime's variables in a stripped program, each by conditions that it must satisfy, or not at all.

firstmoduledata points to the table of functions, whose magic number is known, and is sane in all its fields
(moduledataverify1 of runtime/symtab.go). mheap_ has the spans in a slice, and its arenas lead from each span's address
back to that span (spanOf of runtime/mheap.go). allgs lists runtime.g whose gobuf points to the g itself. allm is the
head of the list of all threads. With the random keys of the hash functions, keys of maps hash to the marks in the maps
(hashkeys.py).
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gomap import elf
from gomap.errors import GomapError
from gomap.gotypes import GoType
from gomap.memory import CHUNK, Memory
from gomap.target import Arch, Record, Target, read_record

#: Magic numbers of the table of functions: Go 1.20 on, Go 1.18.
_MAGICS = (0xFFFFFFF1, 0xFFFFFFF0)
MAX_SECTION = 1 << 30
MAX_MODULES = 1 << 12
MAX_SPANS, MAX_GOROUTINES, MAX_THREADS = 1 << 26, 1 << 24, 1 << 16
#: Elements of a list that are looked at to tell what it is.
LOOKED_AT = 32
_LITTLE = array("H", b"\1\0")[0] == 1


# -- module data ---------------------------------------------------------------------------------------


def module_data(program: elf.Data, memory: Memory, moved: int, arch: Arch, t: GoType) -> int | None:
    """Address of runtime.firstmoduledata. program: the file's bytes. moved: how far it was loaded from where it was
    linked. t: runtime.moduledata."""
    parsed = elf.parse(program)
    word, order = arch.pointer_size, arch.byte_order
    tables = {address + moved for address in _tables(program, parsed, arch)}
    header = t.field("pcHeader")
    if header is None:
        return None
    for segment in parsed.loaded:
        if not segment.writable or segment.size > MAX_SECTION:
            continue
        start = segment.address + moved
        try:
            data = memory.read(start, segment.size)
        except GomapError:
            continue
        for table in tables:
            wanted = table.to_bytes(word, order)  # type: ignore[arg-type]
            at = data.find(wanted)
            while at >= 0:
                address = start + at - header.offset
                if not at % word and _is_module(memory, arch, t, address, table):
                    return address
                at = data.find(wanted, at + 1)
    return None


def _tables(program: elf.Data, parsed: elf.Elf, arch: Arch) -> Iterator[int]:
    """Addresses in the file at which a table of functions can begin (runtime.pcHeader)."""
    for magic in _MAGICS:
        for quantum in (1, 2, 4):
            head = magic.to_bytes(4, arch.byte_order) + bytes([0, 0, quantum, arch.pointer_size])  # type: ignore[arg-type]
            at = program.find(head)
            while at >= 0:
                for one in parsed.loaded:
                    if one.offset <= at < one.offset + one.size:
                        yield one.address + at - one.offset
                at = program.find(head, at + 1)


def _is_module(memory: Memory, arch: Arch, t: GoType, address: int, table: int) -> bool:
    try:
        record = Record(arch, t, address, memory.read(address, t.size))
        pairs = [("text", "etext"), ("minpc", "maxpc"), ("noptrdata", "enoptrdata"), ("data", "edata"), ("bss", "ebss"),
                 ("noptrbss", "enoptrbss"), ("types", "etypes")]  # fmt: skip
        if not all(record[low] <= record[high] for low, high in pairs) or not record["text"] < record["etext"]:
            return False
        names = t.field("funcnametab")
        inside = names is not None and table < arch.pointer(record.data, names.offset) < table + MAX_SECTION
        return inside and record["text"] <= record["minpc"] and record["maxpc"] <= record["etext"]
    except GomapError:
        return False


# -- what lies in data and bss -------------------------------------------------------------------------


@dataclass(frozen=True)
class Area:
    """Words of the program's memory from `start` on."""

    start: int
    words: Sequence[int]


def area(target: Target, start: int, end: int) -> Area:
    """The words from start to end. Raises MemoryFault, GomapError."""
    word = target.arch.pointer_size
    start += -start % word
    size = (end - start) // word * word
    if not 0 <= size <= MAX_SECTION:
        raise GomapError(f"a section of the program has {size:,} bytes: the module data is corrupt")
    data = b"".join(target.memory.read(start + at, min(CHUNK, size - at)) for at in range(0, size, CHUNK))
    words = array("Q" if word == 8 else "I", data)
    if (target.arch.byte_order == "little") != _LITTLE:
        words.byteswap()
    return Area(start, words)


def _slices(where: Area, word: int, most: int) -> Iterator[tuple[int, int, int, int]]:
    """(address, pointer, length, capacity) of what can be a slice that is not empty."""
    words = memoryview(where.words)  # type: ignore[arg-type]
    for i, (pointer, length, capacity) in enumerate(zip(words, words[1:], words[2:])):
        if 0 < length <= capacity <= most < pointer and not pointer % word:
            yield where.start + i * word, pointer, length, capacity


def _pointers(target: Target, start: int, count: int) -> list[int]:
    word = target.arch.pointer_size
    data = target.memory.read(start, count * word)
    return [target.arch.pointer(data, i) for i in range(0, len(data), word)]


def heaps(target: Target, areas: Sequence[Area]) -> Iterator[int]:
    """Addresses at which runtime.mheap_ can be: its list of spans is one."""
    mheap, span = target.find_type("runtime.mheap"), target.find_type("runtime.mspan")
    listed = mheap.field("allspans") if mheap is not None else None
    if listed is None or span is None:
        return
    for where in areas:
        for address, start, length, _ in _slices(where, target.arch.pointer_size, MAX_SPANS):
            try:
                some = _pointers(target, start, min(length, LOOKED_AT))
                if all(some) and all(_is_span(read_record(target, span, one)) for one in some[:4]):
                    yield address - listed.offset
            except GomapError:
                continue


def _is_span(record: Record) -> bool:
    return not record["startAddr"] % 8192 and record["startAddr"] > 0 and record["npages"] < 1 << 34


def goroutines(target: Target, areas: Sequence[Area]) -> int | None:
    """Address of runtime.allgs."""
    g = target.find_type("runtime.g")
    found: tuple[int, int] | None = None
    if g is None:
        return None
    for where in areas:
        for address, start, length, _ in _slices(where, target.arch.pointer_size, MAX_GOROUTINES):
            try:
                some = _pointers(target, start, min(length, LOOKED_AT))
                if not all(some) or not _are_goroutines(target, g, some):
                    continue
            except GomapError:
                continue
            # A collection keeps a second list while it marks, in a variable that lies behind this one: the linker
            # puts small ones first.
            if found is None or length > found[1]:
                found = address, length
    return None if found is None else found[0]


def _are_goroutines(target: Target, g: GoType, some: Sequence[int]) -> bool:
    word, named = target.arch.pointer_size, 0
    stack, sched = g.field("stack"), g.field("sched")
    own = sched.type.field("g") if sched is not None else None
    if stack is None or sched is None or own is None:
        return False
    for address in some:
        record = read_record(target, g, address)
        low, high = (target.arch.pointer(record.data, stack.offset + at) for at in (0, word))
        if not (low < high or low == high == 0) or record["goid"] >> 48 or record["m"] % word:
            return False
        named += target.arch.pointer(record.data, sched.offset + own.offset) == address
    return 2 * named > len(some)


def threads(target: Target, areas: Sequence[Area]) -> int | None:
    """Address of runtime.allm: of the words that point to a runtime.m, the one with the longest list behind it."""
    m, g = target.find_type("runtime.m"), target.find_type("runtime.g")
    best: tuple[int, int] | None = None
    if m is None or g is None:
        return None
    lengths: dict[int, int] = {}
    for where in areas:
        word = target.arch.pointer_size
        for i, value in enumerate(where.words):
            if value < 4096 or value % word:
                continue
            if value not in lengths:
                lengths[value] = _behind(target, m, g, value)
            if lengths[value] and (best is None or lengths[value] > best[1]):
                best = where.start + i * word, lengths[value]
    return None if best is None else best[0]


def _behind(target: Target, m: GoType, g: GoType, address: int) -> int:
    """The number of threads in the list that begins there; 0 if it is not a runtime.m."""
    seen: set[int] = set()
    try:
        while address and address not in seen and len(seen) < MAX_THREADS:
            record = read_record(target, m, address)
            if not record["g0"] or read_record(target, g, record["g0"])["m"] != address:
                return 0
            seen.add(address)
            address = record["alllink"]
    except GomapError:
        return 0
    return len(seen)


# -- random keys ---------------------------------------------------------------------------------------


def random_blocks(where: Area, word: int, size: int, order: str) -> Iterator[tuple[int, bytes]]:
    """(address, bytes) of blocks of so many bytes that look like random numbers, where the linker can have put them."""
    align = 32
    while align > size:
        align //= 2
    count, step = size // word, align // word
    first = (-where.start % align) // word
    words = where.words
    # None of its words is 0, unlike most memory that is tried.
    runs = re.finditer(b"\x01{%d,}" % count, bytes(map(bool, words)))
    starts = (i for run in runs for i in range(run.start() + (first - run.start()) % step, run.end() - count + 1, step))
    for i in starts:
        if i >= first:
            block = words[i : i + count]
            data = b"".join(one.to_bytes(word, order) for one in block)  # type: ignore[arg-type]
            if len(set(data)) >= size * _DISTINCT[size]:
                yield where.start + i * word, data


#: Different bytes of so many random ones are more but once in millions of times.
_DISTINCT = {128: 0.6, 64: 0.65, 32: 0.6, 16: 0.55}
