"""hmap-race: its arguments, help and examples."""

from __future__ import annotations

from gomap.declare import Command

COMMAND = Command(
    name="hmap-race",
    summary="why the program died; goroutines inside map operations, and who holds those maps",
    about="""
Says why the program died or is about to die: the runtime's fatal error, panic or signal, the goroutine, the line
of your own module and, if it was inside a map operation, the map. A data race is reported only if the runtime
reported one.

Then it lists each goroutine inside a map operation, the maps whose header is marked as being written to (classic:
flag hashWriting, Swiss: field writing), and the goroutines and variables that hold these maps. Each write flips the
mark at its start and again at its end, so two writes at once may switch it off. The state of a goroutine is
the runtime's word: one that has died is still `running`. For a reported race it also lists the other goroutines in
the same function.
""",
    args=(),
    examples=(
        ("hmap-race", "which goroutines are inside a map operation, or died there"),
        ("hmap-race --json", "the same for a script"),
    ),
    session="Concurrent map writes",
)
