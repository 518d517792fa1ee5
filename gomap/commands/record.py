"""hmap-record: a map, and all that the other commands need to show it, in one small file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gomap import human
from gomap.declare import Context
from gomap.report import Report


def run(context: Context, options: Mapping[str, Any]) -> Report:
    """Answers hmap-record: writes the file. Raises BadImage, and what resolving EXPR raises."""
    # The file format is read and written in one place, which knows the registry: too late an import for here.
    from gomap.image import record

    saved = record(context, options["EXPR"], options["FILE"], options["--overwrite"])
    what = f"{human.plural(saved.entries, 'entry')}, {human.size(saved.memory)} of memory with keys, values and types"
    report = Report(
        {},
        answer=[f"{options['EXPR']} saved to {options['FILE']} ({what}, {human.size(saved.file)} on disk)"],
    )
    report.advice = [f"gomap {options['FILE']} -c hmap-show shows it anywhere, with no debugger"]
    if saved.left_out:
        report.anomalies = saved.left_out
    return report
