"""The commands there are, once. Each is carried out by the file of its name in this folder."""

from __future__ import annotations

import re

from gomap.declare import (
    EXPR_HELP,
    FRAME,
    FULL,
    GOROUTINE,
    JSON,
    PACKAGE,
    RAW,
    ROWS,
    STD,
    TYPE,
    Arg,
    Command,
    bucket_range,
    change_order,
    condition,
    duration,
    event,
    file_name,
    grouping,
    natural,
    number_or_all,
    order,
    pattern,
    positive,
    scope,
    sorting,
)
from gomap.wrap import wrapped

COMMANDS: tuple[Command, ...] = (
    Command(
        name="hmap-show",
        summary="one map from the inside: entries, load, buckets, bytes, growth",
        about="""
Walks the buckets, counts the live entries and compares their number with the one in the map's header.

Works on locals, arguments, captured and package variables, fields, elements, pointers to maps
and interfaces that hold one, in live processes, core files and recorded maps.

Lists the first 8 entries, or as many as --entries says; --json lists entries only with --entries. A map of a
million entries takes well under a second.
""",
        args=(
            Arg("EXPR", EXPR_HELP),
            Arg("--entries", "list N entries, with bucket and slot (default 8, 0 for none)", "N", natural),
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
    ),
    Command(
        name="hmap-entries",
        summary="search, filter and sort a map's entries; print them as text, JSON or CSV",
        about="""
Searches a map as grep and sort search a file; a million entries take seconds.

PATTERN is a regular expression. It is matched against keys and values as they are shown; for strings, against
their contents.

CONDITION is FIELD OP VALUE. FIELD is key, value, a field of the value (Age, Owner.Name; pointers are followed), a
field of the key (key.Host), or len(FIELD). OP is == != < <= > >=, or ~ and !~, which match a regular expression.
VALUE is a number, a string, true, false, nil, a duration (1m30s) or a time (2026-11-29); in quotes it is always a
string. An entry must satisfy every --where.

A *time.Time is compared as a time. An atomic.Int64, a sql.NullInt64 and the value in an interface are compared as
numbers if they are numbers, otherwise by their text.

ORDER is key, value, size or a FIELD. Size is the value's own bytes plus those of its strings, slices and maps; the
largest come first. Values without an order (nil, NaN) come last. --sort keeps at most 131,072 entries.

Ctrl-C ends the search and shows the entries found so far. If --csv output is incomplete, an error follows it.
""",
        args=(
            Arg("EXPR", EXPR_HELP),
            Arg("--match", "only entries whose key or value matches this regular expression", "PATTERN", pattern),
            Arg(
                "--where",
                "only entries that satisfy FIELD OP VALUE, such as Age > 30; may be repeated",
                "CONDITION",
                condition,
                many=True,
            ),
            Arg("--sort", "sort by key, value, size or a field", "ORDER", sorting),
            Arg("--reverse", "reverse the order"),
            Arg(
                "--limit",
                "show at most N entries (default 50; with --csv all; 0 shows all); -n N is the same",
                "N",
                natural,
            ),
            FULL,
            RAW,
            Arg("--keys", "print only the keys"),
            Arg("--csv", "print comma-separated values, with a column for each field of a struct"),
        ),
        examples=(
            ("hmap-entries m", "the first 50 entries"),
            ("hmap-entries users --where Age > 30 --sort Age", "those with Age over 30, by age"),
            ('hmap-entries cache --match "^user:" --keys', "only the keys with this prefix"),
            ("hmap-entries cache --sort size -n 10", "the ten largest values"),
            ("hmap-entries cache --csv", "all entries, for a spreadsheet"),
        ),
        session="Entries that match",
    ),
    Command(
        name="hmap-alias",
        summary="which variables share a map, who else holds a given map, and which maps are nil",
        about="""
With one expression: lists the other variables that hold its map, in every frame of every goroutine
and in all packages. With several expressions: says whether they are the same map. Without an expression: lists
the maps that several variables share. It follows the selected frame's variables and all package variables
through structs, pointers, arrays, slices, interfaces, channels and maps. --scope goroutine searches all frames of
the selected goroutine, --scope all the frames of all goroutines.

Two headers with the same buckets are reported separately: a header was copied through unsafe.

Maps that are held in the same way, such as s.users["a"].Tags and s.users["b"].Tags, are one row, and maps that the
program's own variables hold come first. The standard library's own maps are only counted unless --std is given: the
maps that only its package variables lead to, with no type of another package on the way. JSON lists all maps.
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
                "follow at most N pointers, elements and interfaces (default: set hmap depth; 128 with --scope all)",
                "N",
                natural,
            ),
            Arg("--all", "also list nil maps and maps that only one variable holds"),
            Arg("--slices", "list slices that share a backing array instead of maps, with the range of each"),
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
            ("hmap-alias --all --depth 2", "all maps at most two steps away, shared or not"),
        ),
        session="Two variables, one map",
    ),
    Command(
        name="hmap-evac",
        summary="how far a map's growth (evacuation) has progressed, and when it grows next",
        about="""
A classic map (up to Go 1.23) grows step by step: each write or delete evacuates one or two old buckets. Shows
how many old buckets are evacuated, which are not, how large the old array is, and how many more writes complete
the growth.

A Swiss map (from Go 1.24 on) grows one table at a time, each in one step. Shows the directory, each table's depth,
entries and free slots, and which table grows next.
""",
        args=(Arg("EXPR", EXPR_HELP),),
        examples=(
            ("hmap-evac m", "the local variable m"),
            ("hmap-evac main.sessions --json", "the same for a script"),
        ),
        session="Growth, stage by stage",
    ),
    Command(
        name="hmap-get",
        summary="look up a key as the program does, and show the path of the lookup",
        about="""
Hashes the key with the process's random hash keys, and searches as the runtime does: the bucket (Swiss: the table
and group) that the key hashes to, the old array while a classic map grows, slots with the same tophash (H2) but
another key, overflow buckets or further groups, until it finds the key or the search ends.

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
    ),
    Command(
        name="hmap-check",
        summary="check that a map is intact: the invariants of its layout and every key's hash",
        about="""
Recomputes every key's hash with the process's random hash keys, and compares it with the key's bucket, tophash, table
and control byte. Compares the header's numbers with the entries and buckets found. Checks overflow chains, the
marks of evacuated and empty slots, the directory, the tables' depths, and that no key occurs twice.

Each finding, such as the damage of a data race, has its address. A state that the runtime itself passes through
during a write is a note, not an error. Without numpy only a part of a large map's hashes is checked, and the
answer says how much. A sync.Map is checked too: its read and dirty maps, or its trie.
""",
        args=(
            Arg("EXPR", EXPR_HELP, optional=True),
            Arg("--all", "check every map of the process: the heap, all goroutines and package variables"),
            Arg("--full", "check all hashes, even if that takes long without numpy"),
        ),
        examples=(
            ("hmap-check main.sessions", "one map"),
            ("hmap-check --all --json", "all of them, for a script"),
        ),
        session="A map that was damaged",
    ),
    Command(
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
            Arg("--entries", "also list N entries, keys and values by their dynamic type", "N", natural),
            FULL,
            RAW,
        ),
        examples=(
            ("hmap-sync main.sessions", "a package variable"),
            ("hmap-sync srv.cache --entries 10", "a field, with ten entries"),
        ),
        session="sync.Map, and maps behind locks",
        of_a_map=False,
    ),
    Command(
        name="hmap-cycle",
        summary="reference cycles through maps, pointers, slices and interfaces",
        about="""
Follows a variable's value through maps, pointers, slices, arrays, structs, interfaces, atomic.Pointer and
sync.Map, and prints each path that leads back to where it started. A deep copy or a recursive print of such a
value never ends. Paths through the same types are one line, with their number: the elements of a container/list, or
the parent pointers of a tree.

Captured variables of functions, buffers of channels and unsafe.Pointers are not followed. Values whose types
can't form a cycle are not read.
""",
        args=(
            Arg("EXPR", "any variable, not only a map: m, cfg, main.root, p.next, 0xADDR:main.Node"),
            Arg("--limit", "list at most N kinds of cycles, with --json N cycles (default 16)", "N", natural),
            PACKAGE._replace(help="only cycles with an object of a type of package P: its path, its name, or PATH/..."),
            TYPE._replace(help="only cycles with an object of type T, or of one with T in its name"),
        ),
        examples=(
            ("hmap-cycle m", "does m lead back to itself?"),
            ("hmap-cycle main.root --type Node", "cycles through a Node"),
            ("hmap-cycle main.root --json", "all for a script"),
        ),
        session="A map that contains itself",
        of_a_map=False,
    ),
    Command(
        name="hmap-top",
        summary="all maps of the process, ranked by the memory they hold or retain",
        about="""
Finds the maps and sync.Maps that every goroutine's frames and all package variables lead to, and measures each
by walking it.

Held is the memory that the map itself owns: header, buckets or groups, tables, keys and elems stored behind
pointers, the nodes and entries of a sync.Map. It is counted in the allocator's size classes. Waste is the part of it
that the live entries do not need.

Maps whose paths differ only in indices and keys, such as s.users["a"].Tags and s.users["b"].Tags, are one row: their
number, what they hold together, and the path to the first of them. On a narrow screen addresses and types are left
out and long paths are shortened; --full shows them. Every command takes a path, 0xADDR:TYPE, or the address alone, as
EXPR. `--goroutine N` lets a command find a local variable of goroutine N by its name.

The standard library's own maps are only counted unless --std is given: the maps that only its package variables lead
to, with no type of another package on the way. JSON lists all maps, one by one.

Maps that no variable leads to are ranked too, in every build: gomap finds all map headers among the heap's objects
and on the stacks. It determines their types from the allocator's records and from the hashes of their keys. Such a
map may be garbage that is not collected yet, or be held by a value without a type or by a variable that was
optimized out.

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
that maps whose paths differ only in them are one stack. It needs protobuf: python3 -m pip install protobuf.
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
            ("hmap-top --by waste -n 5", "the five maps where rebuilding frees the most"),
            ("hmap-top --by values", "maps whose keys and values take the most memory"),
            ("hmap-top --by retained", "which maps keep the most memory alive"),
            ("hmap-top --package cache/... --type Entry", "maps of some packages and types"),
            ("hmap-top --unreachable", "which maps will the next collection free"),
            ("hmap-top --group type", "which types of maps take the memory"),
            ("hmap-top --origin", "which line grew each of them"),
            ("hmap-top --pprof maps.pb.gz", "a flame graph: go tool pprof -http=: maps.pb.gz"),
        ),
        session="Which map takes the memory",
    ),
    Command(
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
    ),
    Command(
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
    ),
    Command(
        name="hmap-whatis",
        summary="which map, bucket and slot an address belongs to, or what else is there",
        about="""
Searches all maps of the process for the map that the address belongs to: its header, a bucket or group of the
current or the old array, an overflow bucket, the directory, a table, or a key or elem behind a pointer.

If the address is in no map, shows the heap object that it is in and whether that is freed, the goroutine whose
stack it is on, or the package variable or function. This identifies a stale pointer into a bucket that the map
has left since by growing.
""",
        args=(Arg("ADDR", "a number (0xc000012345), &x, or a pointer, slice, string, map or uintptr"),),
        examples=(
            ("hmap-whatis 0xc000012345", "what is at this address?"),
            ("hmap-whatis p", "what does the pointer p point to?"),
            ("hmap-whatis &main.cache --json", "where is the variable? (for a script)"),
        ),
        session="What lies at an address",
    ),
    Command(
        name="hmap-why",
        summary="what keeps a map alive, and how many bytes would be freed without it",
        about="""
Looks at the heap as the garbage collector does: the objects, the pointers in them, and the roots (the program's
data, goroutines' stacks, finalizers and cleanups). Shows the shortest path from each kind of root to the map, the
number of roots and pointers that lead to it, and the bytes that a collection would free without the map: the
objects that nothing else leads to, in the allocator's size classes. It needs no names of variables, so it works in
optimized programs and for any heap object.

In a function that waits for a call, the stack map says which words are pointers. Frames without a stack map, and
the newest frame of a running goroutine, are scanned conservatively, as the collector does: every word that looks
like a pointer counts. A weak pointer keeps nothing alive. A finalizer keeps alive what its object leads to, but not
the object.

gomap keeps what it read of the heap until the program is resumed; for a core file, until the session ends.

Needs numpy and scipy in the Python that the debugger runs: python3 -m pip install numpy scipy.
""",
        args=(Arg("EXPR", "a map, a pointer, another variable (as for hmap-whatis), or an address: 0xc000012345"),),
        examples=(
            ("hmap-why main.cache", "what keeps the map alive, and what is freed without it"),
            ("hmap-why 0xc000012345", "the same for the object that has this address"),
            ("hmap-why m --json", "for a script"),
        ),
        session="What keeps a map alive",
        of_a_map=False,
    ),
    Command(
        name="hmap-race",
        summary="why the program died; goroutines inside map operations, and who holds those maps",
        about="""
Says why the program died or is about to die: the runtime's fatal error, panic or signal, the goroutine, the line
of your own module and, if it was inside a map operation, the map. A data race is reported only if the runtime
reported one.

Then it lists each goroutine inside a map operation, the maps whose header is marked as being written to (classic:
flag hashWriting, Swiss: field writing), and the goroutines and variables that hold these maps. For a reported race
it also lists the other goroutines in the same function.

The first line is the answer, even if it says that no goroutine is inside a map operation.
""",
        args=(),
        examples=(
            ("hmap-race", "which goroutines are inside a map operation, or died there"),
            ("hmap-race --json", "the same for a script"),
        ),
        session="Concurrent map writes",
    ),
    Command(
        name="hmap-trace",
        summary="let the program run, and record which lines make maps grow, or write to a map",
        about="""
Lets the program run until Ctrl-C, the given limit, one of your breakpoints or the program's end. Then it lists the
growths of all maps, or of one map, by the line of your own code: the number of growths and of maps, their entries,
the bytes allocated and copied, and the size to give to make so that the largest of these maps would not have grown.
For a Swiss map with several tables this size is large enough that no table is likely to fill up.

The program stops briefly at each growth and nowhere else: gomap sets breakpoints in the functions with which the
runtime grows maps (runtime.hashGrow; (*Map).growToTable and (*table).rehash of internal/runtime/maps). The last
line of the answer says what that cost. The first eight entries of a map need no growth, and a growth that began
before the trace is not counted. gomap's breakpoints are removed afterwards; yours work as before.

With --writes it lists the writes to one map instead: for each line, how many inserted a key, overwrote an element,
deleted or cleared, on which goroutines, and the newest keys. A hardware watchpoint on the map's header stops the
program where a write begins and where it ends, so writes to other maps cost nothing. If no debug register is free,
or the map is on a goroutine's stack, the program stops at each write to any map, which is slow; the answer says
which. A delete from an empty map writes nothing.

Needs a live amd64 process in gdb or Delve.
""",
        args=(
            Arg("EXPR", f"{EXPR_HELP} (default: all maps)", optional=True),
            Arg("--writes", "record the writes to EXPR instead of growths"),
            Arg("--for", "stop after this time: 500ms, 10s, 2m", "DURATION", duration),
            Arg("-n", "stop after N growths, or N writes", "N", positive),
        ),
        examples=(
            ("hmap-trace --for 10s", "which lines make maps grow in ten seconds?"),
            ("hmap-trace main.cache -n 1", "stop where main.cache grows next"),
            ("hmap-trace m --writes --for 10s", "which lines write to m, and what?"),
            ("hmap-trace --for 1m --json", "every growth, for a script"),
        ),
        session="Which line makes a map grow",
        of_a_map=False,
        resumes=True,
    ),
    Command(
        name="hmap-break",
        summary="stop the program, or log a line, when a map is written to",
        about="""
Sets a breakpoint on one map. EVENT is write (any assignment, delete or clear), insert (of a new key), delete (of an
existing key), growth, clear, or len>N (the insert after which the map has more than N entries). With --key only
operations on that key count. When the program stops there, one line says what was done, with the key, the goroutine and
the line of your own code. With --log the line is printed and the program continues.

If one of the processor's four debug registers is free, a hardware watchpoint watches a word of the map's header, and
writes to other maps cost nothing. Otherwise, and for growths, gomap sets breakpoints in the runtime's functions for the
operation, and each call of one, for any map, stops the program briefly. The answer says which of the two is used.

These are the debugger's own breakpoints: `info breakpoints` (dlv: `breakpoints`) lists them, and its commands work on
them. hmap-break without arguments lists those of gomap, and --delete removes one. They are removed when the process
ends. A map whose header is on a goroutine's stack is refused, since the header moves with the stack.

Needs a live amd64 process in gdb or Delve.
""",
        args=(
            Arg("EXPR", f"{EXPR_HELP} (default: list the breakpoints that are set)", optional=True),
            Arg(
                "--on", "when to stop (needed with EXPR): write, insert, delete, growth, clear or len>N", "EVENT", event
            ),
            Arg("--key", "only for this key: a Go literal or a variable", "KEY"),
            Arg("--log", "print the line and continue"),
            Arg("--delete", "remove breakpoint N, or all", "N", number_or_all),
            Arg("--last", "print only the line about the present stop"),
        ),
        examples=(
            ("hmap-break main.cache --on insert", "who puts keys into main.cache?"),
            ('hmap-break main.cache --on write --key "a" --log', "log each write to one key"),
            ("hmap-break main.cache --on len>1000", "stop at the insert of entry 1,001"),
            ("hmap-break --delete all", "remove all of them"),
        ),
        session="Stop when a map is written to",
        of_a_map=False,
    ),
    Command(
        name="hmap-record",
        summary="save a map to a small file, which gomap opens anywhere without a debugger",
        about="""
Saves the map with its keys, its values (as deep as they are shown) and their types. `gomap FILE` then answers every
command about this map. The file contains the program's data: protect it as you protect the program's data.
""",
        args=(Arg("EXPR", EXPR_HELP), Arg("FILE", "the file to write; an existing one is replaced")),
        examples=(("hmap-record main.cache cache.hmap", "then: gomap cache.hmap -c hmap-show"),),
        session="A map in a file",
        writes_file=True,
    ),
    Command(
        name="hmap-snapshot",
        summary="save the state of all maps of the process, to compare with later",
        about="""
Finds all maps as hmap-top does, and saves for each its address, type, path, number of entries, bytes, tombstones and
load and, if the heap profiler has a sample, the function that allocated it. hmap-diff compares the file with the
process, with other snapshots and with core files. Keys and values are saved only for maps named with --entries.

The file is written completely or not at all. An existing file is kept unless --overwrite is given.
""",
        args=(
            Arg("FILE", "the file to write", type=file_name),
            Arg("--entries", "also save this map's keys and values; may be repeated", "EXPR", many=True),
            Arg("--overwrite", "replace FILE if it exists"),
            GOROUTINE,
            FRAME,
            JSON,
        ),
        examples=(
            ("hmap-snapshot before.snap", "later: hmap-diff before.snap"),
            ("hmap-snapshot a.snap --entries main.cache", "with its entries"),
        ),
        session="What changed between two moments",
        writes_file=True,
        of_a_map=False,
    ),
    Command(
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
after.

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
    ),
)


#: Short names, which `hmap aliases` defines.
SHORT = {
    "hs": "hmap-show",
    "he": "hmap-entries",
    "ha": "hmap-alias",
    "hg": "hmap-get",
    "hc": "hmap-check",
    "ht": "hmap-top",
    "hr": "hmap-race",
    "hw": "hmap-whatis",
}


def find(name: str) -> Command | None:
    """The command of that name; None where there is none."""
    return next((command for command in COMMANDS if command.name == name), None)


def parted(line: str) -> tuple[str, str]:
    """A command line's name and the rest: `hmap show m` is hmap-show m."""
    name, _, rest = line.strip().partition(" ")
    if name == "hmap" and rest.strip():
        name, _, rest = rest.strip().partition(" ")
        name = f"hmap-{name}"
    return name, rest


def overview(width: int | None = None) -> str:
    """The list of commands, as `help hmap` shows it. width: columns of the terminal, where it is to fit them."""
    name = max(len(command.name) for command in COMMANDS)
    lines = [f"{command.name:{name}}  {command.summary}" for command in COMMANDS]
    return "\n".join(lines if width is None else [part for line in lines for part in wrapped(line, width, name + 2)])


def markdown() -> str:
    """The command table of the README: each command leads to its session."""
    rows = [
        f"| [`{command.usage}`](docs/scenarios.md#{anchor(command.session)}) | {command.summary} |"
        for command in COMMANDS
    ]
    return "\n".join(["| command | answers |", "|---|---|", *rows])


def anchor(heading: str) -> str:
    """The name under which Markdown viewers link to a heading."""
    return re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-")
