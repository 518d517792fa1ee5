"""gomap doctor."""

from dataclasses import dataclass
from typing import Annotated, Optional

from gomap.results.fields import Word


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    area: Annotated[str, "what it belongs to, for people"]
    name: Annotated[
        str,
        "what it is: `gdb`, `yama`, `core-pattern`, `core-limit`, `debug-information`, `build`, `opens`, "
        "`gotraceback` and so on",
    ]
    state: Annotated[Word, "`ok`, `advice` (it would be better otherwise) or `missing` (answers need it)"]
    what: Annotated[str, "one sentence for people"]
    mend: Annotated[Optional[str], "the command that mends it"] = None


@dataclass(frozen=True)
class DoctorResult:
    """What `gomap doctor` found."""

    ok: Annotated[bool, "whether nothing is missing"]
    checks: Annotated[list[Check], "what was looked at"]
