"""dlv-hmap with the user's own dlv in front: dlv's arguments, its prompt, its terminal, and gomap's commands in it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from typing import NoReturn

from delve_bridge import worker
from delve_bridge.rpc import DEADLINE, address
from delve_bridge.server import NoDelve, check_machine, find_dlv
from gomap import corefile
from gomap.errors import UsageError
from gomap.render.terminal import complain

WAYS = ("debug", "test", "exec", "attach", "core", "connect")


def run(arguments: Sequence[str]) -> NoReturn:
    """Becomes dlv. Raises GomapError."""
    dlv, how = find_dlv(), arguments[0]
    split = arguments.index("--") if "--" in arguments else len(arguments)
    words, own = taken(arguments[:split], {"--break": "", "--init": "", "--timeout": str(DEADLINE)}, ["--no-direct"])
    if "--headless" in words or how not in WAYS:
        _become(dlv, arguments)
    files = [word for word in words[1:] if not word.startswith("-")]
    _check(dlv, how, files)
    timeout = seconds(own["--timeout"])
    where = files[0] if how == "connect" and files else None
    options = worker.Options(where, "--no-direct" not in own, timeout)

    pid = os.getpid()
    folder = worker.temporary(pid)
    name = worker.own_name(folder.name)
    worker.prepare(folder, name, "leave dlv and start dlv-hmap again")
    first = [f"source {folder}/session.star"]
    if own["--break"]:
        first += [f"break {own['--break']}", "continue"]
    if own["--init"]:
        first.append(f"source {os.path.abspath(own['--init'])}")
    (folder / "init").write_text("\n".join([*first, ""]), "utf-8", "surrogateescape")
    worker.start(folder, name, worker.Process(pid), options)
    _become(dlv, [*words, "--init", str(folder / "init"), *arguments[split:]])


def _become(dlv: str, arguments: Sequence[str]) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execv(dlv, [dlv, *arguments])
    except OSError as error:
        raise NoDelve(f"{dlv} does not start: {error.strerror}") from error


def seconds(text: str) -> float:
    """The value of --timeout. Raises UsageError."""
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"--timeout takes seconds, not {text!r}") from None


def taken(words: Sequence[str], valued: dict[str, str], switches: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """The words without dlv-hmap's own options, and these by name. Raises UsageError."""
    left, own, rest = [], dict(valued), list(words)
    while rest:
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        if name in valued:
            if not equals and not rest:
                raise UsageError(f"{name} needs a value")
            own[name] = value if equals else rest.pop(0)
        elif word in switches:
            own[word] = ""
        else:
            left.append(word)
    return left, own


def _check(dlv: str, how: str, files: Sequence[str]) -> None:
    """What dlv would wreck, and what can't be shown. Raises GomapError."""
    if how == "core" and len(files) == 2:
        check_core(*files)
    elif how == "exec" and files:
        check_machine(dlv, files[0])
    elif how == "attach" and files and files[0].isdecimal():
        check_machine(dlv, f"/proc/{files[0]}/exe", files[0])
    elif how == "connect" and files:
        try:
            where = address(files[0])
        except UsageError:
            return  # dlv reports it
        where.check()
        if not where.is_here():
            complain(f"warning: {where.in_the_clear()}")


def check_core(program: str, core: str) -> None:
    """Warns of what of this core file can't be shown. Raises BadCore, WrongProgram."""
    for warning in core_warnings(program, core):
        complain(f"warning: {warning}")


def core_warnings(program: str, core: str) -> Iterator[str]:
    """What of this core file can't be shown. Raises BadCore, WrongProgram."""
    yield from corefile.check(program, core)
    for path in corefile.go_libraries(core):
        yield f"Delve reads no libraries of core files: gdb shows the maps of {path} (gdb-hmap {program} {core})"
