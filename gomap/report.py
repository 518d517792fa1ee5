"""What a command answers: data for scripts, and the sections a person reads. Nothing here prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Union

from gomap.anomaly import Anomaly
from gomap.results.answer import BoundFacts, Cut


@dataclass(frozen=True)
class Facts:
    """Label and text, one pair a line. label: columns that labels take at least, to line up with others. apart: after
    an empty line; None: if a table is before them."""

    rows: Sequence[tuple[str, str]]
    label: int = 0
    apart: bool | None = None


@dataclass(frozen=True)
class Listed:
    """Label, items and a remark on them: on one line where they fit, else each item has a line of its own under the
    label. label: columns that labels take at least."""

    rows: Sequence[tuple[str, Sequence[str], str]]
    label: int = 0


@dataclass(frozen=True)
class Table:
    """Rows under headings. right: columns of numbers. code: columns of Go values.

    names: columns of names, which are cut at the front. whole: this column and all after it are never cut; if they do
    not fit side by side, they go below each other. None: text that does not fit is cut. kept: the column that
    identifies the rows, such as a key: it is never cut, and if it does not fit, the columns after it go below it.
    middle: the column of paths, which are shortened in the middle so that a row is one line. optional: columns that are
    left out first if the screen is narrow, in this order. hint: how to see all, a label and a text, shown if
    something was shortened.
    """

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    right: frozenset[int] = frozenset()
    code: frozenset[int] = frozenset()
    names: frozenset[int] = frozenset()
    whole: int | None = None
    kept: int | None = None
    middle: int | None = None
    optional: Sequence[int] = ()
    hint: tuple[str, str] | None = None


@dataclass(frozen=True)
class Heat:
    """A strip of cells, each 0..1. cell: what one stands for. scale: what 0 and 1 mean. of: how many of what 1 is, if
    digits can say the number itself."""

    label: str
    cells: Sequence[float]
    cell: str
    scale: tuple[str, str] = ("empty", "full")
    of: tuple[int, str] | None = None


@dataclass(frozen=True)
class Bars:
    """A histogram: (label, amount). title: what labels and amounts are."""

    label: str
    rows: Sequence[tuple[str, int]]
    title: str


@dataclass(frozen=True)
class Progress:
    """How much of something is done, 0..1."""

    fraction: float


@dataclass(frozen=True)
class Lines:
    """Lines of text, unchanged. apart: after an empty line."""

    rows: Sequence[str]
    apart: bool = True


#: What is left out of an answer that the user interrupted.
INTERRUPTED = "the search was interrupted"
Section = Union[Facts, Listed, Table, Heat, Bars, Progress, Lines]


class ToldBounds(Protocol):
    """What may be torn in an answer about a program that goes on (gomap.moving.Bounds)."""

    @property
    def entries(self) -> int:
        """The most that the number of entries of all maps together may be off."""

    @property
    def written(self) -> Mapping[int, int]:
        """The maps whose headers changed, by address, with the most that each one's number of entries may be off."""

    @property
    def gone(self) -> int:
        """How many headers can't be read any more, or were replaced by something else."""

    @property
    def untold(self) -> int:
        """How many changed maps the answer gives no bound of their own."""

    @property
    def maps(self) -> int:
        """How many headers were read a second time."""

    def facts(self) -> BoundFacts:
        """The same as a result, for JSON."""


@dataclass
class Report:
    """answer: the first lines, what the user asked for. advice: what to do about it.

    data, anomalies, truncated: the fields of the JSON contract; data is a result (gomap/results). notes: notes on the
    variables that the command line named: the answer's last lines in text, anomalies in JSON. target: the target that
    JSON describes, if it is not the command's own. gone: the Go version of a program that ended while the command let
    it run, since it can't be read any more. bounds: how far numbers may be off, for a running program. plain: text for
    other programs, printed instead of everything else. unfinished: why that text is incomplete; it becomes an error.
    """

    data: Any
    answer: list[str] = field(default_factory=list)
    sections: list[Section] = field(default_factory=list)
    advice: list[str] = field(default_factory=list)
    anomalies: list[Anomaly] = field(default_factory=list)
    notes: list[Anomaly] = field(default_factory=list)
    truncated: list[Cut] | None = None
    target: Any = None
    gone: str | None = None
    bounds: ToldBounds | None = None
    plain: list[str] | None = None
    unfinished: str | None = None

    def cut(self, what: str, shown: int, of: int | None, option: str | None = None) -> None:
        """Says that only a part is shown. option: what shows more, as it is typed: -n 0."""
        self.truncated = [*(self.truncated or []), Cut(what, shown, of, option)]

    def interrupted(self, shown: int = 0, what: str = "these results are incomplete") -> None:
        """Says that the user ended the search."""
        self.answer.append(f"(interrupted: {what})")
        self.cut(INTERRUPTED, shown, None)


def left_out(cut: Cut) -> str:
    """What was left out, in words."""
    shows = f" ({cut.option} shows {'all' if cut.option.endswith(' 0') else 'more'})" if cut.option else ""
    if cut.what == "values":
        return "long values are truncated" + (shows or " (a larger `set hmap depth` shows more)")
    if not cut.of:
        return cut.what + shows
    if cut.what.endswith("interrupted"):
        return f"{cut.what} after {cut.shown:,} of {cut.of:,}"
    map_, colon, what = cut.what.rpartition(": ")
    if what.startswith("hashes"):
        return f"{map_}{colon}only {cut.shown:,} of {cut.of:,} {what} were checked{shows}"
    return f"{cut.shown:,} of {cut.of:,} {cut.what} shown{shows}"
