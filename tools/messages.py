"""Lists the sentences that gomap prints, so that a review sees each new one: python3 -m tools.messages.

A text of the source that has at least three words and is not a docstring is one: messages, help, headings. What is put
in at run time is {}. tests/unit/test_messages.py requires the list to be current.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("gomap", "gdbext", "delve_bridge", "direct")
LIST = ROOT / "tests" / "support" / "data" / "messages.txt"
_WORDS = re.compile(r"[A-Za-z'\u2019]{2,} +[a-z'\u2019]{1,} +[a-z{]")


def messages() -> str:
    """The list: path of the file and text, a line each, in the order of files and texts."""
    found = {
        (path.relative_to(ROOT).as_posix(), text) for path in _sources() for text in texts(path.read_text("utf-8"))
    }
    return "".join(f"{path}: {_one_line(text)}\n" for path, text in sorted(found))


def _sources() -> Iterator[Path]:
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            if path.parent.name != "results":  # what these say is in docs/json.md
                yield path


def texts(source: str) -> Iterator[str]:
    """The texts that are not docstrings, those of f-strings with {} for what is put in."""
    tree = ast.parse(source)
    parts = {id(one) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for one in node.values}
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if id(node) in parts or id(node) in docs:
            continue
        if isinstance(node, ast.JoinedStr):
            text = "".join(str(one.value) if isinstance(one, ast.Constant) else "{}" for one in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value
        else:
            continue
        if _WORDS.search(text):
            yield text


def _one_line(text: str) -> str:
    return text.encode("unicode_escape").decode("ascii") if not text.isprintable() else text


if __name__ == "__main__":
    LIST.write_text(messages(), "utf-8")
