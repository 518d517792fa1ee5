"""Whose code a function is: of the program's own module, of a module it depends on, or of Go itself."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote

from gomap.errors import GomapError
from gomap.gotypes import Kind
from gomap.target import Target

#: Bytes of build information that are read.
MAX_INFO = 1 << 20
OWN, DEPENDENCY, STANDARD = range(3)


#: What names of the runtime itself begin with.
RUNTIME = ("runtime.", "internal/runtime/", "runtime/internal/")


def of_runtime(name: str) -> bool:
    """Whether the function or variable of that linker name is of the runtime itself."""
    return name.startswith(RUNTIME)


def linker_package(function: str) -> str:
    """The package in a function's linker name, as names of its variables begin: gopkg.in/yaml%2ev2.(*T).Method[...] ->
    gopkg.in/yaml%2ev2."""
    name = function.split("[", 1)[0]
    slash = name.rfind("/") + 1
    dot = name.find(".", slash)
    return name[:dot] if dot >= 0 else name


@lru_cache(maxsize=4096)
def package(function: str) -> str:
    """Import path of a function's linker name: gopkg.in/yaml%2ev2.(*T).Method[...] -> gopkg.in/yaml.v2."""
    return unquote(linker_package(function))


@dataclass(frozen=True)
class Modules:
    """main: path of the program's own module, None where its build information does not name one.
    others: paths of the modules it depends on."""

    main: str | None = None
    others: frozenset[str] = frozenset()

    def owner(self, function: str) -> int:
        """OWN, DEPENDENCY or STANDARD."""
        path = package(function)
        if path == "main" or (self.main is not None and _within(path, self.main)):
            return OWN
        if any(_within(path, module) for module in self.others):
            return DEPENDENCY
        # The go command's rule: the first element of other modules' paths has a dot.
        return DEPENDENCY if "." in path.split("/", 1)[0] else STANDARD


def modules(target: Target) -> Modules:
    """What the build information (runtime.modinfo, as runtime/debug.ParseBuildInfo reads it) says."""
    found = target.variable("runtime.modinfo")
    if found is None or found.type.kind is not Kind.STRING:
        return Modules()
    try:
        head = found.read(target.memory, 0, found.type.size)
        length = min(target.arch.pointer(head, target.arch.pointer_size), MAX_INFO)
        text = target.memory.read(target.arch.pointer(head), length).decode("utf-8", "replace")
    except GomapError:
        return Modules()
    main, others = None, set()
    for line in text[16:].splitlines():  # behind 16 bytes that mark it
        what, _, rest = line.partition("\t")
        path = rest.split("\t", 1)[0]
        if what == "mod":
            main = path
        elif what == "dep":
            others.add(path)
    return Modules(main, frozenset(others))


def _within(path: str, module: str) -> bool:
    return path == module or path.startswith(module + "/")
