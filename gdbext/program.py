"""Which program and core file gdb has, and why it can't be looked at, in one line."""

from __future__ import annotations

import os
import re

import gdb

from gdbext.symbols import frames
from gomap import elf
from gomap.errors import MemoryFault, NoDebugInfo
from gomap.target import (
    Arch,
    Target,
    Variable,
    read_record,
)

_ARCHITECTURES = {
    "i386:x86-64": "amd64",
    "i386": "386",
    "aarch64": "arm64",
    "s390:64-bit": "s390x",
    "powerpc:common64": "ppc64",
    "riscv:rv64": "riscv64",
}
#: Plugins searched for the symbols of one.
MAX_MODULES = 256
#: Programs are moved by multiples of it.
PAGE = 4096


def is_running() -> bool:
    """While gdb works out a breakpoint's condition the thread counts as running, but its frames can be seen."""
    thread = gdb.selected_thread()
    if thread is None or not thread.is_running():
        return False
    try:
        gdb.selected_frame()
    except gdb.error:
        return True
    return False


def arch() -> Arch:
    """The program's byte order, pointer size and machine. Raises NoDebugInfo."""
    try:
        gdb.lookup_type("runtime.g")  # gdb has a uintptr of its own for any program with Go's symbols
        pointer_size = gdb.lookup_type("uintptr").sizeof
        little = int(gdb.Value(b"\1\0", gdb.lookup_type("uint16"))) == 1
    except gdb.error as error:
        raise NoDebugInfo(why_no_debug_info()) from error
    frame = next(frames(), None)
    name = frame.architecture().name() if frame is not None else ""
    return Arch(_ARCHITECTURES.get(name, name), pointer_size, "little" if little else "big")


def why_no_debug_info() -> str:
    """Told of the Go program or library among gdb's files, else of the program."""
    files = [str(o.filename) for o in gdb.objfiles() if o.filename and os.path.isfile(o.filename)]
    space = gdb.current_progspace()
    program = space.filename if space is not None else None
    if program is None and not files:
        return "no Go debug information: gdb has no program file: load it (file PROG)"
    of_go = next((path for path in files if elf.is_go(path)), program)
    return elf.why_no_debug_info(of_go if of_go and os.path.isfile(of_go) else None)


def wrong_program(kind: str, inferior: gdb.Inferior) -> str:
    """What to say where the program that gdb has loaded is not the one that runs or dumped the core file.

    kind: core or live.
    """
    if kind == "core":
        return "the core file comes from another build of the program: load the one that dumped it (file PROG)"
    connection = inferior.connection
    here = connection is not None and connection.type == "native"
    file = f"/proc/{inferior.pid}/exe" if here else "PROG"
    return f"process {inferior.pid} does not run the file that gdb has loaded: load its own (file {file})"


def core_path() -> str | None:
    """The core file that gdb has open."""
    core = getattr(gdb.selected_inferior(), "corefile", None)  # from gdb 17 on
    if core is not None:
        return str(core.filename)
    # Older gdbs tell it in words alone.
    found = re.search(r"core dump file:\s+`(.*)', file type", gdb.execute("info files", to_string=True))
    return found.group(1) if found else None


def refused_core() -> str | None:
    """Why gdb did not open the core file on its command line, if the file shows the reason."""
    try:
        with open("/proc/self/cmdline", "rb") as file:
            words = [os.fsdecode(word) for word in file.read().split(b"\0")[1:]]
    except OSError:
        return None
    if not {"--args", "-args"}.isdisjoint(words):
        return None  # what follows the program is for the program
    for before, word in zip(["", *words], words):
        path = word.partition("=")[2] if word.startswith(("--core=", "-core=")) else word
        of_option = before.startswith("-") and before not in ("-c", "-core", "--core", "-q", "-nx", "-batch")
        if of_option or not os.path.isfile(path):
            continue
        problem = elf.why_no_core(path)
        if problem is not None and elf.was_meant_as_core(path):
            return problem
    return None


def is_of_another_build(target: Target, first: Variable | None) -> bool:
    """The linker writes where its sections end into a runtime.moduledata (symtab.go of cmd/link/internal/ld);
    in memory of another build these words are something else, or elsewhere. A plugin has one of its own, and
    the symbols may be the plugin's. Before a PIE's first instruction they are as far off as it will be moved.

    first: runtime.firstmoduledata."""
    found = {name: target.symbol(f"runtime.{name}") for name in ("etext", "edata", "end")}
    ends = {name: end for name, end in found.items() if end is not None}
    if first is None or first.address is None or len(ends) < len(found):
        return False
    functions = target.symbol("runtime.pclntab")
    if functions is not None:
        ends["pcHeader"] = functions
    address, path = first.address, core_path()
    lost = elf.cut_off(path) if path is not None else []
    seen: set[int] = set()
    try:
        while address and len(seen) < MAX_MODULES and address not in seen:
            if any(start < address + first.type.size and address < end for start, end in lost):
                return False  # gdb may read the program's file instead, where a PIE's words are not in place yet
            seen.add(address)
            module = read_record(target, first.type, address)
            moved = {end - module[name] for name, end in ends.items()}
            if moved == {0} or (target.kind == "live" and len(moved) == 1 and not moved.pop() % PAGE):
                return False
            address = module["next"]
    except MemoryFault:
        pass
    return True
