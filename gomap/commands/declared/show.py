"""hmap-show: its arguments, help and examples."""

from __future__ import annotations

from gomap.declare import EXPR_HELP, FULL, RAW, Arg, Command, bucket_range, natural

COMMAND = Command(
    name="hmap-show",
    summary="one map from the inside: entries, load, buckets, bytes, growth",
    about="""
Walks the buckets, counts the live entries and compares their number with the one in the map's header.

Works on locals, arguments, captured and package variables, fields, elements, pointers to maps
and interfaces that hold one, in live processes, core files and recorded maps.

Lists the first entries, 8 if the settings do not say otherwise, or as many as --entries says; --json lists entries
only with --entries. A map of a million entries takes well under a second.
""",
    args=(
        Arg("EXPR", EXPR_HELP),
        Arg(
            "--entries",
            "list N entries, with bucket and slot (default: as `show hmap entries`; 0 for none); -n N is the same",
            "N",
            natural,
        ),
        Arg(
            "--buckets",
            "show the bytes of a bucket (Swiss: group) or of a range of them: 3 or 0-2",
            "RANGE",
            bucket_range,
        ),
        FULL,
        RAW,
        Arg("--iterators", "also find range loops over the map that are in progress, on every goroutine's stack"),
    ),
    examples=(
        ("hmap-show m", "the local variable m"),
        ("hmap-show main.cache --entries 10", "a package variable, with ten entries"),
        ("hmap-show s.shards[3] --buckets 0", "the bytes of its first bucket"),
        ("hmap-show 0xc000012345:map[string]int", "the map whose header is at this address"),
    ),
    session="Deleted entries, held memory",
)
