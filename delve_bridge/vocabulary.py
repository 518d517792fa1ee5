"""Delve's own commands in the REPL, as far as its API has them: one window is enough."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Callable

from delve_bridge.rpc import Client, Refused, ended
from delve_bridge.session import Session
from delve_bridge.types import BARE
from gomap.errors import GomapError, NoProcess, TargetRunning, UsageError
from gomap.human import plural
from gomap.values import quote

#: How much of a value Delve is asked for: its own client's settings.
SHOWN = {
    "FollowPointers": True,
    "MaxVariableRecurse": 1,
    "MaxStringLen": 64,
    "MaxArrayValues": 64,
    "MaxStructFields": -1,
}
MAX_GOROUTINES = 100
STACK = 50
MAX_STACK = 1 << 20
#: The breakpoints that Delve sets by itself.
_DEATHS = {-1: "  unrecovered panic", -2: "  fatal error"}
_ARRAY, _CHAN, _FUNC, _INTERFACE, _MAP, _POINTER, _SLICE, _STRING, _STRUCT = 17, 18, 19, 20, 21, 22, 23, 24, 25
#: Delve's flag of a variable that another one of its name hides.
_SHADOWED = 2


@dataclass(frozen=True)
class Word:
    """One command. run: takes the session and the rest of the line, gives the text to print. runs: whether it lets
    the program run."""

    name: str
    usage: str
    summary: str
    run: Callable[[Session, str], str]
    short: str = ""
    runs: bool = False


def run(session: Session, line: str) -> str | None:
    """The answer to a line of Delve's vocabulary, None when it is none. Raises GomapError."""
    name, _, rest = line.strip().partition(" ")
    word = find(name)
    if word is None:
        return None
    try:
        return word.run(session, rest.strip())
    except Refused as error:
        raise ended(error) from error


def find(name: str) -> Word | None:
    return next((word for word in WORDS if name in (word.name, word.short) and name), None)


def runs(line: str) -> bool:
    """Whether it lets the program run."""
    word = find(line.strip().partition(" ")[0])
    return word is not None and word.runs


# -- running -----------------------------------------------------------------------------------------------


def resume(session: Session, name: str) -> str:
    """Lets the program run until it stops. Ctrl-C halts it."""
    held = session.stopped()
    try:
        if held.get("NextInProgress") and name != "continue":
            session.client.call("CancelNext")  # another breakpoint broke in on it: this step is from here
        state = session.client.call("Command", None, name=name)["State"]
        while name == "continue" and _only_traced(state):
            state = session.client.call("Command", None, name=name)["State"]
    except KeyboardInterrupt:
        return _halt(session, "", resumed=True)
    return arrive(session, state)


def _only_traced(state: Mapping[str, Any]) -> bool:
    """Whether nothing but tracepoints stopped it: they are for whoever set them to be seen, and not to be kept at."""
    hit = [thread["breakPoint"] for thread in state.get("Threads") or () if thread.get("breakPoint")]
    return bool(hit) and all(b.get("continue") for b in hit)


def arrive(session: Session, state: Mapping[str, Any]) -> str:
    if state.get("Err"):
        raise GomapError(str(state["Err"]))
    if state.get("exited"):
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
    client = session.client
    try:
        state = session.state(believed=resumed)
        if not state.get("Running"):  # a stopped program would take the signal for its next start
            return arrive(session, state)
        return arrive(session, client.halt(client.deadline))
    except TargetRunning:
        # It was resumed while something was asked, and until that is answered this connection hears nothing.
        other = Client(client.where, client.deadline)
    try:
        return arrive(session, other.halt(client.deadline))
    finally:
        other.close()


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
            raise GomapError(f"there is no location {location}")
        create = [("CreateBreakpoint", {"Breakpoint": request, "LocExpr": location}) for request in requests]
        answers = session.client.calls(create)
        made = [answer["Breakpoint"] for answer in answers if not isinstance(answer, Refused)]
        if not made:  # all refused
            raise answers[0]
    except Refused as error:
        raise GomapError(f"no breakpoint at {location}: {error}") from error
    return "".join(f"breakpoint {b['id']} at {_place(b)}\n" for b in made)


def _clear(session: Session, rest: str) -> str:
    if not rest.isdecimal():
        raise UsageError("clear needs the number of a breakpoint (breakpoints lists them)")
    _not_running(session)
    session.client.call("ClearBreakpoint", Id=int(rest))
    return f"breakpoint {rest} is gone\n"


def _breakpoints(session: Session, rest: str) -> str:
    _not_running(session)
    listed = session.client.call("ListBreakpoints", All=False)["Breakpoints"] or ()
    lines = [
        f"{b['id']:>3}  {_place(b)}  hit {b['totalHitCount']}"
        for b in sorted(listed, key=lambda b: int(b["id"]))
        if b["id"] > 0
    ]
    return "\n".join([*lines, ""]) if lines else "no breakpoints\n"


def _place(b: Mapping[str, Any]) -> str:
    if b.get("WatchExpr"):
        return f"watch {b['WatchExpr']}"
    return _placed(b.get("functionName"), b["file"], b["line"])


def _not_running(session: Session) -> None:
    """Raises TargetRunning: Delve would answer when the program stops, and nothing else before. The breakpoints of one
    that has ended are still there."""
    with suppress(NoProcess):
        session.stopped()


# -- goroutines and frames ---------------------------------------------------------------------------------


def _goroutines(session: Session, rest: str) -> str:
    session.stopped()
    listed = session.client.call("ListGoroutines", Start=0, Count=MAX_GOROUTINES)
    lines = []
    for goroutine in listed["Goroutines"] or ():
        at = goroutine.get("userCurrentLoc") or {}
        mark = "*" if goroutine["id"] == session.goroutine else " "
        lines.append(f"{mark}{goroutine['id']:>6}  {_line(at)}")
    if listed.get("Nextg", -1) > 0:
        lines.append(f"the first {len(lines)} are shown")
    return "\n".join([*lines, ""])


def _goroutine(session: Session, rest: str) -> str:
    state = session.stopped()
    if rest:
        if not rest.isdecimal():
            raise UsageError("goroutine needs a number (goroutines lists them)")
        state = session.client.call("Command", name="switchGoroutine", goroutineID=int(rest))["State"]
        session.arrived(state)
    return where(session, state)


def _select(session: Session, wanted: int) -> str:
    state = session.stopped()
    if not 0 <= wanted < len(session.stack(max(wanted, 0) + 1)):
        raise UsageError(f"there is no frame {wanted} (stack lists them)")
    session.frame = wanted
    return where(session, state)


def _number(rest: str, default: int) -> int:
    if rest and not rest.isdecimal():
        raise UsageError(f"{rest!r} is no number")
    return min(int(rest or default), MAX_STACK)


def _frame(session: Session, level: int) -> Mapping[str, Any]:
    frame = session.stack(level + 1)[level]
    return {"function": {"name": frame.function}, "file": frame.file, "line": frame.line}


def _stack(session: Session, rest: str) -> str:
    session.stopped()
    frames = session.stack(_number(rest, STACK))
    lines = [
        f"{'*' if f.level == session.frame else ' '}{f.level:>3}  {_placed(f.function, f.file, f.line)}" for f in frames
    ]
    return "\n".join([*lines, ""])


# -- values ------------------------------------------------------------------------------------------------


def _listed(method: str, field: str) -> Callable[[Session, str], str]:
    def run_(session: Session, rest: str) -> str:
        session.stopped()
        found = session.client.call(method, Scope=_scope(session), Cfg=SHOWN)[field] or ()
        lines = [f"{_name(v)} = {text(v)}" for v in found if rest in v["name"]]
        here = (f" in {f.function}" for f in session.stack(session.frame + 1)[session.frame :] if f.function)
        return "\n".join([*lines, ""]) if lines else f"none{next(here, '')}\n"

    return run_


def _name(v: Mapping[str, Any]) -> str:
    """As Delve's own client has it: (m) is hidden by another m."""
    return f"({v['name']})" if v["flags"] & _SHADOWED else str(v["name"])


def _print(session: Session, rest: str) -> str:
    session.stopped()
    if not rest:
        raise UsageError("print needs an expression")
    return text(session.client.call("Eval", Scope=_scope(session), Expr=rest, Cfg=SHOWN)["Variable"]) + "\n"


def _whatis(session: Session, rest: str) -> str:
    session.stopped()
    if not rest:
        raise UsageError("whatis needs an expression")
    found = session.client.call("Eval", Scope=_scope(session), Expr=rest, Cfg=BARE)["Variable"]
    return f"{found['type']}\n"


def _scope(session: Session) -> dict[str, int]:
    return {"GoroutineID": -1 if session.goroutine is None else session.goroutine, "Frame": session.frame}


def text(v: Mapping[str, Any], depth: int = 0) -> str:
    """A value as Delve loaded it, in Go's syntax. A map is left to hmap-show: Delve's entries are not all."""
    kind, name = v["kind"], v["type"]
    children: Sequence[Any] = v["children"] or ()
    if v["unreadable"]:
        return f"(unreadable {v['unreadable']})"
    if kind in (_CHAN, _FUNC, _SLICE) and not v["base"]:
        return f"{name} nil"
    if kind == _CHAN and len(children) > 1:
        return f"{name} {children[0]['value']}/{children[1]['value']}"
    if kind == _STRING:
        more = v["len"] - len(v["value"].encode("utf-8", "replace"))
        return quote(v["value"].encode("utf-8", "surrogatepass")) + (f"...+{more} bytes" if more > 0 else "")
    if kind == _MAP:
        return f"{name} {plural(v['len'], 'entry')} at {v['base']:#x}" if v["base"] else f"{name} nil"
    if kind == _POINTER:
        if not children or not children[0]["addr"]:
            return f"({name})(nil)"
        if children[0]["onlyAddr"] or depth > 3:
            return f"({name})({children[0]['addr']:#x})"
        return "*" + text(children[0], depth + 1)
    if kind == _INTERFACE:
        if not children or children[0]["kind"] == 0:
            return f"{name} nil"
        return f"{name}({children[0]['type']}) {text(children[0], depth + 1)}"
    if kind in (_SLICE, _ARRAY):
        parts = [text(child, depth + 1) for child in children]
        if v["len"] > len(parts):
            parts.append(f"...+{v['len'] - len(parts)} more")
        return f"{name} [{', '.join(parts)}]"
    if kind == _STRUCT:
        if v["len"] > len(children):
            return f"{name} {{...}}"
        fields = ", ".join(f"{child['name']}: {text(child, depth + 1)}" for child in children)
        return f"{name} {{{fields}}}"
    return str(v["value"] or name)


# -- the list ----------------------------------------------------------------------------------------------

WORDS: tuple[Word, ...] = (
    Word("continue", "", "run until the program stops", _step("continue"), "c", runs=True),
    Word("next", "", "run to the next line", _step("next"), "n", runs=True),
    Word("step", "", "run to the next line, into calls", _step("step"), "s", runs=True),
    Word("stepout", "", "run until the function returns", _step("stepOut"), "so", runs=True),
    Word("halt", "", "stop the program", _halt),
    Word("restart", "", "start the program again; breakpoints stay", _restart, "r"),
    Word("break", "LOCATION", "set a breakpoint: main.stop, file.go:12", set_breakpoint, "b"),
    Word("breakpoints", "", "list breakpoints", _breakpoints, "bp"),
    Word("clear", "NUMBER", "remove a breakpoint", _clear),
    Word("goroutines", "", "list goroutines", _goroutines, "grs"),
    Word("goroutine", "[NUMBER]", "select a goroutine", _goroutine, "gr"),
    Word("frame", "[NUMBER]", "select a frame", lambda s, rest: _select(s, _number(rest, s.frame))),
    Word("up", "[N]", "select an older frame", lambda s, rest: _select(s, s.frame + _number(rest, 1))),
    Word("down", "[N]", "select a newer frame", lambda s, rest: _select(s, s.frame - _number(rest, 1))),
    Word("stack", "[DEPTH]", "list frames", _stack, "bt"),
    Word("locals", "[NAME]", "the frame's variables", _listed("ListLocalVars", "Variables")),
    Word("args", "[NAME]", "the frame's arguments", _listed("ListFunctionArgs", "Args")),
    Word("print", "EXPR", "a value, as Delve evaluates it", _print, "p"),
    Word("whatis", "EXPR", "a value's type, as Delve has it", _whatis),
)
