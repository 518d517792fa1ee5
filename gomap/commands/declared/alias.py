"""hmap-alias: its arguments, help and examples."""

from __future__ import annotations

from gomap.declare import PACKAGE, ROWS, STD, TYPE, Arg, Command, natural, scope

COMMAND = Command(
    name="hmap-alias",
    summary="which variables share a map, who else holds a given map, and which maps are nil",
    about="""
With one expression: lists the other variables that hold its map, in every frame of every goroutine and in all
packages. With several expressions: says whether they are the same map. Without an expression: lists the maps that
several variables share. It follows the selected frame's variables and all package variables through structs,
pointers, arrays, slices, interfaces, channels and maps. --scope goroutine searches all frames of the selected
goroutine; --scope all searches those of every goroutine, and the heap for maps that no variable leads to.

`buckets` (Go 1.24 and later: `dirPtr`) is the field of the header that points to the memory of the entries. Headers
that share this memory are listed together, each with its own count: only unsafe code can copy a header. A variable is
each place in memory that holds a map: a local or package variable, a field, or an element. Several paths may lead to
one variable: m and pm, if pm is &m.

Maps that are held in the same way, such as s.users["a"].Tags and s.users["b"].Tags, are one row, and maps that the
program's own variables hold come first. Maps that only the standard library's variables lead to, through its own
types, are counted but not listed; --std lists them. JSON lists all maps.
""",
    args=(
        Arg(
            "EXPR",
            "one: who else holds this map? several: are they the same map? none: which maps are shared?",
            many=True,
            optional=True,
        ),
        Arg(
            "--scope",
            "frames to search besides package variables: frame (default), goroutine or all (default with one EXPR)",
            "SCOPE",
            scope,
        ),
        Arg(
            "--depth",
            "follow at most N pointers, elements and interfaces (default: `show hmap depth`; 128 with --scope all)",
            "N",
            natural,
        ),
        Arg("--all", "also list nil maps and maps that only one variable holds"),
        Arg("--slices", "instead of maps, list slices that share a backing array, with the range of each"),
        ROWS,
        PACKAGE,
        TYPE,
        STD,
    ),
    examples=(
        ("hmap-alias", "the maps that several variables share"),
        ("hmap-alias m", "who else holds the map that m holds?"),
        ("hmap-alias m1 m2", "are these two the same map?"),
        ("hmap-alias --scope all", "which maps do goroutines share?"),
        ("hmap-alias --scope all --package main", "those that variables of main lead to"),
        ("hmap-alias --slices", "which slices would see each other's writes?"),
        ("hmap-alias --all --depth 2", "all maps at most two pointers, elements or interfaces away, shared or not"),
    ),
    session="Two variables, one map",
)
