"""hmap-origin: its arguments, help and examples."""

from __future__ import annotations

from gomap.declare import EXPR_HELP, Arg, Command

COMMAND = Command(
    name="hmap-origin",
    summary="which source lines allocated a map's memory, according to the heap profiler",
    about="""
The runtime samples allocations, one for every runtime.MemProfileRate bytes (512 KiB unless the program sets
it), and keeps the stack of each sampled object until the object is freed. Lists the lines that allocated the
objects that make up the map now: header, buckets or groups, tables, directory, overflow buckets, keys
and elems stored behind pointers; for a sync.Map, its nodes and entries.

Each line is the innermost call outside the runtime, reflect, maps, iter, sync and unique. Bytes are estimated from
the samples, weighted as runtime/pprof does; with few samples they are rough. A line whose arrays were replaced by
a later growth is not listed.
""",
    args=(
        Arg("EXPR", f"{EXPR_HELP}; or a sync.Map"),
        Arg("--full", "also show the whole stack of each allocation"),
    ),
    examples=(
        ("hmap-origin main.cache", "which lines made it this large?"),
        ("hmap-origin srv.users --full", "with the stack of each allocation"),
        ("hmap-origin 0xc000012345", "the map at an address"),
    ),
    session="Which line grew a map",
    of_a_map=False,
)
