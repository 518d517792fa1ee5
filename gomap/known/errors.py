"""Errors of the standard library, by the message that their fields hold."""

from __future__ import annotations

from collections.abc import Mapping

from gomap.gotypes import GoType, Kind
from gomap.known.look import Formatter, KnownType, Look, field, text_of
from gomap.known.times import rows
from gomap.spelling import quoted

#: Errors that one joins.
MAX_JOINED = 64


def _quoted(message: Formatter) -> Formatter:
    def text(look: Look, t: GoType, data: bytes) -> str | None:
        found = message(look, t, data)
        return None if found is None else quoted(found)

    return text


def _field(name: str) -> Formatter:
    return lambda look, t, data: text_of(look, t, data, name)


def _wrapped(form: str, *names: str) -> Formatter:
    """An error that wraps another, in its field Err."""

    def text(look: Look, t: GoType, data: bytes) -> str | None:
        inner = field(t, data, "Err")
        message = look.message(*inner) if inner is not None else None
        parts = [text_of(look, t, data, name) for name in names]
        if message is None or any(part is None for part in parts):
            return None
        return form.format(*parts, message)

    return text


def _number(look: Look, t: GoType, data: bytes) -> str | None:
    """strconv.NumError."""
    name, inner, text = text_of(look, t, data, "Func"), field(t, data, "Err"), text_of(look, t, data, "Num")
    message = look.message(*inner) if inner is not None else None
    if name is None or text is None or message is None:
        return None
    return f"strconv.{name}: parsing {quoted(text)}: {message}"


def _joined(look: Look, t: GoType, data: bytes) -> str | None:
    """What errors.Join returns."""
    messages = [look.message(*one) for one in rows(look, field(t, data, "errs"), MAX_JOINED)]
    return "\n".join(one or "" for one in messages) if messages and None not in messages else None


def _errno(look: Look, t: GoType, data: bytes) -> str | None:
    """syscall.Errno, by the table that its Error reads: syscall.errors."""
    arch = look.target.arch
    value, table = arch.uint(data, 0, t.size), look.target.variable("syscall.errors")
    if table is None or table.address is None or table.type.kind is not Kind.ARRAY:
        return None
    elem = table.type.elem
    if not value < table.type.length:
        return f"errno {value}"
    text = look.string(look.target.memory.read(table.address + value * elem.size, elem.size))
    return text.decode("utf-8", "replace") or f"errno {value}"


def _fixed(message: str) -> Formatter:
    return lambda look, t, data: message


#: The message of each, as its Error returns it.
MESSAGES: Mapping[str, Formatter] = {
    "errors.errorString": _field("s"),
    "errors.joinError": _joined,
    "fmt.wrapError": _field("msg"),
    "fmt.wrapErrors": _field("msg"),
    "io/fs.PathError": _wrapped("{} {}: {}", "Op", "Path"),
    "os.LinkError": _wrapped("{} {} {}: {}", "Op", "Old", "New"),
    "os.SyscallError": _wrapped("{}: {}", "Syscall"),
    "strconv.NumError": _number,
    "syscall.Errno": _errno,
    "context.deadlineExceededError": _fixed("context deadline exceeded"),
    "github.com/pkg/errors.fundamental": _field("msg"),
}

TYPES: Mapping[str, KnownType] = {
    name: KnownType(_quoted(message), by_pointer=True) for name, message in MESSAGES.items()
}
