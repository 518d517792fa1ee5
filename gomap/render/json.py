"""The JSON contract: one object on one line."""

from __future__ import annotations

from gomap.errors import GomapError
from gomap.report import Report
from gomap.results.answer import SCHEMA, Answer, BareAnswer, ErrorFacts, Failure, TargetFacts
from gomap.results.encode import line
from gomap.target import Target


def success(command: str, target: Target, report: Report) -> str:
    """The answer of a command as one line of JSON (docs/json.md)."""
    target = report.target or target
    arch = target.arch
    version = target.go_version if report.gone is None else report.gone or None
    facts = TargetFacts(target.backend, target.kind, version, arch.name, arch.pointer_size, arch.byte_order)
    anomalies = [*report.notes, *report.anomalies]
    bounds = None if report.bounds is None else report.bounds.facts()
    return line(Answer(SCHEMA, command, facts, report.data, anomalies, report.truncated, bounds))


def bare(command: str, data: object) -> str:
    """An answer that is not about a program."""
    return line(BareAnswer(SCHEMA, command, data))


def failure(command: str, error: GomapError) -> str:
    """The error of a command as one line of JSON (docs/json.md)."""
    return line(Failure(SCHEMA, command, ErrorFacts(error.code, str(error))))
