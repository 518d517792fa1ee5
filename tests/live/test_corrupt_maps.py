"""Maps that a program damages itself, each in its own way: hmap-check tells every damage, and nothing else.

In gdb, through Delve and from recorded images alike; and lookups in them end soon and say what they met.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from gomap import image
from tests.support import debuggers, delves, schema, toolchains
from tests.support.debuggers import Gdb, Session
from tests.support.delves import Dlv
from tests.support.lookups import check, get
from tests.support.toolchains import Row

#: One damage that several keys show.
MANY = frozenset({"search that ends too soon"})

ALL = "hmap-check --all --json"

Damages = tuple[dict[str, Any], ...]


@functools.cache
def damages_of(binary: Path) -> Damages:
    """What the program does to its maps."""
    with tempfile.TemporaryDirectory(dir=debuggers.scratch()) as folder:
        file = Path(folder) / "damage"
        env = {"GOMAP_STAGE": "none", "GOMAP_TRUTH": os.devnull, "GOMAP_DAMAGE": str(file)}
        subprocess.run([str(binary)], env={**os.environ, **env}, stdin=subprocess.DEVNULL, check=True, timeout=300)
        damages = tuple(json.loads(line) for line in file.read_text().splitlines())
    assert len(damages) >= 20
    assert len({damage["finding"] for damage in damages}) >= 13
    return damages


def questions(damages: Damages) -> dict[str, list[str]]:
    checks = [check(damage["expr"]) for damage in damages]
    gets = [get(damage["expr"], "7") for damage in damages]
    return {"intact": [*checks, ALL], "damaged": [*checks, ALL, *gets], "writing": checks}


def findings(answer: Any) -> list[dict[str, Any]]:
    return [a for a in answer["anomalies"] if a["severity"] != "note"]


def one_finding_each(answers: Session, damages: Damages) -> None:
    problems = []
    for damage in damages:
        before, after = (answers.at(stage, check(damage["expr"])) for stage in ("intact", "damaged"))
        assert before.error is None and after.error is None, (before, after)
        assert not findings(before.json()), (damage, before.output)
        assert before.json()["data"]["maps"][0]["ok"] is True
        problems += told(damage, after.json())
        looked = answers.at("damaged", get(damage["expr"], "7"))
        assert looked.error is None, looked
        assert not schema.faults(looked.json(), schema.answer("hmap-get")), looked
        # That a write is under way explains no more than what the runtime itself leaves so at some instruction.
        writing = answers.at("writing", check(damage["expr"])).json()
        if damage["in_write"]:
            assert findings(writing) == [] and writing["data"]["maps"][0]["verdict"] == "intact", writing
        else:
            problems += [f"while writing: {problem}" for problem in told(damage, writing)]
    assert not problems, "\n".join(problems)
    among_all(answers, damages)


def among_all(answers: Session, damages: Damages) -> None:
    """hmap-check --all finds these maps corrupt, says of each what it says of it alone, and of no other anything."""
    every = [answers.at(stage, ALL) for stage in ("intact", "damaged")]
    for answer in every:
        assert answer.error is None and not schema.faults(answer.json(), schema.answer("hmap-check")), answer
    before, after = (answer.json() for answer in every)
    # What publishes the truth leaves maps behind that no variable leads to, some with very long keys.
    assert findings(before) == []
    assert all(one["ok"] or (one["kind"] == "heap" and one["ok"] is None) for one in before["data"]["maps"])
    assert {one["address"] for one in before["data"]["maps"] if one["kind"] == "global"} <= {
        one["address"] for one in after["data"]["maps"]
    }
    spoilt = sorted(damage["expr"] for damage in damages)
    assert sorted(one["path"] for one in after["data"]["maps"] if one["ok"] is False) == spoilt
    alone = [
        {**finding, "message": f"{expr}: {finding['message']}"}
        for expr in spoilt
        for finding in findings(answers.at("damaged", check(expr)).json())
    ]
    assert sorted(findings(after), key=str) == sorted(alone, key=str)


def told(damage: dict[str, Any], answer: Any) -> list[str]:
    """How what hmap-check says of a damaged map is not the one finding that it should be."""
    problems, found = [], findings(answer)
    if {a["code"] for a in found} != {damage["finding"]} or (len(found) > 1 and damage["what"] not in MANY):
        said = [f"{a['code']}: {a['message']}" for a in found]
        problems.append(f"{damage['what']} ({damage['finding']}): {said}")
    if any(a["address"] is None or int(a["address"], 16) == 0 for a in found):
        problems.append(f"{damage['what']}: a finding has no address")
    (one,) = answer["data"]["maps"]
    if (one["ok"], one["verdict"]) != (False, "corrupt"):
        problems.append(f"{damage['what']}: ok")
    if one["kinds"] != [{"code": damage["finding"], "number": one["findings"]}] or one["findings"] < len(found):
        problems.append(f"{damage['what']}: {one['findings']} findings, {one['kinds']}")
    return problems


def test_every_damage_is_one_finding(
    toolchain: Row, system_gdb: Gdb, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In gdb, and again from what it recorded."""
    binary = toolchains.build("damaged", toolchain, False)
    damages, asked = damages_of(binary), questions(damages_of(binary))
    records = [f"hmap-record {damage['expr']} {tmp_path / str(i)}" for i, damage in enumerate(damages)]
    answers = debuggers.visit(system_gdb, binary, {**asked, "damaged": [*asked["damaged"], *records]})
    one_finding_each(answers, damages)
    problems = []
    for i, damage in enumerate(damages):
        assert answers.at("damaged", records[i]).error is None, answers.at("damaged", records[i])
        capsys.readouterr()
        status = image.main([str(tmp_path / str(i)), "-c", check(damage["expr"]), "-c", get(damage["expr"], "7")])
        out = capsys.readouterr().out.splitlines()
        assert status == 0 and len(out) == 2, out
        problems += told(damage, json.loads(out[0]))
        live = answers.at("damaged", get(damage["expr"], "7")).json()
        assert json.loads(out[1])["data"] == live["data"], damage
    assert not problems, "\n".join(problems)


@pytest.mark.each_kind
def test_through_delve(toolchain: Row, dlv: Dlv) -> None:
    """Here numpy does the hashing."""
    binary = toolchains.build("damaged", toolchain, False)
    one_finding_each(delves.visit(dlv, binary, questions(damages_of(binary))), damages_of(binary))


@pytest.mark.parametrize("debugger", ["gdb", "delve"])
def test_headers_of_the_wildest_kind(debugger: str, toolchain: Row, system_gdb: Gdb, dlv: Dlv) -> None:
    """hmap-check and hmap-get answer, soon, whatever a header claims."""
    binary = toolchains.build("corrupt", toolchain, False)
    exprs = {"main.Maps.Ints": "7", "main.Maps.Words": '"key"', "main.Maps.Any": "1", "main.Maps.Whole": "2"}
    asked = [question for expr, key in exprs.items() for question in (check(expr), get(expr, key))]
    plan = dict.fromkeys(debuggers.stages(binary), asked)
    start = time.monotonic()
    answers = debuggers.visit(system_gdb, binary, plan) if debugger == "gdb" else delves.visit(dlv, binary, plan)
    assert time.monotonic() - start < 120
    for answer in answers.answers:
        assert answer.error is None, answer
        assert not schema.faults(answer.json(), schema.answer(answer.command.split()[0])), answer
    for stage in debuggers.stages(binary):
        spoilt = {"interface": "main.Maps.Any", "string": "main.Maps.Words"}.get(stage, "main.Maps.Ints")
        found = answers.at(stage, check(spoilt)).json()
        # What an interface among the elems holds is none of the map's own.
        assert found["data"]["maps"][0]["ok"] is (stage == "interface"), (stage, found)
        whole = answers.at(stage, check("main.Maps.Whole")).json()
        assert whole["data"]["maps"][0]["ok"] is True, (stage, whole)
        looked = answers.at(stage, get("main.Maps.Whole", "2")).json()
        assert looked["data"]["value"] == 20, (stage, looked)
