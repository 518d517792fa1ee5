"""Anomalies: faults and notes that come with an answer."""

from dataclasses import dataclass
from typing import Annotated, Optional

from gomap.results.fields import Address, Word


@dataclass(frozen=True)
class Anomaly:
    """Something that an intact map does not have."""

    severity: Annotated[Word, "`error`, `warning` or `note`"]
    code: Annotated[str, "what kind it is, see [codes](#codes-of-anomalies)"]
    message: Annotated[str, "the same for people; its wording may change"]
    address: Annotated[Optional[Address], "where it was found"] = None
