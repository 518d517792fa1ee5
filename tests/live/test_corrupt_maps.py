"""Maps that a program damages itself, each in its own way: hmap-check tells every damage, and nothing else."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from tests.live import debuggers, toolchains
from tests.live.debuggers import Gdb, Session
from tests.live.toolchains import Row

#: One damage that several keys show.
MANY = frozenset({"search that ends too soon"})


@functools.cache
def checked(gdb: Gdb, binary: Path) -> tuple[Session, tuple[dict[str, str], ...]]:
    """(what hmap-check says of every map, before and after, what the program did to them)."""
    with tempfile.TemporaryDirectory(dir=debuggers.scratch()) as folder:
        file = Path(folder) / "damage"
        env = {"GOMAP_STAGE": "none", "GOMAP_TRUTH": os.devnull, "GOMAP_DAMAGE": str(file)}
        subprocess.run([str(binary)], env={**os.environ, **env}, stdin=subprocess.DEVNULL, check=True, timeout=300)
        damages = tuple(json.loads(line) for line in file.read_text().splitlines())
    questions = [question(damage) for damage in damages]
    return debuggers.visit(gdb, binary, {"intact": questions, "damaged": questions}), damages


def question(damage: dict[str, str]) -> str:
    return f"hmap-check {damage['expr']} --json"


def findings(answer: Any) -> list[dict[str, Any]]:
    return [a for a in answer["anomalies"] if a["severity"] != "note"]


def test_every_damage_is_one_finding(toolchain: Row, system_gdb: Gdb) -> None:
    answers, damages = checked(system_gdb, toolchains.build("damaged", toolchain, False))
    assert len(damages) >= 20
    assert len({damage["finding"] for damage in damages}) >= 13
    problems = []
    for damage in damages:
        before, after = (answers.at(stage, question(damage)) for stage in ("intact", "damaged"))
        assert before.error is None and after.error is None, (before, after)
        assert not findings(before.json()), (damage, before.output)
        assert before.json()["data"]["maps"][0]["ok"] is True
        found = findings(after.json())
        if {a["code"] for a in found} != {damage["finding"]} or (len(found) > 1 and damage["what"] not in MANY):
            told = [f"{a['code']}: {a['message']}" for a in found]
            problems.append(f"{damage['what']} ({damage['finding']}): {told}")
        for a in found:
            if a["address"] is None or int(a["address"], 16) == 0:
                problems.append(f"{damage['what']}: a finding has no address")
        if after.json()["data"]["maps"][0]["ok"] is not False:
            problems.append(f"{damage['what']}: ok")
    assert not problems, "\n".join(problems)
