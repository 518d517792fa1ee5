"""A map type's key and elem in the program's own type descriptors, found by the type's name.

Only for named map types: Delve's API does not give their key and elem.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from gomap.errors import GomapError
from gomap.golang.runtime.abitype import KIND_MASK, KINDS, TFLAG_NAMED
from gomap.golang.runtime.rtype import DescribedTypes
from gomap.gotypes import Kind
from gomap.target import Target, read_record

#: More than the largest known program has of descriptors and names.
MAX_TYPES = 256 << 20
_MAP = next(number for number, (kind, _) in enumerate(KINDS) if kind is Kind.MAP)


def map_parts(target: Target, name: str) -> tuple[str, str] | None:
    """Names of key and elem of the named map type `name`, None when the program has no descriptor of it."""
    try:
        for base, data in _sections(target):
            types = DescribedTypes(target)
            for address in _candidates(target, data, base, name):
                try:
                    found = types.at(address)
                except GomapError:
                    continue
                if found.kind is Kind.MAP and found.name == name:
                    return found.key.name, found.elem.name
    except GomapError:
        return None
    return None


def _sections(target: Target) -> Iterator[tuple[int, bytes]]:
    """Address and bytes of what lies from types to etypes in each module (runtime.moduledata)."""
    address, moduledata = target.symbol("runtime.firstmoduledata"), target.find_type("runtime.moduledata")
    seen: set[int] = set()
    while address and moduledata is not None and address not in seen:
        seen.add(address)
        record = read_record(target, moduledata, address)
        size = record["etypes"] - record["types"]
        if 0 < size <= MAX_TYPES:
            yield record["types"], target.memory.read(record["types"], size)
        address = record["next"]


def _candidates(target: Target, data: bytes, base: int, name: str) -> Iterator[int]:
    """Addresses that hold what can be the descriptor of a named map type so called (abi.Type, abi.Name)."""
    arch = target.arch
    word = arch.pointer_size
    tail = name[name.rfind("/") + 1 :]
    text = tail[tail.find(".") :].encode()  # the package's name need not be the last part of its path
    for found in re.finditer(re.escape(text), data):
        end = found.end()
        for start in range(max(found.start() - 128, 0), found.start()):
            if data[start + 1] != end - start - 2 or data[start + 1] >= 0x80:
                continue
            wanted = start.to_bytes(4, arch.byte_order)  # type: ignore[arg-type]
            at = data.find(wanted)
            while at >= 0:
                descriptor = at - 4 * word - 8
                if at % word == 0 and descriptor >= 0:
                    kind, tflag = data[descriptor + 2 * word + 7], data[descriptor + 2 * word + 4]
                    if kind & KIND_MASK == _MAP and tflag & TFLAG_NAMED:
                        yield base + descriptor
                at = data.find(wanted, at + 1)
