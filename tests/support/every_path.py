"""Types every path back that a command prints: hmap-show of it must come to the map that the command said it of.

Runs in gdb (get_every_key.py) and beside Delve: it is given what runs a command line.
"""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Callable

#: Runs a command line: what it printed, and the message that it failed with.
Ask = Callable[[str], "tuple[str, str | None]"]
#: Of paths that differ in numbers and the texts of keys alone that many are typed.
OF_ONE_FORM = 12
#: Commands that print paths of maps.
COMMANDS = ("hmap-top -n 0", "hmap-alias --scope all --all", "hmap-check --all", "hmap-race")
#: Maps of which hmap-whatis is asked, each with a search.
LOOKED_AT = 3
#: And maps that hmap-cycle is asked of, and cycles.
CYCLED = 8
#: Notes of headers that paths have to lead to.
MISSING = ("globals", "captured", "locals")
#: How warnings begin that are about a variable, and what is said to those who type what names none.
_WARNED = re.compile(
    r"(\S.*?)(?: in \S+ of goroutine (\d+), frame (\d+))?"
    r"(?:: (?:cannot|a |the |an |there )| (?:is no map|does not point))"
)
_REFUSED = re.compile(r"can't be understood|no variable|has no field|not a variable|not a type|is not an interface")
_FORM = re.compile(r'"(?:[^"\\]|\\.)*"|0x[0-9a-f]+|\d+|/\*.*?\*/')


@dataclass(frozen=True)
class Way:
    """A path as a command printed it, with what it said to be there. goroutine, frame: None for a package variable's.
    address: of the map's header or the sync.Map, None of a nil map. held: bytes that it has, where that was told."""

    path: str
    goroutine: int | None
    frame: int | None
    address: str | None
    type: str | None
    command: str
    held: int | None = None

    @property
    def line(self) -> str:
        on = "" if self.goroutine is None else f" --goroutine {self.goroutine}"
        return self.path + on + ("" if self.frame is None else f" --frame {self.frame}")


def every_path(
    ask: Ask,
    notes: Mapping[str, Any] | None,
    hidden: bool = False,
    most: int = OF_ONE_FORM,
    commands: Sequence[str] = COMMANDS,
) -> dict[str, Any]:
    """Types the paths of the commands' answers back. notes: the program's, of which `paths` has the headers that
    expressions lead to, and MISSING those to which a path has to be found. hidden: whether a variable of the selected
    frame is called main. most: of one form so many are typed."""
    notes = notes or {}
    most = 1 << 20 if "globals" in notes else most
    problems: list[str] = []
    slow: list[tuple[float, str]] = []
    forms, kinds = Counter[Any](), Counter[str]()
    seen: set[tuple[str, str | None]] = set()
    ways = [way for command in commands for way in _ways(ask, command, problems)]
    for path, address in notes.get("paths", {}).items():
        expr = re.sub(r"^main\.\w+", r"'\g<0>'", path) if hidden else path
        ways.append(Way(expr, None, None, address, None, "the program"))
    found = {way.address for way in ways if way.command != "the program"}
    maps = {way.address: way for way in ways if way.address and way.command.startswith("hmap-alias")}
    ways += _looked_at(ask, list(maps.values()), problems)
    others = [*_warned(ask, problems), *_cycles(ask, list(maps.values()), problems), *_slices(ask, problems)]
    for way in ways:
        form = _FORM.sub("#", way.path), way.goroutine is None, way.type
        if (way.line, way.address) in seen or forms[form] >= most:
            continue
        seen.add((way.line, way.address))
        forms[form] += 1
        kinds[_kind(way)] += 1
        begun = time.monotonic()
        problem = _problem(ask, way)
        slow.append((round(time.monotonic() - begun, 3), way.line))
        if problem is not None:
            problems.append(f"{way.line} ({way.command}): {problem}")
    return {
        "typed": len(seen),
        "others": len(others),
        "kinds": kinds,
        "missing": {kind: sum(address not in found for address in notes.get(kind, ())) for kind in MISSING},
        "slow": sorted(slow)[-5:],
        "problems": problems[:40],
        "number": len(problems),
    }


def _kind(way: Way) -> str:
    return "address" if way.path.startswith(("0x", "(0x", "*(0x")) else "path"


def _problem(ask: Ask, way: Way) -> str | None:
    output, error = ask(f"hmap-show {way.line} --json")
    if error is not None and "(hmap-sync shows it)" in error:
        output, error = ask(f"hmap-sync {way.line} --json")
    if error is not None:
        return f"refused: {error}"
    data = json.loads(output)["data"]
    if data["address"] != way.address:
        return f"is {data['address']}, not {way.address}"
    if way.held is not None and data["bytes"]["allocated"] != way.held:
        return f"has {data['bytes']['allocated']} bytes, not {way.held}"
    t, wanted = data.get("type", ""), way.type or ""
    # A map has several types where one is a name for the other. Debug information has package paths as the linker does,
    # and the program's descriptors have none within the types of functions and before the fields of structs.
    spelt = (
        t.startswith("map[")
        and wanted.startswith("map[")
        and not re.search(r"go\.shape\.|func\(|struct \{", t + wanted)
    )
    if spelt and t.replace("%2e", ".") != wanted.replace("%2e", "."):
        return f"is of type {t}, not {wanted}"
    return None


def _ways(ask: Ask, command: str, problems: list[str]) -> Iterator[Way]:
    output, error = ask(f"{command} --json")
    if error is not None:
        problems.append(f"{command}: {error}")
        return
    data = json.loads(output)["data"]
    for one in data.get("maps", data.get("groups", ())):
        address, t = one["address"], one["type"]
        if t is None and command.startswith("hmap-top"):
            continue  # a map of the heap whose type is not known
        if "holders" not in one:
            yield _way(one, address, t, command)
            if "go.shape." not in str(t):  # as generic code has it, which not every debugger knows by name
                yield _way({**one, "path": f"{address}:{t}", "goroutine": None, "frame": None}, address, t, command)
        for holder in one.get("holders", ()):
            # Of maps that share their buckets it is not told which is whose.
            several = len(one.get("headers", ())) > 1
            if not several:
                for way in (holder, *holder["also"]):
                    yield _way(way, address, t, command)
    for held in (data.get("nil_maps", ()), *(one["nil_maps"] for one in data.get("inside", ()))):
        for holder in held:
            for way in (holder, *holder["also"]):
                yield _way(way, None, None, command)


def _way(one: Any, address: str | None, t: str | None, command: str) -> Way:
    # Buckets that several headers have are counted with the first.
    held = None if one.get("shares") else one.get("bytes", {}).get("allocated")
    return Way(one["path"], one.get("goroutine"), one.get("frame"), address, t, command, held)


def _looked_at(ask: Ask, maps: list[Way], problems: list[str]) -> Iterator[Way]:
    """What hmap-whatis says to hold the maps' headers."""
    for way in maps[:: max(len(maps) // LOOKED_AT, 1)]:
        output, error = ask(f"hmap-whatis {way.address} --json")
        found = None if error is not None else json.loads(output)["data"]["map"]
        if found is None:
            problems.append(f"hmap-whatis {way.address}: {error or output}")
        else:
            yield _way(found, found["address"], found["type"], "hmap-whatis")


def _warned(ask: Ask, problems: list[str]) -> Iterator[str]:
    """What warnings say of variables: each names one, though it can't be read or leads to no map."""
    output, _ = ask("hmap-alias --scope all --json")
    for one in json.loads(output)["anomalies"]:
        named = _WARNED.match(one["message"])
        if named is not None and one["code"] in ("unreadable", "not-a-map"):
            line = f"hmap-show {named[1]}" + (f" --goroutine {named[2]} --frame {named[3]}" if named[2] else "")
            _, error = ask(f"{line} --json")
            yield line
            if error is not None and _REFUSED.search(error):
                problems.append(f"{line} ({one['message']}): {error}")


def _asked(ask: Ask, line: str, problems: list[str]) -> Any:
    output, error = ask(f"{line} --json")
    if error is not None:
        problems.append(f"{line}: {error}")
        return {}
    return json.loads(output)["data"]


def _cycles(ask: Ask, maps: list[Way], problems: list[str]) -> Iterator[str]:
    """What hmap-cycle prints of some maps: where a cycle starts is on a cycle, and so is the end of a way round."""
    found = 0
    maps = [way for way in maps if way.path.startswith("main.")] or maps
    for way in maps[:: max(len(maps) // CYCLED, 1)]:
        for cycle in _asked(ask, f"hmap-cycle {way.line} --limit 3", problems).get("cycles", ())[: CYCLED - found]:
            found += 1
            start, whole = cycle["path"][0], cycle["text"].rpartition(f" -> {cycle['path'][0]}")[0]
            for path in (start, start if " more... " in whole else whole):
                on = way.line[len(way.path) :]
                told = _asked(ask, f"hmap-cycle {path}{on} --limit 100", problems).get("cycles", ())
                objects = {one["address"] for other in told for one in other["objects"]}
                yield path
                if cycle["objects"][0]["address"] not in objects:
                    problems.append(f"hmap-cycle {path}: {told}, not through {cycle['objects'][0]}")


def _slices(ask: Ask, problems: list[str]) -> Iterator[str]:
    """What hmap-alias prints of slices: each is a slice of that type, and some are where it says."""
    ways = [
        (_way(one, one["address"], one["type"], "hmap-alias --slices"), array["address"])
        for array in _asked(ask, "hmap-alias --slices --scope all", problems).get("slices", ())
        for one in array["holders"]
    ]
    forms, looked = Counter[str](), 0
    for way, _ in ways:
        form = _FORM.sub("#", way.path)
        forms[form] += 1
        if forms[form] > OF_ONE_FORM:
            continue
        _, error = ask(f"hmap-show {way.line} --json")
        yield way.path
        if error is None or not _is_said(error, way.type or ""):
            problems.append(f"{way.line} (hmap-alias --slices): {error}, not {way.type}")
        elif way.address is not None and looked < LOOKED_AT:
            looked += 1
            got = _asked(ask, f"hmap-whatis &{way.line}", problems).get("address")
            if got != way.address:
                problems.append(f"&{way.line} (hmap-alias --slices): {got}, not {way.address}")


def _is_said(error: str, t: str) -> bool:
    """Whether the message says that it is no map but a value of that type."""
    return re.search(rf" is not a map: it is an? {re.escape(t)}(?:$|: | \()", error) is not None
