"""hmap-check: its arguments, help and examples."""

from __future__ import annotations

from gomap.declare import EXPR_HELP, Arg, Command

COMMAND = Command(
    name="hmap-check",
    summary="check that a map is intact: the invariants of its layout and every key's hash",
    about="""
Recomputes every key's hash with the random numbers that the process has chosen for its hash functions, and compares
it with the key's bucket, tophash, table and control byte. Compares the header's numbers with the entries and buckets
found. Checks overflow chains, the marks of evacuated and empty slots, the directory, the tables' depths, and that no
key occurs twice.

Each finding, such as the damage of a data race, has its address. A state that the runtime itself passes through
during a write is a note, not an error. Without numpy only a part of a large map's hashes is checked, and the
answer says how much. A sync.Map is checked too: its read and dirty maps, or its trie.
""",
    args=(
        Arg("EXPR", f"{EXPR_HELP} (needed without --all)", optional=True),
        Arg("--all", "check every map of the process: the heap, all goroutines and package variables"),
        Arg("--full", "check all hashes, even if that takes long without numpy"),
    ),
    examples=(
        ("hmap-check main.sessions", "one map"),
        ("hmap-check --all --json", "all of them, for a script"),
    ),
    session="A map that was damaged",
)
