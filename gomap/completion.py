"""What a word of a command line may become: options, their values, names, fields, keys."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from itertools import islice

from gomap.declare import CHOICES, Command
from gomap.errors import GomapError
from gomap.expr import resolve, resolve_map
from gomap.fields import promoted
from gomap.gotypes import GoType, Kind
from gomap.maps import view
from gomap.target import Target
from gomap.values import Limits, Values

#: Keys that are offered.
MAX_KEYS = 64


def of_options(command: Command, words: Sequence[str], typed: str) -> list[str] | None:
    """Options, and values of the option before the cursor: they need no program. None if neither is expected here."""
    if typed.startswith("-"):
        return [arg.name for arg in command.all_args if arg.name.startswith(typed) and not arg.positional]
    before = next((arg for arg in command.all_args if words and arg.name == words[-1] and arg.metavar), None)
    if before is None:
        return None
    choices = CHOICES.get(before.type, ())
    return [choice for choice in choices if choice.startswith(typed)]


def of_names(
    target: Target, command: Command, words: Sequence[str], typed: str, variables: Callable[[], Iterable[str]]
) -> list[str]:
    """Completions of the last word: variables, fields after a dot, and keys. words: those before it, without the
    command's name. variables: names of the frame's variables, and of package variables in full."""
    names: list[str] = []
    with suppress(GomapError):
        plain = [word for word in words if not word.startswith("-")]
        if plain and any(arg.name == "KEY" for arg in command.args):
            return [key for key in _keys(target, plain[0]) if key.startswith(typed)]
        if typed.endswith("[") or "[" in typed[typed.rfind("]") + 1 :]:
            at = typed.rfind("[")
            return [one for key in _keys(target, typed[:at]) if (one := f"{typed[:at]}[{key}]").startswith(typed)]
        if "." in typed:
            before = typed[: typed.rfind(".")]
            names += [f"{before}.{name}" for name in _fields(target, before)]
    with suppress(GomapError):
        for name in variables():
            names += [name, *_shorter(target, name)]
    return [name for name in dict.fromkeys(names) if name.startswith(typed)]


def _shorter(target: Target, name: str) -> list[str]:
    """A package variable's name with its package's last word, and by itself in the selected function's package."""
    slash = name.rfind("/") + 1
    package, dot, own = name[slash:].partition(".")
    if not dot:
        return []
    own_package = f"{name[:slash]}{package}" == target.package
    return [*([name[slash:]] if slash else []), *([own] if own_package else [])]


def _fields(target: Target, before: str) -> list[str]:
    try:
        t: GoType = resolve(target, before).type
    except GomapError:
        return []
    while t.kind is Kind.POINTER and t.lazy_elem is not None:
        t = t.elem
    return [name for name in promoted(t) if name != "_"] if t.kind is Kind.STRUCT else []


def _keys(target: Target, expr: str) -> list[str]:
    _, t, address = resolve_map(target, expr)
    if not address:
        return []
    values = Values(target, Limits(depth=2, text=64, total=256), comments=False)
    entries = islice(view(target, t, address).entries(), MAX_KEYS)
    return sorted(text for entry in entries if (text := values.typed_key(t.key, entry.key)) is not None)
