"""Looks up the variable of a name, in the frames and in the packages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import chain

from gomap import typenames
from gomap.errors import GomapError, NoDebugInfo, NoSuchVariable
from gomap.gotypes import can_reach_map
from gomap.ongoroutine import OnGoroutine
from gomap.syntax import Select, Step
from gomap.target import Target, Variable, without_names


def root_of(target: Target, name: str, quoted: bool) -> tuple[Variable, list[Step]]:
    """The variable that the longest prefix of a dotted name names, and the fields that follow.

    A name in quotes is first looked up as a symbol, as in gdb: no local variable hides it.
    """
    slash = name.rfind("/") + 1
    wanted = _SpeltName(target, name, name[:slash], name[slash:].split("."))
    ways = (_whole, *_MEANINGS) if quoted else _MEANINGS
    found = next((one for way in ways for one in way(wanted)), None)
    if found is None:
        raise _unknown(wanted)
    variable, taken = found
    return variable, [Select(part) for part in wanted.parts[taken:]]


@dataclass(frozen=True)
class _SpeltName:
    """A name: the path in front of its last slash, and what dots part behind it."""

    target: Target
    name: str
    prefix: str
    parts: list[str]

    @property
    def dotted(self) -> bool:
        return len(self.parts) > 1

    @property
    def package(self) -> str:
        """What its first part is, if it is not a variable."""
        return self.prefix + self.parts[0]

    def paths(self) -> Iterator[str]:
        """The packages that its first part may stand for."""
        if self.dotted and not self.prefix:
            yield from typenames.paths_of(self.target, self.parts[0])


#: The variables that a name may stand for, best first: (variable, how many parts of the name it takes).
_Found = Iterator[tuple[Variable, int]]


def _known(variable: Variable | None, taken: int) -> _Found:
    if variable is not None:
        yield variable, taken


def _whole(wanted: _SpeltName) -> _Found:
    return _known(wanted.target.variable(wanted.name), len(wanted.parts))


def _local(wanted: _SpeltName) -> _Found:
    """A local hides a package of that name, but in its own function alone: callers' locals come after packages."""
    if not wanted.prefix:
        yield from _known(wanted.target.variable(wanted.parts[0], callers=not wanted.dotted), 1)


def _of_package(wanted: _SpeltName) -> _Found:
    for end in range(2, len(wanted.parts) + 1):
        spelt, variable = wanted.prefix + ".".join(wanted.parts[:end]), wanted.target.variable
        yield from _known(variable(spelt) or (variable(typenames.as_symbol(spelt)) if end > 2 else None), end)


def _of_a_caller(wanted: _SpeltName) -> _Found:
    if wanted.dotted and not wanted.prefix:
        yield from _known(wanted.target.variable(wanted.parts[0]), 1)


def _of_this_package(wanted: _SpeltName) -> _Found:
    package = None if wanted.prefix else wanted.target.package
    if package:
        yield from _known(wanted.target.variable(f"{package}.{wanted.parts[0]}"), 1)


def _of_a_package_by_its_last_word(wanted: _SpeltName) -> _Found:
    for path in wanted.paths():
        for end in range(2, len(wanted.parts) + 1):
            yield from _known(wanted.target.variable(f"{path}.{'.'.join(wanted.parts[1:end])}"), end)


_MEANINGS = (_local, _of_package, _of_a_caller, _of_this_package, _of_a_package_by_its_last_word)


def _unknown(wanted: _SpeltName) -> GomapError:
    """The message for a name that names nothing."""
    target, name = wanted.target, wanted.name
    nameless = without_names(target)
    if nameless is not None:
        return NoDebugInfo(f"no variable {name!r}: {nameless}")
    said = None if target.kind == "recorded" else _something_else(wanted)
    if said is not None:
        return NoSuchVariable(said)
    meant = _meant(target, name)
    said = None if meant else _unused(wanted)
    if said is not None:
        return NoSuchVariable(said)
    return NoSuchVariable(
        f"no variable {name!r} {_where(target)}: {f'did you mean {meant}?' if meant else _hint(target)}"
    )


def _something_else(wanted: _SpeltName) -> str | None:
    """What the name is, if it is not a variable's."""
    if not wanted.dotted:
        return None
    packages = chain([wanted.package], wanted.paths())
    told = (_not_a_variable(wanted.target, package, wanted.parts[1]) for package in packages)
    return next((one for one in told if one is not None), None)


def _unused(wanted: _SpeltName) -> str | None:
    """Why there is no such variable, if the name begins with a package of the program."""
    target, package = wanted.target, wanted.package
    if not wanted.dotted:
        return None
    if package == target.package and target.variable(wanted.parts[1]) is not None:
        rest = ".".join(wanted.parts[1:])
        return f"no package variable {package}.{wanted.parts[1]}: {rest} is a local variable; did you mean {rest}?"
    if typenames.has_package(target, package):
        return (
            f"the program has no variable {wanted.name!r}: it has the package {package}, but the linker drops unused "
            "variables"
        )
    return None


def _where(target: Target) -> str:
    """Where variables were looked for."""
    if target.kind == "recorded":
        return "in the file"
    if isinstance(target, OnGoroutine):
        unseen = f" ({target.problem})" if target.problem else ""
        return f"in the frames of goroutine {target.goroutine}{unseen} or the packages"
    return "in this frame, the frames that called it, or the packages"


def _hint(target: Target) -> str:
    """What to try."""
    if target.kind == "recorded":
        return f"it has {', '.join(v.name for v in target.frame_variables(can_reach_map) if can_reach_map(v.type))}"
    hint = "package variables need their full name, like main.cache"
    if target.kind == "live" and target.goroutine is None:
        return f"no goroutine is selected (--goroutine N names one); {hint}"
    return hint


def _not_a_variable(target: Target, package: str, name: str) -> str | None:
    """What a name of the package is, where the package is in the program and has no such variable."""
    full = f"{package}.{name}"
    try:
        address = target.symbol(full)
        code = None if address is None else target.location(address + 1)
    except GomapError:
        return None
    if code is not None and code.function == full:
        return f"{full} is a function: name a variable"
    return None


def _meant(target: Target, name: str) -> str | None:
    """For an unknown name: the variable that leads to maps and whose name is most similar to its first parts.

    Package variables are looked through for what may be one: a debugger reads its symbols for that.
    """
    wanted = name.lstrip("&").lower()
    packages = "." in wanted or name[:1].isupper()
    slash = wanted.rfind("/") + 1
    first = wanted[:slash] + ".".join(wanted[slash:].split(".")[:2])  # what follows may be fields
    forms: dict[str, str] = {}
    try:
        known = list(target.frame_variables(can_reach_map))
        known += target.package_variables(can_reach_map) if packages else ()
        for variable in known:
            full = variable.name
            # With a package's last word, as the program's text has it, or without a package.
            for form in (full, full[full.rfind("/") + 1 :], full[full.rfind(".") + 1 :]):
                forms.setdefault(form.lower(), full)
    except GomapError:
        return None
    near = (get_close_matches(word, forms, 1, 0.8) for word in (wanted, first))
    return next((forms[found[0]] for found in near if found), None)
