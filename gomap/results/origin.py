"""hmap-origin."""

from dataclasses import dataclass
from typing import Annotated, Optional

from gomap.results.fields import Address, Fraction
from gomap.results.shared import OriginRow


@dataclass(frozen=True)
class OriginBytes:
    """Memory."""

    allocated: Annotated[int, "as hmap-show or hmap-sync has it"]


@dataclass(frozen=True)
class ProfilingFacts:
    """What the program's heap profiler does."""

    linked: Annotated[
        Optional[bool],
        "whether the program has it: the linker leaves it out where nothing reads the profile; null for a nil map",
    ]
    rate: Annotated[
        Optional[int],
        "runtime.MemProfileRate, bytes that are allocated between two samples on average: 0 for none, 1 for "
        "every allocation; null for a nil map",
    ]


@dataclass(frozen=True)
class EstimatedFacts:
    """What samples stand for."""

    objects: Annotated[int, "objects"]
    bytes: Annotated[int, "their bytes"]


@dataclass(frozen=True)
class OriginResult:
    """Which lines allocated a map's memory."""

    expr: Annotated[str, "the expression as it was given"]
    type: Annotated[str, "the map's type, or a sync.Map's"]
    address: Annotated[Optional[Address], "of its header; null for a nil map"]
    bytes: Annotated[OriginBytes, "memory"]
    profiling: Annotated[ProfilingFacts, "what the program's heap profiler does"]
    samples: Annotated[int, "objects of the map that were sampled"]
    estimated: Annotated[EstimatedFacts, "what the samples stand for"]
    probability: Annotated[
        Optional[Fraction],
        "how likely a map of so many bytes has a sample at this rate, 0 for one that is on a stack; null for a nil map",
    ]
    origins: Annotated[list[OriginRow], "the lines, those that allocated most first"]
