"""gomap top: the maps of a process that runs on, ranked, sample after sample: a screen, a table or lines of JSON."""

from __future__ import annotations

import argparse
import gc
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from heapq import nlargest
from typing import Callable, TypeVar

from direct.target import DirectTarget, Opened, of_process
from gomap import human
from gomap.analysis.alias import everywhere
from gomap.analysis.identify import Identifier
from gomap.analysis.ranking import shortest
from gomap.analysis.roots import Roots
from gomap.errors import GomapError, MemoryFault, NoProcess, UsageError
from gomap.heap.watch import HeaderWatch, MapRow, Sample
from gomap.memory import CachedMemory
from gomap.progress import Progress, silent
from gomap.reads import gather
from gomap.render import json as as_json
from gomap.render import text as as_text
from gomap.render.terminal import complain, ended, open_streams, progress, style, write
from gomap.report import Report, Table
from gomap.results.sample import SampleMap, SampleResult, SampleTotal
from gomap.wrap import is_dumb

#: What maps are ranked by, the largest first.
ORDERS: dict[str, Callable[[MapRow], int]] = {
    "bytes": lambda row: row.held,
    "entries": lambda row: row.count,
    "growth": lambda row: row.gained,
}
SHORTEST = 0.1
#: Seconds of a sample that may go into telling types, and variables outside of the heap whose maps are looked up anew.
IDENTIFYING, MOST_FIXED = 0.01, 1000
#: Samples that are tried, if the program writes to the memory that is read, before the failure is reported.
TRIES = 3
AT_PHDR = 3
_T = TypeVar("_T")


@dataclass(frozen=True)
class Named:
    """What leads to a map. kind: as in a way of docs/json.md."""

    path: str
    kind: str
    type: str


@dataclass(frozen=True)
class Shown:
    """One map in a sample. growth: entries a second, grown: bytes a second. path: None where
    no variable was found. others: of a type that was told by the map itself, the types that fit as well."""

    address: int
    path: str | None
    kind: str
    type: str | None
    known_by: str | None
    others: tuple[str, ...]
    count: int
    bytes: int
    growth: float
    grown: float
    is_new: bool

    @property
    def name(self) -> str:
        """What a row calls the map: its path or, without one, its address and type."""
        if self.path is not None:
            return self.path
        return f"{self.address:#x}" + (f":{human.short(self.type)}" if self.type else "")

    @property
    def expression(self) -> str:
        """What a command takes for this map."""
        return f"{self.address:#x}" + (f":{self.type}" if self.type else "")


@dataclass(frozen=True)
class View:
    """A sample as it is shown. growth: of all maps together. untold: maps whose type and name are not known, which a
    filter leaves out. cost: share of a core that gomap took since the last sample."""

    sample: Sample
    maps: list[Shown]
    total: int
    matching: int
    entries: int
    bytes: int
    growth: float
    untold: int
    cost: float


@dataclass
class TopSession:
    """One process that is watched. by, wanted: order and filter, which may change between samples."""

    pid: int
    by: str = "bytes"
    wanted: str = ""
    opened: Opened = field(init=False)
    target: DirectTarget = field(init=False)

    def __post_init__(self) -> None:
        self.opened = of_process(self.pid)
        self.target = DirectTarget(self.opened)
        self._started = _stat(self.pid)
        self._at = _in_program(self.pid, self.target)
        self.watch = self._checked(lambda: HeaderWatch(self.target, self._renew))
        self._identifier: Identifier | None = None
        self._found: dict[tuple[int, int], Named] = {}
        self._places: list[tuple[int, Named]] = []
        self._placed: frozenset[Named] = frozenset()
        self._fixed: dict[int, Named] = {}
        self._rows: list[MapRow] = []
        self._types: dict[tuple[int, int], tuple[str | None, str | None, tuple[str, ...]]] = {}
        self._spent, self._last = time.process_time(), time.monotonic()

    def search(self, told: Progress = silent) -> None:
        """Looks for the variables that lead to maps, which takes a while. Maps made later have names where a package
        variable itself holds them."""
        before = {row.address: row.seed for row in self.watch.rows.values()}
        self._renew()
        found = self._checked(lambda: everywhere(self.target, Roots(self.target, "all", told), told, once=True))
        self._look()
        names: dict[tuple[int, int], Named] = {}
        places: list[tuple[int, Named]] = []
        for address, t in found.types.items():
            holder = shortest(found.maps[address])
            named = Named(holder.path, holder.kind, t.name)
            row = self.watch.rows.get(address)
            # A header that was freed and given to another map while the search ran has another seed.
            if row is not None and before.get(address, row.seed) == row.seed:
                names[address, row.seed] = named
            if holder.address is not None and not self.watch.heap.in_arena(holder.address):
                places.append((holder.address, named))
        self._found, self._places = names, sorted(places, key=lambda one: one[0])[:MOST_FIXED]
        self._placed = frozenset(named for _, named in self._places)
        known = list(found.types.values())
        self._identifier = Identifier(self.target, self.watch.heap, self.watch.types, known)

    def view(self, most: int) -> View:
        """The next sample, with so many maps at most. Raises NoProcess where the process has ended."""
        sample = self._look()
        self._look_up_places()
        rows = self._ranked(sample, most)
        watch, matching, untold = self.watch, len(self.watch.rows), 0
        if self.wanted:
            told = [(row, self._told(row)) for row in rows]  # _ranked has all of them then
            kept = [row for row, text in told if text is not None and self.wanted.lower() in text.lower()]
            untold = sum(text is None for _, text in told)
            matching, rows = len(kept), kept[:most]
        self._rows = rows
        self._identify(rows)
        growth = sample.gained / sample.seconds if sample.seconds else 0.0
        maps = [self._shown(row, sample) for row in rows]
        spent, now = time.process_time(), time.monotonic()
        cost = (spent - self._spent) / max(now - self._last, 1e-9)
        self._spent, self._last = spent, now
        return View(sample, maps, len(watch.rows), matching, watch.entries, watch.held, growth, untold, cost)

    # -- the process ---------------------------------------------------------------------------------

    def _renew(self) -> None:
        self.target.memory = CachedMemory(self.opened.memory)

    def _look(self) -> Sample:
        for _ in range(TRIES - 1):
            try:
                return self._checked(lambda: self.watch.sample(self._rows))
            except NoProcess:
                raise
            except GomapError:
                continue
        return self._checked(lambda: self.watch.sample(self._rows))

    def _checked(self, work: Callable[[], _T]) -> _T:
        """What work finds, if it was one and the same program all the while. Raises NoProcess."""
        try:
            found = work()
        except GomapError:
            self._check()
            raise
        self._check()
        return found

    def _check(self) -> None:
        # The file that memory is read through belongs to the program that was there when it was opened.
        try:
            self.opened.memory.read(self._at, 1)
        except MemoryFault:
            if _stat(self.pid) == self._started:
                raise NoProcess(
                    f"process {self.pid} has become another program (exec): start gomap top again"
                ) from None
            raise NoProcess(f"process {self.pid} has ended") from None

    # -- rows ----------------------------------------------------------------------------------------

    def _ranked(self, sample: Sample, most: int) -> list[MapRow]:
        order = ORDERS[self.by]
        if self.wanted:
            return sorted(self.watch.rows.values(), key=lambda row: -self._order(row, sample))
        if self.by == "growth":
            best = nlargest(most, sample.changed, key=order)
            rest = most - len(best)
            if rest:
                same = {row.address for row in sample.changed}
                others = (row for row in self.watch.rows.values() if row.address not in same)
                best += nlargest(rest, others, key=ORDERS["bytes"])
            return sorted(best, key=lambda row: (-self._order(row, sample), -row.held))
        return nlargest(most, self.watch.rows.values(), key=order)

    def _order(self, row: MapRow, sample: Sample) -> int:
        return ORDERS[self.by](row) if self.by != "growth" or row.sample == sample.number else 0

    def _look_up_places(self) -> None:
        """The maps that variables outside of the heap lead to now."""
        self._fixed = {}
        names = dict(self._places)
        pointer = self.target.arch.pointer
        for at, data in gather(self.target.memory, list(names), self.target.arch.pointer_size):
            if data is not None:
                self._fixed[pointer(bytes(data))] = names[at]

    def _named(self, row: MapRow) -> Named | None:
        fixed = self._fixed.get(row.address)
        if fixed is not None:
            return fixed
        found = self._found.get((row.address, row.seed))
        # A package variable that led here leads elsewhere now.
        return None if found is not None and found in self._placed else found

    def _told(self, row: MapRow) -> str | None:
        """What a filter looks at."""
        named = self._named(row)
        if named is not None:
            return f"{named.path} {named.type}"
        told = self._types.get((row.address, row.seed))
        return None if told is None else f"{row.address:#x}:{told[0] or '?'}"

    def _identify(self, rows: Sequence[MapRow]) -> None:
        """Determines the types of these maps, and of others while there is time: a filter needs all of them."""
        identifier = self._identifier
        if identifier is None:
            return
        identifier.heap = self.watch.heap
        if len(self._types) > 2 * len(self.watch.rows) + 1024:
            self._types.clear()
        until = time.process_time() + IDENTIFYING
        for row in self._unidentified(rows):
            if time.process_time() > until:
                break
            one = identifier.identify(row.address)
            name = one.type.name if one.type is not None else None
            self._types[row.address, row.seed] = name, one.known_by, one.others

    def _unidentified(self, rows: Sequence[MapRow]) -> Iterator[MapRow]:
        for row in [*rows, *(self.watch.rows.values() if self.wanted else ())]:
            if (row.address, row.seed) not in self._types and self._named(row) is None:
                yield row

    def _shown(self, row: MapRow, sample: Sample) -> Shown:
        named = self._named(row)
        t, known_by, others = self._types.get((row.address, row.seed), (None, None, ()))
        if named is not None:
            t, known_by, others = named.type, None, ()
        now = row.sample == sample.number
        growth = row.gained / sample.seconds if now and sample.seconds else 0.0
        grown = row.grown / sample.seconds if now and sample.seconds else 0.0
        return Shown(
            row.address, named.path if named else None, named.kind if named else "heap", t, known_by, others,
            row.count, row.held, growth, grown, row.since == sample.number,
        )  # fmt: skip


def _stat(pid: int) -> str | None:
    """When the process started; None when there is none any more, or only its status is left."""
    try:
        with open(f"/proc/{pid}/stat", errors="replace") as file:
            words = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    return None if words[0] in "ZXx" else words[19]


def _in_program(pid: int, target: DirectTarget) -> int:
    """An address that is the program's for as long as it runs: of its program headers."""
    word = target.arch.pointer_size
    try:
        with open(f"/proc/{pid}/auxv", "rb") as file:
            vector = file.read()
    except OSError as error:
        raise NoProcess(f"process {pid} can't be read: {error.strerror}") from error
    for at in range(0, len(vector) - 2 * word + 1, 2 * word):
        if target.arch.pointer(vector, at) == AT_PHDR:
            return target.arch.pointer(vector, at + word)
    raise NoProcess(f"process {pid} has ended")


# -- what is printed ---------------------------------------------------------------------------------


def rate(value: float, shown: Callable[[int], str]) -> str:
    """A change a second: +1,200; nothing where there is none."""
    if not round(value):
        return ""
    return ("+" if value > 0 else "-") + shown(abs(round(value)))


def heading(session: TopSession, view: View) -> list[str]:
    """The lines above the maps."""
    growth = f" ({rate(view.growth, human.number)}/s)" if rate(view.growth, human.number) else ""
    what = f"{human.plural(view.total, 'map')}, {human.plural(view.entries, 'entry')}{growth}, {human.size(view.bytes)}"
    lines = [f"process {session.pid}, {session.target.go_version or 'Go'}: {what}"]
    doubts = []
    if (view.sample.appeared and view.sample.number) or view.sample.gone:
        doubts.append(f"{view.sample.appeared:,} new, {view.sample.gone:,} gone")
    if view.sample.empty:
        doubts.append(f"{human.plural(view.sample.empty, 'more map')} never had an entry")
    if session.wanted:
        doubts.append(f"{view.matching:,} match {session.wanted!r}")
        if view.untold:
            doubts.append(f"types of {view.untold:,} not known yet")
    if view.sample.missed:
        doubts.append(f"{human.plural(view.sample.missed, 'span')} could not be read")
    if view.sample.waiting:
        doubts.append(f"bytes of {view.sample.waiting:,} not measured yet")
    doubts.append(f"gomap takes {100 * view.cost:.1f}% of a core")
    return [*lines, "; ".join(doubts)]


#: Why hmap-top counts other maps and bytes.
COUNTED = (
    "hmap-top counts more: sync.Maps themselves, maps on stacks, maps that never had an entry if a variable leads to "
    "them, and the bytes of overflow buckets and of keys and elems behind pointers; it leaves out the runtime's maps"
)
HEADINGS = ("entries", "entries/s", "held", "held/s", "map")


def cells(one: Shown) -> tuple[str, str, str, str]:
    """The numbers of a row."""
    growth, grown = rate(one.growth, human.number), rate(one.grown, human.size)
    return f"{one.count:,}", growth, human.size(one.bytes), grown


def table(session: TopSession, view: View, first: bool) -> str:
    """A sample as text, for output that is not a screen. first: of several, with what is not counted."""
    report = Report({}, answer=heading(session, view))
    if first:
        report.advice.append(COUNTED)
    rows = [[*cells(one), one.path or "no variable", human.short(one.expression)] for one in view.maps]
    report.sections = [Table([*HEADINGS, "address:type"], rows, frozenset(range(4)), whole=4)]
    return as_text.render(report, style(sys.stdout)) + "\n"


def line(session: TopSession, view: View) -> str:
    """One line of JSON (docs/json.md)."""
    sample = view.sample
    total = SampleTotal(
        maps=view.total,
        matching=view.matching,
        entries=view.entries,
        bytes=view.bytes,
        growth=view.growth,
        empty=sample.empty,
        appeared=sample.appeared,
        gone=sample.gone,
    )
    result = SampleResult(
        sample=sample.number,
        time=time.time(),
        seconds=sample.seconds,
        by=session.by,
        filter=session.wanted or None,
        maps=[
            SampleMap(
                path=one.path,
                kind=one.kind,
                address=one.address,
                type=one.type,
                type_known_by=one.known_by,
                type_or=list(one.others),
                count=one.count,
                bytes=one.bytes,
                growth=one.growth,
                bytes_growth=one.grown,
                new=one.is_new,
            )
            for one in view.maps
        ],
        total=total,
        unmeasured=sample.waiting,
        untold=view.untold,
        unread=sample.missed,
        cost=view.cost,
    )
    report = Report(result)
    if len(view.maps) < view.matching:
        report.cut("maps", len(view.maps), view.matching)
    return as_json.success("gomap top", session.target, report)


# -- the command line --------------------------------------------------------------------------------


def parsers() -> dict[str, argparse.ArgumentParser]:
    """The command line of gomap top."""
    parser = argparse.ArgumentParser(
        prog="gomap top",
        description="Show the maps of a running process, ranked by the bytes they hold, their entries or their growth, "
        "and refresh them. On a terminal it is a screen with keys to sort, filter, pause and open a map, which needs "
        "the package textual (pip install textual). Without it, or with --plain, gomap prints a table for each sample.",
    )
    parser.add_argument("PID", type=int, help="the process id")
    parser.add_argument("--by", choices=tuple(ORDERS), default="bytes", help="rank by this order (default: bytes)")
    parser.add_argument("--filter", metavar="TEXT", default="", help="list only maps whose path or type contains TEXT")
    parser.add_argument("-n", metavar="N", type=int, default=20, help="list N maps (default 20; 0 lists all)")
    parser.add_argument(
        "--interval", metavar="SECONDS", type=float, default=1.0, help="time between samples (default 1)"
    )
    parser.add_argument(
        "--samples", metavar="N", type=int, default=0, help="print N samples and exit, without a screen"
    )
    parser.add_argument("--plain", action="store_true", help="print a table for each sample")
    parser.add_argument("--json", action="store_true", help="print a line of JSON for each sample")
    return {"top": parser}


def main(argv: Sequence[str]) -> int:
    """Runs gomap top. Returns the exit status."""
    open_streams()
    options = parsers()["top"].parse_args(argv[1:])
    return ended("gomap", lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    if options.n < 0 or options.samples < 0:
        raise UsageError("-n and --samples take a number, 0 or more")
    if not SHORTEST <= options.interval < 1e6:
        raise UsageError(f"--interval takes seconds, {SHORTEST} or more")
    session = TopSession(options.PID, options.by, options.filter)
    session.view(0)
    session.search(progress(sys.stderr, 80) or silent)
    gc.freeze()  # objects that exist now live to the end: Python's collector need not look at them
    if (
        not (options.json or options.plain or options.samples)
        and sys.stdin.isatty()
        and sys.stdout.isatty()
        and _has_screen()
    ):
        from direct.screen import show

        ending = show(session, options.interval, options.n)
        if ending is not None:
            raise ending
        return 0
    shown, begun = 0, time.monotonic()
    while True:
        view = session.view(options.n or sys.maxsize)
        write(line(session, view) if options.json else table(session, view, not shown))
        shown += 1
        if shown == options.samples:
            return 0
        # By the clock and not from the end of the last sample: as many samples an hour as were asked for.
        begun += options.interval
        late = time.monotonic() - begun
        begun += max(late, 0)
        time.sleep(max(-late, 0))


def _has_screen() -> bool:
    if is_dumb():
        return False
    try:
        import textual  # noqa: F401
    except ImportError:
        told = f"gomap: a table for each sample; for a screen: {shlex.quote(sys.executable)} -m pip install textual"
        complain(told)
        return False
    return True
