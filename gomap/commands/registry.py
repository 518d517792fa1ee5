"""The commands there are, once. Each is carried out by the file of its name in this folder."""

from __future__ import annotations

import re

from gomap.declare import (
    EXPR_HELP,
    FRAME,
    FULL,
    GOROUTINE,
    JSON,
    RAW,
    Arg,
    Command,
    bucket_range,
    change_order,
    condition,
    duration,
    file_name,
    grouping,
    natural,
    order,
    pattern,
    positive,
    scope,
    sorting,
)

COMMANDS: tuple[Command, ...] = (
    Command(
        name="hmap-show",
        summary="one map from the inside: entries, load, buckets, bytes, growth",
        about="""
Counts the live entries by walking the buckets, and compares the header with them.
Works on locals, arguments, captured and package variables, fields, elements, pointers to maps
and interfaces that hold one, in live processes, core files and recorded maps.
The first entries are listed; with --json only as many as --entries says. A map of a million entries takes well
under a second.
""",
        args=(
            Arg("EXPR", EXPR_HELP),
            Arg("--entries", "list N entries, with bucket and slot (default 8, 0 for none)", "N", natural),
            Arg(
                "--buckets",
                "draw the bytes of one bucket (group) or of a range: 3 or 0-2",
                "RANGE",
                bucket_range,
            ),
            FULL,
            RAW,
            Arg("--iterators", "also look for loops over the map that are under way, on every goroutine's stack"),
        ),
        examples=(
            ("hmap-show m", "the local variable m"),
            ("hmap-show main.cache --entries 10", "a package variable and ten entries"),
            ("hmap-show s.shards[3] --buckets 0", "the bytes of its first bucket"),
            ("hmap-show 0xc000012345:map[string]int", "the map whose header lies there"),
        ),
        session="Deleted entries, held memory",
    ),
    Command(
        name="hmap-entries",
        summary="entries of a map that match, in an order, as text, JSON or CSV",
        about="""
Looks into a map as grep and sort look into a file; a million entries take seconds. PATTERN is a regular
expression, searched for in keys and values as they are shown (of strings in what they contain). FIELD is key,
value, a field of the value (Age, Owner.Name, through pointers too) or of the key (key.Host), or len(FIELD); OP is
== != < <= > >= or ~ (matches the regular expression) and !~; VALUE is a number, a string, true, false, nil, a
duration (1m30s) or a time (2026-11-29); in quotes it is a string. Of several conditions all have to hold.
Pointers are followed, so that *time.Time is compared as a time; atomic.Int64, sql.NullInt64 and what an interface
holds are compared as numbers where they are numbers, and by their text elsewhere.
ORDER is key, value, size or a FIELD. By size the largest come first: a value's own bytes and those of its
strings, slices and maps. What has no order (nil, NaN) comes last; --sort keeps 131,072 entries at most.
Ctrl-C ends the search and shows what it has found. Where --csv is not complete, an error follows it.
""",
        args=(
            Arg("EXPR", EXPR_HELP),
            Arg("--match", "entries whose key or value matches the regular expression", "PATTERN", pattern),
            Arg(
                "--where",
                "entries for which FIELD OP VALUE holds, as in Age > 30; several: all of them",
                "CONDITION",
                condition,
                many=True,
            ),
            Arg("--sort", "in the order of key, value, size or a field", "ORDER", sorting),
            Arg("--reverse", "in the other order"),
            Arg(
                "--limit",
                "show N entries (default 50, with --csv all; 0: all); -n N is the same",
                "N",
                natural,
            ),
            FULL,
            RAW,
            Arg("--keys", "keys alone"),
            Arg("--csv", "comma-separated values, with a column for each field of a struct"),
        ),
        examples=(
            ("hmap-entries m", "the first 50 entries"),
            ("hmap-entries users --where Age > 30 --sort Age", "fields of a struct"),
            ('hmap-entries cache --match "^user:" --keys', "only the keys with this prefix"),
            ("hmap-entries cache --sort size -n 10", "the ten largest values"),
            ("hmap-entries cache --csv", "all of it, for a spreadsheet"),
        ),
        session="Entries that match",
    ),
    Command(
        name="hmap-alias",
        summary="who else holds a map, which variables share one, and which are nil",
        about="""
With one expression: lists the other variables that hold its map, of every frame of every goroutine
and of all packages. With several: says whether they are the same map. Without: searches the selected
frame's variables and all package variables, through structs, pointers, arrays, slices, interfaces,
channels and maps; with --scope all every goroutine's frames, with --scope goroutine the selected one's.
Maps whose headers differ while their buckets are the same come from a header copied through
unsafe; they are told apart from plain sharing.
""",
        args=(
            Arg("EXPR", "one map: who else holds it; several: compare them; none: search", many=True, optional=True),
            Arg(
                "--scope",
                "what to search besides package variables: frame (default; all with one EXPR), goroutine or all",
                "SCOPE",
                scope,
            ),
            Arg(
                "--depth",
                "how many pointers, elements and interfaces to follow (set hmap depth; 128 with scope all)",
                "N",
                natural,
            ),
            Arg("--all", "list maps with one holder too, and all nil maps"),
            Arg("--slices", "slices that share a backing array instead of maps, with their ranges"),
        ),
        examples=(
            ("hmap-alias", "every map that more than one variable here leads to"),
            ("hmap-alias m", "who else holds the map of m?"),
            ("hmap-alias m1 m2", "are these two the same map?"),
            ("hmap-alias --scope all", "which maps do goroutines share?"),
            ("hmap-alias --slices", "which slices would see each other's writes?"),
            ("hmap-alias --all --depth 2", "all maps near by"),
        ),
        session="Two variables, one map",
    ),
    Command(
        name="hmap-evac",
        summary="how far a map's growth is, and what will make it grow next",
        about="""
Classic maps (up to Go 1.23) grow step by step: every write and delete evacuates one or two old
buckets. Shows how many are evacuated, which are left, what the old array holds and what ends it.
A Swiss map (from Go 1.24 on) grows one table at a time, in one step: shows the directory, each table's
depth, entries and free slots, and which table grows next.
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
        summary="look a key up as the program does, with the path the lookup takes",
        about="""
Hashes the key with the process's own random keys and follows the runtime's path: the bucket (or table
and group) that the hash names, the old array while a classic map grows, slots with the same tophash
(H2) and other keys, overflow buckets or further groups, to the entry or to where the search ends.
Reads a few buckets, whatever the map's size. A map whose hash function is not known is walked instead.
KEY is a Go literal: 42, -1.5, "text\\n", true, main.Point{X:1, Y:2}, {1, 2}, 0xc000012345 or nil for
pointers; in an interface a constant has its default type, others are named: int8(3), (*main.T)(0x...).
Or it is a variable, field, element or constant of the program: k, req.ID, main.Mon.
""",
        args=(
            Arg("EXPR", EXPR_HELP),
            Arg("KEY", "the key: a Go literal of the map's key type, a variable or a constant"),
            RAW,
        ),
        examples=(
            ("hmap-get m 42", "m[42]"),
            ('hmap-get main.cache "user:17"', "a string key"),
            ("hmap-get sessions req.ID", "the key that a variable has"),
            ("hmap-get grid main.Point{X:1, Y:2} --json", "a struct key, for a script"),
        ),
        session="Which array a key is in",
    ),
    Command(
        name="hmap-check",
        summary="is a map intact? Every invariant of its layout, and the hash of every key",
        about="""
Recomputes every key's hash with the process's own random keys and compares it with the key's bucket,
tophash, table and control byte. Checks the header's numbers against what there is, overflow chains,
marks of evacuated and empty slots, directory, depths, and that no key is there twice. What a data race
leaves behind shows up as a finding with its address; what a stop in the middle of a write explains is
a note. Without numpy a large map's hashes are checked in part, and how much is said. A sync.Map is checked too:
its read and dirty maps, or its trie.
""",
        args=(
            Arg("EXPR", EXPR_HELP, optional=True),
            Arg("--all", "every map of the process: of all goroutines and package variables"),
            Arg("--full", "all hashes, however long it takes without numpy"),
        ),
        examples=(
            ("hmap-check main.sessions", "one map"),
            ("hmap-check --all --json", "all of them, for a script"),
        ),
        session="A map that was damaged",
    ),
    Command(
        name="hmap-sync",
        summary="a sync.Map from the inside, in both of its generations",
        about="""
Up to Go 1.23 a sync.Map is two maps: read, which needs no lock, and dirty, behind the mutex. Counts the
entries in each, those only in dirty, the deleted and the expunged ones, and says how many more lookups
past read there are until dirty becomes read. From Go 1.24 on it is a trie over the keys' hashes: counts
its levels, nodes, entries and the chains of keys that share a whole hash. The fields tell
which of the two it is. Bytes held are what the map has taken from the heap beside itself; keys and values are
not counted.
""",
        args=(
            Arg("EXPR", "a sync.Map, a pointer to one, or a struct's field: main.cache, s.users, 0xADDR:sync.Map"),
            Arg("--entries", "also list N entries, keys and values by their dynamic type", "N", natural),
            FULL,
            RAW,
        ),
        examples=(
            ("hmap-sync main.sessions", "a package variable"),
            ("hmap-sync srv.cache --entries 10", "a field, and ten entries"),
        ),
        session="sync.Map, and maps behind locks",
        of_a_map=False,
    ),
    Command(
        name="hmap-cycle",
        summary="what leads back to itself through maps, pointers, slices and interfaces",
        about="""
Follows everything that a variable leads to through maps, pointers, slices, arrays, structs, interfaces
(by what they hold), atomic.Pointer and sync.Map, and prints each way that comes back to where it was. A deep
copy or a recursive print of such a value never ends. Functions' captured variables, channels' buffers and
unsafe.Pointers are not followed, and what by its types can't be part of a cycle is not read.
""",
        args=(
            Arg("EXPR", "any variable, not only a map: m, cfg, main.root, p.next, 0xADDR:main.Node"),
            Arg("--limit", "print at most N cycles (default 16)", "N", natural),
        ),
        examples=(
            ("hmap-cycle m", "does m lead back to itself?"),
            ("hmap-cycle main.root --json", "the same for a script"),
        ),
        session="A map that contains itself",
        of_a_map=False,
    ),
    Command(
        name="hmap-top",
        summary="all maps of the process, ranked by the memory they hold or retain",
        about="""
Searches every goroutine's frames and all package variables for maps and sync.Maps and measures each by walking
it. Held is what the map itself owns: header, buckets or groups, tables, indirect keys and elems, a sync.Map's
nodes and entries, in bytes of the allocator's size classes. Waste is what of it the live entries don't need.
With --values also the heap that keys and values keep alive (strings, slices, pointed-to structs, boxes of
interfaces), each block counted once, for the first map that leads to it; nested maps count for themselves, and
what closures captured is not followed.
Each row ends in the map's address and type, which every command takes as EXPR, the address alone too. A
local variable's name is found with `--goroutine N`.
Maps that no variable leads to are ranked too, in every build: the headers of all maps are among the heap's
objects and on the stacks. Their types are determined from what the allocator noted and from hashes of their
keys. Such a map may be garbage that is not collected yet, or only a value without a type, or a variable that
was optimized out, leads to it.
With --group the rows are groups: all maps of one type, of one package (the one that the variable belongs
to), of one owner (the package variable or function) or of one size (number of entries). 100,000 small maps
of one type are one row.
--by retained ranks maps by the bytes that a collection would free if the map were gone: the map, and whatever
nothing else leads to. A map in a map counts for both. --unreachable lists the maps that nothing leads to any more
and that the next collection frees. Both look at the heap as hmap-why does, and need numpy and scipy.
--origin adds the lines that allocated the maps of the whole heap, by the heap profiler's samples whose stack is
in a map operation.
""",
        args=(
            Arg("--by", "bytes, waste, entries, load, values or retained", "ORDER", order, default="bytes"),
            Arg("-n", "how many maps to list; 0: all", "N", natural, default=20),
            Arg("--values", "also what keys and values keep alive"),
            Arg("--group", "add up the maps of one type, package, owner or size", "WHAT", grouping),
            Arg("--unreachable", "only the maps that are garbage and not collected yet"),
            Arg("--origin", "also the line that allocated most of each map (hmap-origin), and of all maps"),
        ),
        examples=(
            ("hmap-top", "the 20 maps that hold the most memory"),
            ("hmap-top --by waste -n 5", "where rebuilding a map frees the most"),
            ("hmap-top --by values", "maps whose keys and values hold the memory"),
            ("hmap-top --by retained", "which maps keep the memory alive"),
            ("hmap-top --unreachable", "which maps wait for the garbage collector"),
            ("hmap-top --group type", "which types of maps take the memory"),
            ("hmap-top --origin", "which line grew each of them"),
        ),
        session="Which map takes the memory",
    ),
    Command(
        name="hmap-origin",
        summary="which source lines allocated a map's memory, by the heap profiler's records",
        about="""
The runtime samples allocations, one in every runtime.MemProfileRate bytes (512 KiB unless the program sets
it), and keeps the stack of each sampled object until the object is freed. Lists the lines that allocated
what the map consists of now: header, buckets or groups, tables, directory, overflow buckets, indirect keys
and elems; of a sync.Map its nodes and entries. Each line is the innermost call that is not in the runtime,
reflect, maps, iter, sync or unique. Bytes are what the samples stand for, weighted as runtime/pprof does: with
few samples they are rough. The line that grew the map last allocated its arrays, so a line whose arrays were
replaced since is not there.
""",
        args=(
            Arg("EXPR", f"{EXPR_HELP}; or a sync.Map"),
            Arg("--full", "also the whole stack of each allocation"),
        ),
        examples=(
            ("hmap-origin main.cache", "which lines made it this large?"),
            ("hmap-origin srv.users --full", "with the calls that led there"),
            ("hmap-origin 0xc000012345", "the map at an address"),
        ),
        session="Which line grew a map",
        of_a_map=False,
    ),
    Command(
        name="hmap-advise",
        summary="what to change about maps, and how many bytes each change saves",
        about="""
Looks for maps that are larger than their entries need, that grew where make could have been given a size, that
have the same value under every key, or whose strings are several times in the heap or keep much larger ones alive;
for very many tiny maps of one type; and for maps that would have no pointers for the collector to scan if values
or keys lay in them. Without EXPR it looks at all maps of the process, those that no variable leads to as well.
Each figure is worked out from what is in memory, in the allocator's size classes, and is what this change alone
saves. An estimate says by how much chance may change it, and `if` says what has to hold, which memory does not show.
Keys and elems of more than 128 bytes, and what lies behind pointers, are not searched for strings, and sync.Maps are
not looked at.
""",
        args=(
            Arg("EXPR", EXPR_HELP, optional=True),
            Arg("--min", "leave out changes that save fewer bytes", "BYTES", natural, default=16384),
            Arg("-n", "how many changes to list; 0: all", "N", natural, default=10),
        ),
        examples=(
            ("hmap-advise", "the ten changes that save the most"),
            ("hmap-advise main.cache --min 0", "all that can be said of one map"),
            ("hmap-advise --json", "the same for a script"),
        ),
        session="What to change about maps",
        of_a_map=False,
    ),
    Command(
        name="hmap-whatis",
        summary="which map, bucket and slot an address lies in, or what else is there",
        about="""
Searches all maps of the process for the one that has the address: in its header, in a bucket or group of the
current or the old array, an overflow bucket, the directory, a table, or a key or elem behind a pointer.
Where none has it: the heap's object and whether the allocator has freed it, whose stack, which package
variable or function. A pointer into a bucket that was kept over a growth shows itself this way.
""",
        args=(Arg("ADDR", "a number (0xc000012345), &x, or a pointer, slice, string, map or uintptr"),),
        examples=(
            ("hmap-whatis 0xc000012345", "what is at this address?"),
            ("hmap-whatis p", "what does the pointer p point to?"),
            ("hmap-whatis &main.cache --json", "where does the variable lie? For a script"),
        ),
        session="What lies at an address",
    ),
    Command(
        name="hmap-why",
        summary="what keeps a map alive, and how many bytes would be freed without it",
        about="""
Looks at the heap as the garbage collector does: its objects, the pointers in them, and the roots: the program's
data, goroutines' stacks, finalizers and cleanups. Shows the shortest way from each kind of root to the map, how
many roots lead to it, how many pointers, and the bytes that a collection would free without it: of the objects
that nothing else leads to, in the allocator's size classes. No variable has to have a name for that: it works in
optimized programs and for any object of the heap.
Where a function waits for another its stack map tells which of its words are pointers. Frames without one, and
the newest of a goroutine that runs, are scanned as a whole, as the collector does: what looks like a pointer
counts. A weak pointer keeps nothing alive; a finalizer keeps what its object leads to, not the object.
What it reads of the heap is kept until the program moves on, of a core file for the session.
Needs numpy and scipy in the Python that the debugger runs: python3 -m pip install numpy scipy.
""",
        args=(Arg("EXPR", "a map, a pointer or another variable as for hmap-whatis, or an address: 0xc000012345"),),
        examples=(
            ("hmap-why main.cache", "what keeps the map alive, and what it keeps alive"),
            ("hmap-why 0xc000012345", "the same for the object that has this address"),
            ("hmap-why m --json", "for a script"),
        ),
        session="What keeps a map alive",
        of_a_map=False,
    ),
    Command(
        name="hmap-race",
        summary="what the program died of, who is inside a map operation, who holds these maps",
        about="""
Says what ended the program, in a core or on its way to the end: the runtime's fatal error, panic or
signal, the goroutine, the line of your own module and, if it was inside a map operation, the map. A
data race is reported only where the runtime reported one. Then it lists each goroutine inside a map
operation, the maps with hashWriting (Swiss: writing) set, and the goroutines and variables that hold
them. Of a reported race it also lists the other goroutines in the same function.
The first line is the answer; `no goroutine is inside a map operation` is one too.
""",
        args=(),
        examples=(
            ("hmap-race", "who touches a map right now, or died of it"),
            ("hmap-race --json", "the same for a script"),
        ),
        session="Concurrent map writes",
    ),
    Command(
        name="hmap-trace",
        summary="let the program run, and record which source lines make maps grow",
        about="""
Lets the program run until Ctrl-C, the limit, a breakpoint of yours or its end, and then lists the growths of all
maps, or of one, by the line of your own code: how many, of how many maps, with how many entries, the bytes that
were allocated and copied, and the size to give to make so that the largest of these maps would not have grown. For
a map with several tables (Swiss) that is a size at which chance fills none of them.
The program stops for a moment at each growth and nowhere else: gomap sets breakpoints in the functions that the
runtime grows maps with (runtime.hashGrow; (*Map).growToTable and (*table).rehash of internal/runtime/maps). The
answer's last line says what that cost. The first eight entries of a map need no growth. gomap's breakpoints are
removed, and yours work as before. A growth that began before the trace is not counted.
Needs a live amd64 process in gdb or Delve.
""",
        args=(
            Arg("EXPR", f"{EXPR_HELP}; without it: all maps", optional=True),
            Arg("--for", "stop after a time: 500ms, 10s, 2m", "DURATION", duration),
            Arg("-n", "stop after N growths", "N", positive),
        ),
        examples=(
            ("hmap-trace --for 10s", "which lines make maps grow in ten seconds?"),
            ("hmap-trace main.cache -n 1", "stop where main.cache grows next"),
            ("hmap-trace --for 1m --json", "every growth, for a script"),
        ),
        session="Which line makes a map grow",
        of_a_map=False,
        resumes=True,
    ),
    Command(
        name="hmap-record",
        summary="save a map to a small file that replays anywhere, without a debugger",
        about="""
Saves the map with its keys and values (as deep as they are shown) and the type facts. `gomap FILE`
then answers every read-only command about it. The file contains the program's data: protect it like the program's own.
""",
        args=(Arg("EXPR", EXPR_HELP), Arg("FILE", "the file to write; an existing one is replaced")),
        examples=(("hmap-record main.cache cache.hmap", "then: gomap cache.hmap -c hmap-show"),),
        session="A map in a file",
        writes_file=True,
    ),
    Command(
        name="hmap-snapshot",
        summary="save what all maps of the process look like now, to compare later",
        about="""
Finds all maps as hmap-top does and saves for each its address, type, the path that leads to it, entries, bytes,
tombstones, load and, where the heap profiler has a sample, the function that allocated it. hmap-diff compares the
file with the process, with other snapshots and with core files. Keys and values are saved of the maps of --entries
alone. The file is written whole or not at all, and an existing one is kept unless --overwrite is given.
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
        summary="which maps appeared, vanished, grew or shrank; the difference of two maps",
        about="""
Compares A with B. Each is a file that hmap-snapshot or hmap-record wrote, a core file, or `now`: the program at hand.
Anything else is a map's expression: then two maps are compared.
Within one process a map is identified by its header's address and hash seed, so a map that was allocated at the
address of a freed one counts as another map. Between processes and builds maps are matched by type and path, without
a path by type and the function that allocated them, and several that match by size, the largest first. A map grew or
shrank by its entries or, if their number is the same, by its bytes.
The first line says what grew most: a map, or all maps of one type that one variable leads to. With --entries, or
where A has saved entries, also which keys were added, removed or changed, with the values before and after.
Two files need no program: gomap diff A B.
""",
        args=(
            Arg("A", "a snapshot, a recorded map, a core file, `now`, or a map's expression", type=file_name),
            Arg("B", "the same (default: now)", type=file_name, optional=True),
            Arg("--by", "rank by bytes, entries, tombstones or load", "ORDER", change_order, default="bytes"),
            Arg("-n", "how many maps to list; 0: all", "N", natural, default=20),
            Arg("--entries", "also compare this map's keys and values; may be repeated", "EXPR", many=True),
            Arg("--program", "the program of a core file; given twice, of A and of B", "PROG", file_name, many=True),
            GOROUTINE,
            FRAME,
        ),
        examples=(
            ("hmap-diff before.snap", "what has changed since the snapshot"),
            ("hmap-diff old.core new.core --by entries", "two core files"),
            ("hmap-diff a.snap --entries main.cache", "which of its keys changed"),
            ("hmap-diff v1.Users v2.Users", "what one map has that another has not"),
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
    return next((command for command in COMMANDS if command.name == name), None)


def parted(line: str) -> tuple[str, str]:
    """A command line's name and the rest: `hmap show m` is hmap-show m."""
    name, _, rest = line.strip().partition(" ")
    if name == "hmap" and rest.strip():
        name, _, rest = rest.strip().partition(" ")
        name = f"hmap-{name}"
    return name, rest


def overview() -> str:
    """The list of commands, as `help hmap` shows it."""
    width = max(len(command.name) for command in COMMANDS)
    return "\n".join(f"{command.name:{width}}  {command.summary}" for command in COMMANDS)


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
