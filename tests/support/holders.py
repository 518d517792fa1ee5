"""Asks about the program go_targets/holders, in gdb and beside Delve: who holds a map, what lies at an address, which
type is meant, and what a name means in another goroutine. What is not as the program says is a problem."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gomap.declare import Settings
from gomap.frontend import run
from gomap.recorded import ImageTarget, load
from gomap.render.text import Style
from gomap.target import Target

SHARED, ALONE = "main.Shared", "main.Alone"


class Asked:
    """gone: whether variables of functions may be kept nowhere (optimized builds)."""

    def __init__(self, target: Target, truth: Mapping[str, Any], gone: bool) -> None:
        self.target, self.maps, self.notes, self.gone = target, truth["maps"], truth["notes"], gone
        self.problems: list[str] = []
        self.answers = 0

    def line(self, name: str, line: str) -> Any:
        """The data of the answer, or the error's line."""
        outcome = run(name, f"{line} --json", lambda: self.target, Settings(), Style())
        self.answers += 1
        return outcome.error if outcome.error is not None else json.loads(outcome.output)["data"]

    def same(self, what: str, got: Any, wanted: Any) -> None:
        if self.gone and isinstance(got, str) and ("optimized out" in got or "no variable" in got):
            return
        if got != wanted:
            self.problems.append(f"{what}: {got}, not {wanted}")

    def address(self, expr: str) -> Any:
        data = self.line("hmap-show", expr)
        return data if isinstance(data, str) else data["address"]


def ask(target: Target, truth: Mapping[str, Any], gone: bool) -> dict[str, Any]:
    asked = Asked(target, truth, gone)
    _who_holds(asked)
    _addresses(asked)
    _types(asked)
    for i, (number, variables) in enumerate(asked.notes["goroutines"].items()):
        _goroutine(asked, int(number), variables, every=not i)
    for number, header in asked.notes["locked"].items():  # not the m of the mutex's method
        asked.same(f"m --goroutine {number}", asked.address(f"m --goroutine {number}"), header)
    return {"answers": asked.answers, "problems": asked.problems[:20]}


def _who_holds(asked: Asked) -> None:
    shared, alone = (asked.maps[expr]["address"] for expr in (SHARED, ALONE))
    wanted = {
        (path, function, goroutine)
        for path, function, ids in asked.notes["holders"]
        for goroutine in (ids if ids is not None else [None])
    }
    found = {}
    for expr in (SHARED, f"{shared}:map[string]int", "main.Config.Limits", "local", shared):
        data = asked.line("hmap-alias", expr)
        if isinstance(data, str):
            asked.same(expr, data, None)
            continue
        (group,) = data["groups"]
        ways = [way for holder in group["holders"] for way in (holder, *holder["also"])]
        held = {(way["path"].split(".(map[")[0], way["function"], way["goroutine"]) for way in ways}
        missing, odd = wanted - held, held - wanted
        if asked.gone:
            missing = {one for one in missing if one[2] is None}
        if missing or odd:
            asked.problems.append(f"{expr} is also held by {odd} and not by {missing}")
        named = not expr.startswith("0x")
        asked.same(f"others of {expr}", data["others"], len(group["holders"]) - named)
        asked.same(f"address of {expr}", group["address"], shared)
        found[expr] = data["others"]
    data = asked.line("hmap-alias", ALONE)
    asked.same(ALONE, (data["others"], [group["address"] for group in data["groups"]]), (0, [alone]))
    asked.same("two", asked.line("hmap-alias", f"{SHARED} main.Config.Limits")["others"], None)
    data = asked.line("hmap-alias", "main.Listed[0]")
    asked.same("nil", (data["others"], data["groups"], len(data["nil_maps"])), (0, [], 1))
    if not asked.gone:
        near = asked.line("hmap-alias", f"{SHARED} --scope frame")
        asked.same("others in the frame", near["others"] < found[SHARED], True)
    text = run("hmap-alias", ALONE, lambda: asked.target, Settings(), Style()).output
    asked.same("text", text.startswith("no other variable was found that holds the map of main.Alone"), True)


def _addresses(asked: Asked) -> None:
    for address, path, wanted in asked.notes["addresses"]:
        told = asked.address(address + path)
        if int(address, 16) == int(asked.notes["hidden"], 16) and (asked.target.go_version or "").startswith("go1.21"):
            told = wanted if "no variable or object" in str(told) else told  # without malloc headers, nothing tells
        asked.same(f"{address}{path}", told, wanted)
        got = asked.line("hmap-get", f'{wanted} "none"')
        asked.same(f"a key of {wanted}", got if isinstance(got, str) else got["found"], False)
    address, path, wanted = next(one for one in asked.notes["addresses"] if one[1] == ".Names")
    image = _recorded(asked, f"{address}{path} {{}}")
    outcome = run("hmap-show", f"{image.expr} --json", lambda: image, Settings(), Style())
    asked.same(f"recorded {address}{path}", outcome.error or json.loads(outcome.output)["data"]["address"], wanted)
    for address in ("0x1234", hex(asked.target.symbol("main.main") or 0)):
        told = asked.address(address)
        asked.same(address, "no variable or object is known at" in told and "\n" not in told, True)


def _types(asked: Asked) -> None:
    for address, written, full in asked.notes["types"]:
        for name in (written, full):
            data = asked.line("hmap-show", f"{address}:{name}")
            asked.same(
                f"{address}:{name}", data if isinstance(data, str) else (data["address"], data["type"]), (address, full)
            )
    both = [full for _, written, full in asked.notes["types"] if "cache" in written]
    # Another map lies there: which of the two is meant is not known.
    told = asked.address(f"{asked.maps[SHARED]['address']}:map[string]cache.Item[main.Customer]")
    asked.same("candidates", [full for full in both if full not in told], [])


def _goroutine(asked: Asked, number: int, variables: Mapping[str, str], every: bool) -> None:
    """every: whether every command is asked that takes an expression."""
    own, n, on = variables["own"], int(variables["n"]), f"--goroutine {number}"
    key = f'"key {n}"'
    asked.same(f"own {on}", asked.address(f"own {on}"), own)
    got = asked.line("hmap-get", f"own {key} {on}")
    asked.same(f"get own {on}", got if isinstance(got, str) else got["value"], n)
    if not every:
        return
    # The newest frame's m is a slice; the one of worker is found from its frame on.
    told = asked.address(f"m {on}")
    asked.same(f"m {on}", asked.gone or "m is not a map: it is a []int" in told, True)
    holder = asked.line("hmap-alias", f"{variables['m']} {on}")
    if isinstance(holder, str) or not holder["groups"][0]["holders"]:
        asked.same(f"m at {variables['m']}", asked.gone, True)
    else:
        (frame,) = {way["frame"] for way in holder["groups"][0]["holders"]}
        asked.same(f"m {on} --frame {frame}", asked.address(f"m {on} --frame {frame}"), variables["m"])
        got = asked.line("hmap-get", f"m n {on} --frame {frame}")  # a variable as KEY
        asked.same(f"get m n {on}", got if isinstance(got, str) else got["value"], "outer")
    for name, wanted in (("hmap-evac", own), ("hmap-whatis", None), ("hmap-check", own), ("hmap-alias", own)):
        data = asked.line(name, f"own {on}")
        if isinstance(data, str):
            asked.same(f"{name} own {on}", data, wanted)
        elif name == "hmap-whatis":
            asked.same(f"{name} own {on}", data["map"]["address"], own)
        elif name == "hmap-check":
            asked.same(f"{name} own {on}", data["maps"][0]["address"], own)
        elif name == "hmap-alias":
            asked.same(f"{name} own {on}", data["groups"][0]["address"], own)
        else:
            asked.same(f"{name} own {on}", data["address"], own)
    data = asked.line("hmap-cycle", f"own {on}")
    asked.same(f"cycle {on}", data if isinstance(data, str) else data["cycles"], [])
    synced = asked.line("hmap-sync", f"synced {on}")
    asked.same(f"sync {on}", synced if isinstance(synced, str) else synced["expr"], "synced")
    recorded = _recorded(asked, f"own {{}} {on}").variables["own"]
    asked.same(f"recorded {on}", recorded.place.goroutine, number)


def _recorded(asked: Asked, line: str) -> ImageTarget:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "one.hmap"
        outcome = run("hmap-record", line.format(path), lambda: asked.target, Settings(), Style())
        asked.same(f"hmap-record {line}", outcome.error, None)
        return load(str(path))
