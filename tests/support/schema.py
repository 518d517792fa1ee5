"""The JSON contract, written down by hand: every key, and what its value may be.

A list of one element is a list of such elements, a tuple is one of several, a set one of several words. A name that
ends in "?" is there only when it was asked for; "*" stands for any name. Fields may be added, here and in
docs/json.md; none may be renamed or left out.
"""

from __future__ import annotations

from typing import Any

HEX = "an address"
HASH = "a hash"
FRACTION = "a fraction"
JSON_SCALAR = "a JSON scalar"
NINE = "nine counts"
SIGNED = "a whole number"
CHANGE = "a number of either sign"

TARGET = {
    "backend": {"gdb", "delve", "direct", "image"},
    "kind": {"live", "core", "recorded"},
    "go": str,
    "arch": {"amd64", "arm64", "386", "s390x"},
    "pointer_size": int,
    "byte_order": {"little", "big"},
}
ANOMALY = {"severity": {"error", "warning", "note"}, "code": str, "message": str, "address": (HEX, None)}
TRUNCATED = {"what": str, "shown": int, "of": (int, None)}
GROWTH = {
    "state": {"none", "doubling", "same-size"},
    "old_buckets": int,
    "evacuated": int,
    "fraction": FRACTION,
    "nevacuate": int,
}
ENTRY = {"key": JSON_SCALAR, "value": JSON_SCALAR, "bucket": int, "slot": int, "old": bool}
PLACE = {
    "goroutine": (int, None),
    "frame": (int, None),
    "function": (str, None),
    "file": (str, None),
    "line": (int, None),
}
ITERATOR = {
    "goroutine": int,
    "frame": int,
    "function": str,
    "file": (str, None),
    "line": (int, None),
    "address": HEX,
    "memory": {"heap", "stack"},
    "key": (JSON_SCALAR, None),
    "key_address": HEX,
    "elem_address": (HEX, None),
    "done": int,
    "total": int,
    "position": {"*": SIGNED},
}
SIZES = {"allocated": int, "live": int, "waste": int, "rebuilt": int}
SHOW = {
    "expr": str,
    "type": str,
    "address": (HEX, None),
    "nil": bool,
    "layout": {"classic", "swiss"},
    "group": ({"interleaved", "split"}, None),
    "count": int,
    "bound": (int, None),
    "live": int,
    "load": float,
    "buckets": {
        "count": int,
        "address": (HEX, None),
        "fill": NINE,
        "overflow": int,
        "old_overflow": int,
        "longest_chain": int,
        "old_count": int,
        "old_address": (HEX, None),
        "old_fill": (NINE, None),
    },
    "slots": {"total": int, "live": int, "empty": int, "tombstones": int, "evacuated": int},
    "bytes": {**SIZES, "overflow": int, "old": int},
    "flags": [{"iterator", "old-iterator", "writing", "same-size-grow"}],
    "growth": GROWTH,
    "classic": (
        {
            "B": int,
            "noverflow": int,
            "hash0": int,
            "oldbuckets": (HEX, None),
            "nevacuate": int,
            "next_overflow": (HEX, None),
        },
        None,
    ),
    "swiss": (
        {
            "used": int,
            "seed": int,
            "dir_len": int,
            "global_depth": int,
            "tables": int,
            "small": bool,
            "writing": bool,
            "tombstone_possible": (bool, None),
            "clear_seq": int,
        },
        None,
    ),
    "entries?": [ENTRY],
    "iterators": ([ITERATOR], None),
}
SHOW_WITH_ENTRIES = {**SHOW, "entries": [ENTRY]}
TABLE = {
    "index": int,
    "local_depth": int,
    "directory_entries": int,
    "capacity": int,
    "used": int,
    "growth_left": int,
    "tombstones": int,
    "groups": int,
}
EVAC = {
    "expr": str,
    "type": str,
    "address": (HEX, None),
    "layout": {"classic", "swiss"},
    "growth": GROWTH,
    "forecast": {"entries_left": (int, None), "next": str},
    "tables": ([TABLE], None),
}
WAY = {
    "path": str,
    "kind": {
        "local", "argument", "global", "field", "element", "interface", "captured", "map-value", "dead",
        "heap", "stack", "slot",
    },
    **PLACE,
}  # fmt: skip
HOLDER = {**WAY, "address": (HEX, None), "also": [WAY]}
SLICE = {
    "path": str,
    "kind": {"local", "argument", "global", "captured"},
    **PLACE,
    "address": (HEX, None),
    "type": str,
    "from": int,
    "to": int,
    "capacity_to": int,
}
HEAP = {
    "searched": bool,
    "complete": bool,
    "why": (str, None),
    "maps": int,
    "entries": int,
    "bytes": int,
    "empty": int,
    "on_stacks": int,
}
SCANNED = {"goroutines": int, "frames": int, "globals": int, "maps": int, "dead": int, "dead_variables?": int}
ALIAS = {
    "groups": [
        {
            "address": HEX,
            "buckets": (HEX, None),
            "type": str,
            "type_or": [str],
            "count": int,
            "shared_by": {"header", "buckets"},
            "headers": [HEX],
            "holders": [HOLDER],
        }
    ],
    "nil_maps": [HOLDER],
    "others": (int, None),
    "goroutines": [
        {
            "id": int,
            "status": str,
            "created_by": ({"function": (str, None), "file": (str, None), "line": (int, None)}, None),
        }
    ],
    "heap": (HEAP, None),
    "slices?": [{"address": HEX, "elem": str, "elem_size": int, "elements": int, "holders": [SLICE]}],
    "scanned": SCANNED,
}
GET = {
    "expr": str,
    "key": JSON_SCALAR,
    "found": bool,
    "value": (JSON_SCALAR, None),
    "hash": (HASH, None),
    "address": (HEX, None),
    "walked": bool,
    "path": [
        {
            "bucket": int,
            "slot": (int, None),
            "old": bool,
            "matched": bool,
            "why": str,
            "table": (int, None),
            "overflow": int,
            "address": HEX,
        }
    ],
}
CHECK = {
    "maps": [
        {
            "path": str,
            "kind": {"local", "argument", "captured", "global", "heap", "stack"},
            **PLACE,
            "address": (HEX, None),
            "type": str,
            "entries": int,
            "hashes_checked": int,
            "share": FRACTION,
            "ok": (bool, None),
            "verdict": {"intact", "no-fault-found", "corrupt"},
            "findings": int,
            "kinds": [{"code": str, "number": int}],
            "unchecked": [{"what": str, "number": int, "of": (int, None), "why": str}],
        }
    ],
    "complete": bool,
    "not_checked": int,
    "heap": (HEAP, None),
}
RACE = {
    "deaths": [
        {
            "kind": {"fatal error", "panic", "signal"},
            "message": (str, None),
            "goroutine": (int, None),
            "function": (str, None),
            "file": (str, None),
            "line": (int, None),
            "operation": ({"read", "write", "delete", "iterate", "clear", "grow"}, None),
            "race": bool,
            "fault": (HEX, None),
            "sent": bool,
            "sender": (int, None),
        }
    ],
    "inside": [
        {
            "goroutine": int,
            "operation": {"read", "write", "delete", "iterate", "clear", "grow"},
            "function": (str, None),
            "file": (str, None),
            "line": (int, None),
            "through": ({"function": str, "file": (str, None), "line": (int, None)}, None),
            "address": (HEX, None),
            "type": (str, None),
            "fatal": bool,
            "ended": ({"fatal error", "panic"}, None),
            "message": (str, None),
            "left": bool,
            "call": str,
            "status": str,
            "nil": bool,
            "deduced": bool,
            "nil_maps": [HOLDER],
        }
    ],
    "maps": [{"address": HEX, "type": (str, None), "writing": bool, "holders": [HOLDER]}],
    "suspects": [
        {"goroutine": int, "function": str, "file": (str, None), "line": (int, None), "status": str},
    ],
    "scanned": {"goroutines": int, "maps": int},
}
HALF = {"address": (HEX, None), "keys": int, "live": int, "deleted": int, "expunged": int, "only_here": int}
SYNC = {
    "expr": str,
    "type": str,
    "address": (HEX, None),
    "generation": {"read-dirty", "hash-trie"},
    "count": int,
    "bytes": {"allocated": int},
    "read_dirty": (
        {
            "amended": bool,
            "misses": int,
            "misses_left": (int, None),
            "locked": bool,
            "read": HALF,
            "dirty": HALF,
        },
        None,
    ),
    "hash_trie": (
        {
            "root": (HEX, None),
            "depth": int,
            "nodes": int,
            "entries": int,
            "overflow_chains": int,
            "overflow_entries": int,
            "longest_chain": int,
            "seed": int,
        },
        None,
    ),
    "entries?": [{"key": JSON_SCALAR, "value": JSON_SCALAR, "where": {"read", "dirty", "trie"}}],
}
CYCLE = {
    "expr": str,
    "type": str,
    "cycles": [
        {
            "path": [str],
            "text": str,
            "address": (HEX, None),
            "type": str,
            "length": int,
            "objects": [{"address": (HEX, None), "type": str}],
        }
    ],
    "visited": int,
    "unreadable": int,
}
CALL = {"function": str, "file": (str, None), "line": (int, None)}
ORIGIN = {
    "location": (CALL, None),
    "caller": (CALL, None),
    "samples": int,
    "sampled_bytes": int,
    "objects": int,
    "bytes": int,
    "parts": {"*": int},
    "stacks?": [{"samples": int, "bytes_each": int, "calls": [CALL]}],
}
ORIGINS = {
    "expr": str,
    "type": str,
    "address": (HEX, None),
    "bytes": {"allocated": int},
    "profiling": {"linked": (bool, None), "rate": (int, None)},
    "samples": int,
    "estimated": {"objects": int, "bytes": int},
    "probability": (FRACTION, None),
    "origins": [ORIGIN],
}
TOP = {
    "by": {"bytes", "waste", "entries", "load", "values"},
    "group": ({"type", "package", "owner", "size"}, None),
    "groups": [
        {
            "key": (str, None),
            "maps": int,
            "unnamed": int,
            "count": int,
            "load": (float, None),
            "bytes": SIZES,
            "values": (int, None),
            "fill": [int],
            "example": {"path": str, "address": HEX},
        }
    ],
    "maps": [
        {
            **WAY,
            "address": HEX,
            "type": (str, None),
            "type_known_by": ({"allocator", "hashes", "size"}, None),
            "type_or": [str],
            "count": int,
            "load": (float, None),
            "layout": {"classic", "swiss", "read-dirty", "hash-trie"},
            "bytes": SIZES,
            "values": (int, None),
            "shares": (HEX, None),
            "origin?": (ORIGIN, None),
            "samples?": (int, None),
        }
    ],
    "total": {"maps": int, "entries": int, "bytes": SIZES, "gives_back": int, "values": (int, None)},
    "heap": HEAP,
    "lines?": [ORIGIN],
    "bytes_from": {"size-classes"},
    "scanned": SCANNED,
}
ADVISE = {
    "expr": (str, None),
    "min": int,
    "maps": int,
    "entries": int,
    "advice": [
        {
            "kind": {
                "array-keys",
                "duplicate-strings",
                "empty-maps",
                "pinned",
                "presize",
                "rebuild",
                "set",
                "tiny-maps",
                "values-inline",
            },
            "path": (str, None),
            "address": (HEX, None),
            "type": (str, None),
            "maps": int,
            "do": str,
            "how": str,
            "saves": {"held": SIGNED, "allocated": int, "scanned": int},
            "within": int,
            "assumes": (str, None),
            "capacity": (int, None),
            "strings": [{"text": str, "length": int, "slots": int, "copies": int, "bytes": int}],
        }
    ],
    "below_min": int,
    "heap": (HEAP, None),
    "scanned": (SCANNED, None),
}
PARTS = {"key", "elem", "tophash", "ctrl", "overflow-pointer"}
WHATIS = {
    "address": HEX,
    "map": ({"address": HEX, "type": str, "type_or": [str], "path": str, **PLACE}, None),
    "array": ({"buckets", "oldbuckets", "overflow", "group", "directory", "header", "table", "extra"}, None),
    "bucket": (int, None),
    "slot": (int, None),
    "part": (PARTS, None),
    "overflow": (int, None),
    "state": ({"live", "empty", "tombstone", "evacuated"}, None),
    "table": (int, None),
    "old": bool,
    "indirect": bool,
    "key": (JSON_SCALAR, None),
    "span": (
        {
            "start": HEX,
            "bytes": int,
            "state": {"free", "in-use", "manual"},
            "object_bytes": (int, None),
            "object": (HEX, None),
            "index": (int, None),
            "allocated": (bool, None),
            "noscan": bool,
            "swept": bool,
        },
        None,
    ),
    "where": ({"map", "heap", "stack", "data", "code", "read-only data"}, None),
    "goroutine": (int, None),
    "function": (str, None),
    "variable": (str, None),
}
WHY = {
    "expr": str,
    "address": HEX,
    "where": {"heap", "stack", "data"},
    "type": (str, None),
    "object": ({"address": HEX, "bytes": int}, None),
    "alive": bool,
    "roots": int,
    "pointers": int,
    "freed": {"bytes": int, "objects": int, "finalizers": int},
    "cut_frees": int,
    "ways": [
        {
            **PLACE,
            "root": {"data", "stack", "finalizer", "cleanup", "runtime"},
            "path": str,
            "expr": (str, None),
            "address": (HEX, None),
            "objects": int,
            "others": int,
        }
    ],
    "scanned": {"objects": int, "pointers": int, "roots": int, "goroutines": int, "conservative": int},
    "complete": bool,
    "missing": [str],
}
DATA: dict[str, dict[str, Any]] = {
    "hmap-why": WHY,
    "hmap-race": RACE,
    "hmap-sync": SYNC,
    "hmap-cycle": CYCLE,
    "hmap-top": TOP,
    "hmap-origin": ORIGINS,
    "hmap-advise": ADVISE,
    "hmap-whatis": WHATIS,
    "hmap-get": GET,
    "hmap-check": CHECK,
    "hmap-show": SHOW,
    "hmap-evac": EVAC,
    "hmap-alias": ALIAS,
}

#: The lines of gomap's own subcommands: a sample of gomap top, and what gomap doctor says.
LINES: dict[str, dict[str, Any]] = {
    "gomap top": {
        "sample": int,
        "time": float,
        "seconds": float,
        "by": {"bytes", "entries", "growth"},
        "filter": (str, None),
        "maps": [
            {
                "path": (str, None),
                "kind": WAY["kind"],
                "address": HEX,
                "type": (str, None),
                "type_known_by": ({"allocator", "hashes", "size"}, None),
                "type_or": [str],
                "count": int,
                "bytes": int,
                "growth": CHANGE,
                "bytes_growth": CHANGE,
                "new": bool,
            }
        ],
        "total": {
            "maps": int,
            "matching": int,
            "entries": int,
            "bytes": int,
            "growth": CHANGE,
            "empty": int,
            "appeared": int,
            "gone": int,
        },
        "unmeasured": int,
        "untold": int,
        "unread": int,
        "cost": float,
    },
    "gomap doctor": {
        "ok": bool,
        "checks": [
            {"area": str, "name": str, "state": {"ok", "advice", "missing"}, "what": str, "mend": (str, None)},
        ],
    },
}


def answer(command: str, entries: bool = False) -> dict[str, Any]:
    """The whole object that a command prints when all goes well."""
    data = SHOW_WITH_ENTRIES if entries and command == "hmap-show" else DATA[command]
    return {
        "schema": {"gomap/1"},
        "command": {command},
        "target": TARGET,
        "data": data,
        "anomalies": [ANOMALY],
        "truncated": ([TRUNCATED], None),
    }


def failure(command: str) -> dict[str, Any]:
    return {"schema": {"gomap/1"}, "command": {command}, "error": {"code": str, "message": str}}


def faults(value: Any, wanted: Any, path: str = "") -> list[str]:
    """Where a value is not as wanted, in words; none when it is."""
    if isinstance(wanted, dict):
        return _object(value, wanted, path)
    if isinstance(wanted, list):
        if not isinstance(value, list):
            return [f"{path}: no list but {value!r}"]
        return [fault for item in value for fault in faults(item, wanted[0], path + "[]")]
    if isinstance(wanted, tuple):
        every = [faults(value, one, path) for one in wanted]
        return [] if not all(every) else max(every, key=len)
    if isinstance(wanted, set):
        return [] if isinstance(value, str) and value in wanted else [f"{path}: {value!r} is none of {wanted}"]
    return [] if _is(value, wanted) else [f"{path}: {value!r} is not {wanted}"]


def _object(value: Any, wanted: dict[str, Any], path: str) -> list[str]:
    if not isinstance(value, dict):
        return [f"{path}: no object but {value!r}"]
    named: dict[str, Any] = {}
    found = []
    for name, one in wanted.items():
        key = name.rstrip("?")
        if name == "*":
            named.update(dict.fromkeys(value, one))
        elif key in value:
            named[key] = one
        elif key == name:
            found.append(f"{path}.{key}: missing".lstrip("."))
    found += [f"{path}.{key}: unknown".lstrip(".") for key in value if key not in named]
    for key, one in named.items():
        found += faults(value[key], one, f"{path}.{key}".lstrip("."))
    return found


def _is(value: Any, wanted: Any) -> bool:
    if wanted is None:
        return value is None
    if wanted in (HEX, HASH):
        return isinstance(value, str) and value == hex(int(value, 16)) and (value != "0x0" or wanted == HASH)
    if wanted == FRACTION:
        return isinstance(value, float) and 0 <= value <= 1
    if wanted == NINE:
        return isinstance(value, list) and len(value) == 9 and all(type(n) is int and n >= 0 for n in value)
    if wanted == JSON_SCALAR:
        return type(value) in (str, bool, int, float)
    if wanted == SIGNED:
        return type(value) is int
    if wanted == CHANGE:
        return type(value) is float
    if wanted is int:
        return type(value) is int and value >= 0
    return type(value) is wanted
