"""hmap-why: its arguments, help and examples."""

from __future__ import annotations

from gomap.declare import Arg, Command

COMMAND = Command(
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

Needs numpy and scipy in the Python that the debugger runs; `gomap doctor` prints the command that installs them.
""",
    args=(Arg("EXPR", "a map, a pointer, another variable (as for hmap-whatis), or an address: 0xc000012345"),),
    examples=(
        ("hmap-why main.cache", "what keeps the map alive, and what is freed without it"),
        ("hmap-why 0xc000012345", "the same for the object that has this address"),
        ("hmap-why m --json", "for a script"),
    ),
    session="What keeps a map alive",
    of_a_map=False,
)
