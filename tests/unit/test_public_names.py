"""Names that scripts depend on: error codes, commands, options, and help that is true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gomap import errors, frontend
from gomap.commands import registry
from gomap.declare import Command
from gomap.errors import GomapError

ROOT = Path(__file__).resolve().parents[2]
CODES = {
    "GomapError": "error",
    "UsageError": "usage",
    "NoProcess": "no-process",
    "TargetRunning": "target-running",
    "WrongProgram": "wrong-program",
    "NoSuchVariable": "no-such-variable",
    "NoSuchGoroutine": "no-such-goroutine",
    "NoSuchType": "no-such-type",
    "BadExpression": "bad-expression",
    "NotAMap": "not-a-map",
    "OptimizedOut": "optimized-out",
    "NotSet": "not-set",
    "NoLocals": "no-locals",
    "NoDebugInfo": "no-debug-info",
    "UnsupportedLayout": "unsupported-layout",
    "MemoryFault": "memory-fault",
    "BadImage": "bad-image",
    "Interrupted": "interrupted",
}
OPTIONS = {
    "hmap-show": [
        "EXPR",
        "--entries",
        "--buckets",
        "--full",
        "--raw",
        "--iterators",
        "--goroutine",
        "--frame",
        "--json",
    ],
    "hmap-entries": [
        *["EXPR", "--match", "--where", "--sort", "--reverse", "--limit", "--full", "--raw", "--keys", "--csv"],
        *["--goroutine", "--frame", "--json"],
    ],
    "hmap-race": ["--json"],
    "hmap-alias": [
        *["EXPR", "--scope", "--depth", "--all", "--slices", "-n", "--package", "--type", "--std"],
        *["--goroutine", "--frame", "--json"],
    ],
    "hmap-evac": ["EXPR", "--goroutine", "--frame", "--json"],
    "hmap-top": [
        *["--by", "-n", "--values", "--group", "--unreachable", "--origin", "--package", "--type", "--std", "--full"],
        *["--pprof", "--overwrite", "--json"],
    ],
    "hmap-origin": ["EXPR", "--full", "--goroutine", "--frame", "--json"],
    "hmap-advise": ["EXPR", "--min", "-n", "--goroutine", "--frame", "--json"],
    "hmap-whatis": ["ADDR", "--goroutine", "--frame", "--json"],
    "hmap-snapshot": ["FILE", "--entries", "--overwrite", "--goroutine", "--frame", "--json"],
    "hmap-report": [
        *["FILE", "-n", "--map", "--entries", "--no-check", "--overwrite", "--goroutine", "--frame", "--json"],
    ],
    "hmap-diff": ["A", "B", "--by", "-n", "--entries", "--program", "--goroutine", "--frame", "--json"],
    "hmap-record": ["EXPR", "FILE", "--overwrite", "--goroutine", "--frame"],
}

by_command = pytest.mark.parametrize("command", registry.COMMANDS, ids=lambda command: command.name)


def kinds() -> list[type[GomapError]]:
    return [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, GomapError)]


def test_error_codes_are_what_scripts_know() -> None:
    assert {kind.__name__: kind.code for kind in kinds()} == CODES
    assert len({kind.code for kind in kinds()}) == len(kinds())


def test_the_drawn_tree_is_the_tree() -> None:
    drawn = re.findall(r"^[|`]- (\w+) ", errors.__doc__ or "", re.M)
    assert drawn == [kind.__name__ for kind in kinds() if kind is not GomapError]
    assert all(kind.__bases__ == (GomapError,) for kind in kinds() if kind is not GomapError)


def test_a_memory_fault_carries_its_address() -> None:
    fault = errors.MemoryFault(0xC000, 16, "why")
    assert (fault.address, fault.size) == (0xC000, 16)
    assert str(fault) == "cannot read 16 bytes of memory at 0xc000: why"


def test_the_commands_of_the_contract() -> None:
    found = {command.name: [arg.name for arg in command.all_args] for command in registry.COMMANDS}
    assert {name: found.get(name) for name in OPTIONS} == OPTIONS
    assert len(found) == len(registry.COMMANDS)


@by_command
def test_every_command_tells_how_it_is_used(command: Command) -> None:
    assert command.name.startswith("hmap-")
    assert command.summary
    assert "\n" not in command.summary
    assert len(command.summary) <= 80
    assert command.usage.startswith(command.name)
    assert all(len(line) <= 82 for line in command.help().splitlines())  # an example and its comment are one line
    text = " ".join(command.help().split())
    for part in (
        command.summary,
        command.usage,
        command.about.strip(),
        *(arg.help for arg in command.all_args),
    ):
        assert " ".join(part.split()) in text
    assert all(arg.help for arg in command.all_args)
    assert command.name in registry.overview()


@by_command
def test_every_example_is_a_command_line(command: Command) -> None:
    assert command.examples
    for line, comment in command.examples:
        name, _, rest = line.partition(" ")
        assert name == command.name
        options = frontend.parse(command, rest)
        assert set(options) == {arg.name for arg in command.all_args}
        assert comment


def test_a_command_is_found_by_its_name() -> None:
    for command in registry.COMMANDS:
        assert registry.find(command.name) is command
    assert registry.find("hmap-nope") is None


def test_the_readme_has_the_commands_as_they_are() -> None:
    assert registry.markdown() in (ROOT / "README.md").read_text()


@by_command
def test_every_command_has_a_session(command: Command) -> None:
    """Where the README's table leads to."""
    text = (ROOT / "docs" / "scenarios.md").read_text()
    found = re.findall(rf"^## {re.escape(command.session)}\n(.*?)(?=^## |\Z)", text, re.M | re.S)
    assert len(found) == 1
    assert f"\n(gdb) {command.name}" in found[0]


def test_links_between_documents_lead_somewhere() -> None:
    files = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    headings = {
        file: {registry.anchor(line.lstrip("# ")) for line in file.read_text().splitlines() if line.startswith("#")}
        for file in files
    }
    for file in files:
        for path, anchor in re.findall(r"\]\(([\w./-]*)(?:#([\w-]+))?\)", file.read_text()):
            to = (file.parent / path).resolve() if path else file
            assert to.exists(), (file.name, path)
            assert not anchor or anchor in headings[to], (file.name, path, anchor)
