"""Facts about the program of a Delve server, kept for as long as it runs the same files."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from typing import Any, Callable

from delve_bridge.memory import RpcMemory
from delve_bridge.rpc import Api, Refused
from delve_bridge.types import BARE, NOWHERE, DelveTypes, Raw, at
from gomap import elf
from gomap.corefile import CoreMemory, Shortcut, go_libraries
from gomap.errors import GomapError, NoDebugInfo
from gomap.golang.runtime.dictionaries import ANCHOR, Known, of_file
from gomap.memory import Memory
from gomap.process import ProcessMemory, same
from gomap.stripped.program import Stripped
from gomap.stripped.target import StrippedTarget, opened
from gomap.target import Arch, Goroutine, Registers

#: The register that holds the program counter names the architecture; all that Delve knows are little-endian.
_ARCHITECTURES = (
    ("amd64", {"rip"}),
    ("386", {"eip"}),
    ("ppc64le", {"nip"}),
    ("loong64", {"era"}),
    ("arm64", {"pc", "x30"}),
    ("arm64", {"pc", "pstate"}),
    ("riscv64", {"pc", "ra"}),
)


class Build:
    """One process or core file, with the libraries that it has loaded: another one is another Build.

    core, program: paths of these files, where this side knows them. direct: whether memory may be read past Delve.
    described: (key, elem) of a named map type, from the program's own descriptors.
    """

    def __init__(
        self,
        client: Api,
        libraries: Sequence[str],
        core: str | None,
        program: str | None,
        direct: bool,
        described: Callable[[str], tuple[str, str] | None],
    ) -> None:
        self._client, self._core, self._program, self.libraries = client, core, program, libraries
        self._described = described
        self._globals: dict[str, Raw | None] = {}
        self._listed: dict[str, Raw] | None = None
        self._delve = RpcMemory(client)
        self._direct: ProcessMemory | CoreMemory | None = None
        self._direct_wanted = direct
        self._direct_tried: object = None
        self._stripped: tuple[Stripped, Memory] | None = None

    # -- files and types -------------------------------------------------------------------------------

    @cached_property
    def kind(self) -> str:
        """live or core. To Delve a core file is a recording without a trace."""
        recorded = self._client.call("Recorded")
        return "core" if recorded["Recorded"] and not recorded["TraceDirectory"] else "live"

    @cached_property
    def arch(self) -> Arch:
        """The program's byte order, pointer size and machine. Raises NoDebugInfo."""
        word = next(iter(self.evaluate([at("[2]uintptr", NOWHERE)], {**BARE, "MaxArrayValues": 2})))
        children = (word["children"] or []) if word else []
        if len(children) != 2:
            raise NoDebugInfo(elf.why_no_debug_info(self._go_file()))
        registers = self._client.call("ListRegisters", ThreadID=0, IncludeFp=False)
        names = {str(register["Name"]).lower() for register in registers.get("Regs") or ()}
        name = next((name for name, wanted in _ARCHITECTURES if wanted <= names), "")
        return Arch(name, int(children[1]["addr"]) - int(children[0]["addr"]), "little")

    @cached_property
    def types(self) -> DelveTypes:
        """The program's types, as Delve evaluates and lists them."""
        types = DelveTypes(self.arch, self.evaluate)
        types.described = self._described
        types.listed = lambda pattern: list(self._client.call("ListTypes", Filter=pattern)["Types"] or ())
        for raw in self.package_variables().values():
            if raw["kind"] == 21 and raw["len"]:
                types.examples[int(raw["addr"])] = None
        return types

    @cached_property
    def dictionaries(self) -> Known:
        """The dictionaries of generic functions, by the symbols that Delve does not tell; none where the program's
        file is not on this machine, or where a library has such, too: it may call a function with its own."""
        anchor, path = self.package_variable(ANCHOR), self._program
        if path is None and isinstance(self._direct, ProcessMemory):
            path = f"/proc/{self._direct.pid}/exe"
        libraries = go_libraries(self._core) if self._core is not None else filter(elf.is_go, self.libraries)
        if path is None or anchor is None or any(libraries):
            return {}
        return of_file(path, int(anchor["addr"]), self.arch.pointer_size)

    def _go_file(self) -> str | None:
        """The program, or the Go library that a program of another kind has loaded."""
        files = [self._program, *self.libraries] if self._program else []
        return next((path for path in files if path and elf.is_go(path)), self._program)

    def evaluate(self, expressions: Sequence[str], load: Mapping[str, Any]) -> list[Raw | None]:
        """What Delve says of expressions of types and package variables alone; None where it refuses."""
        scope = {"GoroutineID": -1, "Frame": 0}
        answers = self._client.calls([("Eval", {"Scope": scope, "Expr": e, "Cfg": load}) for e in expressions])
        return [None if isinstance(answer, Refused) else answer["Variable"] for answer in answers]

    def package_variable(self, name: str) -> Raw | None:
        """The package variable, constant or function of that full name."""
        if name not in self._globals:
            parts = split(name)
            if parts is None or (self._listed is not None and name in self._listed):
                found = self.package_variables().get(name)
            else:
                found = self.evaluate([f'"{parts[0]}".{parts[1]}'], BARE)[0]
                # Delve takes the end of a path for the whole of it.
                if found is not None and found["name"] != name:
                    found = self.package_variables().get(name)
            self._globals[name] = found
        return self._globals[name]

    def package_variables(self) -> dict[str, Raw]:
        """All package variables by their full names."""
        if self._listed is None:
            listed = self._client.call("ListPackageVars", Filter="", Cfg=BARE)["Variables"] or ()
            self._listed = {str(raw["name"]): raw for raw in listed}
        return self._listed

    # -- memory ----------------------------------------------------------------------------------------

    def memory(self, moment: object) -> Memory:
        """The program's memory, read directly where that is possible: tried once at each moment."""
        if self._direct is None and self._direct_wanted and self._direct_tried != moment:
            self._direct_tried = moment
            try:
                self._direct = self._try_direct()
            except KeyboardInterrupt:
                self._direct_tried = None
                raise
        return self._delve if self._direct is None else Shortcut(self._direct, self._delve)

    def _try_direct(self) -> ProcessMemory | CoreMemory | None:
        # runtime.m0 contains its thread's id and random numbers: no other process has the same.
        with suppress(GomapError):
            raw, t = self.package_variable("runtime.m0"), self.types.find("runtime.m")
            return None if raw is None or t is None else self._past_delve(int(raw["addr"]), t.size)
        return None

    def _past_delve(self, start: int, size: int) -> ProcessMemory | CoreMemory | None:
        """The program's memory without Delve, if these bytes prove that it is the same: the process id of a process in
        a container, or at the other end of a tunnel, may be another process here."""
        past: ProcessMemory | CoreMemory | None = None
        try:
            if self.kind == "core":
                past = CoreMemory(self._core) if self._core else None
            else:
                past = ProcessMemory(int(self._client.call("ProcessPid")["Pid"]))
            if past is not None and same(past, self._delve, start, size):
                kept, past = past, None
                return kept
        except (OSError, ValueError, GomapError):
            pass
        finally:
            if past is not None:
                past.close()
        return None

    # -- a program without debug information -----------------------------------------------------------

    def stripped(
        self,
        error: NoDebugInfo,
        moment: object,
        thread: Callable[[], int | None],
        registers: Callable[[Goroutine, Arch], Registers | None],
    ) -> StrippedTarget:
        """The program by its own tables. error: what Delve can't. Raises NoDebugInfo."""
        if self._stripped is None:
            program = self._program
            if program is None and self.kind == "live" and self._direct_wanted:
                program = f"/proc/{self._client.call('ProcessPid')['Pid']}/exe"
            found = opened(program, self._delve, self._entry, error)
            with suppress(GomapError):
                self._direct = self._past_delve(*found.own_data) if self._direct_wanted else None
            self._stripped = found, self._delve if self._direct is None else Shortcut(self._direct, self._delve)
        info, memory = self._stripped
        return StrippedTarget("delve", self.kind, memory, info, thread, registers)

    def _entry(self) -> int | None:
        """Where the program started."""
        try:
            if self.kind == "core":
                with elf.mapped(str(self._core)) as data:
                    return elf.entry_in_core(data)
            pid = int(self._client.call("ProcessPid")["Pid"])
            if not self._direct_wanted:
                return None
            with open(f"/proc/{pid}/auxv", "rb") as file, elf.mapped(f"/proc/{pid}/exe") as data:
                return elf.entry_in_vector(file.read(), elf.parse(data))
        except (OSError, elf.BadElf):
            return None

    @property
    def direct(self) -> bool:
        """Whether memory is read past Delve."""
        return self._direct is not None

    def close(self) -> None:
        """Closes what was opened past Delve."""
        if self._direct is not None:
            self._direct.close()
        self._direct, self._direct_tried = None, None


_IDENTIFIER = re.compile(r"[^\W\d]\w*\Z")


def split(name: str) -> tuple[str, str] | None:
    """(package path, variable) of a package variable's full name, where both can stand in an expression."""
    slash = name.rfind("/") + 1
    dot = name.find(".", slash)
    package, variable = name[:dot], name[dot + 1 :]
    if dot <= 0 or not _IDENTIFIER.match(variable) or '"' in package or "\\" in package:
        return None
    return package, variable
