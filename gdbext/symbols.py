"""gdb's frames and symbols: the variables of a frame, and those of the program's packages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import gdb

from gomap.errors import NoDebugInfo
from gomap.places import meant, undeclared

#: Frames searched outward for a local variable.
MAX_FRAMES = 256
#: Types of variables that may lead to maps: the name of any type that is not predeclared has a capital, a dot or a
#: bracket, or is error.
_TYPED = r"^error$\|[^a-z0-9]"
#: A variable as gdb lists it: `\tmain.Registry *main.Shared;`.
_LISTED = re.compile(r"^\t(?!static )\S.*[ *](\S+);$", re.M)


def frames() -> Iterator[gdb.Frame]:
    """The selected frame and those that called it, up to MAX_FRAMES."""
    try:
        frame: gdb.Frame | None = gdb.selected_frame()
    except gdb.error:
        return
    for _ in range(MAX_FRAMES):
        if frame is None:
            return
        yield frame
        try:
            frame = frame.older()
        except gdb.error:
            return


def source(frame: gdb.Frame) -> tuple[str | None, int | None]:
    """File (full path) and line of a frame; each None if not known."""
    sal = frame.find_sal()
    return (sal.symtab.fullname() if sal.symtab else None), sal.line or None


def is_go(symtab: gdb.Symtab | None) -> bool:
    """Whether the Go toolchain made what lies there, and not a C compiler (DW_AT_producer of its unit)."""
    producer = getattr(symtab, "producer", None)
    return not producer or producer.startswith("Go ")


def type_named(name: str) -> gdb.Type | None:
    """gdb's type of that name; None where there is none."""
    try:
        return gdb.lookup_type(name)
    except gdb.error:
        pass
    try:  # gdb 13 has string types with a name of their own among the structs alone
        found = gdb.lookup_static_symbol(name, gdb.SYMBOL_STRUCT_DOMAIN)
    except gdb.error:
        return None
    return None if found is None else found.type


def symbols(frame: gdb.Frame) -> Iterator[tuple[gdb.Symbol, bool]]:
    """Variables of a frame from the innermost block outward, with whether they are declared further down.

    C functions have none that matter here.
    """
    try:
        block: gdb.Block | None = frame.block()
    except (RuntimeError, gdb.error):
        return
    function = frame.function()
    if function is not None and not is_go(function.symtab):
        return
    line = frame.find_sal().line
    while block is not None:
        for symbol in block:
            if symbol.is_variable or symbol.is_argument:
                yield symbol, undeclared(symbol.is_argument, symbol.line, line)
        if block.function is not None:
            return
        block = block.superblock


def find_in_frame(frame: gdb.Frame, name: str) -> tuple[gdb.Symbol | None, bool]:
    """The variable, and whether its declaration is further down."""
    named = (one for one in symbols(frame) if one[0].name in (name, f"&{name}"))
    return _meant(named, frame.find_sal().line)


def declared(frame: gdb.Frame) -> Iterator[tuple[gdb.Symbol, bool]]:
    """Variables of a frame that are not declared further down, from the innermost block outward, with whether their
    name means another."""
    every = list(symbols(frame))
    by_name: dict[str, list[tuple[gdb.Symbol, bool]]] = {}
    for one in every:
        by_name.setdefault(one[0].name.lstrip("&"), []).append(one)
    line = frame.find_sal().line if len(by_name) < len(every) else 0
    for symbol, below in every:
        named = by_name[symbol.name.lstrip("&")]
        if not below:
            yield symbol, len(named) > 1 and _meant(named, line)[0] is not symbol


def _meant(named: Iterable[tuple[gdb.Symbol, bool]], line: int) -> tuple[gdb.Symbol | None, bool]:
    return meant(((symbol, symbol.is_argument, symbol.line) for symbol, _ in named), line)


def static_symbol(name: str) -> gdb.Symbol | None:
    """The package variable or constant of that name; None where there is none."""
    try:
        found = gdb.lookup_global_symbol(name) or gdb.lookup_static_symbol(name)
    except gdb.error:
        return None
    return found if found is not None and (found.is_variable or found.is_constant) else None


def type_of(symbol: gdb.Symbol) -> gdb.Type:
    """A symbol's type. Raises NoDebugInfo where it has none."""
    if symbol.type is None:
        raise NoDebugInfo(f"the debug information gives {symbol.name} no type")
    return symbol.type


def package_variables() -> Iterator[tuple[str, gdb.Symbol]]:
    """Package variables with debug information whose type is more than a plain number or string.

    gdb's Python has no list of all symbols. A command lists the names by file; one of each file leads to that
    compilation unit's block, which holds the symbols. Looking every name up would take gdb a
    millisecond each: a Go program has tens of thousands, most of them constants.
    """
    found = set()
    for names in _names_by_file():
        for name in names:
            if name in found:
                break  # a file of a unit that has been seen
            first = static_symbol(name)
            if first is None or first.symtab is None or not first.is_variable:
                continue
            if is_go(first.symtab):
                for symbol in first.symtab.global_block():
                    if symbol.is_variable and "." in symbol.name:  # C's have no package
                        found.add(symbol.name)
                        yield symbol.name, symbol
            break


def _names_by_file() -> Iterator[list[str]]:
    """Names of variables that are not constants, a list for each file. The caller has to look each one up."""
    if hasattr(gdb, "execute_mi"):  # from gdb 14 on
        symbols: Any = gdb.execute_mi("-symbol-info-variables", "--type", _TYPED)["symbols"]
        for file in symbols.get("debug", []):
            yield [one["name"] for one in file["symbols"] if not one["description"].startswith("static ")]
        return
    # gdb 13's `interpreter-exec mi` calls itself without end (or dies) once a program was started again.
    quoted = _TYPED.replace("\\", "\\\\")
    for file in gdb.execute(f'info variables -q -n -t "{quoted}"', to_string=True).split("\nFile "):
        yield _LISTED.findall(file)
