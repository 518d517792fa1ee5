"""Shows every map of the program by its address: in gdb, and through the bridge to Delve.

In gdb it writes what it found to the file that GOMAP_ANSWER names.
"""

from __future__ import annotations

import json
import os
from typing import Any, Callable

Ask = Callable[[str], "tuple[str, str | None]"]


def every_map(ask: Ask, search: bool = True) -> dict[str, Any]:
    """ask: runs a command, and gives what it printed and the message it failed with. search: asks the other commands
    that search the program too."""
    output, error = ask("hmap-alias --scope all --all --json")
    assert error is None, error
    answer = json.loads(output)
    found = answer["data"]
    failed, wrong, unreadable = [], [], []
    entries = 0
    for group in found["groups"]:
        expr = f"{group['address']}:{group['type']}"
        output, error = ask(f"hmap-show {expr} --json --entries 20")
        if error is not None:
            failed.append([expr, error])
            continue
        answer = json.loads(output)
        data = answer["data"]
        entries += data["count"]
        if data["count"] != data["live"] and "writing" not in data["flags"]:
            wrong.append([expr, data])
        if answer["anomalies"]:
            wrong.append([expr, answer["anomalies"]])
        unreadable += [[expr, e] for e in data["entries"] if "<unreadable>" in str(e)]
    complaints = searches(ask, {group["address"] for group in found["groups"]}) if search else []
    return {
        "complaints": complaints,
        "maps": len(found["groups"]),
        "scanned": found["scanned"],
        "entries": entries,
        "failed": failed,
        "wrong": wrong,
        "unreadable": unreadable,
    }


def searches(ask: Ask, maps: set[str]) -> list[list[Any]]:
    """What is wrong with the answers of the other commands that search the program, whose maps are known."""
    complaints: list[list[Any]] = []

    def data_of(line: str) -> Any:
        output, error = ask(f"{line} --json")
        answer = {"anomalies": [{"severity": "error", "message": error}]} if error is not None else json.loads(output)
        # A variable that has not been set yet in its frame leads anywhere.
        told = (one for one in answer["anomalies"] if " of goroutine " not in one["message"])
        complaints.extend([line, one] for one in told if one["severity"] != "note")
        return answer.get("data", {"maps": []})

    top, checked = (
        [one for one in data_of(line)["maps"] if one["kind"] not in ("heap", "stack")]
        for line in ("hmap-top -n 0", "hmap-check --all")
    )
    syncs = {one["address"] for one in top if one["layout"] in ("read-dirty", "hash-trie")}  # hmap-alias has none
    for line, listed in (("hmap-top", top), ("hmap-check --all", checked)):
        odd = {one["address"] for one in listed} ^ (maps | syncs)
        if odd or len(listed) != len(maps) + len(syncs):
            complaints.append([line, f"{len(listed)} maps, not {len(maps)} and {len(syncs)} sync.Maps", sorted(odd)])
    complaints += [["hmap-check --all", one] for one in checked if one["ok"] is False]
    data_of("hmap-race")
    for one in [one for one in top if one["address"] in maps][:1]:
        iterators = data_of(f"hmap-show {one['address']}:{one['type']} --iterators").get("iterators")
        if not isinstance(iterators, list):
            complaints.append(["hmap-show --iterators", iterators])
    return complaints


def in_gdb(line: str) -> tuple[str, str | None]:
    import gdb

    try:
        return gdb.execute(line, to_string=True), None
    except gdb.error as error:
        return "", str(error)


if "GOMAP_ANSWER" in os.environ:
    from tests.support.every_path import every_path

    told = every_map(in_gdb, "GOMAP_SEARCH" in os.environ)
    told["paths"] = every_path(in_gdb, None, most=1) if "GOMAP_PASTE" in os.environ else None
    with open(os.environ["GOMAP_ANSWER"], "w") as out:
        json.dump(told, out)
