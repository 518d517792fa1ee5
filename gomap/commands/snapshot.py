"""hmap-snapshot: all maps of the process in a small file, to compare later."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gomap import human, zips
from gomap.declare import Context
from gomap.errors import GomapError
from gomap.report import Report
from gomap.results.snapshot import ListedRow, SnapshotResult
from gomap.snapshots.file import write
from gomap.snapshots.take import list_entries, take


def run(context: Context, options: Mapping[str, Any]) -> Report:
    """Answers hmap-snapshot: writes the file. Raises BadImage, and what resolving --entries raises."""
    path = options["FILE"]
    if context.target.kind == "recorded":
        raise GomapError("a recorded map is a snapshot of one map already: hmap-diff takes its file")
    zips.check_place(path, options["--overwrite"])
    listed = [list_entries(context, expr) for expr in options["--entries"] or ()]
    snapshot, anomalies = take(context)
    snapshot.entries = entries = [one for one, _ in listed]
    anomalies += [wrong for _, found in listed for wrong in found if wrong not in anomalies]
    size = write(path, snapshot, options["--overwrite"])
    total, held, lacks = sum(snapshot.counts), sum(snapshot.held), snapshot.source.lacks
    what = f"{human.plural(len(snapshot), 'map')}, {human.plural(total, 'entry')}, {human.size(held)} held"
    result = SnapshotResult(
        file=path,
        size=size,
        maps=len(snapshot),
        entries=total,
        bytes=held,
        process=snapshot.source.process or None,
        lacks=lacks,
        listed=[ListedRow(one.expr, len(one.keys), one.cut) for one in entries],
    )
    report = Report(result, [f"saved to {path} ({what}; {human.size(size)} on disk)"], anomalies=anomalies)
    report.answer += [f"with the {human.plural(len(one.keys), 'entry')} of {one.expr}" for one in entries]
    if lacks is not None:
        report.answer.append(f"(maps that no variable leads to are not all in it: {lacks})")
    report.advice = [f"hmap-diff {path} shows what has changed since"]
    return report
