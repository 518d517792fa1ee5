"""hmap-break: its arguments, help and examples."""

from __future__ import annotations

from gomap.declare import EXPR_HELP, Arg, Command, event, number_or_all

COMMAND = Command(
    name="hmap-break",
    summary="stop the program, or log a line, when a map is written to",
    about="""
Sets a breakpoint on one map. EVENT is write (any assignment, delete or clear), insert (of a new key), delete (of an
existing key), growth, clear, or len>N (the insert after which the map has more than N entries). With --key only
operations on that key count. When the program stops there, one line says what was done, with the key, the goroutine
and the line of your own code. With --log the line is printed and the program continues.

If one of the processor's four debug registers is free, a hardware watchpoint watches a word of the map's header, and
writes to other maps cost nothing. If none is free, and always for growths and for a map whose header is on a
goroutine's stack (the header moves with the stack), gomap sets breakpoints in the runtime's functions for the
operation, and each call of one, for any map, stops the program briefly. The answer says which of the two is used.

These are the debugger's own breakpoints: `info breakpoints` (dlv: `breakpoints`) lists them, and its commands work on
them. hmap-break without arguments lists those of gomap, and --delete removes one. They are removed when the process
ends.

Needs a live process: amd64 in gdb or Delve, or arm64 in gdb (with breakpoints only).
""",
    args=(
        Arg("EXPR", f"{EXPR_HELP} (default: list the breakpoints that are set)", optional=True),
        Arg("--on", "when to stop (needed with EXPR): write, insert, delete, growth, clear or len>N", "EVENT", event),
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
)
