"""Every class of results, by the section of docs/json.md that describes it."""

from __future__ import annotations

from gomap.results.advise import AdviseResult
from gomap.results.alias import AliasResult
from gomap.results.answer import Answer, Failure
from gomap.results.breaks import BreakResult
from gomap.results.check import CheckResult
from gomap.results.cycle import CycleResult
from gomap.results.diff import ChangesRow, DiffResult, FigureFacts, MomentFacts
from gomap.results.doctor import DoctorResult
from gomap.results.entries import EntriesResult
from gomap.results.evac import EvacResult
from gomap.results.get import GetResult
from gomap.results.origin import OriginResult
from gomap.results.race import RaceResult
from gomap.results.report import ReportResult
from gomap.results.sample import SampleResult
from gomap.results.shared import (
    CallFacts,
    GrowthFacts,
    HeapFacts,
    HolderRow,
    OriginRow,
    PlaceFacts,
    ScannedFacts,
    SizeFacts,
    WayFacts,
)
from gomap.results.show import ShowResult
from gomap.results.snapshot import SnapshotResult
from gomap.results.sync import HalfFacts, SyncResult
from gomap.results.top import TopResult
from gomap.results.trace import TraceResult
from gomap.results.triage import SqlResult, TriageResult
from gomap.results.whatis import WhatisResult
from gomap.results.why import WhyResult

#: `data` of each command.
COMMANDS: dict[str, type] = {
    "hmap-show": ShowResult,
    "hmap-entries": EntriesResult,
    "hmap-alias": AliasResult,
    "hmap-evac": EvacResult,
    "hmap-get": GetResult,
    "hmap-check": CheckResult,
    "hmap-sync": SyncResult,
    "hmap-cycle": CycleResult,
    "hmap-top": TopResult,
    "hmap-origin": OriginResult,
    "hmap-advise": AdviseResult,
    "hmap-whatis": WhatisResult,
    "hmap-why": WhyResult,
    "hmap-race": RaceResult,
    "hmap-trace": TraceResult,
    "hmap-break": BreakResult,
    "hmap-snapshot": SnapshotResult,
    "hmap-report": ReportResult,
    "hmap-diff": DiffResult,
}
#: The same of subcommands of the program gomap.
LINES: dict[str, type] = {
    "gomap top": SampleResult,
    "gomap doctor": DoctorResult,
    "gomap triage": TriageResult,
    "gomap sql": SqlResult,
}
#: Parts that have a section of their own, to which others link.
SHARED: dict[str, type] = {
    "place": PlaceFacts,
    "way": WayFacts,
    "holder": HolderRow,
    "sizes": SizeFacts,
    "growth": GrowthFacts,
    "heap": HeapFacts,
    "scanned": ScannedFacts,
    "half": HalfFacts,
    "call": CallFacts,
    "origin": OriginRow,
    "moment": MomentFacts,
    "changes": ChangesRow,
    "figures": FigureFacts,
}
SECTIONS: dict[str, type] = {"The answer": Answer, "Failures": Failure, **SHARED, **COMMANDS, **LINES}
