"""Command line -> command -> Report -> output. The only place where errors become words."""

from __future__ import annotations

import argparse
import gc
import re
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cache
from typing import Any, Callable, NoReturn

from gomap import moving
from gomap.anomaly import Anomaly
from gomap.commands import registry
from gomap.declare import Arg, Command, Context, Settings, natural, positive
from gomap.errors import BadImage, GomapError, Interrupted, UsageError
from gomap.human import one_line, plural
from gomap.ongoroutine import OnGoroutine
from gomap.progress import Progress, ProgressLine, silent
from gomap.render import json as as_json
from gomap.render import text as as_text
from gomap.report import Report
from gomap.target import Target, Variable


@dataclass(frozen=True)
class Outcome:
    """What one command line gave. output: printed as it is. error: one line, None when all went well; problem: its
    kind."""

    output: str = ""
    error: str | None = None
    problem: type[GomapError] | None = None


_NEGATIVE = re.compile(r"-(?:\.?\d|Inf\b)")
_OPTION = re.compile(r"(?<=\s)--\w")


class _Parser(argparse.ArgumentParser):
    """argparse that raises instead of printing and leaving."""

    command: Command

    def error(self, message: str) -> NoReturn:
        wrong = re.match(r"unrecognized arguments: (--?[\w-]+)", message)
        if wrong is not None:
            near = get_close_matches(wrong[1], [arg.name for arg in self.command.all_args], 1)
            message = f"unknown option {wrong[1]}" + (f": did you mean {near[0]}?" if near else "")
        raise UsageError(f"{message} (usage: {self.command.usage})")

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        raise UsageError(message or "")


def run(
    name: str,
    line: str,
    open_target: Callable[[], Target],
    settings: Settings,
    style: as_text.Style,
    debug: bool = False,
    progress: ProgressLine | None = None,
) -> Outcome:
    """Runs the command `name` with the arguments in `line`. Never raises.

    debug: show the traceback of an internal error. progress: shows the progress of long work.
    """
    json = "--json" in tokens(line)
    resolved: list[Variable] = []
    try:
        command = registry.find(name)
        if name == "hmap":
            return Outcome(overview(style.columns))
        if command is None:
            raise UsageError(unknown(name))
        if not json and not {"--help", "-h"}.isdisjoint(tokens(line)):
            return Outcome(command.help(style.columns) + "\n")
        options = parse(command, line)
        with _no_collection():
            target, report = _answered(command, options, open_target, settings, progress or silent, resolved)
            not_started = _not_started(target) if report.gone is None else []
            if not_started:
                report.advice = []  # package variables are still to be set
            report.anomalies += not_started + _running(command, target, report) + _assumed(target)
            if options.get("--json"):
                return Outcome(as_json.success(name, target, report))
            text = as_text.render(report, style)
            if report.plain is not None and report.unfinished is not None:
                return Outcome(text, one_line(f"{name}: {report.unfinished}"), GomapError)
            return Outcome(text)
    except GomapError as error:
        error.notes += tuple(str(one.note) for one in resolved)
        return _failed(name, error, json)
    except KeyboardInterrupt:
        return _failed(name, Interrupted("interrupted: nothing was changed"), json)
    except RecursionError:
        return _failed(name, GomapError("the values are nested too deeply: try a smaller set hmap depth"), json)
    except Exception as error:
        failed = _failed(name, fault(error), json)
        return replace(failed, output=failed.output + (traceback.format_exc() if debug else ""))
    finally:
        if progress is not None:
            progress.clear()


def unknown(name: str) -> str:
    """The message for an unknown command."""
    names = [command.name for command in registry.COMMANDS]
    near = get_close_matches(name, names, 1) or get_close_matches(f"hmap-{name}", names, 1)
    meant = f"did you mean {near[0]}?" if near else f"the commands are {', '.join(names)}"
    return f"unknown command {name!r}: {meant}"


def overview(width: int | None = None) -> str:
    """What `hmap` alone prints."""
    return f"{registry.overview(width)}\n\nhelp COMMAND shows the details of a command.\n"


@contextmanager
def _no_collection() -> Iterator[None]:
    """Without Python's search for cycles of garbage, of which a command makes next to none: it costs a third of the
    time where many objects are held."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _told(variable: Variable) -> Anomaly:
    """What the variable's resolution has to say: where it was taken from, or that it may not be set."""
    return Anomaly("note", "variable", str(variable.note), variable.address)


def _not_started(target: Target) -> list[Anomaly]:
    """A note on a program that has just been started, or is about to become another (exec)."""
    try:
        found = target.variable("runtime.mainStarted") if target.kind == "live" else None
        if found is None or any(found.read(target.memory, 0, found.type.size)):
            return []
    except GomapError:
        return []
    message = "Go's main has not started yet: package variables hold what the linker put there"
    return [Anomaly("note", "not-started", message)]


def _answered(
    command: Command,
    options: dict[str, Any],
    open_target: Callable[[], Target],
    settings: Settings,
    progress: Progress,
    resolved: list[Variable],
) -> tuple[Target, Report]:
    """The command's answer. Of a program that goes on it is asked again where a map was written to while it was read:
    the answer with the smallest bound counts. What goes through all maps is asked once, since some map always changes.
    """
    of_one = not command.writes_file and bool(options.get("EXPR") or options.get("ADDR"))
    best: tuple[Target, Report] | None = None
    end = time.monotonic() + moving.PATIENCE
    for left in reversed(range(moving.MAX_READINGS)):
        target = open_target()
        moving.begin(target)
        try:
            if options.get("--goroutine") is not None or options.get("--frame") is not None:
                target = OnGoroutine(target, options["--goroutine"], options["--frame"] or 0)
            resolved.clear()
            context = Context(target, settings, progress, resolved)
            report = command.run(context, options)
            report.notes += [_told(one) for one in resolved]
            bounds = report.bounds = report.bounds or moving.bounds(target)
        except (UsageError, Interrupted, BadImage):  # asking again does not mend a command line or a file
            raise
        except GomapError as error:
            moved = moving.bounds(target)
            if moved is None or not (moved.written or moved.gone):
                raise
            if best is not None:
                return best
            if not left or time.monotonic() > end:
                error.notes += (MOVED,)
                raise
            continue
        if best is None or _apart(report) < _apart(best[1]):
            best = target, report
        if bounds is None or not of_one or not bounds.untold or time.monotonic() > end:
            break
    assert best is not None
    return best


#: What may have caused an error in a running program.
MOVED = "what was read was written to at the same time: try again, or use gomap pid --pause"


def _apart(report: Report) -> tuple[int, int]:
    bounds = report.bounds
    return (0, 0) if bounds is None else (bounds.entries, len(bounds.written) + bounds.gone)


def _running(command: Command, target: Target, report: Report) -> list[Anomaly]:
    if not target.running or command.resumes:  # what lets it run needs it to
        return []
    threads = plural(target.running, "thread")
    message = f"{threads} kept running: their stacks were not read, and their changes may be partly visible"
    found = [Anomaly("warning", "running", message)]
    known = {one.address for one in report.anomalies if one.code == "torn-read"}
    torn = moving.told(report.bounds) if report.bounds is not None else []
    return [*(one for one in torn if one.address is None or one.address not in known), *found]


def _assumed(target: Target) -> list[Anomaly]:
    """What was taken for granted of a stripped program, and what a core file does not have."""
    assumed = [Anomaly("warning", "unknown-version", message) for message in getattr(target, "notes", ())]
    return [*assumed, *(Anomaly("warning", "core-file", message) for message in getattr(target, "lacks", ()))]


def fault(error: BaseException) -> GomapError:
    """An error of no kind that a user can meet."""
    what = " ".join(f"{type(error).__name__}: {error}".split())
    return GomapError(f"internal error in gomap, please report it: {what} (set hmap debug on shows the traceback)")


def _failed(name: str, error: GomapError, json: bool) -> Outcome:
    return Outcome(as_json.failure(name, error) if json else "", one_line(f"{name}: {error}"), type(error))


def parse(command: Command, line: str) -> dict[str, Any]:
    """The arguments by name. Raises UsageError."""
    return vars(_parser(command).parse_args(_as_meant(command, tokens(line))))


def _as_meant(command: Command, words: list[str]) -> list[str]:
    """The words as the command wants them: m["k"] for a map and its key, a key of several words, and a number alone for
    how many rows."""
    known = {arg.name: arg for arg in command.all_args}
    words = _conditions_joined(words) if "--where" in known else words
    plain = [i for i, word in enumerate(words) if _is_operand(known, words, i)]
    names = [arg.name for arg in command.all_args if arg.positional]
    if names == ["EXPR", "KEY"]:
        if len(plain) == 1:
            parted = _indexed(words[plain[0]])
            return [*words[: plain[0]], *(parted or [words[plain[0]]]), *words[plain[0] + 1 :]]
        if len(plain) > 2 and plain[1:] == list(range(plain[1], plain[-1] + 1)):
            return [*words[: plain[1]], " ".join(words[i] for i in plain[1:]), *words[plain[-1] + 1 :]]
    rows = next((name for name in ROWS if name in known and known[name].type in (natural, positive)), None)
    if rows is not None and not names and len(plain) == 1 and words[plain[0]].isdecimal():
        return [*words[: plain[0]], rows, *words[plain[0] :]]
    if rows is not None and rows != "-n":
        return [rows if word == "-n" else word for word in words]
    return words


_CONDITION = re.compile(r"[^\s=!<>~]+\s*(?:[=!<>]=|!~|[=<>~])\s*[^\s=]")


def _conditions_joined(words: list[str]) -> list[str]:
    """What follows --where as one word: FIELD OP VALUE, in as many as were typed."""
    joined: list[str] = []
    left = 0
    for word in words:
        if left and not word.startswith("--"):
            joined[-1] = f"{joined[-1]} {word}".strip()
            left = 0 if _CONDITION.match(joined[-1]) else left - 1
            continue
        joined.append(word)
        left = 0
        if word == "--where":
            joined.append("")
            left = 3
    return [word for word in joined if word]


#: The options that say how many rows there are to be: -n means each.
ROWS = ("-n", "--entries", "--limit")


def _is_operand(known: Mapping[str, Arg], words: list[str], i: int) -> bool:
    """Whether a word is neither an option nor an option's value."""
    if words[i].startswith("--") or words[i] == "-n":
        return False
    before = words[i - 1] if i else ""
    return not (before == "-n" or (before in known and known[before].metavar is not None and before.startswith("-")))


def _indexed(word: str) -> list[str] | None:
    """The map and the key of m["k"]."""
    from gomap import syntax

    try:
        _, steps = syntax.parse(word)
    except GomapError:
        return None
    last = steps[-1] if steps else None
    if not isinstance(last, syntax.Index) or not word.endswith("]"):
        return None
    at = word.rfind(f"[{last.key}]")
    return [word[:at], last.key] if at > 0 else None


@cache
def _parser(command: Command) -> _Parser:
    parser = _Parser(prog=command.name, add_help=False, allow_abbrev=False)
    parser.command = command
    # -0x10, -1e5 and -Inf are keys; options have two dashes.
    parser._negative_number_matcher = _NEGATIVE
    for arg in command.all_args:
        if arg.positional:
            nargs = "*" if arg.many and arg.optional else "+" if arg.many else "?" if arg.optional else None
            parser.add_argument(arg.name, nargs=nargs, type=_checked(arg))
        elif arg.metavar:
            action = "append" if arg.many else "store"
            parser.add_argument(
                arg.name, dest=arg.name, type=_checked(arg), default=arg.default, metavar=arg.metavar, action=action
            )
        else:
            parser.add_argument(arg.name, dest=arg.name, action="store_true")
    return parser


def _checked(arg: Arg) -> Callable[[str], Any]:
    """The argument's type, with a message that says what the argument takes."""

    def convert(text: str) -> Any:
        try:
            return arg.type(text)
        except ValueError:
            raise UsageError(f"{arg.name} takes {arg.type.__doc__}, not {text!r}") from None

    return convert


def tokens(line: str) -> list[str]:
    """The words of a command line. Brackets and quotes keep their contents together, and so do the spaces in `struct
    {`, `interface {`, `chan T` and `func(...) T` of type names. After an unclosed bracket or quote, options are
    separate words."""
    words: list[str] = []
    word, depth, quote = "", 0, ""
    opened = i = 0  # opened: where the bracket or quote begins that holds all others
    while i < len(line):
        c = line[i]
        if quote:
            word += c
            if c == "\\" and quote == '"' and i + 1 < len(line):
                i += 1
                word += line[i]
            elif c == quote:
                quote = ""
        elif c in "\"'`":
            opened = opened if depth else i
            word, quote = word + c, c
        elif c.isspace() and depth == 0:
            rest = line[i:].lstrip()
            if word and not _goes_on(word, rest):
                words.append(word)
                word = ""
            elif word:
                word += " "
            i = len(line) - len(rest) - 1
        else:
            opened = i if c in "([{" and not depth else opened
            depth += (c in "([{") - (c in ")]}")
            depth = max(depth, 0)
            word += c
        i += 1
    option = _OPTION.search(line, opened) if depth or quote else None
    if option is not None:
        return [*words, word[: len(word) - (len(line) - option.start())].rstrip(), *line[option.start() :].split()]
    if word:
        words.append(word)
    return words


def _goes_on(word: str, rest: str) -> bool:
    """Whether the space after word belongs to a type name, of a key or of the form 0xADDRESS:TYPE."""
    if rest.startswith("{"):
        return re.search(r"(?:^|\W)(?:struct|interface)$", word) is not None
    if ":" not in word or not rest:
        return False
    return word.endswith(("chan", "chan<-")) or (word.endswith(")") and "func(" in word and not rest.startswith("-"))
