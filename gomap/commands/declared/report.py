"""hmap-report: its arguments, help and examples."""

from __future__ import annotations

from gomap.declare import FRAME, GOROUTINE, JSON, Arg, Command, file_name, natural

COMMAND = Command(
    name="hmap-report",
    summary="write one HTML page about all maps, to look at and to pass on",
    about="""
Writes the answers of hmap-top, hmap-advise, hmap-alias, hmap-race and hmap-check as one HTML page: a summary, what to
change, the memory that maps hold by package, type and owner, a table of all maps that can be sorted and filtered, and
the largest maps in detail, with their fill, growth, the lines that allocated them and some of their entries. On a
recorded map the page is about that map.

The page is one file that needs nothing from the network: a browser opens it anywhere. It contains keys and values of
the program: protect it as you protect the program's data.

The file is written completely or not at all. An existing file is kept unless --overwrite is given. Ctrl-C ends the
search that is under way, and the page says so.

Needs jinja2 and plotly; `gomap doctor` prints the command that installs them.
""",
    args=(
        Arg("FILE", "the file to write", type=file_name),
        Arg("-n", "describe the maps of hmap-top's first N rows in detail (default 10)", "N", natural, default=10),
        Arg("--map", "also describe this map; may be repeated", "EXPR", many=True),
        Arg("--entries", "list N entries of each of these (default 10)", "N", natural, default=10),
        Arg("--no-check", "leave out hmap-check --all, which takes longest where there are very many maps"),
        Arg("--overwrite", "replace FILE if it exists"),
        GOROUTINE,
        FRAME,
        JSON,
    ),
    examples=(
        ("hmap-report maps.html", "all maps, on one page"),
        ("hmap-report maps.html --map main.cache --entries 50", "with 50 entries of main.cache"),
    ),
    session="A page to look at",
    writes_file=True,
    of_a_map=False,
)
