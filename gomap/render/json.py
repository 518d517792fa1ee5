"""The JSON contract: one object on one line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from gomap.errors import GomapError
from gomap.report import Encoded, Report
from gomap.target import Target

SCHEMA = "gomap/1"


def success(command: str, target: Target, report: Report) -> str:
    arch = target.arch
    return _line(
        {
            "schema": SCHEMA,
            "command": command,
            "target": {
                "backend": target.backend,
                "kind": target.kind,
                "go": target.go_version,
                "arch": arch.name,
                "pointer_size": arch.pointer_size,
                "byte_order": arch.byte_order,
            },
            "data": report.data,
            "anomalies": [
                {
                    "severity": anomaly.severity,
                    "code": anomaly.code,
                    "message": anomaly.message,
                    "address": None if anomaly.address is None else hex(anomaly.address),
                }
                for anomaly in [*report.notes, *report.anomalies]
            ],
            "truncated": report.truncated,
        }
    )


def failure(command: str, error: GomapError) -> str:
    return _line({"schema": SCHEMA, "command": command, "error": {"code": error.code, "message": str(error)}})


def _line(value: dict[str, Any]) -> str:
    return "".join([*_pieces(value), "\n"])


def _pieces(value: Any) -> Iterator[str]:
    """What json.dumps says of the value, which is long where it has something Encoded."""
    if isinstance(value, Encoded):
        yield "["
        for i, part in enumerate(value.parts):
            yield f", {part}" if i else part
        yield "]"
    elif isinstance(value, dict) and any(isinstance(part, (dict, Encoded)) for part in value.values()):
        for i, (name, part) in enumerate(value.items()):
            yield f"{', ' if i else '{'}{json.dumps(name)}: "
            yield from _pieces(part)
        yield "}"
    else:
        # Only ASCII: lone surrogates, which stand for bytes that are no UTF-8, survive as escapes.
        yield json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(", ", ": "))
