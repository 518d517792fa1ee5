"""runtime.g and runtime.m: the goroutines there are and the threads that run them (runtime/runtime2.go)."""

from __future__ import annotations

from collections.abc import Sequence

from gomap.anomaly import Anomaly
from gomap.errors import GomapError, MemoryFault, NoDebugInfo
from gomap.gotypes import GoType, Kind
from gomap.reads import gather
from gomap.target import Goroutine, Record, Target, integer_at, read_record, unpacker

MAX_THREADS = 1 << 16
MAX_GOROUTINES = 1 << 24
#: gStatusStrings of runtime/traceback.go.
_STATUS = {
    0: "idle", 1: "runnable", 2: "running", 3: "syscall", 4: "waiting", 8: "copystack", 9: "preempted",
    10: "leaked",
}  # fmt: skip
_DEAD = frozenset({0, 6, 11})  # _Gidle is not initialised yet, _Gdeadextra waits for a call from C
RUNNING, SYSCALL, WAITING, LEAKED = 2, 3, 4, 10
_SCAN = 0x1000
_G_FIELDS = (
    "goid", "stack.lo", "stack.hi", "sched.sp", "sched.pc", "sched.bp", "atomicstatus", "waitreason", "m", "gopc",
    "startpc", "syscallsp", "syscallpc", "_defer", "waitsince",
)  # fmt: skip


def goroutines(target: Target) -> tuple[list[Goroutine], list[Anomaly]]:
    """All goroutines that are not dead, in the order of runtime.allgs, and what could not be read of them.

    Raises NoDebugInfo, MemoryFault; GomapError for a recorded map, which has none.
    """
    if target.kind == "recorded":
        raise GomapError("a recorded map has no goroutines: use the process or its core")
    g_type, allgs = target.find_type("runtime.g"), target.variable("runtime.allgs")
    if g_type is None or g_type.kind is not Kind.STRUCT or allgs is None:
        raise NoDebugInfo("the debug information has no runtime.g or runtime.allgs: goroutines can't be listed")
    arch, memory, word = target.arch, target.memory, target.arch.pointer_size
    head = allgs.read(memory, 0, 2 * word)
    reader = Reader(target)
    length = arch.pointer(head, word)
    if length > MAX_GOROUTINES:
        raise NoDebugInfo(f"runtime.allgs says there are {length:,} goroutines, which can't be")
    listed = memory.read(arch.pointer(head), length * word)
    addresses = [arch.pointer(listed, i) for i in range(0, len(listed), word)]
    found: dict[int, Goroutine] = {}
    anomalies = []
    for address, data in gather(memory, [a for a in addresses if a], g_type.size):
        if data is None:
            anomalies.append(Anomaly("error", "unreadable", f"goroutine at {address:#x} can't be read", address))
            continue
        one = reader.goroutine(address, data)
        if one is not None:
            found[address] = one
    return [found[address] for address in addresses if address in found], anomalies


def stack_of(target: Target, address: int) -> Goroutine | None:
    """The goroutine on whose stack the address is; None of an address that is on none. Raises as goroutines does."""
    return next((one for one in goroutines(target)[0] if one.stack[0] <= address < one.stack[1]), None)


class Reader:
    """Makes a Goroutine of a runtime.g. Raises NoDebugInfo."""

    def __init__(self, target: Target) -> None:
        g_type = target.find_type("runtime.g")
        if g_type is None or g_type.kind is not Kind.STRUCT:
            raise NoDebugInfo("the debug information has no runtime.g: goroutines can't be listed")
        self.size, self._arch = g_type.size, target.arch
        self._unpack = unpacker(target.arch, [integer_at(g_type, name) for name in _G_FIELDS])
        self._bp_in_call = _optional(g_type, "syscallbp")
        self._reasons = _Reasons(target)
        self._threads = _threads(target)

    def goroutine(self, address: int, data: bytes | memoryview) -> Goroutine | None:
        """None where it is dead. data: the runtime.g at that address."""
        goid, low, high, sp, pc, bp, status, reason, m, gopc, start, call_sp, call_pc, deferred, since = self._unpack(
            data
        )
        status &= ~_SCAN
        if status in _DEAD:
            return None
        if status == SYSCALL and call_sp:
            sp, pc = call_sp, call_pc
            if self._bp_in_call is not None:
                bp = self._arch.uint(bytes(data), *self._bp_in_call)
        elif status == RUNNING and pc == call_pc and not call_sp:
            sp = 0  # it is back from the system call that this is still the place of
        text = _STATUS.get(status, f"status {status}")
        if status in (WAITING, LEAKED):
            text = self._reasons.text(reason) or text
        # A goroutine in a system call continues where it entered it, whatever its thread does until then.
        thread = self._threads.get(m) if status == RUNNING else None
        stack, collected = (low, high), status == WAITING and since != 0  # markroot of runtime/mgcmark.go sets it
        return Goroutine(goid, address, text, pc, sp, bp, stack, gopc, thread, start, deferred, collected)


def goroutine_of_thread(target: Target, thread: int) -> int | None:
    """goid of the goroutine that the thread (operating system id) runs: m.procid, m.curg. None if unknown."""
    g_type = target.find_type("runtime.g")
    try:
        for m, running in _threads(target).items():
            if running == thread and g_type is not None:
                m_type = target.find_type("runtime.m")
                curg = read_record(target, m_type, m)["curg"] if m_type else 0
                return read_record(target, g_type, curg)["goid"] if curg else None
    except GomapError:
        pass
    return None


def threads(target: Target) -> dict[int, Record]:
    """The runtime.m of each thread by its address, of the list that starts at runtime.allm."""
    m_type, start = target.find_type("runtime.m"), target.symbol("runtime.allm")
    if m_type is None or start is None or m_type.kind is not Kind.STRUCT:
        return {}
    found: dict[int, Record] = {}
    try:
        address = target.arch.pointer(target.memory.read(start, target.arch.pointer_size))
        while address and address not in found and len(found) < MAX_THREADS:
            found[address] = read_record(target, m_type, address)
            address = found[address]["alllink"]
    except MemoryFault:
        pass
    return found


def _threads(target: Target) -> dict[int, int]:
    """m's address -> m.procid."""
    return {address: m["procid"] for address, m in threads(target).items()}


def _optional(t: GoType, name: str) -> tuple[int, int] | None:
    return integer_at(t, name) if t.field(name) else None


class _Reasons:
    """runtime.waitReasonStrings: why a goroutine waits, in the runtime's words."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._known: dict[int, str] = {}
        found = target.variable("runtime.waitReasonStrings")
        self._strings = found if found is not None and found.type.kind is Kind.ARRAY else None

    def text(self, reason: int) -> str:
        if reason not in self._known:
            self._known[reason] = self._read(reason)
        return self._known[reason]

    def _read(self, reason: int) -> str:
        target, strings = self._target, self._strings
        if strings is None or not 0 < reason < strings.type.length:
            return ""
        try:
            head = strings.read(target.memory, reason * strings.type.elem.size, strings.type.elem.size)
            length = min(target.arch.pointer(head, target.arch.pointer_size), 64)
            return target.memory.read(target.arch.pointer(head), length).decode("utf-8", "replace")
        except MemoryFault:
            return ""


def by_id(goroutines: Sequence[Goroutine], goid: int) -> Goroutine | None:
    """The goroutine with this id (runtime.g.goid); None where there is none."""
    return next((g for g in goroutines if g.id == goid), None)
