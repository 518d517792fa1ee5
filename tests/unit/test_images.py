"""Maps recorded from every layout replay without gdb or Go, against what the programs said of them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gomap import image
from tests.support import session
from tests.support.debuggers import Answer
from tests.support.truths import check

FOLDER = Path(__file__).with_name("images")
INDEX: list[dict[str, Any]] = json.loads((FOLDER / "index.json").read_text())


def test_every_layout_is_there() -> None:
    seen = {(entry["truth"]["layout"], entry["truth"]["group"]) for entry in INDEX}
    assert seen == {("classic", None), ("swiss", "interleaved"), ("swiss", "split")}
    assert {entry["file"] for entry in INDEX} == {path.name for path in FOLDER.glob("*.hmap")}


@pytest.mark.parametrize("entry", INDEX, ids=[entry["file"] for entry in INDEX])
def test_replay(entry: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    stage, expr = entry["stage"], entry["expr"]
    answers = []
    for command in (session.show(expr), session.evac(expr)):
        status = image.main([str(FOLDER / entry["file"]), "-c", command])
        told = capsys.readouterr()
        assert status == 0, told.err
        answers.append(Answer(stage, command, told.out, None))
    asked = session.Asked(stage, expr, entry["truth"], *answers)
    assert check(asked, "recorded") == []


@pytest.mark.parametrize(
    "command", ["hmap-show", "hmap-show --entries 5 --buckets 0", "hmap-evac", "hmap-alias", "hmap show"]
)
def test_text(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What people see, of each layout: the recorded name in the answer, no line too wide, nothing on stderr."""
    for entry in INDEX:
        if entry["truth"]["nil"] and "--buckets" in command:
            continue
        status = image.main([str(FOLDER / entry["file"]), "-c", command])
        told = capsys.readouterr()
        assert (status, told.err) == (0, ""), entry["file"]
        assert all(len(line) <= 80 for line in told.out.splitlines()), told.out
        if command in ("hmap-show", "hmap show"):
            assert entry["expr"] in told.out.splitlines()[0]


def test_a_header_by_its_address_alone(capsys: pytest.CaptureFixture[str]) -> None:
    for entry in INDEX:
        truth = entry["truth"]
        line = f"hmap-show {truth['address'] if not truth['nil'] else '0x1234'} --json"
        image.main([str(FOLDER / entry["file"]), "-c", line])
        told = json.loads(capsys.readouterr().out)
        if truth["nil"]:
            assert told["error"]["code"] == "bad-expression", entry["file"]
        else:
            assert told["data"]["address"] == truth["address"], entry["file"]


@pytest.mark.parametrize("option", ["--goroutine 1", "--frame 0"])
def test_no_goroutine_is_recorded(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    entry = INDEX[0]
    assert image.main([str(FOLDER / entry["file"]), "-c", f"hmap-show {entry['expr']} {option}"]) == 1
    assert "a recorded map has no goroutines" in capsys.readouterr().err


def test_a_reader_that_has_gone() -> None:
    """`gomap FILE | head`: no word about it, and the status that a shell gives such programs."""
    command = [sys.executable, "-m", "gomap.image", str(FOLDER / INDEX[0]["file"]), "-c", "hmap-show --entries 9999"]
    program = subprocess.Popen(
        command, cwd=FOLDER.parents[2], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert program.stdout is not None and program.stderr is not None
    program.stdout.close()
    assert program.stderr.read() == ""
    program.stderr.close()
    assert program.wait(60) == 128 + 13
