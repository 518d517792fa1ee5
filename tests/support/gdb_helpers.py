"""Sourced in gdb by tests.

gomap_user_frame     selects the frame of the program's own function that stopped
gomap_children EXPR  prints what a pretty-printer makes of a value, as JSON
gomap_watch          from now on notes every call into the program and every change to it by gdb
gomap_seen           prints what was noted, as JSON
gomap_stacks         prints every goroutine's stack, as JSON
gomap_shape EXPR     prints where keys and elems lie in a bucket of the map, as JSON
gomap_objects EXPR   prints [address, size of a slot of its span, one span for it alone] of the heap's objects that the
                     map is made of, as JSON; of overflow buckets only those allocated with their array
gomap_census         prints [address, entries, whether it has an array, whether it lies on a stack] of every map header,
                     what was not looked at, and the addresses of the objects of that size that the heap dump has which
                     the program has written, as JSON
gomap_unnamed        prints [a row of hmap-top, hmap-show of its address alone, hmap-whatis of header and array] of
                     maps that no variable leads to
gomap_typed_back N   prints [a row of hmap-top -n N, hmap-show of its address and type], as JSON: all that no variable
                     led to, and some others
gomap_as_if count EXPR LINE     runs a command of gomap's as if the header of the map counted an entry more
gomap_as_if pc FUNCTION LINE    as if the goroutine that waits in the function had been parked nowhere in the code
gomap_as_if sp FUNCTION LINE    as if its stack lay nowhere

The program's own memory stays as it is: what they say lies over what is read of it.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gdb

from gdbext.stripped import open_target
from gdbext.target import GdbTarget
from gomap import frontend
from gomap.declare import Settings
from gomap.expr import resolve_map
from gomap.golang.runtime.goroutines import goroutines
from gomap.golang.runtime.heap import Heap
from gomap.golang.runtime.malloc import allocator
from gomap.golang.runtime.stacks import Stacks
from gomap.maps import shape_of, view
from gomap.render.text import Style
from gomap.values import Limits, Values
from tests.fuzz.scribbled import Patch, Scribbled
from tests.support.headers import headers, rows


def user_frame() -> gdb.Frame:
    """At a stop these are runtime.breakpoint, runtime.Breakpoint, main.stop and the user's function; in a core
    what dumps it comes before main.stop."""
    frame: gdb.Frame | None = gdb.newest_frame()
    while frame is not None:
        name = frame.name() or ""
        if name.startswith("main.") and name != "main.stop":
            return frame
        frame = frame.older()
    raise gdb.GdbError("no frame of the program's own")


class UserFrame(gdb.Command):
    """Selects the frame of the program's function that stopped."""

    def __init__(self) -> None:
        super().__init__("gomap_user_frame", gdb.COMMAND_USER)

    def invoke(self, argument: str, from_tty: bool) -> None:
        user_frame().select()


class Children(gdb.Command):
    """Prints the text and the children of the printer that gdb chooses for EXPR."""

    def __init__(self) -> None:
        super().__init__("gomap_children", gdb.COMMAND_USER)

    def invoke(self, argument: str, from_tty: bool) -> None:
        # Package variables have names for gdb's own parser only where the user's code is.
        user_frame().select()
        value = gdb.parse_and_eval(argument)
        printer: Any = gdb.default_visualizer(value)
        gdb.newest_frame().select()
        if printer is None:
            print(json.dumps(None))
            return
        children = list(printer.children()) if hasattr(printer, "children") else []
        pairs = zip(itertools.islice(children, 0, None, 2), itertools.islice(children, 1, None, 2))
        entries = [{"key": plain(key, of_key=True), "value": plain(elem)} for (_, key), (_, elem) in pairs]
        told = {
            "module": type(printer).__module__,
            "text": str(printer.to_string()),
            "children": len(children),
            "hint": printer.display_hint(),
            "entries": entries,
        }
        print(json.dumps(told))


def plain(value: gdb.Value, of_key: bool = False) -> object:
    """The value that gdb got, in the words of the programs' truth."""
    target = GdbTarget()
    variable = target.from_value(value)
    data = variable.read(target.memory, 0, variable.type.size)
    values = Values(target, Limits(depth=40), comments=False)
    return values.key(variable.type, data) if of_key else values.json(variable.type, data)


class Watch(gdb.Command):
    """Notes gdb's events that tell of a call into the program, or of a change to its memory or registers."""

    def __init__(self) -> None:
        super().__init__("gomap_watch", gdb.COMMAND_USER)

    def invoke(self, argument: str, from_tty: bool) -> None:
        gdb.events.inferior_call.connect(lambda event: seen.append("call"))
        gdb.events.memory_changed.connect(lambda event: seen.append(f"memory at {event.address:#x}"))
        gdb.events.register_changed.connect(lambda event: seen.append("register"))


class Shape(gdb.Command):
    """Prints where keys and elems of the map EXPR lie in a bucket or group, as JSON."""

    def __init__(self) -> None:
        super().__init__("gomap_shape", gdb.COMMAND_USER)

    def invoke(self, argument: str, from_tty: bool) -> None:
        target = GdbTarget()
        _, t, _ = resolve_map(target, argument)
        slots = shape_of(t, target.arch).slots
        told = {
            "bucket_size": slots.size,
            "keys_off": slots.keys_off,
            "key_stride": slots.key_stride,
            "elems_off": slots.elems_off,
            "elem_stride": slots.elem_stride,
            "indirect_key": slots.indirect_key,
            "indirect_elem": slots.indirect_elem,
        }
        print(json.dumps(told))


class StackList(gdb.Command):
    """Prints every goroutine's stack, as JSON."""

    def __init__(self) -> None:
        super().__init__("gomap_stacks", gdb.COMMAND_USER)

    def invoke(self, argument: str, from_tty: bool) -> None:
        from tests.support.stack_list import stack_list

        print(json.dumps(stack_list(open_target())))


class Objects(gdb.Command):
    """Prints the heap's objects that a map is made of, as their spans have them."""

    def __init__(self) -> None:
        super().__init__("gomap_objects", gdb.COMMAND_USER)

    def invoke(self, argument: str, from_tty: bool) -> None:
        target = GdbTarget()
        _, t, address = resolve_map(target, argument)
        found, heap, word = view(target, t, address), Heap(target), target.arch.pointer_size
        tables = found.structure(allocator(target)).tables
        places = {address, *(table.address for table in tables), *(table.groups_address for table in tables)}
        for name in ("buckets", "oldbuckets", "extra", "dirPtr"):
            field = t.header.field(name)
            if field is not None:
                places.add(target.arch.pointer(target.memory.read(address + field.offset, word)))
        told = []
        for place in sorted(places - {0}):
            lies = heap.at(place)
            assert lies is not None and lies.span is not None and lies.base == place, hex(place)
            told.append([hex(place), lies.span.object, lies.span.objects == 1])
        print(json.dumps(told))


class CensusCommand(gdb.Command):
    """Prints every map header of the program."""

    def __init__(self) -> None:
        super().__init__("gomap_census", gdb.COMMAND_USER)

    def invoke(self, argument: str, from_tty: bool) -> None:
        target = GdbTarget()
        found, lost = headers(target)
        size = allocator(target).allocated(found.header.size, True)
        dumped = [hex(at) for at, length in dumped_objects() if length == size]
        print(json.dumps({"maps": rows(found), "lost": lost, "dumped": dumped}))


def dumped_objects() -> Iterator[tuple[int, int]]:
    """(address, size) of every object of the heap dump that the program has written: runtime/heapdump.go."""
    file = Path(os.environ["GOMAP_TRUTH"] + ".heap") if "GOMAP_TRUTH" in os.environ else None
    if file is None or not file.exists():
        return
    data = file.read_bytes()
    at = data.index(b"\n") + 1

    def number() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def text() -> int:
        nonlocal at
        length = number()
        at += length
        return length

    while True:
        tag = number()
        if tag == 1:  # tagObject, with its contents and its pointer fields
            address, length = number(), number()
            at += length
            while number():
                number()
            yield address, length
        elif tag == 6:  # tagParams
            for read in (number, number, number, number, text, text, number):
                read()
        elif tag == 8:  # tagItab
            number(), number()
        elif tag == 3:  # tagType
            number(), number(), text(), number()
        else:
            return  # the objects come before all else


#: Of rows with a variable every so many-th is shown.
NAMED = 97


class TypedBack(gdb.Command):
    """Prints rows of hmap-top and what their paths lead to."""

    def __init__(self) -> None:
        super().__init__("gomap_typed_back", gdb.COMMAND_USER)

    def invoke(self, argument: str, from_tty: bool) -> None:
        told = []
        for number, row in enumerate(run("hmap-top", f"-n {argument} --json")["data"]["maps"]):
            is_map = row["layout"] in ("classic", "swiss") and not row["shares"] and row["type"] is not None
            if is_map and (row["kind"] in ("heap", "stack") or number % NAMED == 0):
                told.append([row, run("hmap-show", f"{row['address']}:{row['type']} --json")])
        print(json.dumps(told))


class Unnamed(gdb.Command):
    """Prints what hmap-whatis and hmap-show say of the addresses of maps that no variable leads to."""

    def __init__(self) -> None:
        super().__init__("gomap_unnamed", gdb.COMMAND_USER)

    def invoke(self, argument: str, from_tty: bool) -> None:
        rows = [
            row
            for row in run("hmap-top", "-n 0 --json")["data"]["maps"]
            if row["kind"] in ("heap", "stack") and row["type"] is not None and row["count"]
        ]
        told = []
        for row in (rows[0], rows[len(rows) // 2], rows[-1], *[row for row in rows if row["kind"] == "stack"][:1]):
            shown = run("hmap-show", f"{row['address']} --json")
            array = shown["data"]["buckets"]["address"] if "data" in shown else "0"
            found = [run("hmap-whatis", f"{at} --json") for at in (row["address"], array)]
            told.append([row, shown, *found])
        print(json.dumps(told))


def run(command: str, rest: str) -> Any:
    return json.loads(frontend.run(command, rest, GdbTarget, Settings(), Style()).output)


class AsIf(gdb.Command):
    """Runs a command as if something of the program were not as it is."""

    def __init__(self) -> None:
        super().__init__("gomap_as_if", gdb.COMMAND_USER)

    def invoke(self, argument: str, from_tty: bool) -> None:
        what, of, line = argument.split(" ", 2)
        target = GdbTarget()
        patch = miscounted(target, of) if what == "count" else astray(target, what, of)
        target.memory = Scribbled(target.memory, [patch])
        name, _, rest = line.partition(" ")
        outcome = frontend.run(name, rest, lambda: target, Settings(), Style(), debug=True)
        print(outcome.output, end="")
        if outcome.error is not None:
            raise gdb.GdbError(outcome.error)


def miscounted(target: GdbTarget, expr: str) -> Patch:
    """The number of entries is the first field of hmap and of maps.Map."""
    _, _, address = resolve_map(target, expr)
    word = target.arch.pointer_size
    return address, target.arch.pack(target.arch.pointer(target.memory.read(address, word)) + 1)


def astray(target: GdbTarget, register: str, function: str) -> Patch:
    found, _ = goroutines(target)
    stacks = Stacks(target, lambda function, name, t: False).walk(found)
    address = next(s.goroutine.address for s in stacks if any(f.function == function for f in s.frames))
    t = target.find_type("runtime.g")
    for name in ("sched", register):
        field = t.field(name) if t is not None else None
        assert field is not None
        address, t = address + field.offset, field.type
    return address, target.arch.pack(0x1234)


class Seen(gdb.Command):
    """Prints what was noted."""

    def __init__(self) -> None:
        super().__init__("gomap_seen", gdb.COMMAND_USER)

    def invoke(self, argument: str, from_tty: bool) -> None:
        print(json.dumps(seen))


seen: list[str] = []
for command in (UserFrame, Children, Watch, Seen, Shape, StackList, Objects, CensusCommand, TypedBack, Unnamed, AsIf):
    command()
