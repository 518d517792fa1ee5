"""What one measurement is, and the arithmetic over many."""

from __future__ import annotations

import math
import resource
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

#: A work is repeated until it has taken so long in all, but not oftener or less often than this.
LEAST, MOST = 4, 16
#: A work that takes longer than this is done once.
LONG = 10.0


@dataclass
class Point:
    """Seconds that one work took with a map (or program) of one size.

    series: what was done; go: version and layout; way: through which debugger, how; kind: of map. cpu: seconds of
    processor time, where this process did the work: a busy machine disturbs these less. memory: bytes that the
    process took, more than before. note: why there are no times, or why they are not to be compared.
    """

    series: str
    go: str
    way: str
    kind: str
    size: int
    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    bytes: int = 0
    memory: int = 0
    note: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.seconds) if self.seconds else math.nan

    @property
    def spread(self) -> float:
        """Half of the distance between the quartiles, as a share of the median."""
        if len(self.seconds) < 2:
            return 0.0
        low, _, high = statistics.quantiles(self.seconds, n=4, method="inclusive")
        return (high - low) / 2 / self.median

    @property
    def key(self) -> tuple[str, str, str, str]:
        return self.series, self.go, self.way, self.kind


Times = tuple[list[float], list[float]]


def in_turn(works: dict[str, Callable[[], Any]], seconds: float) -> dict[str, Times]:
    """Seconds and processor seconds of each work, all done in turn for about `seconds` each: what slows the machine
    for a while slows all. The first round, in which things are loaded, counts only where it is the only one."""
    times: dict[str, Times] = {name: ([], []) for name in works}
    begun = time.perf_counter()
    for round_number in range(MOST):
        taken = time.perf_counter() - begun
        if taken > LONG or (round_number >= LEAST and taken > seconds * len(works)):
            break
        for name, work in works.items():
            start, cpu = time.perf_counter(), time.process_time()
            work()
            times[name][0].append(time.perf_counter() - start)
            times[name][1].append(time.process_time() - cpu)
    if round_number > 1:
        for seconds_taken, cpu_taken in times.values():
            del seconds_taken[0], cpu_taken[0]
    return times


def peak() -> int:
    """Bytes that this process had in memory at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def exponent(points: Iterable[Point], least: int = 10_000) -> float | None:
    """e of time = c * size ** e, over sizes from `least` on: smaller ones measure what a command costs anyway."""
    found = [(math.log(p.size), math.log(p.median)) for p in points if p.size >= least and p.seconds and not p.note]
    if len({x for x, _ in found}) < 2:
        return None
    middle_x, middle_y = (statistics.mean(values) for values in zip(*found))
    slope = sum((x - middle_x) * (y - middle_y) for x, y in found) / sum((x - middle_x) ** 2 for x, _ in found)
    return float(slope)
