"""hmap-evac: its arguments, help and examples."""

from __future__ import annotations

from gomap.declare import EXPR_HELP, Arg, Command

COMMAND = Command(
    name="hmap-evac",
    summary="how far a map's growth (evacuation) has progressed, and when it grows next",
    about="""
A classic map (up to Go 1.23) grows step by step: each write or delete evacuates one or two old buckets. Shows
how many old buckets are evacuated, which are not, how large the old array is, and how many more writes complete
the growth.

A Swiss map (from Go 1.24 on) grows one table at a time, each in one step. Shows the directory, each table's depth,
its entries and how many more fit before it grows, and which table grows next.
""",
    args=(Arg("EXPR", EXPR_HELP),),
    examples=(
        ("hmap-evac m", "the local variable m"),
        ("hmap-evac main.sessions --json", "the same for a script"),
    ),
    session="Growth, stage by stage",
)
