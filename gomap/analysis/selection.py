"""Which maps an answer for people is about: what they have in common, whose they are, and which were asked for."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from gomap import typenames
from gomap.analysis.beyond import NO_VARIABLE
from gomap.analysis.held import Holder
from gomap.golang.runtime.modules import DEPENDENCY, OWN, STANDARD, Modules, modules, package
from gomap.graph.path import CapturedName, KeyPart
from gomap.human import spelled
from gomap.target import Target

#: A name with its package within a type's name.
_NAMED = re.compile(r"(?:[\w.~%-]+/)*[\w~%-]+\.(?=\w)")
#: A package variable: those of a stripped program are words of its data (bss+0x2a0).
_VARIABLE = re.compile(r"'?(?:[\w.~%-]+/)*[\w~%-]+\.\w+'?\Z")
#: The name behind it.
_OWN = re.compile(r"[\w~%-]\.(\w+)")


def owner(holder: Holder) -> str:
    """The package variable, or the function whose variables lead to the map; "" of one that no variable led to."""
    if holder.kind in NO_VARIABLE:
        return ""
    return holder.way.root if holder.place.kind == "global" else holder.place.function or "?"


def package_of(holder: Holder) -> str:
    """Import path of the owner's package."""
    return package(owner(holder).strip("'"))


def shape(holder: Holder) -> tuple[str, str, bool]:
    """What ways have in common that lead from one place to the same parts: a package variable, or the variables of one
    name in a function, whatever the goroutine."""
    place = "" if holder.place.kind == "global" else holder.place.function or "?"
    return place, holder.way.shape, holder.dead


@dataclass
class Selection:
    """package: of the variable, a path or its last element; PATH/...: packages under it. type: the map's, or a part of
    it. std: maps of the standard library too."""

    target: Target
    package: str | None = None
    type: str | None = None
    std: bool = False
    _modules: Modules | None = field(default=None, repr=False)
    _own: dict[tuple[str, str, str], bool] = field(default_factory=dict, repr=False)
    _types: dict[str, bool] = field(default_factory=dict, repr=False)

    @property
    def narrows(self) -> bool:
        """Whether only some packages or types were asked for."""
        return self.package is not None or self.type is not None

    @property
    def asked(self) -> str:
        """What was asked for, in words: of package main, with type Session."""
        words = [f"of package {self.package}"] if self.package is not None else []
        return " and ".join([*words, f"with type {self.type}"] if self.type is not None else words)

    def of_package(self, path: str) -> bool:
        """Whether a package is one of those asked for."""
        wanted = self.package
        if wanted is None:
            return True
        if wanted.endswith("/..."):
            return path == wanted[:-4] or path.startswith(wanted[:-3])
        return bool(path) and (path == wanted or ("/" not in wanted and wanted in typenames.called(path)))

    def of_type(self, name: str) -> bool:
        """Whether a type is the one asked for, or has it in its name."""
        if self.type is None:
            return True
        found = self._types.get(name)
        if found is None:
            found = self._types[name] = typenames.means(self.type, name) or _has(self.type, name)
        return found

    def selects(self, holder: Holder, type_name: str) -> bool:
        """Whether a map that the holder has was asked for."""
        if not self.of_type(type_name):
            return False
        return self.package is None or (holder.kind not in NO_VARIABLE and self.of_package(package_of(holder)))

    def hides(self, holder: Holder, type_name: str) -> bool:
        """Whether a map is left out because it is the standard library's own."""
        return not (self.std or self.narrows) and self.is_standard(holder, type_name)

    def is_standard(self, holder: Holder, type_name: str) -> bool:
        """Whether a map is the standard library's own: one of its package variables leads to it, and no type of another
        package is on the way, or in the map's type. What its functions were called with may be the program's."""
        if holder.kind in NO_VARIABLE or holder.place.kind != "global":
            return False
        key = owner(holder), holder.way.shape, type_name
        found = self._own.get(key)
        if found is None:
            found = self._own[key] = self._is_standard(holder, type_name)
        return found

    def _is_standard(self, holder: Holder, type_name: str) -> bool:
        if not (_VARIABLE.match(owner(holder)) and self._is_known() and self.whose(package_of(holder)) == STANDARD):
            return False
        if not self._are_standard(type_name):
            return False
        if any(one[:1].islower() for one in _OWN.findall(type_name)):  # nobody else can make a map of this type
            return True
        for part in holder.way.parts[1:]:
            if isinstance(part, CapturedName):
                return False
            if isinstance(part, KeyPart):
                if not (self._are_standard(part.type.name) and self._are_standard(part.behind.name)):
                    return False
            # What an interface holds may be anybody's: a map[string]any has no package.
            elif (
                isinstance(part, str)
                and part.startswith(("(0x", ".("))
                and not (_NAMED.search(part) and self._are_standard(part))
            ):
                return False
        return True

    def whose(self, path: str) -> int:
        """OWN, DEPENDENCY or STANDARD: whose package this is. DEPENDENCY where the build does not say it."""
        if path == "main":
            return OWN
        return self._known().owner(f"{path}.") if self._is_known() else DEPENDENCY

    def _are_standard(self, name: str) -> bool:
        return all(self.whose(found[:-1]) == STANDARD for found in _NAMED.findall(name))

    def _is_known(self) -> bool:
        """Whether the program's build information lists its modules."""
        known = self._known()
        return known.main is not None or bool(known.others)

    def _known(self) -> Modules:
        if self._modules is None:
            self._modules = modules(self.target)
        return self._modules


def _has(wanted: str, name: str) -> bool:
    """Whether a type's name has another in it, with its package's path, its name, or without."""
    bare = "." not in wanted
    forms = (name, re.sub(r"[\w.~%-]+/", "", name))
    end = r"(?![\w.]|\[\])" if bare else r"(?!\w)"
    pattern = re.compile(rf"(?<!\w){re.escape(spelled(wanted))}{end}")
    return any(pattern.search(spelled(form)) for form in forms)
