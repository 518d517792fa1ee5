"""hmap-sync: its arguments, help and examples."""

from __future__ import annotations

from gomap.declare import FULL, RAW, Arg, Command, natural

COMMAND = Command(
    name="hmap-sync",
    summary="a sync.Map from the inside: its entries, structure and bytes",
    about="""
Up to Go 1.23 a sync.Map is two maps: read, which needs no lock, and dirty, behind the mutex. Counts the
entries in each, the entries that only dirty has, and the deleted and expunged ones, and says after how many more
misses dirty becomes read.

From Go 1.24 on it is a trie over the keys' hashes. Counts its levels, nodes and entries, and the chains of keys
whose hashes are equal.

gomap recognizes the implementation by its fields. Bytes held are what the sync.Map has allocated on the heap;
what keys and values point to is not counted.
""",
    args=(
        Arg("EXPR", "a sync.Map, a pointer to one, or a struct's field: main.cache, s.users, 0xADDR:sync.Map"),
        Arg("--entries", "also list N entries, keys and values by their dynamic type; -n N is the same", "N", natural),
        FULL,
        RAW,
    ),
    examples=(
        ("hmap-sync main.sessions", "a package variable"),
        ("hmap-sync srv.cache --entries 10", "a field, with ten entries"),
    ),
    session="sync.Map, and maps behind locks",
    of_a_map=False,
)
