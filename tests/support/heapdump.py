"""What debug.WriteHeapDump writes: the runtime's own list of objects, pointers and roots (runtime/heapdump.go)."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

OBJECT, OTHER_ROOT, TYPE, GOROUTINE, FRAME, PARAMS, FINALIZER, ITAB, THREAD, STATS = range(1, 11)
QUEUED, DATA, BSS, DEFER, PANIC, PROFILE, SAMPLE = range(11, 18)
#: Of records that are skipped: a number for each `n`, and a text for each `t`.
_SKIPPED = {
    OTHER_ROOT: "tn", TYPE: "nntn", PARAMS: "nnnnttn", ITAB: "nn", THREAD: "nnn", STATS: "n" * (24 + 256 + 1),
    QUEUED: "nnnnn", DEFER: "nnnnnnn", PANIC: "nnnnnn", SAMPLE: "nn",
}  # fmt: skip


@dataclass(frozen=True)
class DumpedPiece:
    """Memory with pointers in it. fields: their offsets."""

    address: int
    contents: bytes
    fields: tuple[int, ...]

    def pointers(self) -> dict[int, int]:
        """What lies where there are pointers, by address."""
        return {
            self.address + at: int.from_bytes(self.contents[at : at + 8], "little")
            for at in self.fields
            if at + 8 <= len(self.contents)
        }


@dataclass(frozen=True)
class DumpedFrame:
    function: str
    piece: DumpedPiece


@dataclass
class HeapDump:
    """goroutines: (id, its frames, the newest first). finalizers: (object, function)."""

    objects: list[DumpedPiece] = field(default_factory=list)
    variables: list[DumpedPiece] = field(default_factory=list)
    goroutines: list[tuple[int, list[DumpedFrame]]] = field(default_factory=list)
    finalizers: list[tuple[int, int]] = field(default_factory=list)


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, data.index(b"\n") + 1

    def number(self) -> int:
        value = shift = 0
        while True:
            byte = self.data[self.at]
            self.at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def text(self) -> bytes:
        length = self.number()
        self.at += length
        return self.data[self.at - length : self.at]

    def fields(self) -> tuple[int, ...]:
        found = []
        while self.number():
            found.append(self.number())
        return tuple(found)


def read(path: Path) -> HeapDump:
    reader, found = _Reader(path.read_bytes()), HeapDump()
    while True:
        tag = reader.number()
        if not tag:
            return found
        if tag in (OBJECT, DATA, BSS):
            piece = DumpedPiece(reader.number(), reader.text(), reader.fields())
            (found.objects if tag == OBJECT else found.variables).append(piece)
        elif tag == GOROUTINE:
            _, _, goid, *_ = [reader.number() for _ in range(8)]
            reader.text()
            for _ in range(4):
                reader.number()
            found.goroutines.append((goid, []))
        elif tag == FRAME:
            address, _, _ = (reader.number() for _ in range(3))
            contents = reader.text()
            for _ in range(3):
                reader.number()
            name = reader.text().decode()
            found.goroutines[-1][1].append(DumpedFrame(name, DumpedPiece(address, contents, reader.fields())))
        elif tag == FINALIZER:
            found.finalizers.append((reader.number(), reader.number()))
            for _ in range(3):
                reader.number()
        elif tag == PROFILE:
            for _ in range(2):
                reader.number()
            for _ in range(reader.number()):
                reader.text(), reader.text(), reader.number()
            reader.number(), reader.number()
        else:
            for what in _SKIPPED[tag]:
                reader.number() if what == "n" else reader.text()
