"""Recomputed hashes against those the runtime computes: go_targets/hashes prints vectors of its own process.

With AES and without (GODEBUG=cpu.aes=off), on 64 and on 32 bits; one key at a time and, with numpy, all at once.
"""

from __future__ import annotations

import functools
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from gomap.arrays import numpy
from gomap.errors import MemoryFault
from gomap.golang.hashing.batches import KNOWN, RANDOM, hash_many
from gomap.golang.hashing.hasher import Hasher
from gomap.golang.hashing.memhash import MemHash, load
from gomap.golang.hashing.plans import Plan, plans, typehash_plan
from gomap.golang.runtime.rtype import DescribedTypes
from gomap.gotypes import Field, GoType, Kind, fixed
from gomap.memory import RegionMemory
from gomap.target import Arch
from tests.support import debuggers, machines, toolchains
from tests.support.nothing import Nothing
from tests.support.toolchains import Row

ARCHS = ("amd64", "386")
AES = ("on", "off")


@functools.cache
def vectors(binary: Path, aes: str) -> Any:
    env = debuggers._environment({"GODEBUG": f"cpu.aes={aes}", **machines.QUIET})
    run = subprocess.run([str(binary)], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True)
    return json.loads(run.stdout)


@pytest.fixture(params=[f"{arch}-aes-{aes}" for arch in ARCHS for aes in AES])
def said(request: pytest.FixtureRequest, toolchain: Row) -> Any:
    arch, _, aes = request.param.split("-")
    found = vectors(toolchains.build("hashes", toolchain, True, arch), aes)
    assert found["Arch"] == arch
    if aes == "off":
        assert not found["UseAes"], "GODEBUG=cpu.aes=off has no effect"
    return found


def mem_of(said: Any) -> MemHash:
    """The process's hashes as it describes them. A processor without AES has none of the AES vectors."""
    schedule = bytes.fromhex(said["Schedule"])
    blocks = [schedule[at : at + 16] for at in range(0, len(schedule), 16)]
    return MemHash(
        said["Arch"] if said["UseAes"] else None,
        tuple((load(b, 0, 4), load(b, 4, 4), load(b, 8, 4), load(b, 12, 4)) for b in blocks),
        tuple(int(k, 16) for k in said["Hashkey"]),
        said["PointerSize"],
        constants=said["Constants"],
    )


def test_memory(said: Any) -> None:
    mem = mem_of(said)
    assert {m["Function"] for m in said["Memory"]} == {"memhash", "memhash32", "memhash64"}
    for m in said["Memory"]:
        data, seed, wanted = bytes.fromhex(m["Data"]), int(m["Seed"], 16), int(m["Hash"], 16)
        assert hash_of(mem, m["Function"], data, seed) == wanted, (m["Function"], len(data))


def hash_of(mem: MemHash, function: str, data: Any, seed: Any) -> Any:
    if function == "memhash32":
        return mem.memhash32(data, seed)
    if function == "memhash64":
        return mem.memhash64(data, seed)
    return mem.memhash(data, data.shape[1] if hasattr(data, "shape") else len(data), seed)


def test_memory_with_numpy(said: Any) -> None:
    np = needed_numpy()
    mem = mem_of(said)
    groups: dict[tuple[str, int], list[Any]] = {}
    for m in said["Memory"]:
        groups.setdefault((m["Function"], len(m["Data"]) // 2), []).append(m)
    for (function, size), rows in groups.items():
        data = np.frombuffer(bytes.fromhex("".join(m["Data"] for m in rows)), np.uint8).reshape(len(rows), size)
        seeds = np.array([int(m["Seed"], 16) for m in rows], np.uint64)
        found = np.broadcast_to(hash_of(mem, function, data, seeds), len(rows))
        assert [int(h) for h in found] == [int(m["Hash"], 16) for m in rows], (function, size)


KINDS = {
    "bool": Kind.BOOL,
    "string": Kind.STRING,
    "ptr": Kind.POINTER,
    "chan": Kind.CHAN,
    "array": Kind.ARRAY,
}
KINDS |= {"unsafe.Pointer": Kind.UNSAFE_POINTER, "interface": Kind.INTERFACE, "struct": Kind.STRUCT}
KINDS |= {f"int{bits}": Kind.INT for bits in ("", 8, 16, 32, 64)}
KINDS |= {f"uint{bits}": Kind.UINT for bits in ("", 8, 16, 32, 64, "ptr")}
KINDS |= {"float32": Kind.FLOAT, "float64": Kind.FLOAT, "complex64": Kind.COMPLEX, "complex128": Kind.COMPLEX}


def type_of(said: Any) -> GoType:
    fields = tuple(Field(f["Name"], f["Offset"], type_of(f["Type"])) for f in said.get("Fields") or ())
    elem = fixed(type_of(said["Elem"])) if said.get("Elem") else None
    kind = KINDS[said["Kind"]]
    return GoType(kind, said["Name"], said["Size"], said.get("Length", 0), fields, said.get("Methods", False), elem)


def hasher_of(said: Any, key: Any) -> Hasher:
    """A hasher that sees what the key points to."""
    arch = Arch(said["Arch"], said["PointerSize"], "little")
    regions = {(int(r["Address"], 16), len(r["Data"])): bytes.fromhex(r["Data"]) for r in key["Regions"]}
    target = Nothing(arch, _Regions([(address, data) for (address, _), data in regions.items()]))
    hasher = Hasher(target, mem_of(said), DescribedTypes(target), said["Moved"])
    for held in key["Held"]:
        t = type_of(held["Type"])
        first = int(held["First"], 16), held["Methods"]
        hasher.held[first] = (t, typehash_plan(t, held["Regular"]), held["Direct"])
    return hasher


class _Regions:
    """Regions that may overlap: a string within a value that was given too."""

    def __init__(self, regions: list[tuple[int, bytes]]) -> None:
        self._each = [RegionMemory([region]) for region in regions]

    def read(self, address: int, size: int) -> bytes:
        for one in self._each[:-1]:
            try:
                return one.read(address, size)
            except MemoryFault:
                continue
        return self._each[-1].read(address, size)


def plan_of(said: Any, key: Any) -> Plan:
    """The plan for maps of who made them: the first is the compiler's, reflect's are behind it."""
    t = type_of(key["Type"])
    return plans(t, said["Moved"])[0] if key["Made"] == "compiler" else typehash_plan(t) or ()


def test_keys(said: Any) -> None:
    random = 0
    for key in said["Keys"]:
        hasher, plan, data = hasher_of(said, key), plan_of(said, key), bytes.fromhex(key["Data"])
        for seed, wanted in key["Hashes"]:
            found = hasher.hash(plan, data, int(seed, 16))
            if key["Again"] != key["Hashes"][0][1]:  # the runtime's own hash is another one every time
                assert found is None, key["Type"]["Name"]
                random += 1
            else:
                assert found == int(wanted, 16), (key["Made"], key["Type"]["Name"], plan)
    assert random > 0
    assert len({json.dumps(key["Type"]) for key in said["Keys"]}) > 50


def test_keys_with_numpy(said: Any) -> None:
    np = needed_numpy()
    for key in said["Keys"]:
        hasher, plan, data = hasher_of(said, key), plan_of(said, key), bytes.fromhex(key["Data"])
        rows = np.frombuffer(data * len(key["Hashes"]), np.uint8).reshape(len(key["Hashes"]), len(data))
        seeds = np.array([int(seed, 16) for seed, _ in key["Hashes"]], np.uint64)
        hashes, states = hash_many(hasher, plan, rows, seeds)
        if key["Again"] != key["Hashes"][0][1]:
            assert (states == RANDOM).all()
        else:
            assert (states == KNOWN).all()
            assert [int(h) for h in hashes] == [int(h, 16) for _, h in key["Hashes"]], key["Type"]["Name"]
        first, states = hash_many(hasher, plan, rows, int(seeds[2]))
        assert (states == RANDOM).all() or (first == hashes[2]).all(), "one seed for all rows"


def needed_numpy() -> Any:
    found = numpy()
    assert found is not None, "the test tools include numpy"
    return found
