"""Frames of any goroutine in gdb, live and in core files, without a write to a register.

gdb unwinds threads. gomap's unwinder makes the parked goroutine the caller of the selected thread's newest frame, with
the pc, sp and bp that the runtime saved when it parked the goroutine. All older frames, inlined ones too, then come
from gdb and the program's debug information.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

import gdb
from gdb.unwinder import Unwinder

from gomap.errors import GomapError, TargetRunning
from gomap.golang.runtime.liveness import waits
from gomap.golang.runtime.stacks import OLDEST
from gomap.registers import of_names
from gomap.target import MAX_FRAMES, Arch, Call, Goroutine, Registers

#: Registers by gdb's name of the architecture: pc, sp and frame pointer.
_REGISTERS = {
    "i386:x86-64": ("rip", "rsp", "rbp"),
    "i386": ("eip", "esp", "ebp"),
    "aarch64": ("pc", "sp", "x29"),
    "s390:64-bit": ("pc", "r15", None),
    "powerpc:common64": ("pc", "r1", None),
    "riscv:rv64": ("pc", "sp", "fp"),
}


@dataclass
class _FrameId:
    """The id by which gdb distinguishes frames."""

    sp: gdb.Value
    pc: gdb.Value


class _Parked(Unwinder):
    """Makes a parked goroutine the caller of the newest frame, and gives the function in which it was preempted."""

    def __init__(self, pc: int, sp: int, bp: int) -> None:
        super().__init__("gomap parked goroutine")
        self._saved = (pc, sp, bp)
        self.answered = False
        self._preempted = _function_at(pc) == "runtime.asyncPreempt2"

    def __call__(self, pending_frame: gdb.PendingFrame) -> gdb.UnwindInfo | None:
        if self.answered:
            return self._interrupted(pending_frame) if self._preempted else None
        names = _REGISTERS.get(pending_frame.architecture().name())
        if names is None:
            return None
        self.answered = True
        pc, sp, _ = self._saved
        word = gdb.lookup_type("uintptr")
        # The id has to lie below the goroutine's stack pointer, or gdb takes the next frame for an inner one and
        # ends the backtrace.
        info = pending_frame.create_unwind_info(_FrameId(gdb.Value(sp - 16).cast(word), gdb.Value(pc).cast(word)))
        for name, value in zip(names, self._saved):
            if name is not None:
                info.add_saved_register(name, gdb.Value(value).cast(word))
        return info

    def _interrupted(self, pending_frame: gdb.PendingFrame) -> gdb.UnwindInfo | None:
        """What runtime.asyncPreempt returns to did not call it, and may be anywhere in its prologue or epilogue: gdb
        has to look at that very pc, and would look at the byte in front of it. Both functions of the runtime push the
        frame pointer before anything else (asyncPreempt of runtime/preempt_amd64.s)."""
        if pending_frame.architecture().name() != "i386:x86-64":
            return None
        here = int(pending_frame.read_register("rip")) & (1 << 64) - 1
        if _function_at(here) != "runtime.asyncPreempt":
            return None
        self._preempted = False
        try:
            bp, returns_to = _pushed(self._saved[2])
            outer, pc = _pushed(bp)
        except gdb.error:
            return None
        if returns_to != here or _function_at(pc) is None:
            return None
        word = gdb.lookup_type("uintptr")
        info = pending_frame.create_unwind_info(_FrameId(gdb.Value(bp + 16).cast(word), gdb.Value(here).cast(word)))
        for name, value in (("rip", pc + 1), ("rsp", bp + 16), ("rbp", outer)):
            info.add_saved_register(name, gdb.Value(value).cast(word))
        return info


@contextmanager
def frames_of(goroutine: Goroutine) -> Iterator[list[gdb.Frame]]:
    """The goroutine's frames, the newest first, valid inside the `with`. The user's selection is put back."""
    with _selection_kept():
        if goroutine.thread is not None:
            with _whole_stacks(of_thread=True):
                found = _running(goroutine)
                if found:
                    yield found
                    return
            if goroutine.status == "running" and any(runs_on(thread) for thread in _threads_of(goroutine)):
                raise TargetRunning("its thread is running")
        pc, sp, bp = _where_it_goes_on(goroutine)
        if not pc or not sp:
            yield []
            return
        unwinder = _Parked(pc, sp, bp)
        gdb.frame_unwinders.insert(0, unwinder)
        gdb.invalidate_cached_frames()
        try:
            with _whole_stacks(of_thread=False):
                yield _physical(_caller_of_newest(unwinder))
        finally:
            gdb.frame_unwinders.remove(unwinder)
            gdb.invalidate_cached_frames()


def _caller_of_newest(unwinder: _Parked) -> gdb.Frame | None:
    """The goroutine's newest frame, which the unwinder gives as the caller of the thread's newest.

    Calls inlined into the thread's newest frame come before that frame, and gdb asks no unwinder about them. Raises
    GomapError where the unwinder was not asked: the caller then belongs to the thread.
    """
    found = _newest_call().older()
    if not unwinder.answered:
        raise GomapError("gdb did not use gomap's unwinder for its stack")
    return found


def _newest_call() -> gdb.Frame:
    """The selected thread's newest frame that is a call of its own, and not one inlined into another."""
    frame = gdb.newest_frame()
    while frame.type() == gdb.INLINE_FRAME:
        older = frame.older()
        if older is None:
            break
        frame = older
    return frame


@contextmanager
def _setting(name: str, value: str, before: str) -> Iterator[None]:
    """With a setting of the user's backtraces as it has to be: gdb applies them to every walk over frames."""
    gdb.execute(f"set backtrace {name} {value}", to_string=True)
    try:
        yield
    finally:
        gdb.execute(f"set backtrace {name} {before}", to_string=True)


@contextmanager
def _whole_stacks(of_thread: bool) -> Iterator[None]:
    """Lifts the user's limit, and lets gdb unwind past main.main, where it ends any stack."""
    with ExitStack() as settings:
        limit = gdb.parameter("backtrace limit")
        if limit is not None:
            settings.enter_context(_setting("limit", "unlimited", str(limit)))
        if not of_thread and not gdb.parameter("backtrace past-main") and _newest_call().name() == "main.main":
            settings.enter_context(_setting("past-main", "on", "off"))
        yield


@contextmanager
def selected(frame: gdb.Frame) -> Iterator[None]:
    """With this frame of the selected thread selected. The user's selection is put back."""
    with _selection_kept():
        frame.select()
        yield


def has_registers(frame: gdb.Frame) -> bool:
    """Whether gdb knows what the frame's registers hold: it is the newest, or a signal came in it.

    What it has called may use all of them (abi-internal.md of cmd/compile). Debug information does not say so, and gdb
    takes those of callers for what they hold by now.
    """
    newer = _callee(frame)
    return newer is None or newer.type() == gdb.SIGTRAMP_FRAME


def _callee(frame: gdb.Frame) -> gdb.Frame | None:
    """The frame of the call that it waits for; inlined calls have no frame of their own."""
    newer = frame.newer()
    while newer is not None and newer.type() == gdb.INLINE_FRAME:
        newer = newer.newer()
    return newer


def waiting(frame: gdb.Frame) -> Call | None:
    """The call that the frame's function waits for; None if it waits for none."""
    newer = _callee(frame)
    if newer is None or newer.type() == gdb.SIGTRAMP_FRAME or not waits(newer.name()):
        return None
    return Call(frame.pc(), call_frame(frame))


def call_frame(frame: gdb.Frame) -> int:
    """The call frame's address (DW_OP_call_frame_cfa): the stack pointer that the caller had."""
    caller = frame.older()
    while caller is not None and frame.type() == gdb.INLINE_FRAME:
        frame, caller = caller, caller.older()
    if caller is not None:
        return stack_pointer(caller)
    # Of main.main gdb shows no caller (`set backtrace past-main`).
    found = re.search(r"0x[0-9a-f]+", gdb.execute(f"info frame level {frame.level()}", to_string=True))
    if found is None:
        raise gdb.error(f"gdb does not report the frame of {frame.name()}")
    return int(found.group(), 16)


@contextmanager
def _selection_kept() -> Iterator[None]:
    thread, level = gdb.selected_thread(), gdb.selected_frame().level()
    try:
        yield
    finally:
        if thread is not None and thread.is_valid():
            thread.switch()
            frame: gdb.Frame | None = gdb.newest_frame()
            while frame is not None and frame.level() < level:
                frame = frame.older()
            if frame is not None:
                frame.select()


def _running(goroutine: Goroutine) -> list[gdb.Frame]:
    """The frames that the thread has on the goroutine's own stack. None where it is on the system's, which gdb's
    backtrace does not leave."""
    for thread in _threads_of(goroutine):
        if not runs_on(thread):
            thread.switch()
            return [f for f in _physical(gdb.newest_frame()) if _on_stack(f, goroutine)]
    return []


def registers_of(goroutine: Goroutine, arch: Arch) -> Registers | None:
    """What the registers of the thread hold that runs the goroutine."""
    with _selection_kept():
        for thread in _threads_of(goroutine):
            if runs_on(thread):
                continue
            thread.switch()
            frame = gdb.newest_frame()
            values = {}
            for register in frame.architecture().registers("general"):
                with suppress(gdb.error, ValueError):
                    values[register.name] = int(frame.read_register(register)) & (1 << 8 * arch.pointer_size) - 1
            return of_names(arch, values)
    return None


def _threads_of(goroutine: Goroutine) -> list[gdb.InferiorThread]:
    """The thread that runs it, if gdb has that thread."""
    wanted = goroutine.thread
    threads = gdb.selected_inferior().threads()
    return [t for t in threads if wanted in t.ptid[1:] or (t.ptid[0] == wanted and not t.ptid[1])]


def runs_on(thread: gdb.InferiorThread) -> bool:
    """Whether the thread runs while the selected one is stopped, in gdb's non-stop mode. In all-stop mode threads stop
    together, and all count as running while gdb evaluates a breakpoint's condition."""
    if not gdb.parameter("non-stop") or not thread.is_running():
        return False
    selected = gdb.selected_thread()
    return selected is None or selected.ptid != thread.ptid


def _on_stack(frame: gdb.Frame, goroutine: Goroutine) -> bool:
    low, high = goroutine.stack
    return low <= stack_pointer(frame) < high


def _physical(frame: gdb.Frame | None) -> list[gdb.Frame]:
    """The frame and those that called it, to the function that every goroutine starts from."""
    found: list[gdb.Frame] = []
    while frame is not None and len(found) < MAX_FRAMES:
        if not frame.is_valid() or not frame.pc():
            break
        found.append(frame)
        if frame.name() in OLDEST:
            break
        try:
            frame = frame.older()
        except gdb.error:
            break
    return found


def stack_pointer(frame: gdb.Frame) -> int:
    """The stack pointer of a frame. Raises GomapError where gdb can't determine it."""
    names = _REGISTERS.get(frame.architecture().name())
    try:
        return int(frame.read_register(names[1] if names else "sp")) & (1 << 64) - 1
    except (gdb.error, ValueError) as error:
        raise GomapError(f"gdb can't determine the stack pointer of {frame.name()}: {error}") from error


def _pushed(bp: int) -> tuple[int, int]:
    """(the caller's frame pointer, the return address) of the function with that frame pointer, on amd64."""
    saved = bytes(gdb.selected_inferior().read_memory(bp, 16))
    return int.from_bytes(saved[:8], "little"), int.from_bytes(saved[8:], "little")


def _function_at(pc: int) -> str | None:
    block = gdb.block_for_pc(pc)
    while block is not None and block.function is None:
        block = block.superblock
    return None if block is None or block.function is None else str(block.function.name)


def _starts_at(pc: int) -> bool:
    """Whether a function does."""
    block = gdb.block_for_pc(pc)
    while block is not None and block.superblock is not None and not block.superblock.is_static:
        block = block.superblock
    return block is not None and block.function is not None and block.start == pc


def _where_it_goes_on(goroutine: Goroutine) -> tuple[int, int, int]:
    """(pc, sp, bp), past runtime.systemstack_switch, and behind the first byte of a function that has not started:
    of a caller gdb looks at the byte in front of its pc, which there would be another function's.

    systemstack saves that function's pc when it leaves the goroutine's stack (gosave_systemstack_switch of
    runtime/asm_amd64.s) at a place where gdb would not find the caller: it pushed the frame pointer, and the
    return address lies above it.
    """
    pc, sp, bp = goroutine.pc, goroutine.sp, goroutine.bp
    if _starts_at(pc):
        return pc + 1, sp, bp
    if _function_at(pc) != "runtime.systemstack_switch":
        return pc, sp, bp
    word = gdb.lookup_type("uintptr").sizeof
    if gdb.selected_frame().architecture().name() not in ("i386:x86-64", "i386"):
        return pc, sp, bp
    try:
        saved = bytes(gdb.selected_inferior().read_memory(sp, 2 * word))
    except gdb.error:
        return pc, sp, bp
    return int.from_bytes(saved[word:], "little"), sp + 2 * word, int.from_bytes(saved[:word], "little")
