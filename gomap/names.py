"""Looks up the variable of a name, in the frames and in the packages."""

from __future__ import annotations

from difflib import get_close_matches

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
    if quoted:
        whole = target.variable(name)
        if whole is not None:
            return whole, []
    slash = name.rfind("/") + 1
    parts = name[slash:].split(".")
    prefix = name[:slash]
    # A local hides a package of that name, but in its own function alone: callers' locals come after packages.
    dotted = len(parts) > 1
    local = None if prefix else target.variable(parts[0], callers=not dotted)
    if local is not None:
        return local, [Select(part) for part in parts[1:]]
    for end in range(2, len(parts) + 1):
        spelt = prefix + ".".join(parts[:end])
        found = target.variable(spelt) or (target.variable(typenames.as_symbol(spelt)) if end > 2 else None)
        if found is not None:
            return found, [Select(part) for part in parts[end:]]
    local = target.variable(parts[0]) if dotted and not prefix else None
    if local is not None:
        return local, [Select(part) for part in parts[1:]]
    package = None if prefix else target.package
    if package:
        found = target.variable(f"{package}.{parts[0]}")
        if found is not None:
            return found, [Select(part) for part in parts[1:]]
    if dotted and not prefix:
        for path in typenames.paths_of(target, parts[0]):
            for end in range(2, len(parts) + 1):
                found = target.variable(f"{path}.{'.'.join(parts[1:end])}")
                if found is not None:
                    return found, [Select(part) for part in parts[end:]]
    nameless = without_names(target)
    if nameless is not None:
        raise NoDebugInfo(f"no variable {name!r}: {nameless}")
    where = "in this frame, the frames that called it, or the packages"
    if isinstance(target, OnGoroutine):
        unseen = f" ({target.problem})" if target.problem else ""
        where = f"in the frames of goroutine {target.goroutine}{unseen} or the packages"
    hint = "package variables need their full name, like main.cache"
    if target.kind == "live" and target.goroutine is None:
        hint = f"no goroutine is selected (--goroutine N names one); {hint}"
    if target.kind == "recorded":
        where = "in the file"
        hint = f"it has {', '.join(v.name for v in target.frame_variables(can_reach_map) if can_reach_map(v.type))}"
    if target.kind != "recorded" and dotted:
        for package in [prefix + parts[0], *(() if prefix else typenames.paths_of(target, parts[0]))]:
            why = _not_a_variable(target, package, parts[1])
            if why is not None:
                raise NoSuchVariable(why)
    meant = _meant(target, name)
    package = prefix + parts[0]
    if not meant and len(parts) > 1 and package == target.package and target.variable(parts[1]) is not None:
        rest = ".".join(parts[1:])
        raise NoSuchVariable(
            f"no package variable {package}.{parts[1]}: {rest} is a local variable; did you mean {rest}?"
        )
    if not meant and dotted and typenames.has_package(target, package):
        raise NoSuchVariable(
            f"the program has no variable {name!r}: it has the package {package}, but the linker drops unused variables"
        )
    raise NoSuchVariable(f"no variable {name!r} {where}: {f'did you mean {meant}?' if meant else hint}")


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
