"""The target's memory: through Delve, or past it where server and bridge share machine and user."""

from __future__ import annotations

import base64
import bisect
import mmap
import re
import struct
from collections.abc import Iterable, Iterator

from delve_bridge.rpc import Client, Refused
from gomap.errors import GomapError, MemoryFault
from gomap.memory import Memory, Read, one_by_one, stream

#: ExamineMemory's limit from Delve 1.24.0 on; older servers name theirs when they refuse (1000 bytes).
LIMIT = 65536
_LIMIT_TOLD = re.compile(r"less than or equal to (\d+)")


class RpcMemory:
    """Memory as the server reads it, in as many requests as its limit takes, all under way at once."""

    def __init__(self, client: Client) -> None:
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
                    told = _LIMIT_TOLD.search(str(answer))
                    if told is None or not 0 < int(told.group(1)) < limit:
                        raise MemoryFault(at, length)
                    self.limit = int(told.group(1))
                    break
                part = base64.b64decode(answer["Mem"] or "")
                if len(part) != length:
                    raise MemoryFault(at, length, f"the server sent {len(part)} bytes")
                parts.append(part)
            else:
                return b"".join(parts)


class CoreMemory:
    """The PT_LOAD segments of an ELF core file. Raises OSError, GomapError when it is none."""

    def __init__(self, path: str) -> None:
        with open(path, "rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        try:
            segments = sorted(load_segments(self._map))
        except struct.error as error:
            self._map.close()
            raise GomapError(f"{path} is no ELF core file") from error
        self._segments = segments
        self._starts = [start for start, _, _ in segments]

    def read(self, address: int, size: int) -> bytes:
        parts = []
        at, end = address, address + size
        while at < end:
            index = bisect.bisect_right(self._starts, at) - 1
            if index < 0:
                raise MemoryFault(at, end - at)
            start, offset, length = self._segments[index]
            # A segment's pages that were not dumped are the executable's, and Delve's to read.
            length = min(length, len(self._map) - offset)
            if at >= start + length:
                raise MemoryFault(at, end - at)
            here = min(end, start + length) - at
            parts.append(self._map[offset + at - start : offset + at - start + here])
            at += here
        return b"".join(parts) if len(parts) != 1 else parts[0]

    def missing(self) -> int:
        """Bytes that the segments should have and the file has not."""
        end = max((offset + size for _, offset, size in self._segments), default=0)
        return max(end - len(self._map), 0)

    def close(self) -> None:
        self._map.close()


def load_segments(data: mmap.mmap | bytes) -> list[tuple[int, int, int]]:
    """(address, offset in the file, bytes in the file) of each PT_LOAD segment."""
    if data[:4] != b"\x7fELF":
        raise struct.error("magic")
    order = "<" if data[5] == 1 else ">"
    wide = data[4] == 2
    if wide:
        _, table, sections, _, _, entry, count = struct.unpack_from(order + "QQQIHHH", data, 24)
    else:
        _, table, sections, _, _, entry, count = struct.unpack_from(order + "IIIIHHH", data, 24)
    if count == 0xFFFF and sections:  # PN_XNUM: the first section header's sh_info has the count
        (count,) = struct.unpack_from(order + "I", data, sections + (44 if wide else 28))
    found = []
    for number in range(count):
        at = table + number * entry
        if wide:
            kind, _, offset, address, _, size = struct.unpack_from(order + "IIQQQQ", data, at)
        else:
            kind, offset, address, _, size = struct.unpack_from(order + "IIIII", data, at)
        if kind == 1 and size:
            found.append((address, offset, size))
    return found


class Shortcut:
    """`direct` where it can read, Delve everywhere else."""

    def __init__(self, direct: Memory, delve: Memory) -> None:
        self._direct = direct
        self._delve = delve

    def read(self, address: int, size: int) -> bytes:
        try:
            return self._direct.read(address, size)
        except MemoryFault:
            return self._delve.read(address, size)

    def stream(self, pieces: Iterable[tuple[int, int]]) -> Iterator[Read]:
        for address, size, data in stream(self._direct, pieces):
            if isinstance(data, MemoryFault):
                yield from one_by_one(self._delve, [(address, size)])
            else:
                yield address, size, data
