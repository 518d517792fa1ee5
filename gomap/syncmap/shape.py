"""What makes a type a sync.Map, and where its parts lie: told by the fields."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Union

from gomap.errors import NoDebugInfo
from gomap.golang.layouts.slots import member
from gomap.golang.runtime.dictionaries import ANY_POINTER, SHAPE
from gomap.gotypes import Field, GoType, Kind, alignment, atomic_pointee, up
from gomap.syntax import outside_quotes
from gomap.target import Target

READ_DIRTY_FIELDS = frozenset("mu read dirty misses".split())


TRIE_FIELDS = frozenset("root keyHash valEqual seed".split())


CANON_FIELDS = frozenset("root hash seed".split())


@dataclass(frozen=True)
class ReadDirtyShape:
    """Offsets from the start of the sync.Map. read_off: of the word that leads to the readOnly struct."""

    type: GoType
    read_off: int
    readonly: GoType
    dirty_off: int
    map: GoType
    entry: GoType
    misses: tuple[int, int]
    generation: str = "read-dirty"


@dataclass(frozen=True)
class TrieShape:
    """trie: internal/sync.HashTrieMap, at `offset` in the sync.Map. indirect: its inner nodes. weak: keys are behind
    weak pointers, and entries have no values."""

    type: GoType
    offset: int
    trie: GoType
    indirect: GoType
    weak: bool = False
    generation: str = "hash-trie"


Shape = Union[ReadDirtyShape, TrieShape]


def detect(target: Target, t: GoType) -> Shape | None:
    """The generation of t if it is a sync.Map (or a HashTrieMap), by its fields; None for other types.

    Raises NoDebugInfo, UnsupportedLayout.
    """
    if t.kind is not Kind.STRUCT:
        return None
    names = {f.name for f in t.fields}
    if names >= READ_DIRTY_FIELDS:
        return _read_dirty(target, t)
    if names >= TRIE_FIELDS:
        return _trie(t, 0, t)
    if names == CANON_FIELDS:
        return _trie(t, 0, t, weak=True)
    inner = t.field("m")
    if inner is None or not names <= {"_", "m"} or not {f.name for f in inner.type.fields} >= TRIE_FIELDS:
        return None
    return _trie(t, inner.offset, inner.type)


def _read_dirty(target: Target, t: GoType) -> ReadDirtyShape | None:
    dirty_off, dirty = member(t, "dirty")
    read_off, read = member(t, "read")
    misses_off, misses = member(t, "misses")
    if dirty.kind is not Kind.MAP or dirty.elem.kind is not Kind.POINTER:
        return None
    pointer = atomic_pointee(read)
    if pointer is not None:
        read_off, readonly = read_off + pointer[0], pointer[1]
    else:  # up to Go 1.19 an atomic.Value: an interface that holds a readOnly, behind its second word
        found = target.find_type("sync.readOnly")
        if found is None:
            raise NoDebugInfo("the program has no debug information on sync.readOnly")
        read_off, readonly = read_off + target.arch.pointer_size, found
    if readonly.field("m") is None or readonly.field("amended") is None:
        return None
    return ReadDirtyShape(t, read_off, readonly, dirty_off, dirty, dirty.elem.elem, (misses_off, misses.size))


def _trie(t: GoType, offset: int, trie: GoType, weak: bool = False) -> TrieShape | None:
    root = member(trie, "root")[1]
    pointer = (0, root.elem) if root.kind is Kind.POINTER else atomic_pointee(root)
    if pointer is None or pointer[1].field("children") is None or pointer[1].field("parent") is None:
        return None
    return TrieShape(t, offset, trie, pointer[1], weak)


def arguments_of(text: str) -> list[str]:
    """Type arguments, apart: `*T,map[K]V,func(int, int)` has three."""
    commas = [at for at, character, depth in outside_quotes(text) if character == "," and not depth]
    return [text[start + 1 : end] for start, end in zip((-1, *commas), (*commas, len(text)))]


def entry_type(target: Target, trie: GoType) -> GoType:
    """internal/sync.entry[K,V] of the HashTrieMap[K,V]: nothing but code leads there, and code is compiled
    for shapes of types."""
    name, bracket, arguments = trie.name.partition("[")
    prefix = name[: -len("HashTrieMap")] if name.endswith("HashTrieMap") else "internal/sync."
    parts = arguments_of(arguments[:-1])
    shaped = [f"{SHAPE}{part}" for part in parts]
    # Where all that counts of a pointer is that it is one, the compiler takes *uint8 for it.
    bare = [ANY_POINTER if part.startswith("*") else f"{SHAPE}{part}" for part in parts]
    for wanted in (shaped, bare, parts):
        found = target.find_type(f"{prefix}entry{bracket}{','.join(wanted)}]")
        if found is not None and found.fields:
            return found
    made = _laid_out(target, trie, parts)
    if made is None:
        raise NoDebugInfo(f"the program has no debug information on the entries of {trie.name}")
    return made


def _laid_out(target: Target, trie: GoType, arguments: Sequence[str]) -> GoType | None:
    """The entries' type as the compiler lays it out: node, overflow, key, value. None without the types of both."""
    word = target.arch.pointer_size
    known = [target.find_type(one) for one in arguments]
    key, value = known if len(known) == 2 else (None, None)
    if key is None or value is None:
        return None
    pointer = GoType(Kind.UNSAFE_POINTER, "unsafe.Pointer", word)
    return _entry(trie, word, ("overflow", pointer), ("key", key), ("value", value))


def weak_entry(trie: GoType, word: int) -> GoType:
    """unique.entry[T], which is alike for every T. key: the weak.Pointer[T]."""
    pointer = GoType(Kind.UNSAFE_POINTER, "unsafe.Pointer", word)
    return _entry(trie, word, ("overflow", pointer), ("key", pointer), ("hash", GoType(Kind.UINT, "uintptr", word)))


def _entry(trie: GoType, word: int, *behind: tuple[str, GoType]) -> GoType:
    """A struct that begins with the node's isEntry."""
    boolean = GoType(Kind.BOOL, "bool", 1)
    node = GoType(Kind.STRUCT, "node", 1, fields=(Field("isEntry", 0, boolean),))
    parts, end = [], 0
    for name, t in (("node", node), *behind):
        start = up(end, alignment(t, word))
        parts.append(Field(name, start, t))
        end = start + t.size
    return GoType(Kind.STRUCT, f"entry of {trie.name}", up(end, word), fields=tuple(parts))
