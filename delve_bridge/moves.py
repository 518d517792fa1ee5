"""Delve's own commands that move the program or select a frame, for one-shot use (-c). All others are dlv's, at its
prompt."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Callable

from delve_bridge.rpc import Client, Refused, ended
from delve_bridge.session import Session
from gomap.errors import GomapError, NoProcess, UsageError

#: The breakpoints that Delve sets by itself.
_DEATHS = {-1: "  unrecovered panic", -2: "  fatal error"}
MAX_STACK = 1 << 20
RUNS = {"continue": "continue", "next": "next", "step": "step", "stepout": "stepOut"}
SHORT = {"c": "continue", "n": "next", "s": "step", "so": "stepout", "r": "restart", "b": "break", "gr": "goroutine"}


def run(session: Session, name: str, rest: str) -> str | None:
    """The answer to one of these commands, None when it is none. Raises GomapError."""
    move = MOVES.get(SHORT.get(name, name))
    try:
        return None if move is None else move(session, rest)
    except Refused as error:
        problem = ended(error)
        if isinstance(problem, NoProcess):
            session.breaker.forget()
        raise problem from error


def runs(line: str) -> bool:
    """Whether it lets the program run."""
    name = line.strip().partition(" ")[0]
    return SHORT.get(name, name) in RUNS


# -- running -----------------------------------------------------------------------------------------------


def resume(session: Session, name: str) -> str:
    """Lets the program run until it stops. Ctrl-C halts it."""
    held = session.stopped()
    try:
        if held.get("NextInProgress") and name != "continue":
            session.client.call("CancelNext")  # another breakpoint broke in on it: this step is from here
        state = session.client.call("Command", None, name=name)["State"]
        while name == "continue" and _only_traced(state):
            for line in session.breaker.lines(state):
                session.say(f"{line}\n")
            state = session.client.call("Command", None, name=name)["State"]
    except KeyboardInterrupt:
        return _halt(session, "", resumed=True)
    return arrive(session, state) + "".join(f"{line}\n" for line in session.breaker.lines(state))


def _only_traced(state: Mapping[str, Any]) -> bool:
    """Whether only tracepoints stopped it: the program should then continue."""
    hit = [thread["breakPoint"] for thread in state.get("Threads") or () if thread.get("breakPoint")]
    return bool(hit) and all(b.get("continue") for b in hit)


def arrive(session: Session, state: Mapping[str, Any]) -> str:
    """Notes that the program has stopped. Returns where, for the user. Raises NoProcess after its exit.

    state: Delve's api.DebuggerState.
    """
    if state.get("Err"):
        raise GomapError(str(state["Err"]))
    if state.get("exited"):
        session.breaker.forget()
        raise NoProcess(f"the program has exited with status {state.get('exitStatus')}")
    session.arrived(state)
    return where(session, state)


def where(session: Session, state: Mapping[str, Any]) -> str:
    """Where the program is stopped, in one line."""
    goroutine, thread = state.get("currentGoroutine"), state.get("currentThread") or {}
    # The thread's breakpoint: the goroutine that was selected may be another one.
    stopped_here = not session.frame and thread.get("goroutineID") == (goroutine or {}).get("id", 0)
    hit = (thread.get("breakPoint") or {}).get("id", 0) if stopped_here else 0
    # The user's line, but for a breakpoint that was set elsewhere.
    at = thread if hit > 0 else (goroutine or {}).get("userCurrentLoc") or thread
    if session.frame:
        at = _frame(session, session.frame)
    who = f"goroutine {goroutine['id']}" if goroutine else f"thread {thread.get('id')}"
    why = f"  breakpoint {hit}" if hit > 0 else _DEATHS.get(hit, "")
    return f"{who} in {_line(at)}{why}\n"


def _step(name: str) -> Callable[[Session, str], str]:
    return lambda session, rest: resume(session, name)


def _halt(session: Session, rest: str, resumed: bool = False) -> str:
    """resumed: whether this client has let it run, so that Ctrl-C pressed twice does not come before the halt."""
    assert isinstance(session.client, Client)
    return arrive(session, session.client.stop(resumed, session.state))


def _line(at: Mapping[str, Any]) -> str:
    """The function and line of one of Delve's locations, as far as they are known."""
    return _placed((at.get("function") or {}).get("name"), at.get("file"), at.get("line"))


def _placed(function: str | None, file: str | None, line: int | None) -> str:
    return f"{function or '?'}  {file}:{line}" if file else function or "?"


def _restart(session: Session, rest: str) -> str:
    """Starts the program again, from its file as that is now. Breakpoints stay."""
    _not_running(session)
    again = {"Position": "", "ResetArgs": False, "NewArgs": [], "Rerecord": False, "Rebuild": False}
    lost = session.client.call("Restart", None, **again, NewRedirects=["", "", ""])["DiscardedBreakpoints"] or ()
    told = [f"breakpoint {b['breakpoint']['id']} is gone: {b['reason']}\n" for b in lost]
    return "".join(told) + arrive(session, session.state())


# -- breakpoints -------------------------------------------------------------------------------------------


def set_breakpoint(session: Session, location: str) -> str:
    """Sets a breakpoint at a Delve location (main.stop, file.go:12, +3, *0x401000)."""
    if not location:
        raise UsageError("break needs a location, like main.stop or file.go:12")
    _not_running(session)
    scope = {"GoroutineID": -1, "Frame": session.frame}
    try:
        found = session.client.call("FindLocation", Scope=scope, Loc=location)["Locations"] or ()
        requests = [{"addr": at["pc"], "addrs": at.get("pcs") or None} for at in found if at["pc"]]
        if not requests:
            raise GomapError(f"no location matches {location}")
        create = [("CreateBreakpoint", {"Breakpoint": request, "LocExpr": location}) for request in requests]
        answers = session.client.calls(create)
        made = [answer["Breakpoint"] for answer in answers if not isinstance(answer, Refused)]
        if not made:  # all refused
            raise answers[0]
    except Refused as error:
        raise GomapError(f"no breakpoint at {location}: {error}") from error
    return "".join(f"breakpoint {b['id']} at {_placed(b.get('functionName'), b['file'], b['line'])}\n" for b in made)


def _clear(session: Session, rest: str) -> str:
    if not rest.isdecimal():
        raise UsageError("clear needs the number of a breakpoint")
    _not_running(session)
    session.client.call("ClearBreakpoint", Id=int(rest))
    return f"breakpoint {rest} is gone\n"


def _not_running(session: Session) -> None:
    """Raises TargetRunning: Delve would answer when the program stops, and nothing else before. The breakpoints of one
    that has ended are still there."""
    with suppress(NoProcess):
        session.stopped()


# -- goroutines and frames ---------------------------------------------------------------------------------


def _goroutine(session: Session, rest: str) -> str:
    state = session.stopped()
    if rest:
        if not rest.isdecimal():
            raise UsageError("goroutine needs a number")
        state = session.client.call("Command", name="switchGoroutine", goroutineID=int(rest))["State"]
        session.arrived(state)
    return where(session, state)


def _select(session: Session, wanted: int) -> str:
    state = session.stopped()
    if not 0 <= wanted < len(session.stack(max(wanted, 0) + 1)):
        raise UsageError(f"no frame {wanted}")
    session.frame = wanted
    return where(session, state)


def _number(rest: str, default: int) -> int:
    if rest and not rest.isdecimal():
        raise UsageError(f"{rest!r} is not a number")
    return min(int(rest or default), MAX_STACK)


def _frame(session: Session, level: int) -> Mapping[str, Any]:
    frame = session.stack(level + 1)[level]
    return {"function": {"name": frame.function}, "file": frame.file, "line": frame.line}


MOVES: dict[str, Callable[[Session, str], str]] = {
    **{name: _step(command) for name, command in RUNS.items()},
    "halt": _halt,
    "restart": _restart,
    "break": set_breakpoint,
    "clear": _clear,
    "goroutine": _goroutine,
    "frame": lambda session, rest: _select(session, _number(rest, session.frame)),
    "up": lambda session, rest: _select(session, session.frame + _number(rest, 1)),
    "down": lambda session, rest: _select(session, session.frame - _number(rest, 1)),
}
