"""Why the kernel refuses to show or to stop a process: the setting or the capability that is missing, in one line."""

from __future__ import annotations

import errno
import os
from contextlib import suppress

_YAMA = "/proc/sys/kernel/yama/ptrace_scope"
_CAPABILITY = "CAP_SYS_PTRACE"


def why_not_read(pid: int) -> str:
    """Why the process can't be read, and what helps."""
    owner = _owner(pid)
    if owner is not None and owner != os.geteuid():
        return f"it belongs to another user: run gomap as that user, or with {_CAPABILITY} and CAP_DAC_READ_SEARCH"
    return _setting()


def why_not_stopped(pid: int, number: int) -> str:
    """number: the error of ptrace(2)."""
    tracer = _tracer(pid)
    if tracer:
        return f"process {tracer}{_named(tracer)} already traces it: detach that, or run without --pause"
    if number == errno.EPERM:
        return why_not_read(pid)
    return f"{os.strerror(number)}: run gomap without --pause"


def _setting() -> str:
    """The setting that refuses a process of one's own."""
    scope = _first_line(_YAMA)  # a kernel without Yama has no such file
    if scope == "3":
        return f"{_YAMA} is 3: no process may trace another until the machine is rebooted with another value"
    if scope not in ("", "0"):
        return f"{_YAMA} is {scope}: run gomap with {_CAPABILITY}, or set that to 0"
    return (
        f"permission denied: in a container gomap needs {_CAPABILITY} (docker run --cap-add=SYS_PTRACE), and so does "
        "a process that changed its user"
    )


def _owner(pid: int) -> int | None:
    try:
        return os.stat(f"/proc/{pid}").st_uid
    except OSError:
        return None


def _tracer(pid: int) -> int:
    with suppress(OSError, ValueError), open(f"/proc/{pid}/status") as file:
        return next((int(line.split()[1]) for line in file if line.startswith("TracerPid:")), 0)
    return 0


def _named(pid: int) -> str:
    name = _first_line(f"/proc/{pid}/comm")
    return f" ({name})" if name else ""


def _first_line(path: str) -> str:
    with suppress(OSError), open(path, errors="replace") as file:
        return file.readline().strip()
    return ""
