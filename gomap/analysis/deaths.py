"""What a program died of, by what the runtime keeps of it: a fatal error, a panic or a signal.

runtime/panic.go (throw, fatal, fatalthrow, fatalpanic, printpanics), runtime/print.go (recordForPanic),
runtime/signal_unix.go (sighandler).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gomap.errors import GomapError
from gomap.golang.runtime.goroutines import threads
from gomap.golang.runtime.pclntab import Functions
from gomap.golang.runtime.rtype import DescribedTypes, dynamic
from gomap.gotypes import GoType, Kind
from gomap.target import Goroutine, Record, Target, read_record
from gomap.values import Limits, Values

FATAL, PANIC, SIGNAL = "fatal error", "panic", "signal"
MAX_TEXT = 1024
MAX_PANICS = 64
#: m.dying counts to three (startpanic_m).
MAX_DYING = 3
#: Bytes at the end of a thread's own stack, and from the top of a goroutine's, in which a call of throw is looked for.
SYSTEM_STACK, OWN_STACK = 1 << 18, 1 << 13
#: The functions that print a fatal error's text: closures that captured it (throw and fatal of runtime/panic.go).
_PRINTERS = frozenset({"runtime.throw.func1", "runtime.fatal.func1"})
_ANNOUNCED = b"fatal error: "
#: In what the kernel put on the signal stack, by architecture: where the ucontext has the stack's lowest address, where
#: siginfo_t lies from the ucontext, and what it has behind si_code (struct rt_sigframe of arch/*/kernel/signal*.c).
_SIGINFO = {"amd64": (16, 304, 16), "arm64": (16, -128, 16), "386": (8, -128, 12)}
MAX_SIGNAL = 65
_FAULTS = ("fault", "runtime error: invalid memory address")
#: What the errors of runtime/error.go put in front of their text.
_PREFIX = "runtime error: "
_PLAIN = frozenset({"string", "runtime.plainError"})
_PREFIXED = frozenset({"runtime.errorString", "runtime.errorAddressString"})


@dataclass(frozen=True)
class Death:
    """One thing that ended the program.

    message: the runtime's text, the panic's value or the signal's name; None if it can't be read. goroutine: id of the
    goroutine that the thread ran, None for none. outside: of a signal, whether it was sent to the program; sender:
    the process that sent it. address: of any other signal, its fault address.
    """

    kind: str
    message: str | None
    goroutine: int | None
    outside: bool = False
    sender: int | None = None
    address: int | None = None


def deaths(target: Target, found: Sequence[Goroutine]) -> list[Death]:
    """What ended the program, in the order of its threads; nothing where it lives. found: its goroutines."""
    ids = {goroutine.address: goroutine.id for goroutine in found}
    by_id = {goroutine.id: goroutine for goroutine in found}
    machines = list(threads(target).values())
    dying = [m for m in machines if m.get("dying") and m["dying"] <= MAX_DYING]
    thrown = [m for m in dying if m.get("throwing") and not m.get("caughtsig")]
    functions, result = Functions(target), []
    if not dying and _announced(target) is not None:  # stopped on its way to the end, if that is the runtime's text
        for m in machines:
            goroutine = ids.get(m.get("curg"))
            text = _thrown(target, functions, m, by_id.get(goroutine) if goroutine is not None else None)
            result += [] if text is None else [Death(FATAL, text, goroutine)]
    for m in dying:
        goroutine = ids.get(m.get("curg"))
        if m.get("caughtsig"):
            result.append(_signal(target, m, ids.get(m["caughtsig"], goroutine)))
        elif m.get("throwing"):
            text = _thrown(target, functions, m, by_id.get(goroutine) if goroutine is not None else None)
            if text is None and len(thrown) == 1:
                text = _announced(target)
            result.append(Death(FATAL, text, goroutine, address=_where(target, m.get("curg"), text)))
        else:
            chain = panics(target, m.get("curg"))
            text = chain[0] if chain else None
            result.append(Death(PANIC, text, goroutine, address=_where(target, m.get("curg"), text)))
    return result


def _where(target: Target, g: int, text: str | None) -> int | None:
    """The address of the fault, where the text is one of sigpanic's for it."""
    found = _fault(target, g) if text is not None and text.startswith(_FAULTS) else None
    return None if found is None else found[1]


# -- fatal errors ------------------------------------------------------------------------------------------


def _thrown(target: Target, functions: Functions, m: Record, goroutine: Goroutine | None) -> str | None:
    """The text that throw or fatal was called with on one of the thread's stacks."""
    stacks = [_stack(target, m.get(name)) for name in ("gsignal", "g0")]
    pieces = [(max(low, high - SYSTEM_STACK), high) for low, high in stacks if low < high]
    if goroutine is not None:
        low, high = goroutine.stack
        start = goroutine.sp if low <= goroutine.sp < high else low
        pieces.insert(0, (start, min(start + OWN_STACK, high)))
    for low, high in pieces:
        try:
            text = _captured_text(target, functions, low, target.memory.read(low, high - low))
        except GomapError:
            continue
        if text is not None:
            return text
    return None


def thrown(target: Target, start: int, high: int) -> str | None:
    """The text that throw or fatal has begun to print, in a frame above `start` on a stack that ends at `high`."""
    end = min(start + OWN_STACK, high)
    try:
        return _captured_text(target, Functions(target), start, target.memory.read(start, end - start))
    except GomapError:
        return None


def _captured_text(target: Target, functions: Functions, low: int, data: bytes) -> str | None:
    """The text in the first closure of a printer on the stack: its code, then what it captured."""
    arch, word = target.arch, target.arch.pointer_size
    text, end = functions.module["text"], functions.module["etext"]
    for at in range(-low % word, len(data) - 4 * word + 1, word):
        code = arch.pointer(data, at)
        if not text <= code < end:
            continue
        try:
            if functions.entry(code) != code or functions.name(code) not in _PRINTERS:
                continue
        except GomapError:
            continue
        for first in (at + word, at + 2 * word):
            found = _string(target, arch.pointer(data, first), arch.pointer(data, first + word))
            if found is not None:
                return found
    return None


def _announced(target: Target) -> str | None:
    """The last fatal error in runtime.printBacklog, where the runtime keeps what it printed before it was dying."""
    ring, index = target.variable("runtime.printBacklog"), target.symbol("runtime.printBacklogIndex")
    if ring is None or index is None or ring.type.size > 1 << 16:
        return None
    try:
        data = ring.read(target.memory, 0, ring.type.size)
        at = target.arch.pointer(target.memory.read(index, target.arch.pointer_size)) % max(len(data), 1)
    except GomapError:
        return None
    _, told, rest = (data[at:] + data[:at]).rpartition(_ANNOUNCED)
    if not told:
        return None
    lines = rest.split(b"\n")
    # printindented: further lines of the text begin with a tab.
    more = next((i for i, line in enumerate(lines[1:]) if not line.startswith(b"\t")), 0)
    text = b"\n".join([lines[0], *(line[1:] for line in lines[1 : 1 + more])])
    return text.decode("utf-8", "replace") or None


def _string(target: Target, address: int, length: int) -> str | None:
    """The text of a string that lies there, None where none can."""
    if not address or not 0 < length <= MAX_TEXT:
        return None
    try:
        return target.memory.read(address, length).decode("utf-8")
    except (GomapError, UnicodeDecodeError):
        return None


# -- panics ------------------------------------------------------------------------------------------------


def panics(target: Target, goroutine: int) -> list[str | None]:
    """The values of a goroutine's panics as the runtime prints them, the newest first (g._panic of
    runtime/runtime2.go). goroutine: *runtime.g."""
    g_type, panic_type = target.find_type("runtime.g"), target.find_type("runtime._panic")
    if g_type is None or panic_type is None or not goroutine:
        return []
    argument = panic_type.field("arg")
    result: list[str | None] = []
    types = DescribedTypes(target)
    seen: set[int] = set()
    try:
        address = read_record(target, g_type, goroutine)["_panic"]
        while address and address not in seen and len(seen) < MAX_PANICS:
            seen.add(address)
            record = read_record(target, panic_type, address)
            if not record.get("goexit") and argument is not None:
                data = record.data[argument.offset : argument.offset + argument.type.size]
                result.append(value(target, types, argument.type, data))
            address = record["link"]
    except GomapError:
        pass
    return result


def value(target: Target, types: DescribedTypes, interface: GoType, data: bytes) -> str | None:
    """A panic's value as the runtime prints it: printpanicval, or the error's own text where the runtime has not asked
    for that yet. None where it can't be read. data: of an interface."""
    word = target.arch.pointer_size
    try:
        held = dynamic(types, interface, data)
        if held is None:
            return "nil"
        t, at, direct = held
        content = data[word:] if direct else target.memory.read(at, t.size)
        own = _runtime_error(target, types, t, content)
        if own is not None:
            return own
        if t.kind is Kind.STRING and t.name in _PLAIN:
            return _string(target, target.arch.pointer(content), min(target.arch.pointer(content, word), MAX_TEXT))
        return Values(target, Limits(total=MAX_TEXT)).text(interface, data)
    except GomapError:
        return None


def _runtime_error(target: Target, types: DescribedTypes, t: GoType, content: bytes) -> str | None:
    """What Error returns for the runtime's own errors."""
    word = target.arch.pointer_size
    if t.name in _PREFIXED:
        text = _string(target, target.arch.pointer(content), target.arch.pointer(content, word))
        return None if text is None else _PREFIX + text
    if t.name.endswith("maps.unhashableTypeError"):
        return f"{_PREFIX}hash of unhashable type: {types.at(target.arch.pointer(content)).name}"
    return None


# -- signals -----------------------------------------------------------------------------------------------


def _signal(target: Target, m: Record, goroutine: int | None) -> Death:
    """The signal that the runtime ends the program for, from what the kernel put on the thread's signal stack."""
    arch, (low, high) = target.arch, _stack(target, m.get("gsignal"))
    nothing = Death(SIGNAL, None, goroutine)
    if arch.name not in _SIGINFO or not low < high:
        return nothing
    try:
        start = max(low, high - SYSTEM_STACK)
        data = target.memory.read(start, high - start)
    except GomapError:
        return nothing
    of_stack, of_info, of_rest = _SIGINFO[arch.name]
    # struct ucontext: uc_flags, uc_link, uc_stack.ss_sp, ... The program died in the outermost.
    pattern, end = arch.pack(low), len(data)
    while (end := data.rfind(pattern, 0, end)) >= 0:
        at = end - of_stack + of_info
        if at < 0 or at + 24 > len(data) or (start + end) % arch.pointer_size:
            continue
        number, code = arch.uint(data, at, 4), _signed(arch.uint(data, at + 8, 4))
        if 0 < number < MAX_SIGNAL and not arch.uint(data, at + 4, 4):
            name, outside = _name(target, number), code <= 0
            sender = arch.uint(data, at + of_rest, 4) if outside else None
            address = None if outside else arch.pointer(data, at + of_rest)
            return Death(SIGNAL, name, goroutine, outside, sender, address)
    return nothing


def _signed(value: int) -> int:
    return value - (1 << 32) if value >> 31 else value


def signal_name(target: Target, goroutine: Goroutine) -> str | None:
    """The signal that the goroutine's thread got from what it did, on the way to a panic (g.sig)."""
    found = _fault(target, goroutine.address)
    return None if found is None else _name(target, found[0])


def _fault(target: Target, g: int) -> tuple[int, int] | None:
    """(signal, address) of the last fault of a *runtime.g."""
    t = target.find_type("runtime.g")
    try:
        record = read_record(target, t, g) if t is not None and g else None
    except GomapError:
        return None
    return None if record is None or not record.get("sig") else (record["sig"], record["sigcode1"])


def _name(target: Target, number: int) -> str:
    """runtime.sigtable's name for it: SIGQUIT: quit."""
    table = target.variable("runtime.sigtable")
    if table is not None and table.type.kind is Kind.ARRAY and number < table.type.length:
        entry = table.type.elem
        field = entry.field("name")
        if field is not None:
            try:
                data = table.read(target.memory, number * entry.size + field.offset, field.type.size)
                arch = target.arch
                return _string(target, arch.pointer(data), arch.pointer(data, arch.pointer_size)) or f"signal {number}"
            except GomapError:
                pass
    return f"signal {number}"


def _stack(target: Target, g: int) -> tuple[int, int]:
    """(lowest, highest) address of the stack of a *runtime.g; (0, 0) where it can't be read."""
    t = target.find_type("runtime.g")
    if t is None or not g:
        return 0, 0
    try:
        record = read_record(target, t, g)
        stack = t.field("stack")
        if stack is None:
            return 0, 0
        bounds = Record(target.arch, stack.type, g + stack.offset, record.data[stack.offset :])
        return bounds["lo"], bounds["hi"]
    except GomapError:
        return 0, 0
