"""hmap-cycle: its arguments, help and examples."""

from __future__ import annotations

from gomap.declare import PACKAGE, TYPE, Arg, Command, natural

COMMAND = Command(
    name="hmap-cycle",
    summary="reference cycles through maps, pointers, slices and interfaces",
    about="""
Follows a variable's value through maps, pointers, slices, arrays, structs, interfaces, atomic.Pointer and
sync.Map, and prints each cycle that it leads to. A deep copy or a recursive print of such a
value never ends. Paths through the same types are one line, with their number: the elements of a container/list, or
the parent pointers of a tree.

Captured variables of functions, buffers of channels and unsafe.Pointers are not followed. Values whose types
can't form a cycle are not read.
""",
    args=(
        Arg("EXPR", "any variable, not only a map: m, cfg, main.root, p.next, 0xADDR:main.Node"),
        Arg(
            "--limit",
            "list at most N kinds of cycles, with --json N cycles (default 16); -n N is the same",
            "N",
            natural,
        ),
        PACKAGE._replace(help="only cycles with an object of a type of package P: its path, its name, or PATH/..."),
        TYPE._replace(help="only cycles with an object of type T, or of one with T in its name"),
    ),
    examples=(
        ("hmap-cycle m", "does m lead back to itself?"),
        ("hmap-cycle main.root --type Node", "cycles through a Node"),
        ("hmap-cycle main.root --json", "the first 16 for a script"),
    ),
    session="A map that contains itself",
    of_a_map=False,
)
