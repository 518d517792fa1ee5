"""One connection to a Delve server, with the facts about its program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Callable

from delve_bridge.breaking import DelveBreaker
from delve_bridge.build import Build
from delve_bridge.frames import Called, DelveFrame
from delve_bridge.memory import RpcMemory
from delve_bridge.rpc import GONE, Api, Client, NotDelve, Refused, ended
from delve_bridge.target import DelveTarget
from delve_bridge.tracing import DelveTracer
from delve_bridge.types import BARE, Raw
from gomap.errors import GomapError, MemoryFault, NoDebugInfo, NoProcess, TargetRunning
from gomap.golang.runtime.descriptors import map_parts
from gomap.memory import Memory
from gomap.registers import of_names
from gomap.stripped.target import StrippedTarget
from gomap.target import Arch, Goroutine, Kept, Location, Registers
from gomap.trace.events import Watcher

API_VERSION = 2


class Session:
    """direct: whether memory may be read without Delve; core, program: paths of these files, if known on this side;
    alone: whether the server is gomap's own, so that no other client resumes the program. edited: whether an editor
    controls the program, which is not notified of other clients' actions. exited: whether it ended while a command let
    it run.

    Facts belong to one Build and one Stop. Both are dropped if the process is another one or has loaded a library.
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
        self.edited = False
        self.exited = False
        #: What this session's hmap-breaks are about, by number.
        self.breaks: dict[int, Watcher] = {}
        #: What a line of theirs is given to while the program runs on.
        self.say: Callable[[str], None] = lambda text: None
        #: Are called before a command lets the program run, and when it has stopped, with its state (api.DebuggerState;
        #: empty where that is not known) and the kind of its Ending.
        self.runs: Callable[[], None] = lambda: None
        self.stands: Callable[[Mapping[str, Any], str], None] = lambda state, kind: None
        self._files = core, program, direct and client.loopback
        self._built: Build | None = None
        self._stop: Stop | None = None
        self._looked: Moment | None = None  # for libraries
        if isinstance(client, Client):
            self._handshake(client)

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
        """The program's state, as Client.state gives it. Raises NoProcess after its end."""
        try:
            state = self.client.state(believed=believed)
        except Refused as error:
            raise ended(error) from error
        if state.get("exited"):
            self.breaker.forget()
            raise NoProcess(f"the program has exited with status {state.get('exitStatus')}: start it again (restart)")
        if self._is_gone(state):
            self.breaker.forget()
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
        if self._stop is None or self.moved(state):
            self.arrived(state)
        return state

    def select(self, frame: int, goroutine: int | None = None) -> None:
        """Selects a goroutine (by default Delve's selection) and one of its frames. Raises as stopped does."""
        state = self.stopped()
        if self._stop is not None:
            own = _goroutine_of(state) if goroutine is None else goroutine
            self._stop = replace(self._stop, goroutine=own, frame=frame)

    @property
    def goroutine(self) -> int | None:
        """The selected one's id; None where the thread runs none."""
        return self._stop.goroutine if self._stop is not None else None

    @property
    def frame(self) -> int:
        """The selected one's number."""
        return self._stop.frame if self._stop is not None else 0

    @frame.setter
    def frame(self, level: int) -> None:
        assert self._stop is not None, "nothing is selected before a stop"
        self._stop = replace(self._stop, frame=level)

    def moved(self, state: Mapping[str, Any]) -> bool:
        """Whether the program is not where this session last saw it."""
        return self._stop is not None and self._stop.moment.differs(self._moment(state))

    def restarted(self, state: Mapping[str, Any]) -> bool:
        """Whether it is another process than this session last saw: the program was started again, perhaps built
        anew before."""
        return self._stop is not None and self._stop.moment.process != state.get("Pid")

    def arrived(self, state: Mapping[str, Any]) -> None:
        """The program has stopped somewhere new: its goroutine there is selected."""
        self.exited = False
        if self.restarted(state):
            self.breaker.forget()
            self.close_memory()
        self._stop = Stop(self._moment(state), _goroutine_of(state))

    def _moment(self, state: Mapping[str, Any]) -> Moment:
        """The present moment, to detect changes by other clients; without other clients, only the state."""
        return moment(state, b"" if self.alone else self._scheduled())

    def _scheduled(self) -> bytes:
        """When Go's scheduler last looked for work, and until when it waits: the first three fields of runtime.sched,
        goidgen, lastpoll and pollUntil. A waiting program may have been resumed and halted again at the same place,
        as is usual for servers."""
        sched = self.build.package_variable("runtime.sched")
        try:
            return b"" if sched is None else RpcMemory(self.client).read(int(sched["addr"]), 24)
        except MemoryFault:
            return b""

    def target(self) -> DelveTarget | StrippedTarget:
        """The stopped program as a Target. Raises TargetRunning, NoProcess, NoDebugInfo."""
        self.stopped()
        if self._stop is not None and self._looked != self._stop.moment:
            # A plugin or a library that was loaded since the last stop brings types and package variables.
            libraries = self._dynamic_libraries()
            if self._built is not None and self._built.libraries != libraries:
                self.close_memory()
            if self._built is None:
                self._built = self._new(libraries)
            self._looked = self._stop.moment
        found: DelveTarget | StrippedTarget
        try:
            found = DelveTarget(self)
        except NoDebugInfo as error:
            moment = self._stop and self._stop.moment
            found = self.build.stripped(error, moment, self._thread, self.registers)
            found.tracer = self.tracer
        found.kept = self._stop.kept if self._stop is not None else None
        if found.kept is not None:  # dlv's set and call are not reported
            found.kept.certain = found.kind == "core"
        return found

    def _thread(self) -> int | None:
        thread = self.state().get("currentThread")
        return int(thread["id"]) if thread else None

    @property
    def build(self) -> Build:
        """The facts about the program's files."""
        if self._built is None:
            self._built = self._new(self._dynamic_libraries())
        return self._built

    def _new(self, libraries: Sequence[str]) -> Build:
        return Build(self.client, libraries, *self._files, described=lambda name: map_parts(DelveTarget(self), name))

    def _dynamic_libraries(self) -> list[str]:
        try:
            found = self.client.call("ListDynamicLibraries")["List"] or ()
        except Refused:
            return []
        return [str(library["Path"]) for library in found]

    def close_memory(self) -> None:
        """Drops the facts about the program's files: the next question determines them anew."""
        built, self._built = self._built, None
        if built is not None:
            built.close()

    # -- facts -----------------------------------------------------------------------------------------

    @property
    def tracer(self) -> DelveTracer:
        """What lets the program run and stops it at functions."""
        return DelveTracer(self)

    def thread_registers(self, thread: int) -> Callable[[str], int]:
        """What the registers of a thread hold, by their names in lower case; read when one is asked for."""
        found: dict[str, int] = {}

        def register(name: str) -> int:
            if not found:
                found.update(self._registers(thread))
            try:
                return found[name]
            except KeyError:
                raise GomapError(f"Delve does not report register {name} of thread {thread}") from None

        return register

    @property
    def breaker(self) -> DelveBreaker:
        """What sets breakpoints that stay."""
        return DelveBreaker(self)

    def memory(self) -> Memory:
        """The program's memory at this stop."""
        return self.build.memory(self._stop and self._stop.moment)

    @property
    def direct(self) -> bool:
        """Whether memory is read past Delve."""
        return self.build.direct

    # -- frames ----------------------------------------------------------------------------------------

    def stack(self, depth: int) -> list[DelveFrame]:
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
            frame = DelveFrame(level, name, raw.get("file") or None, raw.get("line") or None, optimised)
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

    def registers(self, goroutine: Goroutine, arch: Arch) -> Registers | None:
        """What the registers of the thread hold that runs the goroutine."""
        if goroutine.thread is None:
            return None
        try:
            return of_names(arch, self._registers(goroutine.thread))
        except Refused:
            return None

    def _registers(self, thread: int) -> dict[str, int]:
        """What the registers of a thread hold, by their names in lower case. Raises Refused."""
        found: dict[str, int] = {}
        for one in self.client.call("ListRegisters", ThreadID=thread, IncludeFp=False).get("Regs") or ():
            with suppress(ValueError):
                found[str(one["Name"]).lower()] = int(str(one["Value"]), 16)
        return found

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


@dataclass(frozen=True)
class Moment:
    """Identifies one stop of the program. A loop stops at the same place many times, so the breakpoint's hit count
    is part of it: {id: hits}, empty if it is not at a breakpoint, or the breakpoint was cleared. A waiting program
    is also halted at the same place many times: scheduled is the scheduler's clock, empty if not known (yet: it may
    be in a library)."""

    process: object
    place: tuple[object, ...]
    hits: Mapping[int, int]
    scheduled: bytes

    def differs(self, other: Moment) -> bool:
        """Whether the program has moved between two moments."""
        if (self.process, self.place) != (other.process, other.place):
            return True
        if self.scheduled and other.scheduled and self.scheduled != other.scheduled:
            return True
        return any(other.hits.get(i, n) != n for i, n in self.hits.items())


def moment(state: Mapping[str, Any], scheduled: bytes) -> Moment:
    """The Moment of a stop.

    state: api.DebuggerState. scheduled: the scheduler's clock; empty where it is not known.
    """
    thread, goroutine = state.get("currentThread") or {}, state.get("currentGoroutine") or {}
    stop = thread.get("breakPoint")
    hits = {int(stop["id"]): int(stop["totalHitCount"])} if stop else {}
    others = tuple(sorted((int(one["id"]), int(one["pc"])) for one in state.get("Threads") or ()))
    place = (thread.get("id"), thread.get("pc"), goroutine.get("id"), others)
    return Moment(state.get("Pid"), place, hits, scheduled)


@dataclass(frozen=True)
class Stop:
    """One stop of the program, with the selection there. goroutine: its id, None if the thread runs none. kept: results
    that commands keep for later ones at this stop."""

    moment: Moment
    goroutine: int | None
    frame: int = 0
    kept: Kept = field(default_factory=Kept, compare=False)


def _goroutine_of(state: Mapping[str, Any]) -> int | None:
    goroutine = state.get("currentGoroutine")
    return int(goroutine["id"]) if goroutine else None
