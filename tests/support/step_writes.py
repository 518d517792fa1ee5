"""Sourced in gdb by a test, with the program go_targets/writes at its first stop.

step-writes   goes through every operation of the program instruction by instruction, asks hmap-check after each that
              has changed the map, and prints an operation a line, as JSON: what hmap-check said that is no note, how
              many instructions there were, how many answers, and the codes of the notes.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

import gdb

from gdbext.target import GdbTarget
from gomap.expr import resolve_map
from gomap.golang.layouts.classic.map import ClassicMap
from gomap.golang.layouts.swiss.map import SwissMap
from gomap.gotypes import GoType
from gomap.maps import view

#: The runtime's functions that write to maps. What others do is of no interest: they are gone through in one go.
WITHIN = re.compile(
    r"(internal/runtime/maps\.|main\.|runtime\.(map|runtime_map|evacuate|hashGrow|growWork|advanceEvac|typedmem|memclr"
    r"|memmove|makeBucketArray|\(\*hmap\)|\(\*bmap\)|add$|isEmpty|overLoad|tooMany|bucketEvac))"
)
#: These make what is installed only later.
APART = re.compile(r"newTable|newGroups|\.uncheckedPutSlot$|checkInvariants|\.newobject|\.newarray|maps\.\w+Hash")
#: In these nothing changes before the function that installs what they made.
LONG = {"table).split": "installTableSplit", "table).grow": "replaceTable"}
MOST_STEPS = 60_000


def register(name: str) -> int:
    return int(gdb.newest_frame().read_register(name)) & (1 << 64) - 1


def word(address: int) -> int:
    return int.from_bytes(gdb.selected_inferior().read_memory(address, 8).tobytes(), "little")


def snapshot(t: GoType, address: int) -> bytes:
    """What of the map's memory the check reads: enough to see that it has changed."""
    found = view(GdbTarget(), t, address)

    def read(at: int, size: int) -> bytes:
        return gdb.selected_inferior().read_memory(at, size).tobytes()

    size, parts = found.shape.slots.size, [bytes(found.header.data)]
    try:
        if isinstance(found, ClassicMap):
            extra = found.header["extra"]
            parts.append(read(extra, 24) if extra else b"")
            for start, count in (
                (found.header["buckets"], 1 << found.B),
                (found.header["oldbuckets"], found.old_count),
            ):
                data = read(start, count * size) if start else b""
                parts.append(data)
                for at in range(0, len(data), size):
                    chain = int.from_bytes(data[at + size - 8 : at + size], "little")
                    parts.append(read(chain, size) if chain else b"")
        elif isinstance(found, SwissMap) and found.small:
            parts.append(read(found.header["dirPtr"], size))
        else:
            directory = read(found.header["dirPtr"], 8 * found.header["dirLen"])
            parts.append(directory)
            for at in range(0, len(directory), 8):
                table = read(int.from_bytes(directory[at : at + 8], "little"), 32)
                parts.append(table)
                groups, mask = (int.from_bytes(table[i : i + 8], "little") for i in (16, 24))
                parts.append(read(groups, (mask + 1) * size))
    except gdb.MemoryError:
        parts.append(b"?")
    return b"".join(parts)


def text(expr: str) -> str:
    return str(gdb.parse_and_eval(expr)["str"].string(length=int(gdb.parse_and_eval(expr)["len"])))


def function() -> str:
    """The function that the pc is in: the one that was called, not what is inlined there."""
    frame: gdb.Frame | None = gdb.newest_frame()
    while frame is not None and frame.type() == gdb.INLINE_FRAME:
        frame = frame.older()
    return (None if frame is None else frame.name()) or "?"


def over() -> None:
    """Goes on to where the function that was just entered returns."""
    sp = register("rsp")
    gdb.execute(f"tbreak *{word(sp):#x}", to_string=True)
    gdb.execute("continue", to_string=True)


def operation(end: int, expr: str) -> dict[str, Any]:
    """One operation, from where it begins to where it ends."""
    target = GdbTarget()
    _, t, address = resolve_map(target, expr)
    seen = Counter[str]()
    problems: list[str] = []
    codes: set[str] = set()
    past: set[str] = set()
    before, steps = b"", 0
    while steps < MOST_STEPS:
        steps += 1
        gdb.execute("stepi", to_string=True)
        pc = register("rip")
        if pc == end:
            break
        name = function()
        if APART.search(name) or not WITHIN.match(name):
            over()
            continue
        for long, next_ in LONG.items():
            if name.endswith(long) and long not in past:
                past.add(long)
                gdb.execute(f"tbreak internal/runtime/maps.(*Map).{next_}", to_string=True)
                gdb.execute("continue", to_string=True)
        now = snapshot(t, address)
        if now == before:
            continue
        before = now
        answer = json.loads(gdb.execute(f"hmap-check {expr} --json", to_string=True))
        (one,) = answer["data"]["maps"]
        seen[one["verdict"]] += 1
        codes.update(re.sub(r"0x[0-9a-f]+|\d+", "#", f"{a['code']}: {a['message']}") for a in answer["anomalies"])
        if one["verdict"] != "intact":
            sal = gdb.selected_frame().find_sal()
            where = f"{name} {sal.symtab.filename.rsplit('/', 1)[-1] if sal.symtab else '?'}:{sal.line}"
            said = [f"{a['code']}: {a['message']}" for a in answer["anomalies"] if a["severity"] != "note"]
            problems.append(f"{where}: {one['verdict']} {said or one['unchecked']}")
    return {
        "steps": steps,
        "answers": sum(seen.values()),
        "verdicts": seen,
        "problems": problems,
        "codes": sorted(codes),
    }


class StepWrites(gdb.Command):
    def __init__(self) -> None:
        super().__init__("step-writes", gdb.COMMAND_USER)

    def invoke(self, argument: str, from_tty: bool) -> None:
        gdb.execute("handle SIGURG nostop noprint pass", to_string=True)
        gdb.execute("set scheduler-locking step")  # what is gone through in one go may wait for other threads
        gdb.execute("set print frame-info short-location")  # reads no source lines
        gdb.Breakpoint("main.begin")
        symbol = gdb.lookup_global_symbol("main.end")
        assert symbol is not None
        end = int(symbol.value().address or 0)
        done = gdb.Breakpoint("main.done")
        while True:
            gdb.execute("continue", to_string=True)
            if (gdb.selected_frame().name() or "") == "main.done":
                break
            gdb.execute("up", to_string=True)
            expr, what = text("expr"), text("what")
            gdb.execute("down", to_string=True)
            told = operation(end, expr)
            print(json.dumps({"what": what, "expr": expr, **told}))
        done.delete()
        gdb.execute("finish", to_string=True)


StepWrites()
