"""Type arguments of generic functions, from the dictionaries that the compiler passes to them.

One body of code serves all type arguments of one shape, and debug information gives its variables types of these
shapes: go.shape.int, and go.shape.*uint8 for any pointer. What the types are the function's dictionary says, an array
of words some of which point to type descriptors. It is the parameter .dict, and the compiler names the types of
variables after its words: .param2 is that of word 2 (cmd/compile/internal/noder/reader.go, objDictName and
varDictIndex; cmd/internal/dwarf/dwarf.go, putparamtypes: the same from Go 1.21 to 1.27).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from gomap import elf
from gomap.errors import GomapError, MemoryFault
from gomap.golang.runtime.rtype import DescribedTypes
from gomap.gotypes import GoType, Kind, fixed, plain_name
from gomap.target import Captured, Target

SHAPE = "go.shape."
#: The shape of all pointers whose type parameter's constraint asks nothing of them (shapify of noder/reader.go).
ANY_POINTER = f"{SHAPE}*uint8"
#: What debug information calls the parameter, and the type of a variable whose type is word N of it.
VARIABLE = ".dict"
#: What the symbol of a dictionary has between the package and the function.
SYMBOL = "..dict."
_PARAMETER = re.compile(r"\.param(\d+)")
#: A variable of the runtime that every program has: how far it is from its symbol all are.
ANCHOR = "runtime.firstmoduledata"
#: Pointers, slices and maps that are followed to tell whether a type has a shape.
MAX_DEPTH = 3
MAX_WORDS = 1 << 12
#: Calling functions that are asked for their own dictionaries.
MAX_CALLERS = 16
_FUNCTION = re.compile(r"(?P<package>(?:.*/)?[^/.]*)\.(?:\(\*)?(?P<name>[^.()\[]+)\[", re.S)


def index_of(type_name: str | None) -> int | None:
    """N of the type name .paramN."""
    found = _PARAMETER.fullmatch(type_name) if type_name else None
    return None if found is None else int(found.group(1))


def is_shaped(t: GoType) -> bool:
    """Whether a type is that of a shape, or made of one: what a dictionary has to say."""
    return SHAPE in t.name


def has_shape(t: GoType, shape: GoType, depth: int = 0) -> bool:
    """Whether type t is of this shape. Unknown parts are not compared."""
    if not is_shaped(shape) and plain_name(shape) == plain_name(t):
        return True
    if shape.name == ANY_POINTER:
        return t.kind in (Kind.POINTER, Kind.UNSAFE_POINTER)
    if shape.kind is not t.kind or shape.size != t.size or shape.length != t.length or shape.methods != t.methods:
        return False
    if len(shape.fields) != len(t.fields):
        return False
    for one, other in zip(shape.fields, t.fields):
        if one.name.rpartition(".")[2] != other.name.rpartition(".")[2] or one.offset != other.offset:
            return False
        if not has_shape(other.type, one.type, depth):
            return False
    if t.kind is not Kind.ARRAY:
        depth += 1
    if depth > MAX_DEPTH or t.kind is Kind.FUNC:
        return True
    try:
        pairs = [(t.elem, shape.elem)] if shape.lazy_elem is not None and t.lazy_elem is not None else []
        pairs += [(t.key, shape.key)] if shape.lazy_key is not None and t.lazy_key is not None else []
    except GomapError:
        return True
    return all(has_shape(one, other, depth) for one, other in pairs)


@dataclass(frozen=True)
class Dictionary:
    """address: of the first word. words: how many there are."""

    address: int
    words: int


@dataclass
class Arguments:
    """What dictionaries say. types: the program's own descriptors."""

    types: DescribedTypes
    _known: dict[tuple[tuple[Dictionary, ...], int | None, str], GoType | None] = field(default_factory=dict)

    def actual(self, dictionaries: Iterable[Dictionary], index: int | None, shape: GoType) -> GoType | None:
        """The type of a variable of a generic function; None if it can't be determined.

        dictionaries: those that the function may have been called with. index: of the dictionary's word that has the
        type; None if debug information does not say, above all for a captured variable. shape: the variable's type in
        debug information. Every variable's type is in the dictionary, so it is known if only one has the shape.
        """
        key = (tuple(dictionaries), index, shape.name)
        if key not in self._known:
            found: dict[int, GoType] = {}
            for dictionary in key[0]:
                found.update(self._fitting(dictionary, index, shape))
            self._known[key] = next(iter(found.values())) if len(found) == 1 else None
        return self._known[key]

    def _fitting(self, dictionary: Dictionary, index: int | None, shape: GoType) -> dict[int, GoType]:
        """Types of the dictionary that have the shape, by their descriptors' addresses."""
        arch, found = self.types.target.arch, {}
        words = range(min(dictionary.words, MAX_WORDS)) if index is None else (index,)
        for i in words:
            if i >= dictionary.words:
                continue
            try:
                where = dictionary.address + i * arch.pointer_size
                address = arch.pointer(self.types.target.memory.read(where, arch.pointer_size))
                if self.types.is_of_program(address):
                    t = self.types.at(address)
                    if has_shape(t, shape):
                        found[address] = t
            except GomapError:
                continue  # a word that is something else
        return found


def within(target: Target, of_caller: Sequence[Dictionary], addresses: set[int]) -> int | None:
    """The one of the addresses that the calling function's dictionary has, as it has those of all generic functions
    that the function calls with types that follow from its own; None where several or none are in it, or it is not
    known itself. of_caller: those that the function may have got."""
    if len(of_caller) != 1:
        return None
    word = target.arch.pointer_size
    try:
        data = target.memory.read(of_caller[0].address, min(of_caller[0].words, MAX_WORDS) * word)
    except MemoryFault:
        return None
    held = addresses.intersection(target.arch.pointer(data, at) for at in range(0, len(data), word))
    return held.pop() if len(held) == 1 else None


def with_arguments(
    parts: Sequence[Captured], arguments: Arguments, dictionaries: Sequence[Dictionary]
) -> Sequence[Captured]:
    """The variables that a generic function's closure captured, with their types if these can be determined.
    dictionaries: those that the closure may have."""
    return [
        replace(part, type=arguments.actual(dictionaries, None, part.type) or part.type, of_dictionary=True)
        if is_shaped(part.type)
        else part
        for part in parts
    ]


def pointer_to(t: GoType, size: int) -> GoType:
    """The type *t. size: bytes of a pointer."""
    return GoType(Kind.POINTER, f"*{t.name}", size, lazy_elem=fixed(t))


#: The dictionaries of a program by the function or generic type that they are for: main..dict.Box.
Known = dict[str, list[Dictionary]]


def of_file(path: str, anchor: int | None, word: int) -> Known:
    """The dictionaries of a program's file; none where it can't be read or is stripped of its symbols.

    anchor: where the process has ANCHOR. word: bytes of a pointer.
    """
    try:
        with elf.mapped(path) as data:
            found = elf.symbols_with(data, (SYMBOL.encode(), ANCHOR.encode()))
    except (OSError, elf.BadElf):
        return {}
    if anchor is None or not found.get(ANCHOR, (0, 0))[0]:  # of a plugin it is the program's
        return {}
    moved, known = anchor - found[ANCHOR][0], Known()
    for name, (address, size) in found.items():
        if SYMBOL in name:
            known.setdefault(name.partition("[")[0], []).append(Dictionary(address + moved, size // word))
    return known


def candidates(known: Mapping[str, Sequence[Dictionary]], function: str) -> Sequence[Dictionary]:
    """The dictionaries that the function may have got. known: the program's.

    For main.(*Box[go.shape.int]).Len these are main..dict.Box[int] and the like; a function that is not generic gets
    none.
    """
    found = _FUNCTION.match(function)
    if found is None or SHAPE not in function:
        return ()
    return known.get(f"{found.group('package')}{SYMBOL}{found.group('name')}", ())
