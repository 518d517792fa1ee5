"""The man page and the completion of command lines: made from the declarations, and what a shell makes of them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from direct import manual
from direct.__main__ import PARTS
from gomap.commands import registry

SHARE = Path(__file__).resolve().parents[2] / "share"


def test_files_are_as_made() -> None:
    """Else: python3 -m direct.manual"""
    for name, text in manual.files().items():
        assert (SHARE / name).read_text("utf-8") == text, name


def test_man_page_has_each_command_and_option() -> None:
    page = manual.man_page().replace("\\-", "-")
    for command in registry.COMMANDS:
        assert f".SS {command.name}\n" in page
        assert all(f".B {arg.name}" in page for arg in command.all_args)
    assert all(f".B gomap {name}" in page for name in PARTS)
    if shutil.which("groff"):
        check = ["groff", "-man", "-Tutf8", "-ww", "-rLL=78n", "-z", str(SHARE / "man/man1/gomap.1")]
        assert subprocess.run(check, capture_output=True, text=True, check=True).stderr == ""


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("gomap p", {"pid"}),
        ("gomap zip", {"zipapp"}),
        ("gomap pid 1 -c hmap-to", {"hmap-top"}),
        ("gomap top 1 --by ", {"bytes", "entries", "growth"}),
        ("gomap top 1 --sam", {"--samples"}),
        ("gomap core co", {"core.1", "core.2"}),
        ("gomap image", {"image.hmap"}),
        ("dlv-hmap con", {"connect"}),
        ("dlv-hmap exec image", {"image.hmap"}),
    ],
)
def test_completion(line: str, wanted: set[str], tmp_path: Path) -> None:
    for name in ("core.1", "core.2", "image.hmap"):
        (tmp_path / name).touch()
    words = line.split(" ")
    script = f"""
source {SHARE}/bash-completion/completions/{words[0]}
COMP_WORDS=({" ".join(f"'{word}'" for word in words)})
COMP_CWORD={len(words) - 1}
_gomap
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    run = subprocess.run(["bash", "-euc", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert (set(run.stdout.split()), run.stderr) == (wanted, "")
