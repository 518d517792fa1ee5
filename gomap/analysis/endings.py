"""How a goroutine's operation on a map ended: in a panic, in a fatal error, or not."""

from __future__ import annotations

from gomap.analysis.deaths import FATAL, PANIC, Death, panics, signal_name, thrown, value
from gomap.errors import GomapError, OptimizedOut
from gomap.golang.runtime import mapcalls
from gomap.golang.runtime.modules import of_runtime
from gomap.golang.runtime.rtype import DescribedTypes
from gomap.golang.runtime.stacks import Stack
from gomap.gotypes import Kind
from gomap.target import Frame, Target

MAX_TEXT = 256


def ending(
    target: Target, types: DescribedTypes, stack: Stack, newest: int, death: Death | None
) -> tuple[str | None, str | None, bool]:
    """(FATAL or PANIC, what the runtime said, whether deferred functions have run since) of the operation whose newest
    frame is at `newest`; (None, None, False) when it goes on. death: what the goroutine died of."""
    frames = stack.frames
    at = next((i for i in reversed(range(newest)) if mapcalls.ends(frames[i].function)), None)
    own_death = death if death is not None and death.kind == FATAL else None
    if at is None:
        # The runtime may have died on the thread's own stack, where it allocates memory and stacks.
        return (None, None, False) if own_death is None else (FATAL, own_death.message, False)
    # A fault goes on in a panic or in a fatal error.
    while frames[at].function == mapcalls.FAULT:
        further = next((i for i in reversed(range(at)) if mapcalls.ends(frames[i].function)), None)
        if further is None:
            return PANIC, signal_name(target, stack.goroutine), False
        at = further
    if frames[at].function == mapcalls.PANIC:
        left = any(not of_runtime(frame.function) for frame in frames[:at])
        return PANIC, _panic_value(target, types, stack, at), left
    message = own_death.message if own_death is not None else None
    if message is None:
        texts = (_text(target, frame) for frame in reversed(frames[: at + 1]) if mapcalls.is_death(frame.function))
        message = next((text for text in texts if text), None)
        low, high = stack.goroutine.stack
        if message is None and stack.goroutine.thread is None:  # preempted where it begins
            message = _printable(target, *two_spilled(target, stack, at))
        if message is None and low <= frames[at].sp < high:
            start = next(frame.sp for frame in frames if low <= frame.sp < high)
            message = thrown(target, start, high)
    return FATAL, message, False


def _panic_value(target: Target, types: DescribedTypes, stack: Stack, at: int) -> str | None:
    """The value of the panic whose runtime.gopanic is the frame at `at`."""
    calls = [i for i, frame in enumerate(stack.frames) if frame.function == mapcalls.PANIC]
    chain = panics(target, stack.goroutine.address)
    index = calls.index(at) - max(len(calls) - len(chain), 0)  # the newest may not be linked yet
    if 0 <= index < len(chain):
        return chain[index]
    for local in stack.frames[at].locals:
        variable = local.variable
        if variable.type.kind is not Kind.INTERFACE:
            continue
        try:
            return value(target, types, variable.type, variable.read(target.memory, 0, variable.type.size))
        except (GomapError, OptimizedOut):
            continue
    return None


def _text(target: Target, frame: Frame) -> str | None:
    """The argument of runtime.fatal and throw (s string)."""
    word = target.arch.pointer_size
    for local in frame.locals:
        variable = local.variable
        if variable.type.kind is not Kind.STRING:
            continue
        try:
            data = variable.read(target.memory, 0, 2 * word)
        except (GomapError, OptimizedOut):
            continue
        told = _printable(target, target.arch.pointer(data), target.arch.pointer(data, word))
        if told is not None:
            return told
    return None


def _printable(target: Target, address: int, length: int) -> str | None:
    """The text that lies there: what a register or a stack holds by now need not be one."""
    if not address or not length:
        return None
    try:
        told = target.memory.read(address, min(length, MAX_TEXT)).decode("utf-8", "replace")
    except GomapError:
        return None
    return told if told.isprintable() else None


def two_spilled(target: Target, stack: Stack, level: int) -> tuple[int, int]:
    """The words where the function at `level`, the newest on the goroutine's stack, spills its first two register
    arguments; zeros where it is not the newest, or they are not there."""
    frames, (low, high), word = stack.frames, stack.goroutine.stack, target.arch.pointer_size
    caller = next((frame for frame in frames[level:] if frame.sp != frames[level].sp), None)
    if caller is None or target.arch.name != "amd64" or any(low <= frame.sp < high for frame in frames[:level]):
        return 0, 0
    try:
        data = target.memory.read(caller.sp, 2 * word)
    except GomapError:
        return 0, 0
    return target.arch.pointer(data), target.arch.pointer(data, word)
