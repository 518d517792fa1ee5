"""Paths and types as people read them: packages by the last element of their path where only one thing is called so."""

from __future__ import annotations

import re
from contextlib import suppress

from gomap import human, typenames
from gomap.analysis.held import Holder
from gomap.answers.facts import in_frame
from gomap.errors import GomapError
from gomap.golang.runtime.pclntab import package_paths
from gomap.graph.path import Path, plain
from gomap.syntax import closes
from gomap.target import Target

_AT = re.compile(r"(0x[0-9a-f]+):(.*)\Z", re.DOTALL)


class ShortNames:
    """What it gives can be typed: a name is only shortened where it means the same for gomap's own expressions."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._packages: dict[str, list[str]] | None = None
        self._roots: dict[str, str] = {}
        self._types: dict[str, str] = {}

    def path(self, holder: Holder) -> str:
        """The path to what a holder has."""
        return self.text(holder, holder.way)

    def text(self, holder: Holder, path: Path) -> str:
        """A path of the holder's search."""
        first, *parts = path.parts
        text = self._at(str(first)) if path.place.kind != "global" else self.root(str(first))
        for part in parts:
            if isinstance(part, str) and part.startswith(".("):
                part = human.short(part)
            text = self._at(holder.names.extended(text, part))
        return plain(text)

    def named(self, holder: Holder) -> str:
        """The path; for a frame's variable also the frame, which distinguishes variables of the same name."""
        dead = ", dead" if holder.kind == "dead" else ""
        return f"{self.path(holder)}{in_frame(holder.place)}{dead}"

    def root(self, name: str) -> str:
        """The name of a package variable."""
        found = self._roots.get(name)
        if found is None:
            found = self._roots[name] = self._root(name) if "/" in name else self._at(name)
        return found

    def type(self, name: str) -> str:
        """The name of a type, as Go code writes it."""
        found = self._types.get(name)
        if found is None:
            found = self._types[name] = self._type(name)
        return found

    def _root(self, name: str) -> str:
        slash = name.rfind("/") + 1
        package, _, variable = name[slash:].partition(".")
        path = name[: slash + len(package)]
        if "%" in package or not variable or name[slash:].startswith("("):
            return name
        with suppress(GomapError):
            here = self._target.package
            if any(other != path and self._has(f"{other}.{variable}") for other in self._called(package)):
                return name
            # Names that hide the package's: a local variable's, and one of the selected package.
            hidden = self._has(package) or self._has(name[slash:]) or bool(here and self._has(f"{here}.{package}"))
            if path in self._called(package) and not hidden:
                return name[slash:]
        return name

    def _has(self, name: str) -> bool:
        return self._target.variable(name) is not None

    def _called(self, package: str) -> list[str]:
        """Paths of the packages that the program's text may call by this name."""
        if self._packages is None:
            self._packages = {}
            for path in package_paths(self._target):
                for name in typenames.called(path):
                    self._packages.setdefault(name, []).append(path)
        return self._packages.get(package, [])

    def _type(self, name: str) -> str:
        short = human.short(name)
        if "/" not in name:
            return short
        try:
            found = typenames.find(self._target, short)
        except GomapError:
            found = None
        return short if found is not None and found.name == name else human.spelled(name)

    def _at(self, text: str) -> str:
        """0xADDR:TYPE in brackets, at the front of a path, with the type's short name."""
        if not text.startswith("(0x"):
            return text
        end = closes(text)
        found = _AT.match(text[1:end]) if end > 0 else None
        return text if found is None else f"({found[1]}:{self.type(found[2])}){text[end + 1 :]}"
