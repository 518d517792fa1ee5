"""gomap doctor: settings of the kernel, packages and debuggers that are missing or too old."""

from __future__ import annotations

import errno
import os
import resource
from pathlib import Path
from types import SimpleNamespace

import pytest

from direct import doctor
from gomap.errors import UsageError
from gomap.results.doctor import Check
from gomap.trace import bpf, uprobes


@pytest.mark.parametrize(
    ("scope", "pattern", "states", "mends"),
    [
        ("0", "core", ("ok", "ok"), (None, None)),
        (None, "/var/cores/%e.%p", ("ok", "ok"), (None, None)),
        ("1", "", ("advice", "advice"), ("kernel.yama.ptrace_scope=0", "kernel.core_pattern=core.%p")),
        ("2", "|/usr/share/apport/apport %p", ("advice", "advice"), ("ptrace_scope=0", "core_pattern=core.%p")),
        ("3", "|/lib/systemd/systemd-coredump %P", ("missing", "ok"), (None, None)),
    ],
)
def test_settings(
    scope: str | None, pattern: str, states: tuple[str, str], mends: tuple[str | None, str | None], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    (tmp_path / "yama").mkdir()
    if scope is not None:
        (tmp_path / "yama/ptrace_scope").write_text(scope + "\n")
    (tmp_path / "core_pattern").write_text(pattern + "\n")
    monkeypatch.setattr(doctor, "SYSTEM", f"{tmp_path}/")
    monkeypatch.setattr(resource, "getrlimit", lambda which: (1 << 20, resource.RLIM_INFINITY))
    yama, core, limit = doctor.settings()
    assert (yama.name, core.name, limit.name) == ("yama", "core-pattern", "core-limit")
    assert (yama.state, core.state) == states
    for check, mend in zip((yama, core), mends):
        assert (check.mend or "").endswith(mend or "") and (check.mend is None) == (mend is None)
    assert "are truncated at 1.0 MiB" in limit.what and limit.mend == "ulimit -c unlimited"


@pytest.mark.parametrize(
    ("number", "may", "release", "what"),
    [
        (errno.EPERM, False, "6.1.0-9-amd64", "permission denied: uprobes need CAP_SYS_ADMIN, which root has"),
        # Something else forbids it: a seccomp filter, the kernel's lockdown, its verifier.
        (errno.EPERM, True, "6.1.0-9-amd64", "the kernel refuses a uprobe: bpf: Operation not permitted"),
        (errno.EACCES, True, "6.1.0-9-amd64", "the kernel refuses a uprobe: bpf: Permission denied"),
        (errno.EINVAL, True, "5.10.0", "Linux 5.10.0 is too old: uprobes with a ring buffer need Linux 5.11"),
        (errno.EINVAL, True, "6.1.0-9-amd64", "the kernel refuses a uprobe: bpf: Invalid argument"),
        (errno.ENOSYS, True, "6.1.0-9-amd64", "uprobes need a Linux kernel on amd64 that has them, and eBPF"),
        (errno.ENOMEM, True, "6.1.0-9-amd64", "the kernel refuses a uprobe: bpf: Cannot allocate memory"),
    ],
)
def test_uprobes(number: int, may: bool, release: str, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(size: int) -> bpf.Ring:
        raise bpf.KernelRefuses("bpf", number)

    monkeypatch.setattr(bpf, "Ring", refuse)
    monkeypatch.setattr(uprobes, "_may", lambda: may)
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(release=release, machine="x86_64"))
    check = doctor.traces()
    assert (check.name, check.state, check.mend) == ("uprobes", "advice", None)
    assert check.what.startswith(f"hmap-trace needs gdb or Delve, and stops the program at each growth: {what}")


def script(place: Path, text: str) -> str:
    place.write_text(f"#!/bin/sh\n{text}\n")
    place.chmod(0o755)
    return str(place)


@pytest.mark.parametrize(
    ("says", "state", "what"),
    [
        ("echo 'Python scripting is not supported in this copy of GDB.'", "advice", "without Python"),
        ("echo gomap 11.2 3.11 tabulate", "advice", "needs gdb 12 and Python 3.9"),
        ("echo gomap 13.1 3.8 tabulate", "advice", "needs gdb 12 and Python 3.9"),
        ("echo gomap Fedora Linux 16.3-1.fc42 3.13 tabulate numpy", "ok", "gdb Fedora Linux 16.3-1.fc42"),
        ("exit 1", "advice", "without Python"),
    ],
)
def test_gdb(says: str, state: str, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gdb = script(tmp_path / "a gdb", says)
    monkeypatch.setenv("GOMAP_GDB", gdb)
    monkeypatch.setenv("GOMAP_DLV", script(tmp_path / "dlv", "echo Version: 1.27.1"))
    checks = {check.name: check for check in doctor.machine()}
    assert (checks["gdb"].state, what in checks["gdb"].what) == (state, True)
    if state == "ok":
        assert [checks[f"gdb-{n}"].state for n in ("tabulate", "pygments", "numpy")] == ["ok", "advice", "ok"]
        # install.sh does not get it.
        mend = checks["gdb-scipy"].mend
        assert mend is not None and mend.startswith("python3.13 -m pip install --target ")
        assert mend.endswith("/gomap/site-py3.13 scipy")
        assert checks["gdb-protobuf"].mend == mend.replace("scipy", "protobuf")
        assert checks["gdb-loads"].state == "advice"
    assert (checks["dlv"].state, checks["dlv"].what) == ("ok", f"dlv 1.27.1: {tmp_path}/dlv")


def test_nothing_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("GOMAP_GDB", "GOMAP_DLV", "GOBIN", "GOPATH", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    gone = (*doctor.PACKAGES, "google")
    monkeypatch.setattr(doctor, "find_spec", lambda name: None if name in gone else object())
    checks = {check.name: check for check in doctor.machine()}
    assert all(checks[name].state == "advice" and checks[name].mend for name in (*doctor.PACKAGES, "gdb", "dlv"))
    assert checks["numpy"].mend is not None and checks["numpy"].mend.endswith(" -m pip install numpy")


def test_text_keeps_commands_whole() -> None:
    command = "objcopy " + "x" * 100
    text = doctor._text([Check("a", "b", "missing", "word " * 40, command), Check("a", "c", "ok", "fine")], 80)
    lines = text.splitlines()
    assert lines[0] == "1 required thing missing" and [line.strip() for line in lines if "objcopy" in line] == [command]
    assert all(len(line) <= 80 for line in lines if "objcopy" not in line)


def test_arguments(tmp_path: Path) -> None:
    for what in (["1", "2"], ["a", "b"], ["a", "b", "c"]):
        with pytest.raises(UsageError, match=r"\[PROG\] \[CORE\|PID\]"):
            list(doctor.examine(what))
