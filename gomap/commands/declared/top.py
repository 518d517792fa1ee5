"""hmap-top: its arguments, help and examples."""

from __future__ import annotations

from gomap.declare import PACKAGE, ROWS, STD, TYPE, Arg, Command, file_name, grouping, order

COMMAND = Command(
    name="hmap-top",
    summary="all maps of the process, ranked by the memory they hold or retain",
    about="""
Finds the maps and sync.Maps that every goroutine's frames and all package variables lead to, and measures each by
walking it. Of more than 1,024 maps that no variable leads to, only those are walked that can be among the rows listed
(-n), and the waste is `at least` that of the walked ones; --group, --type, --pprof and --by values walk all.

Held is the memory that the map itself owns: header, buckets or groups, tables, keys and elems stored behind
pointers, the nodes and entries of a sync.Map. It is counted in the allocator's size classes. Waste is the part of it
that the live entries do not need. A new map with the same entries has waste too: its empty slots, its header and the
bytes that the allocator rounds up. So copying a map frees only a part of its waste.

Maps whose paths differ only in indices and keys, such as s.users["a"].Tags and s.users["b"].Tags, are one row: their
number, what they hold together, and the path to one of them. On a narrow screen addresses and types are left
out and long paths are shortened; --full shows them. Every command takes a path, 0xADDR:TYPE, or the address alone, as
EXPR; a local variable of goroutine N is found there with `--goroutine N`.

Maps that only the standard library's variables lead to, through its own types, are counted but not listed; --std
lists them. JSON lists all maps, one by one.

Maps that no variable leads to are ranked too, in every build: gomap finds all map headers among the heap's objects
and on the stacks. It determines their types from the allocator's records and from the hashes of their keys. With
numpy and scipy, and in a heap of at most 64 MiB or after hmap-why has read it, the rows also show the shortest way
from a root that keeps such a map alive. Such a map may be garbage that is not collected yet, or be held by an
unsafe.Pointer or uintptr, or by a variable that was optimized out.

--values also counts the heap memory that keys and values keep alive: strings, slices, structs behind pointers, and
values in interfaces. Each object is counted once, for the largest map that leads to it. A map in a map has a row of
its own. Variables captured by closures are not followed.

--group adds up maps: those of one type, of one package (of the variable that holds them), of one owner (package
variable or function) or of one size (entries: 0, 1, 2 to 3, 4 to 7, ...). 100,000 small maps of one type are one row.

--by retained ranks maps by the bytes that a collection would free without the map: the map itself and everything
that only the map leads to. A map inside another map counts for both. --unreachable lists the maps that are garbage:
the next collection frees them. Both search the heap as hmap-why does, and need numpy and scipy.

--origin adds the source lines that allocated each map, and all maps of the heap, from the heap profiler's samples
taken inside map operations.

--pprof writes the maps to a file for go tool pprof. The path from a variable to a map is the stack; the values are
maps, entries, bytes and waste, and with --by retained also retained bytes. Indices and keys are written as [*], so
that maps whose paths differ only in them are one stack. It needs protobuf; `gomap doctor` prints the command that
installs it.
""",
    args=(
        Arg(
            "--by",
            "rank by bytes (held; the default), waste, entries, load, values or retained",
            "ORDER",
            order,
            default="bytes",
        ),
        ROWS,
        Arg("--values", "also count the memory that keys and values keep alive"),
        Arg("--group", "one row for all maps of one type, package, owner or size", "WHAT", grouping),
        Arg("--unreachable", "list only maps that are garbage and not collected yet"),
        Arg("--origin", "also show the line that allocated most of each map (see hmap-origin), and of all maps"),
        PACKAGE,
        TYPE,
        STD,
        Arg("--full", "show whole paths, on as many lines as they need, with addresses and types"),
        Arg("--pprof", "also write the maps to FILE, as a profile for go tool pprof", "FILE", file_name),
        Arg("--overwrite", "replace FILE if it exists"),
    ),
    examples=(
        ("hmap-top", "the 20 maps that hold the most memory"),
        ("hmap-top --by waste -n 5", "the five rows with the most waste"),
        ("hmap-top --by values", "maps whose keys and values take the most memory"),
        ("hmap-top --by retained", "which maps keep the most memory alive"),
        ("hmap-top --package cache/... --type Entry", "maps of some packages and types"),
        ("hmap-top --unreachable", "which maps will the next collection free"),
        ("hmap-top --group type", "which types of maps take the memory"),
        ("hmap-top --origin", "which line grew each of them"),
        ("hmap-top --pprof maps.pb.gz", "a flame graph: go tool pprof -http=: maps.pb.gz"),
    ),
    session="Which map takes the memory",
)
