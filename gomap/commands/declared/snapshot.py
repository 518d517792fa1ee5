"""hmap-snapshot: its arguments, help and examples."""

from __future__ import annotations

from gomap.declare import FRAME, GOROUTINE, JSON, Arg, Command, file_name

COMMAND = Command(
    name="hmap-snapshot",
    summary="save the state of all maps of the process, to compare with later",
    about="""
Finds all maps as hmap-top does, and saves for each its address, type, path, number of entries, bytes, tombstones and
load and, if the heap profiler has a sample, the function that allocated it. hmap-diff compares the file with the
process, with other snapshots and with core files. Keys and values are saved only for maps named with --entries.

The file is written completely or not at all. An existing file is kept unless --overwrite is given.
""",
    args=(
        Arg("FILE", "the file to write", type=file_name),
        Arg("--entries", "also save this map's keys and values; may be repeated", "EXPR", many=True),
        Arg("--overwrite", "replace FILE if it exists"),
        GOROUTINE,
        FRAME,
        JSON,
    ),
    examples=(
        ("hmap-snapshot before.snap", "later: hmap-diff before.snap"),
        ("hmap-snapshot a.snap --entries main.cache", "with its entries"),
    ),
    session="What changed between two moments",
    writes_file=True,
    of_a_map=False,
)
