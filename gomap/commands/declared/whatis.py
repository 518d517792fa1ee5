"""hmap-whatis: its arguments, help and examples."""

from __future__ import annotations

from gomap.declare import Arg, Command

COMMAND = Command(
    name="hmap-whatis",
    summary="which map, bucket and slot an address belongs to, or what else is there",
    about="""
Searches all maps of the process for the map that the address belongs to: its header, a bucket or group of the
current or the old array, an overflow bucket, the directory, a table, or a key or elem behind a pointer.

If the address is in no map, shows the heap object that it is in and whether that is freed, the goroutine whose
stack it is on, or the package variable or function. This identifies a stale pointer into a bucket that the map
has since outgrown.
""",
    args=(Arg("ADDR", "a number (0xc000012345), &x, or a pointer, slice, string, map or uintptr"),),
    examples=(
        ("hmap-whatis 0xc000012345", "what is at this address?"),
        ("hmap-whatis p", "what does the pointer p point to?"),
        ("hmap-whatis &main.cache --json", "where is the variable? (for a script)"),
    ),
    session="What lies at an address",
)
