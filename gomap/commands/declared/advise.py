"""hmap-advise: its arguments, help and examples."""

from __future__ import annotations

from gomap.declare import EXPR_HELP, Arg, Command, natural

COMMAND = Command(
    name="hmap-advise",
    summary="changes to maps that would save memory, and how many bytes each saves",
    about="""
Looks for maps that are much larger than their entries need; maps that grew although make could have been given a
size; maps with the same value for every key; maps whose strings occur several times in the heap or keep much larger
strings alive; very many tiny maps of one type; and maps that would have no pointers for the collector to scan if
keys or values were stored in them directly. Without EXPR it looks at all maps of the process, including those that
no variable leads to.

Each figure is computed from the program's memory, in the allocator's size classes, and is what this change alone
saves. Estimates are printed with their margin of error. A line `if` states a condition that can't be seen in memory.

Keys and elems of more than 128 bytes, and memory behind pointers, are not searched for strings. sync.Maps are not
looked at.
""",
    args=(
        Arg("EXPR", EXPR_HELP, optional=True),
        Arg("--min", "leave out changes that save fewer bytes (default 16384)", "BYTES", natural, default=16384),
        Arg("-n", "list N changes (default 10; 0 lists all)", "N", natural, default=10),
    ),
    examples=(
        ("hmap-advise", "the ten changes that save the most"),
        ("hmap-advise main.cache --min 0", "every change to one map, however little it saves"),
        ("hmap-advise --json", "the same for a script"),
    ),
    session="What to change about maps",
    of_a_map=False,
)
