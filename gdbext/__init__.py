"""gomap inside gdb. `source gdbext/load.py` is the way in."""
