"""hmap-record: its arguments, help and examples."""

from __future__ import annotations

from gomap.declare import EXPR_HELP, Arg, Command, file_name

COMMAND = Command(
    name="hmap-record",
    summary="save a map to a small file, which gomap opens anywhere without a debugger",
    about="""
Saves the map with its keys, its values (as deep as they are shown) and their types. `gomap FILE` then answers the
commands that need only the map itself, such as hmap-show, hmap-entries, hmap-get, hmap-check, hmap-diff and
hmap-report; EXPR can be left out there. The file contains the program's data: protect it as you protect the
program's data.

The file is written completely or not at all. An existing file is kept unless --overwrite is given.
""",
    args=(
        Arg("EXPR", EXPR_HELP),
        Arg("FILE", "the file to write", type=file_name),
        Arg("--overwrite", "replace FILE if it exists"),
    ),
    examples=(("hmap-record main.cache cache.hmap", "then: gomap cache.hmap -c hmap-show"),),
    session="A map in a file",
    writes_file=True,
)
