"""gdb-hmap, as pip installs it: gdb with gomap loaded. bin/gdb-hmap does the same if there is no Python except gdb's.

Runs outside of gdb.
"""

from __future__ import annotations

import os
import shutil
import sys

#: What to source in gdb.
LOAD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "load.py")


def source_line() -> str:
    """The line of gdb's initialization file that loads gomap. gdb starts without a word where gomap has been removed.
    install.sh writes the same."""
    quoted = '"' + LOAD.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return f'python import os; os.path.exists({quoted}) and gdb.execute("source " + {quoted})'


def run() -> int:
    """Becomes gdb, with its arguments. The status where there is none."""
    if sys.argv[1:2] == ["--version"]:
        from gomap import __version__

        print(f"gomap {__version__}", flush=True)
    wanted = os.environ.get("GOMAP_GDB") or _chosen() or "gdb"
    gdb = shutil.which(wanted)
    if gdb is None:
        print(f"gdb-hmap: {wanted} is not on this machine: install gdb 12 or later", file=sys.stderr)
        return 127
    try:
        os.execv(gdb, [gdb, "-x", LOAD, *sys.argv[1:]])
    except OSError as error:
        print(f"gdb-hmap: {gdb} does not start: {error.strerror}", file=sys.stderr)
        return 126


def _chosen() -> str | None:
    """The gdb that install.sh set up, where it did."""
    data = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    try:
        with open(os.path.join(data, "gomap", "gdb")) as file:
            return file.read().strip()
    except OSError:
        return None
