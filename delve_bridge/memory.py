"""The target's memory: through Delve, or past it where server and bridge share machine and user."""

from __future__ import annotations

import base64
import bisect
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

from delve_bridge.rpc import Api, Refused, ended
from gomap import elf
from gomap.errors import MemoryFault, NoProcess
from gomap.memory import Buffer, Memory, Read, joined, one_by_one, stream

#: ExamineMemory's limit from Delve 1.24.0 on; older servers name theirs when they refuse (1000 bytes).
LIMIT = 65536
_LIMIT_TOLD = re.compile(r"less than or equal to (\d+)")


class RpcMemory:
    """Memory as the server reads it, in as many requests as its limit takes, all under way at once."""

    def __init__(self, client: Api) -> None:
        self._client = client
        self.limit = LIMIT

    def read(self, address: int, size: int) -> bytes:
        if size <= 0:
            return b""
        if address < 0 or address + size > 1 << 64:
            raise MemoryFault(address, size, "no such address")
        while True:
            limit = self.limit
            places = [(at, min(limit, address + size - at)) for at in range(address, address + size, limit)]
            answers = self._client.calls(
                [("ExamineMemory", {"Address": at, "Length": length}) for at, length in places]
            )
            parts = []
            for (at, length), answer in zip(places, answers):
                if isinstance(answer, Refused):
                    if isinstance(end := ended(answer), NoProcess):
                        raise end
                    told = _LIMIT_TOLD.search(str(answer))
                    if told is None or not 0 < int(told.group(1)) < limit:
                        raise MemoryFault(at, length)
                    self.limit = int(told.group(1))
                    break
                part = answer["Mem"] or b""
                part = base64.b64decode(part) if isinstance(part, str) else bytes(part)
                if len(part) != length:
                    raise MemoryFault(at, length, f"the server sent {len(part)} bytes")
                parts.append(part)
            else:
                return b"".join(parts)


class CoreMemory:
    """The PT_LOAD segments of an ELF core file. Raises OSError, BadElf when it is none."""

    def __init__(self, path: str) -> None:
        self._map = elf.mapped(path)
        try:
            self._segments = elf.parse(self._map).loaded
        except elf.BadElf:
            self._map.close()
            raise
        self._starts = [segment.address for segment in self._segments]

    def read(self, address: int, size: int) -> bytes:
        parts = []
        at, end = address, address + size
        while at < end:
            index = bisect.bisect_right(self._starts, at) - 1
            if index < 0:
                raise MemoryFault(at, end - at)
            segment = self._segments[index]
            inside = at - segment.address
            # A segment's pages that were not dumped are the executable's, and Delve's to read.
            if inside >= segment.size:
                raise MemoryFault(at, end - at)
            length = min(segment.size, len(self._map) - segment.offset)
            if inside >= length:
                raise elf.CutShort(at, end - at)
            here = min(end - at, length - inside)
            parts.append(self._map[segment.offset + inside : segment.offset + inside + here])
            at += here
        return b"".join(parts) if len(parts) != 1 else parts[0]

    def stream(self, pieces: Iterable[tuple[int, int]]) -> Iterator[Read]:
        """gomap.memory.stream: as the file has it, not copied."""
        for address, size in pieces:
            before = bisect.bisect_right(self._starts, address)
            segment = self._segments[before - 1] if before else None
            start = address - segment.address + segment.offset if segment else 0
            if segment and start + size <= min(segment.offset + segment.size, len(self._map)):
                yield address, size, memoryview(self._map)[start : start + size]
            else:
                yield from one_by_one(self, [(address, size)])

    def joined(self, addresses: Sequence[int], sizes: Sequence[int]) -> bytes | None:
        """gomap.memory.joined."""
        parts = []
        start = end = offset = 0
        for address, size in zip(addresses, sizes):
            if not start <= address <= address + size <= end:
                before = bisect.bisect_right(self._starts, address)
                if before and size:
                    segment = self._segments[before - 1]
                    start, end, offset = segment.address, segment.address + segment.size, segment.offset
                    end = min(end, start + len(self._map) - offset)
                if size and not start <= address <= address + size <= end:
                    return None
            at = address - start + offset
            parts.append(self._map[at : at + size] if size else b"")
        return b"".join(parts)

    def close(self) -> None:
        with suppress(BufferError):  # bytes that are still in use keep the file mapped as long
            self._map.close()


class Shortcut:
    """`direct` where it can read, Delve everywhere else."""

    def __init__(self, direct: Memory, delve: Memory) -> None:
        self._direct = direct
        self._delve = delve

    def read(self, address: int, size: int) -> bytes:
        try:
            return self._direct.read(address, size)
        except elf.CutShort:
            raise
        except MemoryFault:
            return self._delve.read(address, size)

    def stream(self, pieces: Iterable[tuple[int, int]]) -> Iterator[Read]:
        for address, size, data in stream(self._direct, pieces):
            if isinstance(data, MemoryFault):
                yield from one_by_one(self._delve, [(address, size)])
            else:
                yield address, size, data

    def joined(self, addresses: Sequence[int], sizes: Sequence[int]) -> Buffer | None:
        return joined(self._direct, addresses, sizes)
