"""The target's memory: through Delve, or past it where server and bridge share machine and user."""

from __future__ import annotations

import base64
import re

from delve_bridge.rpc import Api, Refused, ended
from gomap.errors import MemoryFault, NoProcess

#: ExamineMemory's limit from Delve 1.24.0 on; older servers name theirs when they refuse (1000 bytes).
LIMIT = 65536
_LIMIT_TOLD = re.compile(r"less than or equal to (\d+)")


class RpcMemory:
    """Memory as the server reads it, in as many requests as its limit takes, all under way at once."""

    def __init__(self, client: Api) -> None:
        self._client = client
        self.limit = LIMIT

    def read(self, address: int, size: int) -> bytes:
        """As Memory.read, by ExamineMemory requests of at most `limit` bytes."""
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
