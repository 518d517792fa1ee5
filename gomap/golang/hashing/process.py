"""The random keys of a process's hash functions, where its runtime keeps them."""

from __future__ import annotations

from gomap.errors import MemoryFault
from gomap.golang.hashing.memhash import MemHash, load
from gomap.target import Target

#: Where the runtime keeps its keys: internal/runtime/maps from Go 1.27 on.
_PACKAGES = (("internal/runtime/maps", "UseAeshash"), ("runtime", "useAeshash"))


def memhash_of(target: Target) -> tuple[MemHash, bool] | None:
    """(this process's hashes of memory, whether its compiler is that of Go 1.27 or newer); None if unknown.

    aeskeysched and hashkey moved in the version in which genhash changed: where they are says both.
    """
    arch, word = target.arch, target.arch.pointer_size
    for package, flag in _PACKAGES:
        key_address = target.symbol(f"{package}.hashkey")
        if key_address is None:
            continue
        moved = package != "runtime"
        try:
            data = target.memory.read(key_address, 4 * word)
            hashkey = tuple(arch.pointer(data, i * word) for i in range(4))
            aes = arch.name in ("amd64", "arm64", "386")
            flag_address = target.symbol(f"{package}.{flag}") if aes else None
            aes = flag_address is not None and target.memory.read(flag_address, 1) != b"\0"
            schedule_address = target.symbol(f"{package}.aeskeysched") if aes else None
            schedule: tuple[tuple[int, int, int, int], ...] = ()
            if schedule_address is not None:
                data = target.memory.read(schedule_address, word * 16)
                blocks = [data[at : at + 16] for at in range(0, len(data), 16)]
                schedule = tuple((load(b, 0, 4), load(b, 4, 4), load(b, 8, 4), load(b, 12, 4)) for b in blocks)
        except MemoryFault:
            return None
        if aes and not schedule:
            return None
        # The constants left the source when hashkey took their place (Go 1.23); m1 is too large for debug information.
        constants = not aes and word == 8 and not moved and target.variable("runtime.m4") is not None
        name = arch.name if aes else None
        return MemHash(name, schedule, hashkey, word, arch.byte_order, constants, not moved), moved
    return None
