"""What the cores of a dataset have in common: how they died, maps that grow or stand out; in SQL over the tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from direct.fleet.causes import ALIVE
from direct.fleet.run import Done
from direct.fleet.tables import asked, opened
from gomap import human
from gomap.report import Facts, Lines, Report, Section, Table
from gomap.results.triage import (
    BuildOfMap,
    ChangeForFleet,
    ClusterOfCores,
    CrowdOfGoroutines,
    DamagedMap,
    FailureOfCores,
    FleetCounts,
    GrownMap,
    OddMap,
    TriageResult,
)

#: Bytes that a map has to grow or stand out by.
LEAST = 16 << 10
#: How much more it has to have in the last build than in the first, and than the median.
GROWN, ODD = 1.5, 4
#: Cores of a build that are peers.
PEERS = 5
#: Goroutines at one place.
CROWD = 100

CLUSTERS = f"""
SELECT coalesce(cause, CASE died WHEN '{ALIVE}' THEN 'no fatal error, panic or signal' ELSE 'not known' END) AS cause,
       CASE WHEN count(DISTINCT program) = 1 THEN min(program) END AS program,
       count(DISTINCT program), count(DISTINCT build), map, map_type, map_by, place, count(*) AS number,
       count(*) / sum(count(*)) OVER (), min(taken), max(taken), arg_max(core, coalesce(taken, '') || core)
FROM cores WHERE state <> 'failed'
GROUP BY cause, died, map, map_type, map_by, place,
         CASE WHEN place IS NULL OR place LIKE 'main.%' OR map LIKE 'main.%' OR map_type LIKE '%main.%' THEN program END
ORDER BY number DESC, cause, program, place, map
"""
DAMAGED = """
SELECT program, f.map, f.type, list_sort(list_distinct(list(code))), count(DISTINCT f.core) AS number, min(f.core)
FROM findings f JOIN cores USING (core) GROUP BY program, f.map, f.function, f.type ORDER BY number DESC, program, f.map
"""
#: The maps that are alike but for the kind of variable that leads to them are rows of their own in a core.
_EACH = """
WITH each AS (
  SELECT core, program, build, min(built) AS built, map, function, type, sum(entries) AS entries, sum(bytes) AS bytes
  FROM maps WHERE NOT std GROUP BY ALL
)"""
GROWN_MAPS = f"""{_EACH}
SELECT program, map, function, type, build, min(built) AS built, count(*), CAST(median(entries) AS BIGINT),
       CAST(median(bytes) AS BIGINT), arg_max(core, bytes)
FROM each WHERE map IS NOT NULL OR function IS NOT NULL
GROUP BY program, map, function, type, build ORDER BY program, map, function, type, built, build
"""
ODD_MAPS = f"""{_EACH}, peers AS (
  SELECT program, build, map, function, type, median(bytes) AS middle, count(*) AS number FROM each
  GROUP BY ALL HAVING count(*) >= {PEERS}
)
SELECT m.program, m.build, m.map, m.function, m.type, CAST(middle AS BIGINT),
       CAST(arg_max(m.entries, m.bytes) AS BIGINT), CAST(max(m.bytes) AS BIGINT) AS most, count(*), any_value(number),
       arg_max(m.core, m.bytes)
FROM each m JOIN peers p ON m.program IS NOT DISTINCT FROM p.program AND m.build IS NOT DISTINCT FROM p.build
     AND m.map IS NOT DISTINCT FROM p.map AND m.function IS NOT DISTINCT FROM p.function
     AND m.type IS NOT DISTINCT FROM p.type
WHERE m.bytes >= {ODD} * middle AND m.bytes - middle >= {LEAST}
GROUP BY m.program, m.build, m.map, m.function, m.type, middle ORDER BY most DESC, m.program, m.map
"""
CROWDS = f"""
WITH places AS (
  SELECT program, core, status, g.function, g.source, g.line, created_by, created_source, created_line,
         sum(g.goroutines) AS number
  FROM goroutines g JOIN cores USING (core) GROUP BY ALL HAVING sum(g.goroutines) >= {CROWD}
)
SELECT program, status, function, source, line, created_by, created_source, created_line,
       CAST(max(number) AS BIGINT) AS most, count(*), arg_max(core, number)
FROM places GROUP BY ALL ORDER BY most DESC, program, function
"""
CHANGES = """
SELECT program, kind, a.map, a.type, arg_max(change, held), CAST(median(held) AS BIGINT) AS freed, count(DISTINCT core),
       arg_max(core, held)
FROM advice a JOIN cores USING (core) WHERE held > 0
GROUP BY program, kind, a.map, a.type ORDER BY freed DESC, program, kind, a.map
"""
FAILURES = r"""
SELECT regexp_replace(replace(error, core, 'CORE'), '0x[0-9a-f]+|\d+', 'N', 'g') AS error, count(*) AS number, min(core)
FROM cores WHERE error IS NOT NULL GROUP BY 1 ORDER BY number DESC, error
"""
COUNTS = """
SELECT count(*), count(*) FILTER (state = 'read'), count(*) FILTER (state = 'partly'),
       count(*) FILTER (state = 'failed'), count(DISTINCT program), count(DISTINCT build) FROM cores
"""


def result_of(out: str, done: Done) -> TriageResult:
    """The report on a dataset. Raises GomapError."""
    connection = opened(out)

    def rows(query: str) -> Sequence[tuple[Any, ...]]:
        return asked(connection, query)[1]

    (total, read, partly, failed, programs, builds) = rows(COUNTS)[0]
    return TriageResult(
        out=out,
        counts=FleetCounts(
            total, read, partly, failed, done.read, done.kept, programs, builds, round(done.seconds, 3), done.workers
        ),
        clusters=[ClusterOfCores(*row) for row in rows(CLUSTERS)],
        damaged=[DamagedMap(*row) for row in rows(DAMAGED)],
        grown=sorted(_grown(rows(GROWN_MAPS)), key=lambda one: -one.builds[-1].bytes + one.builds[0].bytes),
        odd=[OddMap(*row) for row in rows(ODD_MAPS)],
        crowds=[
            CrowdOfGoroutines(row[0], row[1], _place(*row[2:5]), _place(*row[5:8]), *row[8:]) for row in rows(CROWDS)
        ],
        changes=[ChangeForFleet(*row) for row in rows(CHANGES)],
        failures=[FailureOfCores(*row) for row in rows(FAILURES)],
    )


def _place(function: str | None, file: str | None, line: int | None) -> str | None:
    return None if function is None else f"{function} ({(file or '?').rsplit('/', 1)[-1]}:{line or '?'})"


def _grown(rows: Sequence[tuple[Any, ...]]) -> Iterator[GrownMap]:
    """The maps that have more bytes from build to build. rows: those of one map behind each other, by build."""
    maps: dict[tuple[Any, ...], list[tuple[Any, ...]]] = {}
    for row in rows:
        maps.setdefault(row[:4], []).append(row)
    for key, of_builds in maps.items():
        builds = [BuildOfMap(*row[4:9]) for row in of_builds]
        first, last = builds[0].bytes, builds[-1].bytes
        if len(builds) < 2 or any(one.bytes > after.bytes for one, after in zip(builds, builds[1:])):
            continue
        if last >= GROWN * first and last - first >= LEAST:
            program, name, function, kind = key
            yield GrownMap(program, name, function, kind, round(last / max(first, 1), 2), builds, of_builds[-1][9])


# -- words -------------------------------------------------------------------------------------------------


def described(result: TriageResult, most: int) -> Report:
    """The report as text. most: rows of each section, 0 for all."""
    counts, report = result.counts, Report(result)
    what = f"{human.plural(counts.cores, 'core')} of {human.plural(counts.programs, 'program')} in "
    what += human.plural(counts.builds, "build")
    groups = human.plural(len(result.clusters), "group")
    report.answer = [f"{what}: {groups} (same cause, line and map)"]
    rest = [f"{counts.now:,} read now"] + ([f"{counts.before:,} before"] if counts.before else [])
    rest += [f"{counts.partly:,} only in part"] if counts.partly else []
    rest += [f"{counts.failed:,} failed"] if counts.failed else []
    rate = f" in {counts.seconds:,.1f} s by {human.plural(counts.workers, 'worker')}" if counts.workers else ""
    report.answer.append(f"({', '.join(rest)}{rate})")
    last = most or None
    for name, shown, number in (
        ("what they died of", _clusters(result.clusters[:last]), len(result.clusters)),
        ("maps that are corrupt", _damaged(result.damaged[:last]), len(result.damaged)),
        ("maps that grow from build to build", _growing(result.grown[:last]), len(result.grown)),
        (
            "maps that stand out from the same map in other cores of the build",
            _odd(result.odd[:last]),
            len(result.odd),
        ),
        ("where many goroutines are", _crowds(result.crowds[:last]), len(result.crowds)),
        ("changes that would save memory", _changes(result.changes[:last]), len(result.changes)),
        ("cores that were not read, or not completely", _failures(result.failures[:last]), len(result.failures)),
    ):
        if number:
            report.sections += [Lines([name]), *shown]
        if most and number > most:
            report.sections.append(Facts([("more", f"{number - most:,} more: -n 0 lists all")]))
    report.sections.append(Facts([("dataset", f'{result.out}: gomap sql {result.out} "SELECT ..."')], apart=True))
    return report


def _name(program: str | None, map: str | None, type: str | None, function: str | None = None) -> str:
    """A map in words."""
    name = map or (f"maps in {function}" if function else "maps without a variable" if type else "")
    where = f"{name} in {function}" if map and function else name
    text = f"{where}, {human.short(type)}" if type and where else where
    return f"{program}: {text}" if program and text else text or program or ""


def _clusters(rows: Sequence[ClusterOfCores]) -> list[Section]:
    sections: list[Section] = []
    for one in rows:
        facts = []
        if one.place:
            facts.append(("at", one.place))
        if one.map or one.type:
            by = {"damaged": ", which is corrupt", "largest": ", which holds most"}.get(one.map_by or "", "")
            facts.append(("map", _name(None, one.map, one.type) + by))
        builds = f" ({human.plural(one.builds, 'build')})" if one.builds > 1 else ""
        facts.append(("program", f"{one.program or human.plural(one.programs, 'program')}{builds}"))
        facts.append(("core", one.example))
        sections += [Lines([f"{human.plural(one.cores, 'core')} ({one.share:.0%}): {one.cause}"]), Facts(facts, 8)]
    return sections


def _damaged(rows: Sequence[DamagedMap]) -> list[Section]:
    lines = [
        [f"{one.cores:,}", _name(one.program, one.map, one.type), ", ".join(one.codes), one.example] for one in rows
    ]
    return [Table(("cores", "map", "findings", "core"), lines, frozenset({0}), whole=1)]


def _growing(rows: Sequence[GrownMap]) -> list[Section]:
    lines = []
    for one in rows:
        sizes = " -> ".join(human.size(each.bytes) for each in one.builds)
        numbers = " -> ".join(f"{each.entries:,}" for each in one.builds)
        lines.append(
            [f"{one.factor:.1f}x", _name(one.program, one.map, one.type, one.function), sizes, numbers, one.example]
        )
    return [
        Table(
            ("grown", "map", "bytes of each build (median)", "entries (median)", "core"), lines, frozenset({0}), whole=1
        )
    ]


def _odd(rows: Sequence[OddMap]) -> list[Section]:
    lines = [
        [human.size(one.bytes), human.size(one.median), f"{one.cores:,} of {one.of:,}",
         _name(one.program, one.map, one.type, one.function), one.example]
        for one in rows
    ]  # fmt: skip
    return [Table(("bytes", "median", "cores", "map", "core"), lines, frozenset({0, 1, 2}), whole=3)]


def _crowds(rows: Sequence[CrowdOfGoroutines]) -> list[Section]:
    lines = [
        [f"{one.most:,}", f"{one.cores:,}", one.status,
         f"{one.program or '?'}: {one.place or '?'}" + (f", made by {one.created_by}" if one.created_by else ""),
         one.example]
        for one in rows
    ]  # fmt: skip
    return [Table(("goroutines", "cores", "state", "at", "core"), lines, frozenset({0, 1}), whole=3)]


def _changes(rows: Sequence[ChangeForFleet]) -> list[Section]:
    lines = [
        [
            human.size(one.held),
            f"{one.cores:,}",
            _name(one.program, one.map, one.type),
            f"{one.kind}: {one.change}",
            one.example,
        ]
        for one in rows
    ]
    return [Table(("frees", "cores", "map", "change", "core"), lines, frozenset({0, 1}), whole=2)]


def _failures(rows: Sequence[FailureOfCores]) -> list[Section]:
    lines = [[f"{one.cores:,}", one.error, one.example] for one in rows]
    return [Table(("cores", "error", "core"), lines, frozenset({0}), whole=1)]
