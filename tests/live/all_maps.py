"""Runs in gdb: shows every map that the selected frame and the package variables lead to, by its address."""

from __future__ import annotations

import json
import os

import gdb


def ask(command: str) -> dict[str, object]:
    answer: dict[str, object] = json.loads(gdb.execute(command, to_string=True))
    return answer


found = ask("hmap-alias --all --json")
failed, wrong, unreadable = [], [], []
entries = 0
for group in found["data"]["groups"]:  # type: ignore[index]
    expr = f"{group['address']}:{group['type']}"
    try:
        answer = ask(f"hmap-show {expr} --json --entries 20")
    except gdb.error as error:
        failed.append([expr, str(error)])
        continue
    data = answer["data"]
    entries += data["count"]  # type: ignore[index]
    if data["count"] != data["live"] and "writing" not in data["flags"]:  # type: ignore[index]
        wrong.append([expr, data])
    if answer["anomalies"]:
        wrong.append([expr, answer["anomalies"]])
    unreadable += [[expr, e] for e in data["entries"] if "<unreadable>" in str(e)]  # type: ignore[index]
with open(os.environ["GOMAP_ANSWER"], "w") as out:
    maps = len(found["data"]["groups"])  # type: ignore[index]
    json.dump({"maps": maps, "entries": entries, "failed": failed, "wrong": wrong, "unreadable": unreadable}, out)
