"""Running range loops, against what the program publishes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.support import schema
from tests.support.debuggers import Answer, Session

MAPS = ("main.Small", "main.Large", "main.Grown")


def show(expr: str) -> str:
    return f"hmap-show {expr} --iterators --entries 5000 --json"


PLAIN = "hmap-show main.Small --json"
WORDS = "hmap-show main.Large --iterators"
COMMANDS = [PLAIN, WORDS, *map(show, MAPS)]


def loops(truth: Mapping[str, Any], address: str) -> list[tuple[int, str, str, str]]:
    """(goroutine, function, memory, key) of each loop over the map."""
    found = []
    for expr, facts in truth["unnamed"].items():
        who, *words = expr.split()
        if who == "loop" and facts["address"] == address:
            found.append((int(words[0]), words[1], words[2], words[3]))
    return sorted(found)


def check(answers: Session) -> None:
    truth = answers.truth["all"]
    for expr in MAPS:
        said = answers.at("all", show(expr))
        assert said.error is None
        faults = schema.faults(said.json(), schema.answer("hmap-show", entries=True))
        assert not faults, faults[:10]
        check_map(said, loops(truth, truth["maps"][expr]["address"]))
    assert answers.at("all", PLAIN).json()["data"]["iterators"] is None
    number = len(loops(truth, truth["maps"]["main.Large"]["address"]))
    head = answers.at("all", WORDS).output.partition("\n\n")[0].splitlines()
    assert head[-1].startswith(f"{number} iterations over it are in progress (")
    quiet = {int(expr.split()[1]) for expr in truth["unnamed"] if expr.startswith("none ")}
    assert len(quiet) == 6


def check_map(answer: Answer, wanted: list[tuple[int, str, str, str]]) -> None:
    data = answer.json()["data"]
    found = [(one["goroutine"], one["function"], one["memory"], one["key"]) for one in data["iterators"]]
    assert sorted(found) == wanted
    if data["expr"] == "main.Grown":
        assert len(wanted) == 1
        return
    assert len(wanted) >= 5
    cells = {entry["key"]: entry for entry in data["entries"]}
    assert len(cells) == data["count"]
    for one in data["iterators"]:
        assert 0 <= one["done"] <= one["total"]
        assert one["line"] > 0
        check_position(one, cells[one["key"]], data)


def check_position(one: Any, cell: Any, data: Any) -> None:
    """The iterator's own numbers name the bucket and slot that the key lies in."""
    position = one["position"]
    if data["layout"] == "classic":
        assert (position["bucket"] - 1) % data["buckets"]["count"] == cell["bucket"]
        assert (position["i"] - 1 + position["offset"]) % 8 == cell["slot"]
        assert one["total"] == data["buckets"]["count"]
    elif data["swiss"]["small"]:
        assert position["dirIdx"] == -1
        assert (position["entryIdx"] - 1 + position["entryOffset"]) % 8 == cell["slot"]
        assert one["total"] == 8
    else:  # entryIdx runs ahead within a group
        assert one["total"] == data["swiss"]["dir_len"]
