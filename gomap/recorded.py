"""A recorded file as a target, read with suspicion: it may come from anywhere.

A zip of two members: `manifest.json` and `memory.bin` (docs/image-format.md). Everything is checked before it is
used. Nothing in it is evaluated, no name in it is opened, and what it takes to read is bounded by the limits here,
whatever the file says of itself.
"""

from __future__ import annotations

import json
import mmap
import os
import stat
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Callable, NoReturn

from gomap import zips
from gomap.errors import BadImage, GomapError
from gomap.golang.runtime.abitype import MAX_DEPTH, MAX_WEIGHT, SIZES, WORDS
from gomap.gotypes import Field, GoType, Kind, Lazy
from gomap.maps import detect
from gomap.memory import RegionMemory
from gomap.target import Arch, Captured, Frame, Goroutine, Location, Place, Registers, Variable, Wanted

FORMAT = "gomap-image/1"
MANIFEST, MEMORY = "manifest.json", "memory.bin"
MAX_MANIFEST = 32 << 20
#: Values in the manifest, told by the marks between them: each takes about 50 bytes once it is read.
MAX_VALUES = 2 << 20
MAX_MEMORY = 1 << 30
#: From this size on memory is kept in a temporary file: a megabyte of zip may hold a gigabyte of zeros.
SPOOLED = 16 << 20
MAX_TEXT = 1 << 16
MAX_DIGITS = 24
MAX_SIZE = 1 << 50
#: Kinds that can't be used without knowing what lies behind them.
_NEEDS_ELEM = (Kind.POINTER, Kind.SLICE, Kind.ARRAY, Kind.CHAN)
_PIECE = 1 << 20


class _Nonsense(Exception):
    """Something in a manifest that no recording writes."""


@dataclass
class ImageTarget:
    """The Target port over given facts: those of a recorded map, and memory that tests lay out. It has no goroutines.

    `expr` is the expression that a map was recorded under.
    """

    arch: Arch
    memory: Any  # a Memory, and whatever else those who lay it out need of it
    expr: str = ""
    go_version: str | None = None
    package: str | None = None
    variables: dict[str, Variable] = field(default_factory=dict)
    types: dict[str, GoType] = field(default_factory=dict)
    symbols: dict[str, int] = field(default_factory=dict)
    backend: str = "image"
    kind: str = "recorded"
    running: int = 0

    def variable(self, name: str, callers: bool = True) -> Variable | None:
        """The recorded variable of that name; None for any other."""
        return self.variables.get(name)

    def find_type(self, name: str) -> GoType | None:
        """The recorded type of that name; None for any other."""
        return self.types.get(name)

    def symbol(self, name: str) -> int | None:
        """The address of a recorded symbol; None for any other."""
        return self.symbols.get(name)

    def frame_variables(self, wanted: Callable[[GoType], bool]) -> Iterator[Variable]:
        """All recorded variables."""
        return iter(list(self.variables.values()))

    def package_variables(self, wanted: Callable[[GoType], bool]) -> Iterator[Variable]:
        """None: what was recorded counts as variables of a frame."""
        return iter(())

    goroutine = None

    def unwind(self, goroutine: Goroutine, wanted: Wanted) -> Sequence[Frame]:
        """Raises GomapError: stacks are not recorded."""
        raise GomapError("a recorded map has no goroutines")

    def registers(self, goroutine: Goroutine) -> Registers | None:
        """None: registers are not recorded."""
        return None

    def captured(self, code: int, slot: int) -> Sequence[Captured]:
        """Nothing: closures are not recorded."""
        return ()

    def location(self, pc: int) -> Location | None:
        """None: the program's text is not recorded."""
        return None


# -- the file ------------------------------------------------------------------------------------------


def load(path: str) -> ImageTarget:
    """The target recorded in the file `path`. Raises BadImage with the reason if it is damaged."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # a pipe would never end
            raise BadImage("is not a recorded map: it is not a regular file")
        with open(path, "rb") as file:
            return _read(file)
    except OSError as error:
        raise BadImage(f"{path} can't be read: {error.strerror or error}") from error
    except BadImage as error:
        raise BadImage(f"{path} {error}") from error
    except zips.DAMAGED as error:
        raise BadImage(f"{path} is not a recorded map, or is damaged: {error}") from error


def _read(file: BinaryIO) -> ImageTarget:
    number, other = zips.members(file), f"is not a recorded map: it does not consist of {MANIFEST} and {MEMORY}"
    if number != 2:
        raise BadImage("is not a recorded map, or is truncated" if number is None else other)
    with zipfile.ZipFile(file) as archive:
        members = {info.filename: info for info in archive.infolist()}
        if len(archive.infolist()) != 2 or set(members) != {MANIFEST, MEMORY}:
            raise BadImage(other)
        for info in members.values():
            if not zips.is_plain(info):
                raise BadImage(
                    f"is not a recorded map: its {info.filename} is packed in another way than recordings are"
                )
        manifest = _manifest(archive)
        return parse(manifest, _memory(archive, members[MEMORY], _held(manifest)))


def _manifest(archive: zipfile.ZipFile) -> Any:
    data = zips.read(archive, MANIFEST, MAX_MANIFEST)
    if data is None:
        raise BadImage(f"holds more than {MAX_MANIFEST >> 20} MiB in {MANIFEST}")
    text = data.decode("utf-8")
    if zips.values_in(text) > MAX_VALUES:
        raise BadImage(f"holds more than {MAX_VALUES:,} values in {MANIFEST}")
    return json.loads(
        text,
        object_pairs_hook=_once,
        parse_int=_whole,
        parse_float=_no_number,
        parse_constant=_no_number,
    )


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BadImage(f"is damaged: its {MANIFEST} has a key twice")
    return found


def _whole(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise BadImage(f"is damaged: its {MANIFEST} has a number of {len(text)} digits")
    return int(text)


def _no_number(text: str) -> NoReturn:
    raise BadImage(f"is damaged: its {MANIFEST} has {_short(text)}, and all its numbers are whole")


def _held(manifest: Any) -> int:
    """Bytes of memory that a manifest speaks of."""
    try:
        return sum(_number(_list(entry, "a region", 3)[1], "a region", MAX_SIZE) for entry in manifest["regions"])
    except (_Nonsense, LookupError, TypeError):
        raise BadImage(f"is not a recorded map: its {MANIFEST} does not list its memory") from None


def _memory(archive: zipfile.ZipFile, info: zipfile.ZipInfo, held: int) -> bytes | memoryview:
    """The whole member; a large one in a temporary file, in which zeros take no room."""
    if info.file_size != held:
        raise BadImage(f"is damaged: it has {info.file_size:,} bytes of memory, but its {MANIFEST} lists {held:,}")
    if held > MAX_MEMORY:
        raise BadImage(f"holds more than {MAX_MEMORY >> 20} MiB in {MEMORY}")
    with archive.open(info) as member:
        if held < SPOOLED:
            return member.read(held + 1)
        with tempfile.TemporaryFile() as file:
            written = 0
            while written <= MAX_MEMORY:
                piece = member.read(_PIECE)
                if not piece:
                    break
                if piece.count(0) == len(piece):
                    file.seek(len(piece), os.SEEK_CUR)
                else:
                    file.write(piece)
                written += len(piece)
            file.truncate(written)
            return memoryview(mmap.mmap(file.fileno(), written, access=mmap.ACCESS_READ))


# -- the manifest --------------------------------------------------------------------------------------


def parse(manifest: Any, memory: bytes | memoryview) -> ImageTarget:
    """The target that a manifest and the bytes beside it describe. Raises BadImage."""
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise BadImage(f"is not a recorded map of a format known here ({FORMAT})")
    try:
        return _target(manifest, memory)
    except _Nonsense as error:
        raise BadImage(f"is damaged: its {MANIFEST} is invalid ({error})") from error


def _target(manifest: Mapping[str, Any], memory: bytes | memoryview) -> ImageTarget:
    about = _object(manifest, "target")
    name, word, order = _list(_get(about, "arch"), "arch", 3)
    if type(word) is not int or word not in (4, 8) or order not in ("little", "big"):
        raise _Nonsense(f"a machine with pointers of {_short(word)} bytes, {_short(order)}-endian")
    arch = Arch(_text(name, "arch"), word, order)
    for part in _list(_get(about, "from"), "from", 2):  # the backend and kind that it was recorded of
        _text(part, "from")
    types = _Types(_list(_get(manifest, "types"), "types"), arch)
    variables = {}
    for entry in _list(_get(manifest, "variables"), "variables"):
        variable = _variable(entry, types)
        variables[variable.name] = variable
    return ImageTarget(
        expr=_text(_get(manifest, "expr"), "expr"),
        arch=arch,
        memory=RegionMemory(_regions(_list(_get(manifest, "regions"), "regions"), memory, arch)),
        go_version=_optional_text(_get(about, "go"), "go"),
        package=_optional_text(_get(about, "package"), "package"),
        variables=variables,
        types={
            _text(name, "named_types"): types.at(number)
            for name, number in _object(manifest, "named_types").items()
            if number is not None
        },
        symbols={
            _text(name, "symbols"): _number(value, "a symbol", types.top)
            for name, value in _object(manifest, "symbols").items()
            if value is not None
        },
    )


def _regions(listed: Sequence[Any], memory: bytes | memoryview, arch: Arch) -> list[tuple[int, bytes | memoryview]]:
    """Pieces of memory, ascending; their bytes follow each other and are all there is."""
    found: list[tuple[int, bytes | memoryview]] = []
    top, end, used = 1 << 8 * arch.pointer_size, 0, 0
    for entry in listed:
        address, size, offset = (_number(value, "a region", top) for value in _list(entry, "a region", 3))
        if address < end or address + size > top or offset != used or offset + size > len(memory):
            raise _Nonsense(f"a region of {size} bytes at {address:#x}")
        found.append((address, memory[offset : offset + size]))
        end, used = address + size, offset + size
    if used != len(memory):
        raise _Nonsense(f"{used:,} bytes of memory, and there are {len(memory):,}")
    return found


def _variable(entry: Any, types: _Types) -> Variable:
    name = _text(_get(entry, "name"), "a variable")
    t = types.at(_get(entry, "type"))
    data = _get(entry, "data")
    if data is not None:
        try:
            data = bytes.fromhex(_text(data, f"the bytes of {name}"))
        except ValueError:
            raise _Nonsense(f"the bytes of {_short(name)}") from None
        if len(data) < t.size:
            raise _Nonsense(f"{_short(name)} of {t.size} bytes, of which there are {len(data)}")
    holes = [_list(hole, "a hole", 2) for hole in _list(_get(entry, "holes"), "holes")]
    kind, goroutine, frame, function, file, line = _list(_get(entry, "place"), "place", 6)
    return Variable(
        name,
        t,
        _optional_number(_get(entry, "address"), "an address", types.top),
        data,
        tuple((_number(start, "a hole", MAX_SIZE), _number(size, "a hole", MAX_SIZE)) for start, size in holes),
        Place(
            _text(kind, "place"),
            _optional_number(goroutine, "a goroutine", 1 << 63),
            _optional_number(frame, "a frame", 1 << 31),
            _optional_text(function, "a function"),
            _optional_text(file, "a file"),
            _optional_number(line, "a line", 1 << 31),
        ),
        _optional_text(_get(entry, "note"), "a note"),
    )


class _Types:
    """The types of a manifest. All of them are made at once; what lies behind pointers may come in any order."""

    def __init__(self, entries: Sequence[Any], arch: Arch) -> None:
        self._arch = arch
        self._count = len(entries)
        self.top = 1 << 8 * arch.pointer_size
        self._made: list[GoType] = []
        for number, entry in enumerate(entries):
            self._made.append(self._make(number, entry))
        self._weigh([_get(entry, "elem") for entry in entries])

    def at(self, number: Any) -> GoType:
        return self._made[_number(number, "a type", self._count)]

    def _make(self, number: int, entry: Any) -> GoType:
        name, size = _text(_get(entry, "name"), "a type"), _number(_get(entry, "size"), "a size", MAX_SIZE)
        try:
            kind = Kind(_text(_get(entry, "kind"), "a kind"))
        except ValueError:
            raise _Nonsense(f"type {number} is a {_short(entry['kind'])}") from None
        known = (WORDS[kind] * self._arch.pointer_size,) if kind in WORDS else SIZES.get(kind, (size,))
        if size not in known:
            raise _Nonsense(f"type {number}, a {kind.value}, has size {size}")
        fields = []
        for field_ in _list(_get(entry, "fields"), "fields"):
            field_name, offset, of, embedded = _list(field_, "a field", 4)
            t = self._made[_number(of, "a type", number)]  # parts come before the whole
            offset = _number(offset, "an offset", MAX_SIZE)
            if offset + t.size > size:
                raise _Nonsense(f"field {_short(field_name)} of type {number} is outside of the type")
            fields.append(Field(_text(field_name, "a field"), offset, t, bool(embedded)))
        if fields and kind is not Kind.STRUCT:
            raise _Nonsense(f"type {number}, a {kind.value}, has fields")
        header = self._behind(_get(entry, "header"))
        key, elem = self._behind(_get(entry, "key")), self._behind(_get(entry, "elem"))
        if kind is Kind.MAP and header is not None:  # what the entries are cut out by: it has to be the same
            arch, known_header = self._arch, header
            key = Lazy(lambda: detect(known_header(), arch).key)
            elem = Lazy(lambda: detect(known_header(), arch).elem)
        if elem is None and kind in _NEEDS_ELEM:
            elem = Lazy(lambda: GoType(Kind.OPAQUE, "not recorded", 0))
        return GoType(
            kind,
            name,
            size,
            _number(_get(entry, "length"), "a length", 1 << 63),
            tuple(fields),
            bool(_get(entry, "methods")),
            lazy_elem=elem,
            lazy_key=key,
            lazy_header=header,
        )

    def _behind(self, number: Any) -> Lazy | None:
        if number is None:
            return None
        index = _number(number, "a type", self._count)
        return Lazy(lambda: self._made[index])

    def _weigh(self, elems: Sequence[int | None]) -> None:
        """No type contains itself, is nested too deeply, or has more parts than anything can be done with."""
        weights: dict[int, tuple[int, int]] = {}  # number -> (weight, depth); (0, 0) while it is being weighed
        numbers = {id(t): number for number, t in enumerate(self._made)}
        for first in range(self._count):
            stack = [first]
            while stack:
                number = stack[-1]
                t, elem = self._made[number], elems[number]
                parts = [numbers[id(f.type)] for f in t.fields]
                if t.kind is Kind.ARRAY and elem is not None:
                    parts.append(elem)
                    if t.length * self._made[elem].size > t.size:
                        raise _Nonsense(f"type {number} is an array that does not fit into itself")
                if weights.get(number, (0, 0))[0]:
                    stack.pop()
                    continue
                waiting = [part for part in parts if part not in weights]
                weights[number] = (0, 0)
                if any(not weights[part][0] for part in parts if part in weights):
                    raise _Nonsense(f"type {number} contains itself")
                if waiting:
                    stack += waiting
                    continue
                weight = 1 + sum(weights[part][0] for part in parts)
                depth = 1 + max((weights[part][1] for part in parts), default=0)
                if weight > MAX_WEIGHT or depth > MAX_DEPTH:
                    raise _Nonsense(f"type {number} has too many parts")
                weights[number] = weight, depth
                stack.pop()


# -- values of a manifest ------------------------------------------------------------------------------


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def _get(entry: Any, name: str) -> Any:
    if not isinstance(entry, dict) or name not in entry:
        raise _Nonsense(f"{name} is missing")
    return entry[name]


def _object(entry: Any, name: str) -> Mapping[str, Any]:
    found = _get(entry, name)
    if not isinstance(found, dict):
        raise _Nonsense(f"{name} is {_short(found)}")
    return found


def _list(value: Any, what: str, length: int | None = None) -> list[Any]:
    if not isinstance(value, list) or (length is not None and len(value) != length):
        raise _Nonsense(f"{what} is {_short(value)}")
    return value


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise _Nonsense(f"{what} is {_short(value)}")
    return value


def _optional_text(value: Any, what: str) -> str | None:
    return None if value is None else _text(value, what)


def _number(value: Any, what: str, limit: int) -> int:
    """A whole number from 0 on, below limit."""
    if type(value) is not int or not 0 <= value < limit:
        raise _Nonsense(f"{what} is {_short(value)}")
    return value


def _optional_number(value: Any, what: str, limit: int) -> int | None:
    return None if value is None else _number(value, what, limit)
