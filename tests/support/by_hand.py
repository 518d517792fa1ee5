"""Programs laid out in memory by hand, and commands asked about them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from gomap import frontend
from gomap.declare import Settings
from gomap.gotypes import GoType
from gomap.recorded import ImageTarget
from gomap.render.text import Style
from gomap.target import Place, Variable
from tests.support.describe import Descriptors, interface
from tests.support.space import (
    AMD64,
    Space,
    add,
    array_of,
    basic,
    fake_target,
    mspan,
    pointer,
    slice_of,
    struct,
    target,
)
from tests.support.synthetic import Built, ClassicPlan, Marks, SwissPlan
from tests.support.synthetic_classic import build_classic
from tests.support.synthetic_swiss import build_swiss


def made(plan: ClassicPlan | SwissPlan, types: dict[str, Any]) -> tuple[ImageTarget, Built]:
    types = dict(types)
    fake, _ = target(types.pop("arch"), types["headers"])
    built = build_classic(fake, plan, **types) if isinstance(plan, ClassicPlan) else build_swiss(fake, plan, **types)
    add(fake, "m", built.type, fake.memory.word(built.address))
    return fake, built


def ask(fake: ImageTarget, name: str, line: str) -> dict[str, Any]:
    outcome = frontend.run(name, line, lambda: fake, Settings(), Style())
    assert outcome.error is None, outcome.error
    answer: dict[str, Any] = json.loads(outcome.output)
    return answer


@dataclass
class Lazily:
    """Memory with regions whose bytes are computed when they are read."""

    space: Space
    regions: list[tuple[int, int, Callable[[int, int], bytes]]] = field(default_factory=list)
    reads: int = 0
    total: int = 0
    largest: int = 0

    def read(self, address: int, size: int) -> bytes:
        self.reads += 1
        self.total += size
        self.largest = max(self.largest, size)
        for start, length, content in self.regions:
            if start <= address and address + size <= start + length:
                return content(address - start, size)
        return self.space.read(address, size)

    def repeat(self, start: int, count: int, pattern: bytes) -> None:
        def content(offset: int, size: int) -> bytes:
            first = offset // len(pattern)
            data = pattern * (size // len(pattern) + 2)
            skip = offset - first * len(pattern)
            return data[skip : skip + size]

        self.regions.append((start, count * len(pattern), content))

    def compute(self, start: int, count: int, size: int, element: Callable[[int], bytes]) -> None:
        def content(offset: int, length: int) -> bytes:
            first, last = offset // size, (offset + length - 1) // size
            data = b"".join(element(i) for i in range(first, last + 1))
            return data[offset - first * size : offset - first * size + length]

        self.regions.append((start, count * size, content))


def make(t: GoType, **header: int) -> tuple[ImageTarget, Lazily, int]:
    space = Space(AMD64)
    memory = Lazily(space)
    fake = fake_target(AMD64, memory, types={"runtime.mspan": mspan(True, 8)})
    return fake, memory, space.put(space.record(t.header, **header))


def with_hashes(fake: ImageTarget) -> ImageTarget:
    """Gives the process its random keys: it hashes without AES, as Go 1.23 to 1.26."""
    space = fake.memory if isinstance(fake.memory, Space) else fake.memory.space
    word = fake.arch.pointer_size
    keys = b"".join(space.word(0x9E3779B97F4A7C15 * (i + 1) | 1) for i in range(4))
    fake.symbols["runtime.hashkey"] = space.put(keys)
    assert len(keys) == 4 * word
    return fake


INT = basic("int")


FULL: Marks = [9, 9, 9, 9, 9, 9, 9, 9]


HALF: Marks = [9, 9, 9, 9, 0, 0, 0, 0]


def classic(plan: ClassicPlan) -> tuple[ImageTarget, Built]:
    fake, _ = target(AMD64)
    built = build_classic(fake, plan, INT, INT)
    add(fake, "m", built.type, fake.memory.word(built.address))
    return fake, built


def swiss(plan: SwissPlan) -> tuple[ImageTarget, Built]:
    fake, _ = target(AMD64)
    built = build_swiss(fake, plan, INT, INT)
    add(fake, "m", built.type, fake.memory.word(built.address))
    return fake, built


def poke(space: Space, t: GoType, address: int, name: str, value: int) -> None:
    found = t.field(name)
    assert found is not None
    space.write(address + found.offset, space.uint(value % (1 << 8 * found.type.size), found.type.size))


def overflow_pointer(fake: ImageTarget, built: Built, bucket: int) -> int:
    """Address of a bucket's overflow pointer."""
    size: int = built.type.header.fields[5].type.elem.size
    return bucket + size - 8


INT = basic("int")


def world() -> tuple[ImageTarget, Any, Any]:
    fake, space = target(AMD64)
    described = Descriptors(fake)
    one, two = (build_swiss(fake, SwissPlan([1, 2] + [0x80] * 6), INT, INT) for _ in range(2))
    t, at = one.type, space.word(one.address)
    box = struct("main.Box", 8, [("N", INT), ("M", t)])
    add(fake, "m", t, at)
    add(fake, "other", t, space.word(two.address))
    add(fake, "none", t, space.word(0))
    add(fake, "box", pointer(box), space.word(space.put(bytes(8) + at)))
    add(fake, "list", slice_of(box), space.slice(bytes(8) + at, 1))
    add(fake, "fixed", array_of(2, t), at + space.word(0))
    add(fake, "any", interface(8), described.eface(t, at))
    fake.variables["local"] = Variable("local", t, data=at, place=Place("local", 1, 0, "main.f", "/x/main.go", 7))
    return fake, one, two


SEED = 0x1234567


ARRAY = 0x7F0000000000
