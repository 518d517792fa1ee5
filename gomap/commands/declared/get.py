"""hmap-get: its arguments, help and examples."""

from __future__ import annotations

from gomap.declare import EXPR_HELP, RAW, Arg, Command

COMMAND = Command(
    name="hmap-get",
    summary="look up a key as the program does, and show the path of the lookup",
    about="""
Hashes the key with the random numbers that the process has chosen for its hash functions, and searches as the runtime
does: the bucket (Swiss: the table and group) that the key hashes to, the old array while a classic map grows, slots
with the same tophash (H2) but another key, overflow buckets or further groups, until it finds the key or the search
ends.

Reads a few buckets, however large the map is. If the hash function is not known, it walks the whole map instead.

KEY is a Go literal of the key type: 42, -1.5, "text\\n", true, main.Point{X:1, Y:2} or {1, 2}; a pointer is
0xc000012345 or nil. If the key type is an interface, a constant has its default type; for any other type, write a
conversion: int8(3), (*main.T)(0x...).

KEY may also be a variable, field, element or constant of the program: k, req.ID, main.Mon.
""",
    args=(
        Arg("EXPR", EXPR_HELP),
        Arg("KEY", "the key: a Go literal of the map's key type, a variable or a constant"),
        RAW,
    ),
    examples=(
        ("hmap-get m 42", "m[42]"),
        ('hmap-get main.cache "user:17"', "a string key"),
        ("hmap-get sessions req.ID", "the key is the value of req.ID"),
        ("hmap-get grid main.Point{X:1, Y:2} --json", "a struct key, for a script"),
    ),
    session="Which array a key is in",
)
