"""The runtime's functions that operate on maps, by name, and those it dies in.

Linker names: the runtime's Swiss functions and reflect's are linked under other packages' names
(runtime.mapassign_faststr lies in internal/runtime/maps, reflect.mapassign0 and maps.clone in runtime).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from gomap.golang.runtime.modules import RUNTIME
from gomap.gotypes import GoType, Kind

#: What each function does, of runtime/map*.go, internal/runtime/maps (map.go, table.go, runtime*.go) and the names
#: that reflect and maps have for them. A function that moves entries to other buckets or tables is growth,
#: whatever called it.
_GROW = r"""runtime\.(hashGrow|growWork\w*|evacuate\w*|advanceEvacuationMark)
|internal/runtime/maps\.\(\*Map\)\.(growToSmall|growToTable|installTableSplit|replaceTable)
|internal/runtime/maps\.\(\*table\)\.(rehash|grow|split)"""
_OPERATIONS = {
    "read": r"""runtime\.(reflect_)?mapaccess\w+|reflect\.mapaccess\w*
|runtime\.(mapclone2?|moveToBmap|keys|copyKeys|values|copyValues)|maps\.(clone|keys|values)
|internal/runtime/maps\.(runtime_mapaccess\w+|cloneGroup|\(\*Map\)\.(Get|get\w+|Clone)|\(\*table\)\.(Get|get\w+|clone))""",
    "write": r"""runtime\.(reflect_)?mapassign\w*|reflect\.mapassign\w*
|internal/runtime/maps\.(runtime_mapassign\w*|\(\*Map\)\.(Put|[pP]utSlot\w*)
|\(\*table\)\.(PutSlot|uncheckedPutSlot\w*|pruneTombstones))""",
    "delete": r"""runtime\.(reflect_)?mapdelete\w*|reflect\.mapdelete\w*
|internal/runtime/maps\.(runtime_mapdelete\w*|\(\*Map\)\.(Delete|deleteSmall)|\(\*table\)\.Delete)""",
    "iterate": r"""(runtime|reflect)\.(reflect_)?(mapiter(init|next)|mapIter(Start|Next))
|internal/runtime/maps\.\(\*Iter\)\.(Init|Next|nextDirIdx|grownKeyElem)""",
    "clear": r"""runtime\.(reflect_)?mapclear|reflect\.mapclear
|internal/runtime/maps\.(\(\*Map\)\.(Clear|clearSmall)|\(\*table\)\.Clear)""",
    "grow": _GROW,
}


@dataclass(frozen=True)
class WriteCall:
    """A function that a write to a map enters first. operation: assign, delete or clear. key: how the key is passed:
    by `pointer`, by `value` in a word, as the two words of a `string`; None for clear. Its arguments are the map
    type's descriptor (*abi.MapType), the header, and the key."""

    operation: str
    key: str | None


#: The functions that compiled code calls to write to a map (cmd/compile/internal/walk: mapassign, mapdelete, mapclear;
#: `clear(m)` and a range loop that deletes all keys become mapclear), and those that reflect calls. The compiler makes
#: these calls when inlining is over, so no build has them inlined in their callers, whereas it may inline one of them,
#: or internal/runtime/maps.(*Map).Delete, in another of the runtime. So where one calls another, the outer one is the
#: operation. The 386 and 32-bit ARM have mapassign_fast32ptr. maps.Clone fills a new map without them.
WRITES = {
    "runtime.mapassign": WriteCall("assign", "pointer"),
    "runtime.mapassign_fast32": WriteCall("assign", "value"),
    "runtime.mapassign_fast32ptr": WriteCall("assign", "value"),
    "runtime.mapassign_fast64": WriteCall("assign", "value"),
    "runtime.mapassign_fast64ptr": WriteCall("assign", "value"),
    "runtime.mapassign_faststr": WriteCall("assign", "string"),
    "reflect.mapassign0": WriteCall("assign", "pointer"),
    "reflect.mapassign_faststr0": WriteCall("assign", "string"),
    "runtime.mapdelete": WriteCall("delete", "pointer"),
    "runtime.mapdelete_fast32": WriteCall("delete", "value"),
    "runtime.mapdelete_fast64": WriteCall("delete", "value"),
    "runtime.mapdelete_faststr": WriteCall("delete", "string"),
    "reflect.mapdelete": WriteCall("delete", "pointer"),
    "reflect.mapdelete_faststr": WriteCall("delete", "string"),
    "runtime.mapclear": WriteCall("clear", None),
    "reflect.mapclear": WriteCall("clear", None),
}
#: The functions that mark the header while they write, where those of WRITES leave that to them. Arguments: the
#: header, the type's descriptor, the key.
WRITERS = {
    "internal/runtime/maps.(*Map).Put": WriteCall("assign", "pointer"),
    "internal/runtime/maps.(*Map).PutSlot": WriteCall("assign", "pointer"),
    "internal/runtime/maps.(*Map).Delete": WriteCall("delete", "pointer"),
    "internal/runtime/maps.(*Map).Clear": WriteCall("clear", None),
    **WRITES,
}
#: Functions that allocate for a map and are not operations: makemap, what allocates its parts, and a sync.Map's.
_MAKE = re.compile(
    r"(runtime|reflect)\.(reflect_)?makemap\w*|runtime\.(makeBucketArray|\(\*hmap\)\.\w+)|internal/runtime/maps\..+"
    r"|sync\.\(\*Map\)\..+|internal/(sync|concurrent)\.\(\*HashTrieMap\[.+"
)
_COMPILED = {name: re.compile(pattern.replace("\n", "")) for name, pattern in _OPERATIONS.items()}
#: runtime/panic.go.
_DEATHS = frozenset(
    {"runtime.fatal", "runtime.throw", "runtime.fatalthrow", "runtime.maps_fatal", "internal/runtime/maps.fatal"}
)
PANIC = "runtime.gopanic"
FAULT = "runtime.sigpanic"
#: Packages whose functions stand between a map operation and the program's own line.
_BETWEEN = (
    *RUNTIME,
    "reflect.",
    "internal/reflectlite.",
    "maps.",
    "iter.",
    "sync.",
    "internal/sync.",
    "internal/concurrent.",
    "unique.",
    "type:",  # hash and equal functions that the compiler made for a type
    "type..",
)
NIL_MAP = "assignment to entry in nil map"


@lru_cache(maxsize=4096)
def operation(function: str) -> str | None:
    """read, write, delete, iterate, clear or grow; None for a function that is not a map operation."""
    return next((name for name, pattern in _COMPILED.items() if pattern.fullmatch(function)), None)


@lru_cache(maxsize=4096)
def is_of_map(function: str) -> bool:
    """Whether the function makes a map or a sync.Map or operates on one: what it allocates is the map's."""
    return operation(function) is not None or _MAKE.fullmatch(function) is not None


def is_death(function: str) -> bool:
    """Whether the runtime ends the program in this function: fatal error."""
    return function in _DEATHS


def ends(function: str) -> bool:
    """Whether what has called this function is ended by it, unless a deferred function recovers."""
    return function in (PANIC, FAULT) or is_death(function)


@lru_cache(maxsize=4096)
def is_between(function: str) -> bool:
    """Whether the function is of the runtime or of a package that operates on maps for others."""
    return function.startswith(_BETWEEN) or function in ("", "?")


def is_report(message: str) -> bool:
    """Whether this is what the runtime says when it finds a map's write flag up."""
    return message.startswith("concurrent map ")


def has_key_kind(function: str, key: GoType) -> bool:
    """Whether a map with such keys is operated on by this function: the fast ones are for strings and for keys of
    4 and 8 bytes (mapfast of cmd/compile/internal/walk)."""
    if "_faststr" in function:
        return key.kind is Kind.STRING
    size = 4 if "_fast32" in function else 8 if "_fast64" in function else key.size
    return key.size == size
