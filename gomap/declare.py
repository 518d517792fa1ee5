"""How a command is declared. gdb, Delve, one-shot use, help, completion and the README all read this.

Imported when gdb starts, so it imports next to nothing: what a command needs is imported when it first runs.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Protocol, TypeVar

from gomap.progress import Progress, silent
from gomap.wrap import wrapped

if TYPE_CHECKING:
    from gomap.anomaly import Anomaly
    from gomap.gotypes import GoType
    from gomap.report import Report
    from gomap.target import Target, Variable


class _Found(Protocol):
    anomalies: list[Anomaly]


_F = TypeVar("_F", bound=_Found)

#: Seconds that a program may be let run: a week.
MAX_DURATION = 7 * 24 * 3600.0
#: Columns of a help text where the terminal's are not known, and at most.
HELP_WIDTH, MAX_HELP_WIDTH = 79, 100


class Settings(NamedTuple):
    """What the user can set once for all commands. entries: how many hmap-show lists by default; depth: how far
    hmap-alias and printed values look."""

    entries: int = 8
    depth: int = 6


class Arg(NamedTuple):
    """One argument. metavar None makes an option a switch. many: it may be given more than once."""

    name: str
    help: str
    metavar: str | None = None
    type: Callable[[str], Any] = str
    many: bool = False
    optional: bool = False
    default: Any = None

    @property
    def positional(self) -> bool:
        """Whether its position identifies it, not a name that begins with a dash."""
        return not self.name.startswith("-")

    @property
    def usage(self) -> str:
        """How a usage line shows it: in brackets where it may be left out."""
        shown = self.name if self.positional else f"{self.name} {self.metavar}" if self.metavar else self.name
        if self.many and self.positional:
            shown += " ..."
        return f"[{shown}]" if self.optional or not self.positional else shown


class Context(NamedTuple):
    """The target and settings that a command gets. progress: called during long work. resolved: collects the variables
    that the command's expressions named, so that notes on them appear once, in text and in JSON. seeks: replaces seek,
    if the search must not use this target."""

    target: Target
    settings: Settings = Settings()
    progress: Progress = silent
    resolved: list[Variable] | None = None
    seeks: Callable[[int], Variable | None] | None = None

    def note(self, variable: Variable) -> Variable:
        """The variable; its note, if it has one, is added to the answer."""
        known = self.resolved
        if known is not None and variable.note and all(one.note != variable.note for one in known):
            known.append(variable)
        return variable

    def seek(self, address: int) -> Variable | None:
        """The value at an address, if the command line does not give its type."""
        from gomap.analysis.seek import value_at

        if self.seeks is not None:
            return self.seeks(address)
        return value_at(self.target, address, self.progress)

    def resolve(self, text: str) -> Variable:
        """As expr.resolve."""
        from gomap.expr import resolve

        return self.note(resolve(self.target, text, self.seek))

    def resolve_behind(self, text: str) -> Variable:
        """As expr.resolve_behind."""
        from gomap.expr import resolve_behind

        return self.note(resolve_behind(self.target, text, self.seek))

    def look(self, variable: Variable, work: Callable[[], _F]) -> _F:
        """The result of work, which reads the variable's value. Raises NotSet if it finds a fault and the variable may
        not be set."""
        from gomap.errors import NotSet
        from gomap.follow import unless_unset

        if variable.doubt is not None and variable.address is None and variable.data is None:
            raise NotSet(variable.doubt)
        found = unless_unset(variable, work)
        if variable.doubt is not None and found.anomalies:
            raise NotSet(variable.doubt)
        return found

    def resolve_map(self, text: str) -> tuple[Variable, GoType, int]:
        """As expr.resolve_map."""
        from gomap.expr import resolve_map

        found = resolve_map(self.target, text, self.seek)
        self.note(found[0])
        return found


def natural(text: str) -> int:
    """a number, 0 or more"""
    value = int(text, 0)
    if value < 0:
        raise ValueError(text)
    return value


def positive(text: str) -> int:
    """a number, 1 or more"""
    value = int(text, 0)
    if value < 1:
        raise ValueError(text)
    return value


_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def duration(text: str) -> float:
    """a time such as 500ms, 10s, 2m or 1h30m"""
    found = re.fullmatch(r"(?:\d+(?:\.\d+)?(?:ms|h|m|s))+", text)
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|h|m|s)", text) if found else []
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if not 0 < seconds <= MAX_DURATION:
        raise ValueError(text)
    return seconds


GOROUTINE = Arg("--goroutine", "look up names in the frames of goroutine N", "N", natural)
FRAME = Arg("--frame", "start the search for names at frame N (0 is the newest)", "N", natural)
FULL = Arg("--full", "show long values whole")
RAW = Arg("--raw", "show times, durations, network addresses and the like as structs with all fields")
ROWS = Arg("-n", "list N rows (default 20; 0 lists all)", "N", natural, default=20)
PACKAGE = Arg(
    "--package", "only maps that variables of package P lead to; P is a path, a name, or PATH/... for all below", "P"
)
TYPE = Arg("--type", "only maps of type T, or with T in their type", "T")
STD = Arg("--std", "list the standard library's own maps too")
JSON = Arg("--json", "print the answer as one line of JSON")


class Command(NamedTuple):
    """name: as it is typed. about: what the answer means. examples: (command line, comment). session: the heading in
    docs/scenarios.md under which there is one.

    writes_file: it saves a file, so recording does not run it. of_a_map: it is about one map and what that owns,
    so a recorded map answers it. resumes: it lets the program run.
    """

    name: str
    summary: str
    about: str
    args: tuple[Arg, ...]
    examples: tuple[tuple[str, str], ...]
    session: str
    writes_file: bool = False
    of_a_map: bool = True
    resumes: bool = False

    def run(self, context: Context, options: Mapping[str, Any]) -> Report:
        """Answers, through `run` of the file in gomap/commands that has the command's name."""
        module = importlib.import_module(f"gomap.commands.{self.name.split('-', 1)[1]}")
        report: Report = module.run(context, options)
        return report

    @property
    def all_args(self) -> tuple[Arg, ...]:
        """Its own arguments, and those that commands have in common: --goroutine, --frame, --json."""
        named = (GOROUTINE, FRAME) if self.args and self.args[0].name in ("EXPR", "ADDR") else ()
        return (*self.args, *named, *(() if self.writes_file else (JSON,)))

    @property
    def usage(self) -> str:
        """The usage line: the name and every argument."""
        return " ".join([self.name, *(arg.usage for arg in self.all_args)])

    def help(self, width: int | None = None) -> str:
        """The full help text: usage, meaning, arguments, examples. width: columns of the terminal."""
        room = min(width or HELP_WIDTH, MAX_HELP_WIDTH)
        lines = [*wrapped(self.summary, room), "", *wrapped(f"Usage: {self.usage}", room, 7), ""]
        for paragraph in self.about.strip().split("\n\n"):
            lines += [*wrapped(" ".join(paragraph.split()), room), ""]
        lines.append("Arguments:")
        label = max(len(_label(arg)) for arg in self.all_args)
        for arg in self.all_args:
            lines += wrapped(f"  {_label(arg):{label}}  {arg.help}", room, label + 4)
        lines += ["", "Examples:"]
        label = max(len(line) for line, _ in self.examples)
        fits = all(label + len(comment) + 4 <= room for _, comment in self.examples)
        for line, comment in self.examples:
            one = f"  {line:{label}}  {comment}"
            lines += [one] if fits else [f"  {line}", *wrapped(f"      {comment}", room, 6)]
        return "\n".join(lines)


def _label(arg: Arg) -> str:
    return f"{arg.name} {arg.metavar}" if arg.metavar and not arg.positional else arg.name


EXPR_HELP = 'a map: m, main.cache, cfg.M, arr[i], p.shards["eu"], x.(T).M, *p, 0xADDRESS, 0xADDRESS:map[K]V'


def bucket_range(text: str) -> tuple[int, int]:
    """a number or a range, such as 3 or 0-7"""
    first, _, last = text.partition("-")
    low, high = natural(first), natural(last or first)
    if high < low:
        raise ValueError(text)
    return low, high


def event(text: str) -> str:
    """write, insert, delete, growth, clear or len>N"""
    return text if re.fullmatch(r"len>\d{1,18}", text) else _chosen(event, text)


def number_or_all(text: str) -> int | str:
    """a number, or all"""
    return text if text == "all" else natural(text)


def scope(text: str) -> str:
    """frame (the selected one), goroutine (the selected one's frames) or all (every goroutine's)"""
    return _chosen(scope, text)


def order(text: str) -> str:
    """bytes, waste, entries, load, values or retained"""
    return _chosen(order, text)


def change_order(text: str) -> str:
    """bytes, entries, tombstones or load"""
    return _chosen(change_order, text)


def method(text: str) -> str:
    """uprobes or breakpoints"""
    return _chosen(method, text)


def file_name(text: str) -> str:
    """a file's name, in quotes where it has spaces"""
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        text = text[1:-1]
    if not text or "\0" in text:
        raise ValueError(text)
    return text


def grouping(text: str) -> str:
    """type, package, owner or size"""
    return _chosen(grouping, text)


def sorting(text: str) -> str:
    """key, value, size or a field"""
    return text


def condition(text: str) -> Any:
    """a condition, such as Age > 30, key != "x" or len(value) >= 10"""
    from gomap.analysis import sift

    return sift.condition(text)


def pattern(text: str) -> Any:
    """a regular expression"""
    from gomap.analysis import sift

    return sift.pattern(text)


def _chosen(kind: Callable[[str], Any], text: str) -> str:
    if text not in CHOICES[kind]:
        raise ValueError(text)
    return text


#: What an argument of a type can be; one of type sorting can be a field too.
CHOICES: Mapping[Callable[[str], Any], tuple[str, ...]] = {
    event: ("write", "insert", "delete", "growth", "clear"),
    scope: ("frame", "goroutine", "all"),
    order: ("bytes", "waste", "entries", "load", "values", "retained"),
    change_order: ("bytes", "entries", "tombstones", "load"),
    method: ("uprobes", "breakpoints"),
    grouping: ("type", "package", "owner", "size"),
    sorting: ("key", "value", "size"),
}
