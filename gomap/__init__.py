"""gomap: see inside Go maps from gdb, from Delve and in core dumps."""

__version__ = "0.1.0"
