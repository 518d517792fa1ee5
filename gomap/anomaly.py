"""What is wrong, or worth a word, beside an answer."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Anomaly:
    """Something that an intact map does not have. severity: error, warning or note."""

    severity: str
    code: str
    message: str
    address: int | None = None
