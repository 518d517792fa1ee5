"""runtime.m and runtime.g: which goroutine a thread runs (runtime/runtime2.go)."""

from __future__ import annotations

from gomap.errors import GomapError
from gomap.gotypes import Kind
from gomap.target import Target, read_record

MAX_THREADS = 1 << 16


def goroutine_of_thread(target: Target, thread: int) -> int | None:
    """goid of the goroutine that the thread (operating system id) runs: m.procid, m.curg. None if unknown."""
    m_type, g_type = target.find_type("runtime.m"), target.find_type("runtime.g")
    start = target.symbol("runtime.allm")
    if m_type is None or g_type is None or start is None or m_type.kind is not Kind.STRUCT:
        return None
    try:
        address = target.arch.pointer(target.memory.read(start, target.arch.pointer_size))
        for _ in range(MAX_THREADS):
            if not address:
                break
            m = read_record(target, m_type, address)
            if m["procid"] == thread:
                return read_record(target, g_type, m["curg"])["goid"] if m["curg"] else None
            address = m["alllink"]
    except GomapError:
        return None
    return None
