"""hmap-report without a browser: what a page may consist of, and what there is without its libraries."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gomap import image
from gomap.anomaly import Anomaly
from gomap.commands import registry
from gomap.pages import page
from gomap.report import Heat, Lines
from tests.support import pages

IMAGES = Path(__file__).with_name("images")


def write(file: str, to: Path, *options: str) -> int:
    return image.main([str(IMAGES / file), "-c", " ".join(["hmap-report", str(to), *options])])


@pytest.mark.parametrize("file", ["1.27.3-growth-shared-Keep.Ints.hmap", "1.21.13-growth-doubling-half-Keep.Ints.hmap"])
def test_a_recorded_map(file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    to = tmp_path / "a page.html"
    assert write(file, tmp_path / "b.html") == 0
    capsys.readouterr()
    assert (
        image.main([str(IMAGES / file), "-c", f'hmap-report "{to}" --entries 3 --json', "-c", "hmap-show --json"]) == 0
    )
    said, shown = (json.loads(line)["data"] for line in capsys.readouterr().out.splitlines())
    assert (said["file"], said["size"], said["maps"]) == (str(to), to.stat().st_size, 1)
    assert said["entries"] == shown["live"] and said["described"] == [shown["address"]]
    found = pages.read(to)
    assert found.odd == set() and found.scripts == [] and "script-src 'none'" in found.policy
    assert f"{shown['live']:,} entries" in found.texts["p"]
    assert re.search(r"(groups|buckets) in the order of memory", found.texts["figcaption"])
    bars = re.findall(r'<table class="bars">.*?</table>', to.read_text("utf-8"), re.S)[0]
    assert re.findall(r'<td class="num">([\d,]+)</td>', bars) == [f"{n:,}" for n in shown["buckets"]["fill"] if n]
    # A file that is there stays as it is.
    before = to.read_bytes()
    assert image.main([str(IMAGES / file), "-c", f'hmap-report "{to}"']) == 1
    assert f"{to} exists already: --overwrite replaces it" in capsys.readouterr().err
    assert to.read_bytes() == before and write(file, tmp_path / "b.html", "--overwrite", "-n", "0") == 0


def test_nil_map(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert write("1.21.13-types-filled-NilNamed.hmap", tmp_path / "nil.html") == 0
    assert "a nil map: reading finds nothing, writing panics" in pages.read(tmp_path / "nil.html").texts["p"]


@pytest.mark.parametrize("missing", ["jinja2", "plotly"])
def test_without_its_libraries(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    assert write("1.27.3-growth-shared-Keep.Ints.hmap", tmp_path / "page.html") == 1
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert capsys.readouterr().err == (
        f"hmap-report: this needs jinja2 and plotly, and the Python {version} that runs it does not have both: "
        "python3 -m pip install jinja2 plotly\n"
    )
    assert list(tmp_path.iterdir()) == []


@given(st.recursive(st.text() | st.sampled_from(["</script>", "<!--", "<script", "]]>", "\u2028", "\ud800"]), st.lists))
def test_json_in_a_script(value: object) -> None:
    text = page.in_script(value)
    assert json.loads(text) == value and not set("<>&") & set(text) and text.isascii()


def test_parts_of_answers() -> None:
    assert page.items([Lines(["a", "b"]), Lines(["c"], apart=False), Lines(["d"])]) == [
        ("a", [Lines(["b"], apart=False), Lines(["c"], apart=False)]),
        ("d", []),
    ]
    assert page.cells(Heat("", [0.0, 1.0] * 512, "")) == [0.5] * 256
    assert page.cells(Heat("", [0.25, 1.0], "")) == [0.25, 1.0]
    notes = [Anomaly("note", "a", f"{i}") for i in range(30)]
    bad = Anomaly("error", "b", "bad")
    assert page.by_kind([*notes, bad, notes[0]]) == [("error", "b", [bad], 0), ("note", "a", notes[:24], 6)]


def test_every_command_that_is_named_has_its_options() -> None:
    """A page says which command answers what it shows."""
    named = re.findall(
        r"<code>(hmap-[a-z]+)([^<{]*)</code>", (Path(page.__file__).parent / "templates/page.html").read_text()
    )
    assert len(named) >= 2
    for name, options in named:
        command = registry.find(name)
        assert command is not None
        assert set(re.findall(r"(?<= )-[-\w]+", options)) <= {arg.name for arg in command.all_args}
