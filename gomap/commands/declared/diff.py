"""hmap-diff: its arguments, help and examples."""

from __future__ import annotations

from gomap.declare import FRAME, GOROUTINE, Arg, Command, change_order, file_name, natural

COMMAND = Command(
    name="hmap-diff",
    summary="which maps appeared, vanished, grew or shrank; or how two maps differ",
    about="""
Compares A with B. Each is a file written by hmap-snapshot or hmap-record, a core file, or `now`, the current
program. Anything else is a map expression; then two maps are compared.

Within one process a map is identified by its header's address and its hash seed, so a new map at the address of a
freed one counts as another map. Between processes and builds, maps are matched by type and path; maps without a path
are matched by type and the function that allocated them. If several match, the largest are paired first. A map grew
or shrank if its number of entries did or, if that is unchanged, its bytes.

The first line says what grew most: a map, or all maps of one type that one variable leads to. With --entries, or if
A has saved entries, the answer also lists the keys that were added, removed or changed, with their values before and
after; a snapshot must have been taken with --entries for that.

To compare two files without a program: gomap diff A B.
""",
    args=(
        Arg("A", "a snapshot, a recorded map, a core file, `now`, or a map expression", type=file_name),
        Arg("B", "as A (default: now)", type=file_name, optional=True),
        Arg(
            "--by",
            "rank by bytes (the default), entries, tombstones or load",
            "ORDER",
            change_order,
            default="bytes",
        ),
        Arg("-n", "list N maps (default 20; 0 lists all)", "N", natural, default=20),
        Arg("--entries", "also compare this map's keys and values; may be repeated", "EXPR", many=True),
        Arg(
            "--program",
            "the program of a core file; give it twice for two core files, of A and of B",
            "PROG",
            file_name,
            many=True,
        ),
        GOROUTINE,
        FRAME,
    ),
    examples=(
        ("hmap-diff before.snap", "what has changed since the snapshot"),
        ("hmap-diff old.core new.core --by entries", "two core files"),
        ("hmap-diff a.snap --entries main.cache", "which keys of main.cache changed"),
        ("hmap-diff v1.Users v2.Users", "how two maps differ"),
    ),
    session="What changed between two moments",
    of_a_map=False,
)
