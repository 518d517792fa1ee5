"""What the live tests ask of every program, and how an answer is compared with the program's truth.

A program first runs without a debugger, to say at which stages it publishes which maps. Then one gdb takes it
through all stages (or opens a core of one) and is asked hmap-show and hmap-evac of each of these maps, and once for
all their keys. All tests look at that one session's answers.
"""

from __future__ import annotations

import collections
import functools
import json
import re
import struct
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support import debuggers
from tests.support.debuggers import Answer, Core, Gdb, Session
from tests.support.lookups import check

#: Every program that stops at stages and publishes maps.
PROGRAMS = (
    "alias",
    "basic",
    "deepcopy",
    "deletes",
    "growth",
    "headercopy",
    "large",
    "layout",
    "memory",
    "nilwrite",
    "overload",
    "random",
    "selfcheck",
    "snapshots",
    "stackmap",
    "types",
)
#: Commands for use inside gdb.
HELPERS = Path(__file__).with_name("gdb_helpers.py")
EVERY_KEY = Path(__file__).with_name("get_every_key.py")
#: How a map lies in memory does not depend on the compiler's flags, but where variables are does.
LOOKED_UP_FAST = ("growth",)
#: A map of 20,000 entries, at a stage of the program `memory`.
LARGE, MEASURED = "main.Keep.BigElems", "measured"
FULL = check(f"{LARGE} --full")
NUMPY = "python import numpy"
#: Programs publish the entries of maps up to this size.
ENTRIES = 2000
#: Programs follow 8 pointers below one value, through any number of structs.
SETTINGS = ("set hmap depth 40",)


@functools.cache
def published(binary: Path) -> Mapping[str, tuple[str, ...]]:
    """The expressions that a program publishes, by stage."""
    with tempfile.TemporaryDirectory(dir=debuggers.scratch()) as folder:
        truth = Path(folder) / "truth"
        env = debuggers._environment({"GOMAP_TRUTH": str(truth), "GOMAP_STAGE": "none"})
        subprocess.run([str(binary)], env=env, check=True, stdin=subprocess.DEVNULL, timeout=300)
        lines = [json.loads(line) for line in truth.read_text().splitlines()]
    return {line["stage"]: tuple(line["maps"]) for line in lines}


def show(expr: str) -> str:
    return f"hmap-show {expr} --json --entries {ENTRIES}"


def evac(expr: str) -> str:
    return f"hmap-evac {expr} --json"


def questions(exprs: Sequence[str]) -> list[str]:
    return [*SETTINGS, *(ask(expr) for expr in exprs for ask in (show, evac))]


def live(gdb: Gdb, binary: Path, optimised: bool) -> Session:
    """The whole program, every stage. One session of a build is asked about its keys too (test_get_check.py)."""
    asked = {stage: questions(exprs) for stage, exprs in published(binary).items()}
    if gdb.name == "system" and (not optimised or binary.name in LOOKED_UP_FAST):
        for stage, exprs in published(binary).items():
            asked[stage] += [f"source {EVERY_KEY}", *map(check, exprs), "get-every-key"]
        if binary.name == "memory":
            asked[MEASURED] += [NUMPY, FULL]
    return debuggers.visit(gdb, binary, asked)


def dead(gdb: Gdb, core: Core) -> Session:
    return debuggers.examine(gdb, core, questions(published(core.binary)[core.stage]))


@dataclass(frozen=True)
class Asked:
    """One map at one stage: what the program says of it, and what gdb answered."""

    stage: str
    expr: str
    truth: Mapping[str, Any]
    show: Answer
    evac: Answer

    @property
    def where(self) -> str:
        return f"{self.expr} at {self.stage}"

    @property
    def is_global(self) -> bool:
        return self.expr.lstrip("*").startswith("main.")


def asked(session: Session, binary: Path) -> Iterator[Asked]:
    """Every map of the session, in the order of the stages."""
    answers = {(a.stage, a.command): a for a in session.answers}
    stages = {answer.stage for answer in session.answers}
    for stage, exprs in published(binary).items():
        for expr in exprs if stage in stages else ():
            truth = session.truth[stage]["maps"][expr]
            yield Asked(stage, expr, truth, answers[stage, show(expr)], answers[stage, evac(expr)])


# -- entries -----------------------------------------------------------------------------------------

#: What a value shows instead of what was left out of it.
_CUT = re.compile(r'\\"\\\.\\\.\\\.\\\+(\d+)\\ bytes|,\\ \\\.\\\.\\\.\\\+(\d+)\\ items')


def types_of(name: str) -> tuple[str, str]:
    """Key and elem type of a map type's name; two empty texts when it is a name of its own."""
    if not name.startswith("map["):
        return "", ""
    depth = 0
    for i, character in enumerate(name):
        depth += (character == "[") - (character == "]")
        if i > 3 and not depth:
            return name[4:i], name[i + 1 :]
    raise ValueError(name)


#: What a pointer within a key points to.
_COMMENT = re.compile(r"(?<=\)) /\*.*?\*/", re.S)


def bare(key: Any) -> Any:
    """A key as hmap-show tells it, without the comments in it."""
    return _COMMENT.sub("", key) if isinstance(key, str) else key


def canonical(value: Any, type_name: str) -> tuple[str, Any]:
    """A value in one form, however JSON wrote it: 1 and 1.0 are one float, 1 and true are two values."""
    if type_name in ("float32", "float64") and not isinstance(value, str):
        number = float(value)
        if type_name == "float32":
            number = struct.unpack("f", struct.pack("f", number))[0]
        return "float", repr(number)
    return type(value).__name__, value


def is_cut(value: tuple[str, Any]) -> bool:
    return value[0] == "str" and _CUT.search(re.escape(value[1]).replace('"', '\\"')) is not None


def _pattern(text: str) -> re.Pattern[str]:
    """What the whole value may be of which gdb showed `text`."""

    def rest(found: re.Match[str]) -> str:
        if found.group(1):
            return '.+\\"'
        return f"(?:, [^,]*){{{found.group(2)}}}"

    return re.compile(_CUT.sub(rest, re.escape(text).replace('"', '\\"')), re.S)


def difference(data: Mapping[str, Any], truth: Mapping[str, Any], cut: bool) -> str | None:
    """How the entries in hmap-show's data differ from the program's, as multisets. None: they don't.

    cut: hmap-show said that values are shown in part; then a part stands for any whole that begins so.
    """
    key, elem = types_of(truth["type"])
    wanted = collections.Counter((canonical(k, key), canonical(v, elem)) for k, v in truth["entries"])
    extra = collections.Counter(
        (canonical(bare(entry["key"]) if key != "string" else entry["key"], key), canonical(entry["value"], elem))
        for entry in data["entries"]
    )
    both = wanted & extra
    wanted, extra = wanted - both, extra - both
    if cut:
        for entry in list(extra.elements()):
            match = next((whole for whole in wanted.elements() if _begins(entry, whole)), None)
            if match is not None:
                wanted[match] -= 1
                extra[entry] -= 1
                wanted, extra = +wanted, +extra
    if not wanted and not extra:
        return None
    missing, surplus = (sum(counter.values()) for counter in (wanted, extra))
    return f"{missing} missing, as {list(wanted)[:3]}; {surplus} extra, as {list(extra)[:3]}"


def _begins(entry: tuple[tuple[str, Any], tuple[str, Any]], whole: tuple[tuple[str, Any], tuple[str, Any]]) -> bool:
    return all(_part(part, of) for part, of in zip(entry, whole))


def _part(part: tuple[str, Any], whole: tuple[str, Any]) -> bool:
    if part == whole:
        return True
    if part[0] != "str" or whole[0] != "str":
        return False
    if is_cut(part):
        return _pattern(part[1]).fullmatch(whole[1]) is not None
    # A string of its own is cut at a number of bytes, without a word in it.
    head, text = (value[1].encode("utf-8", "surrogateescape") for value in (part, whole))
    return len(head) >= 256 and bool(text.startswith(head))


#: What the runtime allocates for itself meanwhile (threads, timers) is in the program's figure too.
NOISE = 16 << 10


KEYS, EVERYWHERE, PATHS = "get-every-key", "get-every-key everywhere", "get-every-key paths"


#: As `get-every-key named` answers it: the program says what it is to be asked as it runs.
NAMED = "get-every-key named"
