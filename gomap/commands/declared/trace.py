"""hmap-trace: its arguments, help and examples."""

from __future__ import annotations

from gomap.declare import EXPR_HELP, Arg, Command, duration, method, positive

COMMAND = Command(
    name="hmap-trace",
    summary="let the program run, and record which lines make maps grow, or write to a map",
    about="""
Lets the program run until Ctrl-C, the given limit, one of your breakpoints or the program's end. Then it lists the
growths of all maps, or of one map, by the line of your own code: the number of growths and of maps, their entries,
the bytes allocated and copied, and the size to give to make so that the largest of these maps would not have grown.
For a Swiss map with several tables this size is large enough that no table is likely to fill up.

Where the kernel permits it (Linux on amd64, CAP_SYS_ADMIN), the kernel records the growths and the program does not
stop: gomap has the kernel put breakpoints of its own (uprobes) into the functions with which the runtime grows maps
(runtime.hashGrow; (*Map).growToTable and (*table).rehash of internal/runtime/maps), in the memory of this process
alone. A growth then takes a few microseconds longer. Otherwise, and with -n unless --by says uprobes, gomap itself
sets breakpoints there: the program stops briefly at each growth and nowhere else, and with -n stays stopped at the
last one. --by chooses. The answer says which it was and what it cost. The first eight entries of a map need no
growth, and a growth that began before the trace is not counted. Uprobes and gomap's breakpoints are removed
afterwards; yours work as before. When the time is up, gdb says that the program received SIGINT: that is how gdb
stops a program, and the program does not notice.

Without a debugger, gomap pid PID -c 'hmap-trace --for 10s' traces growths by uprobes, of stripped programs too.

With --writes it lists the writes to one map instead: for each line, how many inserted a key, overwrote an element,
deleted or cleared, on which goroutines, and the newest keys. A hardware watchpoint on the map's header stops the
program where a write begins and where it ends, so writes to other maps cost nothing. If no debug register is free,
or the map is on a goroutine's stack, the program stops at each write to any map, which is slow; the answer says
which. A delete from an empty map writes nothing.

Needs a live process: amd64 in gdb, in Delve or, for growths, without a debugger; or arm64 in gdb (with breakpoints
only).
""",
    args=(
        Arg("EXPR", f"{EXPR_HELP} (default: all maps)", optional=True),
        Arg("--writes", "record the writes to EXPR instead of growths"),
        Arg("--for", "stop after this time: 500ms, 10s, 2m", "DURATION", duration),
        Arg("-n", "stop after N growths, or N writes", "N", positive),
        Arg("--by", "uprobes or breakpoints (default: uprobes where possible, but not with -n)", "METHOD", method),
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
)
