"""Recorded maps, replayed."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from gomap import image
from gomap.recorded import MANIFEST, MEMORY
from tests.support.sources import ROOT

GOOD = ROOT / "tests/unit/images/1.27.3-types-filled-Boxed.hmap"


def replay(file: Path, commands: list[str], capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """What `gomap FILE` answers."""
    capsys.readouterr()
    status = image.main([str(file), *(word for command in commands for word in ("-c", command))])
    told = capsys.readouterr()
    assert status == 0, told.err
    return [json.loads(line) for line in told.out.splitlines()]


def told(answer: Mapping[str, Any]) -> dict[str, Any]:
    """An answer without what a recording changes, the target it comes from and how the variable was found there; and
    without how many keys were hashed: gdb's Python need not have numpy."""
    kept = {key: value for key, value in answer.items() if key != "target"}
    kept["anomalies"] = [one for one in answer["anomalies"] if one["code"] != "variable"]
    if answer["command"] == "hmap-check":
        del kept["truncated"]
        of_numpy = ("hashes_checked", "share", "ok", "verdict", "unchecked")
        kept["data"] = [{**one, **dict.fromkeys(of_numpy)} for one in answer["data"]["maps"]]
    return kept


def good() -> tuple[dict[str, Any], bytes]:
    """The manifest and the memory of GOOD."""
    with zipfile.ZipFile(GOOD) as archive:
        return json.loads(archive.read(MANIFEST)), archive.read(MEMORY)
