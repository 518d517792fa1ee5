"""The file to source in gdb: `source gdbext/load.py`."""

import os
import sys

_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# First while gomap's packages are found, whose modules come from there ever after, and then last: where pip installed
# gomap, other packages lie beside it, which may be for another Python than gdb's and must not hide gdb's own.
sys.path[:] = [_ROOT, *(place for place in sys.path if place != _ROOT)]
# Where install.sh puts pygments and tabulate for a gdb whose Python has none. Last in line: it hides nothing.
_PACKAGES = os.path.join(
    os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share"),
    "gomap",
    "site-py{}.{}".format(*sys.version_info[:2]),
)
if os.path.isdir(_PACKAGES) and _PACKAGES not in sys.path:
    sys.path.append(_PACKAGES)

if sys.version_info < (3, 9):
    import gdb

    raise gdb.GdbError("gomap needs a gdb with Python 3.9 or later; this one has " + sys.version.split()[0])

import gomap  # noqa: E402, F401
from gdbext.commands import register  # noqa: E402

sys.path.remove(_ROOT)
sys.path.append(_ROOT)
register()
