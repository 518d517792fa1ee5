"""The random keys of a process's hash functions, where its runtime keeps them."""

from __future__ import annotations

import hashlib

from gomap.errors import MemoryFault
from gomap.golang.hashing.memhash import MemHash, load
from gomap.target import Arch, Target

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
            hashkey = target.memory.read(key_address, 4 * word)
            aes = arch.name in ("amd64", "arm64", "386")
            flag_address = target.symbol(f"{package}.{flag}") if aes else None
            aes = flag_address is not None and target.memory.read(flag_address, 1) != b"\0"
            schedule_address = target.symbol(f"{package}.aeskeysched") if aes else None
            schedule = None if schedule_address is None else target.memory.read(schedule_address, word * 16)
        except MemoryFault:
            return None
        if aes and schedule is None:
            return None
        # The constants left the source when hashkey took their place (Go 1.23); m1 is too large for debug information.
        constants = not aes and word == 8 and not moved and target.variable("runtime.m4") is not None
        return memhash_with(arch, schedule if aes else None, hashkey, moved, constants), moved
    return None


def identity_of(target: Target) -> str:
    """Says which process it is: a digest of the random keys that it has drawn at its start, the same for its core
    files and in every debugger. Empty where they are not known, or not drawn yet. They can't be learnt from it."""
    word, found = target.arch.pointer_size, b""
    for package, _ in _PACKAGES:
        for name, size in (("hashkey", 4 * word), ("aeskeysched", 16 * word)):
            address = target.symbol(f"{package}.{name}")
            if address is not None:
                try:
                    found += target.memory.read(address, size)
                except MemoryFault:
                    return ""
    return hashlib.sha256(b"gomap process" + found).hexdigest()[:32] if any(found) else ""


def memhash_with(arch: Arch, schedule: bytes | None, hashkey: bytes, moved: bool, constants: bool) -> MemHash:
    """The hashes of memory with these keys. schedule: aeskeysched, None without AES. moved: the runtime is that of
    Go 1.27 or newer. constants: of before Go 1.23, where it has a part."""
    word, blocks = arch.pointer_size, schedule or b""
    rounds = tuple(
        (load(b, 0, 4), load(b, 4, 4), load(b, 8, 4), load(b, 12, 4))
        for b in (blocks[at : at + 16] for at in range(0, len(blocks), 16))
    )
    name = None if schedule is None else arch.name
    numbers = tuple(arch.pointer(hashkey, i * word) for i in range(4))
    plain = constants and schedule is None and word == 8 and not moved
    return MemHash(name, rounds, numbers, word, arch.byte_order, plain, not moved)
