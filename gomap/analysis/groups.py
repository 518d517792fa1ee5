"""Which variables hold one map, or one bucket array."""

from __future__ import annotations

from dataclasses import dataclass, field

from gomap.analysis.held import AliasSearch, Holder
from gomap.anomaly import Anomaly
from gomap.errors import GomapError
from gomap.gotypes import GoType


@dataclass
class Group:
    """Holders of one map, or (shared_by `buckets`) of maps with different headers and shared buckets."""

    address: int
    buckets: int
    type: GoType
    count: int
    shared_by: str
    holders: list[Holder] = field(default_factory=list)
    headers: list[int] = field(default_factory=list)


def groups(found: AliasSearch) -> list[Group]:
    """Holders by map; maps whose headers differ and whose buckets are the same come together."""
    owner: dict[int, int] = {}  # address of an array -> first header that has it
    union: dict[int, int] = {}  # header -> the header that represents its group

    def root(address: int) -> int:
        while union.setdefault(address, address) != address:
            address = union[address]
        return address

    for address in found.types:
        try:
            storage = found.views[address].storage()
        except GomapError as error:
            found.anomalies.append(Anomaly("warning", "unreadable", f"map at {address:#x}: {error}", address))
            continue
        for array in storage:
            other = owner.setdefault(array, address)
            if root(other) != root(address):
                union[root(address)] = root(other)
    together: dict[int, list[int]] = {}
    for address in found.types:
        together.setdefault(root(address), []).append(address)
    made = []
    for headers in together.values():
        first = headers[0]
        one = found.views[first]
        held = [holder for header in headers for holder in found.maps[header]]
        made.append(
            Group(
                address=first,
                buckets=one.array_address,
                type=found.types[first],
                count=one.count,
                shared_by="header" if len(headers) == 1 else "buckets",
                holders=held,
                headers=headers,
            )
        )
    return made
