"""gomap triage and gomap sql."""

from dataclasses import dataclass
from typing import Annotated, Optional

from gomap.results.fields import GoScalar, Word


@dataclass(frozen=True)
class FleetCounts:
    """How many cores there are."""

    cores: Annotated[int, "all that are in the dataset"]
    read: Annotated[int, "completely read"]
    partly: Annotated[int, "read in part"]
    failed: Annotated[int, "not read"]
    now: Annotated[int, "read by this run, the failed ones too"]
    before: Annotated[int, "of the cores that were named: read by an earlier run"]
    programs: Annotated[int, "programs"]
    builds: Annotated[int, "builds of these"]
    seconds: Annotated[float, "how long this run took"]
    workers: Annotated[int, "threads of Dask workers that read; 0 where no core was left to read"]


@dataclass(frozen=True)
class ClusterOfCores:
    """Cores that died alike: of one cause, at one line, on one map."""

    cause: Annotated[
        str,
        "as in the table cores; `no fatal error, panic or signal` where none was found, `not known` where the search "
        "for one failed or was not reached, or the core is truncated",
    ]
    program: Annotated[Optional[str], "the program; null where the line is not in package main and there are several"]
    programs: Annotated[int, "how many programs"]
    builds: Annotated[int, "how many builds"]
    map: Annotated[Optional[str], "the map, as in the table cores"]
    type: Annotated[Optional[str], "its type"]
    map_by: Annotated[Optional[Word], "why that map: `operation`, `damaged` or `largest`, as in the table cores"]
    place: Annotated[Optional[str], "the line"]
    cores: Annotated[int, "how many cores"]
    share: Annotated[float, "of all cores that were read, 0..1"]
    first: Annotated[Optional[str], "when the first of them was written"]
    last: Annotated[Optional[str], "when the last was"]
    example: Annotated[str, "the last core"]


@dataclass(frozen=True)
class DamagedMap:
    """A map that is corrupt in some cores."""

    program: Annotated[Optional[str], "the program"]
    map: Annotated[Optional[str], "the map, as in the table maps"]
    type: Annotated[Optional[str], "its type"]
    codes: Annotated[list[str], "the kinds of faults"]
    cores: Annotated[int, "how many cores"]
    example: Annotated[str, "one of them"]


@dataclass(frozen=True)
class BuildOfMap:
    """A map in the cores of one build."""

    build: Annotated[Optional[str], "the build"]
    built: Annotated[Optional[str], "as in the table cores"]
    cores: Annotated[int, "how many cores have it"]
    entries: Annotated[int, "the median of the entries"]
    bytes: Annotated[int, "the median of the bytes"]


@dataclass(frozen=True)
class GrownMap:
    """A map that has more bytes in each build than in the one before: half as many more in the last as in the first."""

    program: Annotated[Optional[str], "the program"]
    map: Annotated[Optional[str], "the map, as in the table maps"]
    function: Annotated[Optional[str], "as in the table maps"]
    type: Annotated[Optional[str], "its type"]
    factor: Annotated[float, "the bytes in the last build, divided by those in the first"]
    builds: Annotated[list[BuildOfMap], "the builds, the oldest first"]
    example: Annotated[str, "the core of the last build in which it has the most bytes"]


@dataclass(frozen=True)
class OddMap:
    """A map that has four times as many bytes in some cores as in the median of the cores of the same build."""

    program: Annotated[Optional[str], "the program"]
    build: Annotated[Optional[str], "the build"]
    map: Annotated[Optional[str], "the map, as in the table maps"]
    function: Annotated[Optional[str], "as in the table maps"]
    type: Annotated[Optional[str], "its type"]
    median: Annotated[int, "the median of the bytes"]
    entries: Annotated[int, "the entries in the core that has the most"]
    bytes: Annotated[int, "its bytes"]
    cores: Annotated[int, "in how many cores it stands out"]
    of: Annotated[int, "how many cores of the build have it"]
    example: Annotated[str, "the core that has the most"]


@dataclass(frozen=True)
class CrowdOfGoroutines:
    """A place at which a hundred goroutines or more are in a core."""

    program: Annotated[Optional[str], "the program"]
    status: Annotated[str, "as in the table goroutines"]
    place: Annotated[Optional[str], "where they are"]
    created_by: Annotated[Optional[str], "the go statement that made them"]
    most: Annotated[int, "the most of them in one core"]
    cores: Annotated[int, "in how many cores it is so"]
    example: Annotated[str, "the core with the most"]


@dataclass(frozen=True)
class ChangeForFleet:
    """A change that saves memory, in all cores together."""

    program: Annotated[Optional[str], "the program"]
    kind: Annotated[str, "as in hmap-advise"]
    map: Annotated[Optional[str], "the map; null of several"]
    type: Annotated[Optional[str], "its type"]
    change: Annotated[str, "what to change, in the example"]
    held: Annotated[int, "the median of the bytes that it frees"]
    cores: Annotated[int, "in how many cores"]
    example: Annotated[str, "the core in which it frees the most"]


@dataclass(frozen=True)
class FailureOfCores:
    """Why cores were not read, or not completely."""

    error: Annotated[str, "the error, with N in place of each number"]
    cores: Annotated[int, "how many cores"]
    example: Annotated[str, "one of them"]


@dataclass(frozen=True)
class TriageResult:
    """What the programs of many cores died of."""

    out: Annotated[str, "the folder with the dataset"]
    counts: Annotated[FleetCounts, "how many cores there are"]
    clusters: Annotated[list[ClusterOfCores], "what they died of, the most frequent first"]
    damaged: Annotated[list[DamagedMap], "maps that are corrupt"]
    grown: Annotated[list[GrownMap], "maps that grow from build to build, those that grow most first"]
    odd: Annotated[list[OddMap], "maps that stand out from the same map in other cores of the build"]
    crowds: Annotated[list[CrowdOfGoroutines], "where many goroutines are"]
    changes: Annotated[list[ChangeForFleet], "changes that save memory, those that save most first"]
    failures: Annotated[list[FailureOfCores], "why cores were not read, or not completely"]


@dataclass(frozen=True)
class SqlColumn:
    """A column of a query's answer."""

    name: Annotated[str, "its name"]
    type: Annotated[str, "its type, as DuckDB calls it"]


@dataclass(frozen=True)
class SqlResult:
    """The answer of a query."""

    columns: Annotated[list[SqlColumn], "the columns"]
    rows: Annotated[
        list[list[Optional[GoScalar]]],
        "the rows, a list of values each; dates, times and numbers of more than 64 bits are strings",
    ]
