"""One connection to a Delve server, and what is known of the program behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from delve_bridge.memory import RpcMemory, Shortcut
from delve_bridge.rpc import GONE, Api, Client, NotDelve, Refused, ended
from delve_bridge.target import Called, DelveTarget, Frame, split
from delve_bridge.types import BARE, NOWHERE, Raw, Types, at
from gomap import elf
from gomap.corefile import CoreMemory, go_libraries
from gomap.errors import GomapError, MemoryFault, NoDebugInfo, NoProcess, TargetRunning
from gomap.golang.descriptors import map_parts
from gomap.golang.dictionaries import ANCHOR, Known, of_file
from gomap.memory import Memory
from gomap.process import ProcessMemory, same
from gomap.target import Arch, Location

API_VERSION = 2
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


class Session:
    """goroutine: the selected one's id, None where the thread runs none. frame: the selected one.

    direct: whether memory may be read past Delve; core, program: paths of these files, where this side knows them;
    alone: whether the server is our own, so that no other client moves the program.
    """

    def __init__(
        self,
        client: Api,
        direct: bool = True,
        core: str | None = None,
        program: str | None = None,
        alone: bool = False,
    ) -> None:
        self.client = client
        self.alone = alone
        self.goroutine: int | None = None
        self.frame = 0
        self._direct_wanted = direct and client.loopback
        self._core = core
        self._program = program
        self._libraries: list[str] = []
        self._libraries_at: object = None
        self._direct: ProcessMemory | CoreMemory | None = None
        self._direct_tried: object = None
        self._delve_memory = RpcMemory(client)
        self._globals: dict[str, Raw | None] = {}
        self._all_globals: dict[str, Raw] | None = None
        self._seen: Moment | None = None
        if isinstance(client, Client):
            self._handshake(client)
        self._kind: str | None = None
        self._arch: Arch | None = None
        self._types: Types | None = None
        self._dictionaries: Known | None = None

    def _handshake(self, client: Client) -> None:
        """Asks for version 2 of the API. Raises NotDelve."""
        where = client.where
        try:
            client.call("SetApiVersion", APIVersion=API_VERSION)
            version = client.call("GetVersion")
        except Refused as error:
            raise NotDelve(f"the server at {where} does not offer API version {API_VERSION}: {error}") from error
        if not isinstance(version, dict) or version.get("APIVersion") != API_VERSION:
            told = version.get("APIVersion") if isinstance(version, dict) else None
            raise NotDelve(
                f"the server at {where} speaks API version {told}, and gomap needs {API_VERSION}: "
                "start it with --api-version=2"
            )

    # -- the program's state ---------------------------------------------------------------------------

    def state(self, believed: bool = False) -> Mapping[str, Any]:
        """What the program does, as Client.state tells it. Raises NoProcess when it has ended."""
        try:
            state = self.client.state(believed=believed)
        except Refused as error:
            raise ended(error) from error
        if state.get("exited"):
            raise NoProcess(f"the program has exited with status {state.get('exitStatus')}: start it again (restart)")
        if self._is_gone(state):
            raise NoProcess(GONE)
        return state

    def _is_gone(self, state: Mapping[str, Any]) -> bool:
        """Whether the process is dead, which Delve does not notice before it lets it run: its registers can't be read
        then, and Delve puts 0 for the program counter. (There it also is where a nil function was called.)"""
        thread = state.get("currentThread")
        if state.get("Running") or not thread or thread["pc"]:
            return False
        try:
            self.client.call("ListRegisters", ThreadID=0, IncludeFp=False)
        except Refused:
            return True
        return False

    def stopped(self) -> Mapping[str, Any]:
        """The state of the stopped program. Raises TargetRunning, NoProcess."""
        state = self.state()
        if state.get("Running"):
            raise TargetRunning("the program is running: stop it first (halt)")
        if self._seen is None or self.moved(state):
            self.arrived(state)
        return state

    def select(self, frame: int) -> None:
        """The goroutine that Delve has selected, and one of its frames. Raises as stopped does."""
        self._select_goroutine(self.stopped())
        self.frame = frame

    def _look_for_libraries(self) -> None:
        """A plugin or a library that was loaded since the last stop brings types and package variables."""
        if self._libraries_at != self._seen:
            self._libraries_at, before, self._libraries = self._seen, self._libraries, self._dynamic_libraries()
            if self._libraries != before:
                self.forget()

    def _dynamic_libraries(self) -> list[str]:
        try:
            found = self.client.call("ListDynamicLibraries")["List"] or ()
        except Refused:
            return []
        return [str(library["Path"]) for library in found]

    def _go_file(self) -> str | None:
        """The program, or the Go library that a program of another kind has loaded."""
        files = [self._program, *self._dynamic_libraries()] if self._program else []
        return next((path for path in files if path and elf.is_go(path)), self._program)

    def moved(self, state: Mapping[str, Any]) -> bool:
        """Whether the program is not where this session last saw it."""
        return self._seen is not None and self._seen.differs(self._moment(state))

    def restarted(self, state: Mapping[str, Any]) -> bool:
        """Whether it is another process than this session last saw: the program was started again, perhaps built
        anew before."""
        return self._seen is not None and self._seen.process != state.get("Pid")

    def arrived(self, state: Mapping[str, Any]) -> None:
        """The program has stopped somewhere new: its goroutine there is selected."""
        if self.restarted(state):
            self.forget()
        self._seen = self._moment(state)
        self._select_goroutine(state)
        self.frame = 0

    def _select_goroutine(self, state: Mapping[str, Any]) -> None:
        goroutine = state.get("currentGoroutine")
        self.goroutine = int(goroutine["id"]) if goroutine else None

    def _moment(self, state: Mapping[str, Any]) -> Moment:
        """What other clients may have changed; where there are none, no more than the state tells."""
        return moment(state, b"" if self.alone else self._scheduled())

    def _scheduled(self) -> bytes:
        """When Go's scheduler last looked for work, and until when it waits: the first three fields of runtime.sched,
        goidgen, lastpoll and pollUntil. A program that was halted where it waits has been let run and halted again
        at the same place, as most that serve somebody are."""
        sched = self.package_variable("runtime.sched")
        try:
            return b"" if sched is None else self._delve_memory.read(int(sched["addr"]), 24)
        except MemoryFault:
            return b""

    def target(self) -> DelveTarget:
        """The stopped program as a Target. Raises TargetRunning, NoProcess, NoDebugInfo."""
        self.stopped()
        self._look_for_libraries()
        return DelveTarget(self)

    def forget(self) -> None:
        """The program was started again, or has loaded a library: addresses and type facts may be others."""
        self._globals.clear()
        self._all_globals = self._arch = self._types = self._dictionaries = None
        self.close_memory()

    # -- facts -----------------------------------------------------------------------------------------

    @property
    def kind(self) -> str:
        """live or core. To Delve a core file is a recording without a trace."""
        if self._kind is None:
            recorded = self.client.call("Recorded")
            self._kind = "core" if recorded["Recorded"] and not recorded["TraceDirectory"] else "live"
        return self._kind

    @property
    def arch(self) -> Arch:
        if self._arch is None:
            word = next(iter(self.evaluate([at("[2]uintptr", NOWHERE)], {**BARE, "MaxArrayValues": 2})))
            children = (word["children"] or []) if word else []
            if len(children) != 2:
                raise NoDebugInfo(elf.why_no_debug_info(self._go_file()))
            registers = self.client.call("ListRegisters", ThreadID=0, IncludeFp=False)
            names = {str(register["Name"]).lower() for register in registers.get("Regs") or ()}
            name = next((name for name, wanted in _ARCHITECTURES if wanted <= names), "")
            self._arch = Arch(name, int(children[1]["addr"]) - int(children[0]["addr"]), "little")
        return self._arch

    @property
    def types(self) -> Types:
        if self._types is None:
            types = Types(self.arch, self.evaluate)
            types.described = lambda name: map_parts(DelveTarget(self), name)
            types.listed = lambda pattern: list(self.client.call("ListTypes", Filter=pattern)["Types"] or ())
            for raw in self.package_variables().values():
                if raw["kind"] == 21 and raw["len"]:
                    types.examples[int(raw["addr"])] = None
            self._types = types
        return self._types

    @property
    def dictionaries(self) -> Known:
        """The dictionaries of generic functions, by the symbols that Delve does not tell; none where the program's
        file is not on this machine, or where a library has such, too: it may call a function with its own."""
        if self._dictionaries is None:
            anchor, path = self.package_variable(ANCHOR), self._program
            if path is None and isinstance(self._direct, ProcessMemory):
                path = f"/proc/{self._direct.pid}/exe"
            libraries = go_libraries(self._core) if self._core is not None else filter(elf.is_go, self._libraries)
            self._dictionaries = {}
            if path is not None and anchor is not None and not any(libraries):
                self._dictionaries = of_file(path, int(anchor["addr"]), self.arch.pointer_size)
        return self._dictionaries

    def evaluate(self, expressions: Sequence[str], load: Mapping[str, Any]) -> list[Raw | None]:
        """What Delve says of expressions of types and package variables alone; None where it refuses."""
        scope = {"GoroutineID": -1, "Frame": 0}
        answers = self.client.calls([("Eval", {"Scope": scope, "Expr": e, "Cfg": load}) for e in expressions])
        return [None if isinstance(answer, Refused) else answer["Variable"] for answer in answers]

    def package_variable(self, name: str) -> Raw | None:
        """The package variable, constant or function of that full name."""
        if name not in self._globals:
            parts = split(name)
            if self._all_globals is not None and name in self._all_globals:
                found: Raw | None = self._all_globals[name]
            elif parts is not None:
                found = self.evaluate([f'"{parts[0]}".{parts[1]}'], BARE)[0]
                # Delve takes the end of a path for the whole of it.
                if found is not None and found["name"] != name:
                    found = self.package_variables().get(name)
            else:
                found = self.package_variables().get(name)
            self._globals[name] = found
        return self._globals[name]

    def package_variables(self) -> dict[str, Raw]:
        """All package variables by their full names."""
        if self._all_globals is None:
            listed = self.client.call("ListPackageVars", Filter="", Cfg=BARE)["Variables"] or ()
            self._all_globals = {str(raw["name"]): raw for raw in listed}
        return self._all_globals

    # -- frames ----------------------------------------------------------------------------------------

    def stack(self, depth: int) -> list[Frame]:
        """The selected goroutine's frames, the newest first."""
        return [call.frame for call in self.calls(depth)]

    def calls(self, depth: int) -> list[Called]:
        """The same with where they stand."""
        return self.calls_of(self._goroutine_id(), depth)

    def stack_end(self) -> int | None:
        """Address of the end of the selected goroutine's stack."""
        scope = {"GoroutineID": self._goroutine_id(), "Frame": 0}
        try:
            found = self.client.call("Eval", Scope=scope, Expr="runtime.curg.stack.hi", Cfg=BARE)["Variable"]
            return int(found["value"])
        except (Refused, ValueError):
            return None

    def calls_of(self, goroutine: int, depth: int, load: Mapping[str, Any] | None = None) -> list[Called]:
        """Any goroutine's frames, the newest first; with their variables if load says how these are to be loaded."""
        try:
            answer = self.client.call("Stacktrace", Id=goroutine, Depth=depth, Full=False, Cfg=load)
        except Refused:
            return [] if load is None else self._one_by_one(self.calls_of(goroutine, depth), goroutine, load)
        calls = []
        for level, raw in enumerate(answer["Locations"] or ()):
            function = raw.get("function") or {}
            name, optimised = str(function.get("name") or ""), bool(function.get("optimized", True))
            frame = Frame(level, name, raw.get("file") or None, raw.get("line") or None, optimised)
            known = [*(raw.get("Arguments") or ()), *(raw.get("Locals") or ())]
            calls.append(Called(frame, int(raw["pc"]), int(raw["FrameOffset"]), known))
        # From where it has no function's name, in C, Delve may go on without one for as long as it is let.
        while len(calls) > 1 and not calls[-1].frame.function and not calls[-2].frame.function:
            calls.pop()
        return calls

    def _one_by_one(self, calls: Sequence[Called], goroutine: int, load: Mapping[str, Any]) -> list[Called]:
        """The same with their variables, where Delve refuses all for one frame whose variables it can't tell."""
        every = self.variables([call.frame.level for call in calls], load, goroutine)
        return [replace(call, variables=known) for call, known in zip(calls, every)]

    def location(self, pc: int) -> Location | None:
        """The function and line that the instruction at pc belongs to."""
        try:
            found = self.client.call(
                "FindLocation", Scope={"GoroutineID": -1, "Frame": 0}, Loc=f"*{pc:#x}", IncludeNonExecutableLines=False
            )["Locations"]
        except Refused:
            return None
        for raw in found or ():
            function = (raw.get("function") or {}).get("name")
            if function:
                return Location(str(function), raw.get("file") or None, raw.get("line") or None)
        return None

    def variables(
        self, levels: Sequence[int], load: Mapping[str, Any], goroutine: int | None = None
    ) -> list[list[Raw]]:
        """Arguments and locals of frames of a goroutine (None: the selected one), in Delve's order: inner scopes
        last."""
        calls = []
        whose = self._goroutine_id() if goroutine is None else goroutine
        for level in levels:
            scope = {"GoroutineID": whose, "Frame": level}
            calls += [("ListFunctionArgs", {"Scope": scope, "Cfg": load})]
            calls += [("ListLocalVars", {"Scope": scope, "Cfg": load})]
        answers = self.client.calls(calls)
        found = []
        for i in range(0, len(answers), 2):
            arguments, locals_ = answers[i], answers[i + 1]
            both: list[Raw] = []
            both += [] if isinstance(arguments, Refused) else arguments["Args"] or ()
            both += [] if isinstance(locals_, Refused) else locals_["Variables"] or ()
            found.append(both)
        return found

    def _goroutine_id(self) -> int:
        return -1 if self.goroutine is None else self.goroutine

    # -- memory ----------------------------------------------------------------------------------------

    def memory(self) -> Memory:
        """The program's memory, read directly where that is possible."""
        if self._direct is None and self._direct_wanted and self._direct_tried != self._seen:
            self._direct_tried = self._seen
            try:
                self._direct = self._try_direct()
            except KeyboardInterrupt:
                self._direct_tried = None
                raise
        return self._delve_memory if self._direct is None else Shortcut(self._direct, self._delve_memory)

    def _try_direct(self) -> ProcessMemory | CoreMemory | None:
        opened: ProcessMemory | CoreMemory | None = None
        try:
            if self.kind == "core":
                opened = CoreMemory(self._core) if self._core else None
            else:
                opened = ProcessMemory(int(self.client.call("ProcessPid")["Pid"]))
            # A number of a process in a container, or on the other end of a tunnel, is somebody else's here.
            # runtime.m0 holds its thread's id and random numbers: no other process has its like.
            raw = self.package_variable("runtime.m0")
            t = self.types.find("runtime.m")
            if opened is None or raw is None or t is None:
                return None
            if same(opened, self._delve_memory, int(raw["addr"]), t.size):
                kept, opened = opened, None
                return kept
        except (OSError, ValueError, GomapError):
            pass
        finally:
            if opened is not None:
                opened.close()
        return None

    def close_memory(self) -> None:
        """Closes what was opened past Delve."""
        if self._direct is not None:
            self._direct.close()
        self._direct, self._direct_tried = None, None

    @property
    def direct(self) -> bool:
        """Whether memory is read past Delve."""
        return self._direct is not None


@dataclass(frozen=True)
class Moment:
    """What tells one stop of the program from another. A loop stops at one place many times, so it counts how often
    its breakpoint has been hit: {id: hits}, empty where it stands at none, as after that has been cleared. What waits
    is halted at one place many times, too: scheduled is the scheduler's clock, empty where it is not known (yet: it may
    be in a library)."""

    process: object
    place: tuple[object, ...]
    hits: Mapping[int, int]
    scheduled: bytes

    def differs(self, other: Moment) -> bool:
        if (self.process, self.place) != (other.process, other.place):
            return True
        if self.scheduled and other.scheduled and self.scheduled != other.scheduled:
            return True
        return any(other.hits.get(i, n) != n for i, n in self.hits.items())


def moment(state: Mapping[str, Any], scheduled: bytes) -> Moment:
    thread, goroutine = state.get("currentThread") or {}, state.get("currentGoroutine") or {}
    stop = thread.get("breakPoint")
    hits = {int(stop["id"]): int(stop["totalHitCount"])} if stop else {}
    others = tuple(sorted((int(one["id"]), int(one["pc"])) for one in state.get("Threads") or ()))
    place = (thread.get("id"), thread.get("pc"), goroutine.get("id"), others)
    return Moment(state.get("Pid"), place, hits, scheduled)
