"""Sourced in gdb by test_printer.py: `gomap_children EXPR` prints what a pretty-printer makes of a value, as JSON."""

from __future__ import annotations

import itertools
import json

import gdb

from gdbext.target import GdbTarget
from gomap.values import Limits, Values


class Children(gdb.Command):
    """Prints the text and the children of the printer that gdb chooses for EXPR."""

    def __init__(self) -> None:
        super().__init__("gomap_children", gdb.COMMAND_USER)

    def invoke(self, argument: str, from_tty: bool) -> None:
        # Package variables have names for gdb's own parser only where the user's code is.
        frame = gdb.selected_frame()
        while not (frame.name() or "").startswith("main."):
            frame = frame.older()
        frame.select()
        value = gdb.parse_and_eval(argument)
        printer = gdb.default_visualizer(value)
        gdb.newest_frame().select()
        if printer is None:
            print(json.dumps(None))
            return
        children = list(printer.children()) if hasattr(printer, "children") else []
        pairs = zip(itertools.islice(children, 0, None, 2), itertools.islice(children, 1, None, 2))
        entries = [{"key": plain(key), "value": plain(elem)} for (_, key), (_, elem) in pairs]
        told = {
            "module": type(printer).__module__,
            "text": str(printer.to_string()),
            "children": len(children),
            "hint": printer.display_hint(),
            "entries": entries,
        }
        print(json.dumps(told))


def plain(value: gdb.Value) -> object:
    """The value that gdb got, in the words of the programs' truth."""
    target = GdbTarget()
    variable = target.from_value(value)
    data = variable.read(target.memory, 0, variable.type.size)
    return Values(target, Limits(depth=40)).json(variable.type, data)


Children()
