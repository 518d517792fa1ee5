"""Snapshots in files (docs/snapshot-format.md), written whole or not at all, and read with suspicion: a file may come
from anywhere.

Nothing in a file is evaluated, no name in it is opened, and what it takes to read one is bounded by the limits here,
whatever the file says of itself.
"""

from __future__ import annotations

import json
import math
import os
import stat
import sys
import zipfile
from array import array
from itertools import accumulate
from operator import sub
from typing import Any, BinaryIO, NoReturn

from gomap import zips
from gomap.errors import BadImage
from gomap.snapshots.columns import COLUMNS, MOST, MOST_LOAD, SavedEntries, Snapshot, Source
from gomap.target import Arch

FORMAT = "gomap-snapshot/1"
MANIFEST, ROWS, TEXTS, ENTRIES = "snapshot.json", "rows.bin", "texts.bin", "entries.json"
MEMBERS = (MANIFEST, ROWS, TEXTS, ENTRIES)
#: Limits for writing and reading. Values of entries are counted by the separators between them, and each takes about
#: 60 bytes once it is read.
MAX_MAPS, MAX_TEXT, MAX_ENTRY_TEXT, MAX_VALUES = 1 << 22, 1 << 28, 1 << 28, 1 << 23
MAX_MANIFEST, MAX_NAME, MAX_DIGITS = 1 << 20, 1 << 16, 320
#: Columns that are stored as differences to the row before, modulo 2**64: addresses ascend in small steps.
DIFFERENCES = ("addresses", "arrays")
_WORD = (1 << 64) - 1


# -- writing -------------------------------------------------------------------------------------------


def write(path: str, snapshot: Snapshot, overwrite: bool) -> int:
    """Writes the file; returns its size. Raises BadImage where it can't be written, or is there already."""
    source = snapshot.source
    if len(snapshot) > MAX_MAPS:
        raise BadImage(f"{len(snapshot):,} maps are more than a snapshot can hold ({MAX_MAPS:,})")
    texts = [text.encode("utf-8", "surrogatepass") for text in snapshot.texts]
    listed = json.dumps(
        [[one.expr, one.type, one.address, one.keys, one.values, *one.quoted, one.cut] for one in snapshot.entries],
        separators=(",", ":"),
    )
    if sum(map(len, texts)) > MAX_TEXT:
        raise BadImage(f"the paths to the maps take more than {MAX_TEXT >> 20} MiB: more than a snapshot can hold")
    if len(listed) > MAX_ENTRY_TEXT or zips.values_in(listed) > MAX_VALUES:
        raise BadImage("the entries are more than a snapshot can hold: choose fewer maps with --entries")
    manifest = {
        "format": FORMAT,
        "maps": len(snapshot),
        "texts": len(texts),
        "from": [source.backend, source.kind],
        "go": source.go,
        "arch": [source.arch.name, source.arch.pointer_size, source.arch.byte_order],
        "process": source.process,
        "taken": source.taken,
        "running": source.running,
        "lacks": source.lacks,
    }
    rows = b"".join(_packed(name, snapshot.column(name)) for name in COLUMNS)
    lengths = _little(array("I", map(len, texts)))
    members = zip(MEMBERS, (json.dumps(manifest).encode(), rows, lengths + b"".join(texts), listed.encode()))
    try:
        with zips.whole(path, overwrite) as out:
            with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
                for name, data in members:
                    archive.writestr(name, data)
            return out.tell()
    except OSError as error:
        raise BadImage(f"{path} can't be written: {error.strerror or error}") from error


def _packed(name: str, column: array[int]) -> bytes:
    if name in DIFFERENCES and column:
        differences = map(_WORD.__and__, map(sub, column, [0, *column[:-1]]))
        column = array("Q", differences)
    return _little(column)


def _little(column: array[int]) -> bytes:
    if sys.byteorder == "big":
        column = column[:]
        column.byteswap()
    return column.tobytes()


# -- reading -------------------------------------------------------------------------------------------


class NotASnapshot(Exception):
    """The file is something else."""


def load(path: str) -> Snapshot:
    """The snapshot in the file. Raises BadImage with the fault; NotASnapshot for any other file."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # a pipe would never end
            raise BadImage(f"{path} is not a regular file")
        with open(path, "rb") as file:
            return _read(file)
    except OSError as error:
        raise BadImage(f"{path} can't be read: {error.strerror or error}") from error
    except _Wrong as error:
        raise BadImage(f"{path} is a damaged snapshot: {error}") from error
    except zips.DAMAGED as error:
        raise BadImage(f"{path} is a damaged snapshot: {' '.join(str(error).split())}") from error


def _read(file: BinaryIO) -> Snapshot:
    number = zips.members(file)
    if number is None:
        file.seek(0)
        if MANIFEST.encode() in file.read(64):
            raise _Wrong("it is truncated, or something was appended to it")
    if number is None or number > len(MEMBERS):
        raise NotASnapshot
    with zipfile.ZipFile(file) as archive:
        members = {info.filename: info for info in archive.infolist()}
        if MANIFEST not in members:
            raise NotASnapshot
        if tuple(members) != MEMBERS or len(archive.infolist()) != len(MEMBERS):
            raise _Wrong(f"it does not consist of {', '.join(MEMBERS)}")
        for info in members.values():
            if not zips.is_plain(info):
                raise _Wrong(f"its {info.filename} is packed in another way than snapshots are")
        manifest = _json(_member(archive, MANIFEST, MAX_MANIFEST))
        if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
            raise _Wrong(f"its format is not one known here ({FORMAT})")
        source, maps, texts = _source(manifest)
        width = sum(array(code).itemsize for code in COLUMNS.values())
        rows = _member(archive, ROWS, maps * width)
        if len(rows) != maps * width:
            raise _Wrong(f"it has {len(rows):,} bytes of rows, and {maps:,} maps take {maps * width:,}")
        snapshot = Snapshot(source, _texts(_member(archive, TEXTS, texts * 4 + MAX_TEXT), texts))
        at = 0
        for name, code in COLUMNS.items():
            size = maps * array(code).itemsize
            setattr(snapshot, name, _unpacked(name, code, rows[at : at + size]))
            at += size
        _check(snapshot)
        snapshot.entries = _entries(_member(archive, ENTRIES, MAX_ENTRY_TEXT))
        return snapshot


class _Wrong(Exception):
    """Something that no snapshot has."""


def _member(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    data = zips.read(archive, name, most)
    if data is None:
        raise _Wrong(f"its {name} is longer than it can be")
    return data


def _json(data: bytes) -> Any:
    if data.count(b"[") + data.count(b"{") > MAX_VALUES:
        raise _Wrong(f"it has more than {MAX_VALUES:,} values")
    return json.loads(data, parse_int=_integer, parse_float=_float, parse_constant=_constant)


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise _Wrong(f"it has a number of {len(text)} digits")
    return int(text)


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise _Wrong(f"it has the number {text[:MAX_DIGITS]}")
    return value


def _constant(text: str) -> NoReturn:
    raise _Wrong(f"it has the number {text}")


def _source(manifest: dict[str, Any]) -> tuple[Source, int, int]:
    """What it was taken of, how many maps it has, and how many texts."""
    maps, texts = (_whole(manifest.get(name), name, MAX_MAPS * 4) for name in ("maps", "texts"))
    if maps > MAX_MAPS:
        raise _Wrong(f"it has {maps:,} maps, and the most are {MAX_MAPS:,}")
    backend, kind = _strings(manifest.get("from"), "from", 2)
    arch = manifest.get("arch")
    if not isinstance(arch, list) or len(arch) != 3 or arch[1] not in (4, 8) or arch[2] not in ("little", "big"):
        raise _Wrong("arch is invalid")
    go, lacks = manifest.get("go"), manifest.get("lacks")
    for text in (go, lacks):
        if text is not None and not _is_name(text):
            raise _Wrong("its snapshot.json is invalid")
    process = manifest.get("process")
    if not _is_name(process) or not _is_name(arch[0]):
        raise _Wrong("process or arch is invalid")
    taken, running = (_whole(manifest.get(name), name, 1 << 40) for name in ("taken", "running"))
    arch_ = Arch(arch[0], int(arch[1]), arch[2])
    return Source(backend, kind, go, arch_, str(process), taken, running, lacks), maps, texts


def _whole(value: Any, what: str, limit: int) -> int:
    if type(value) is not int or not 0 <= value <= limit:
        raise _Wrong(f"{what} is invalid")
    return value


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= MAX_NAME


def _strings(value: Any, what: str, length: int) -> list[str]:
    if not isinstance(value, list) or len(value) != length or not all(map(_is_name, value)):
        raise _Wrong(f"{what} is invalid")
    return value


def _texts(data: bytes, number: int) -> list[str]:
    lengths = _column("I", data[: 4 * number])
    if len(lengths) != number or 4 * number + sum(lengths) != len(data):
        raise _Wrong("its texts are not as long as it says")
    found, at = [], 4 * number
    for length in lengths:
        found.append(data[at : at + length].decode("utf-8", "surrogatepass"))
        at += length
    return found


def _column(code: str, data: bytes) -> array[int]:
    column: array[int] = array(code)
    column.frombytes(data[: len(data) - len(data) % column.itemsize])
    if sys.byteorder == "big":
        column.byteswap()
    return column


def _unpacked(name: str, code: str, data: bytes) -> array[int]:
    column = _column(code, data)
    if name not in DIFFERENCES:
        return column
    return array("Q", map(_WORD.__and__, accumulate(column, _added)))


def _added(sum_: int, difference: int) -> int:
    return (sum_ + difference) & _WORD


def _check(snapshot: Snapshot) -> None:
    for name in ("types", "paths", "kinds", "owners", "origins"):
        if max(snapshot.column(name), default=-1) >= len(snapshot.texts):
            raise _Wrong(f"its {name} name a text that is not there")
    addresses = snapshot.addresses
    if any(map(int.__ge__, addresses, addresses[1:])):
        raise _Wrong("its addresses do not ascend")
    top = 1 << 8 * snapshot.source.arch.pointer_size
    if addresses and addresses[-1] >= top:
        raise _Wrong("it has an address that its machine does not have")
    if max(snapshot.counts, default=0) >= MOST or max(snapshot.held, default=0) >= MOST:
        raise _Wrong("it has a map that is larger than memory")
    if min(snapshot.tombstones, default=0) < -1:
        raise _Wrong("it has a map with a negative number of tombstones")
    if not all(-1 <= load < MOST_LOAD for load in snapshot.loads):
        raise _Wrong("it has a load that no map has")


def _entries(data: bytes) -> list[SavedEntries]:
    if zips.values_in(data.decode("utf-8")) > MAX_VALUES:
        raise _Wrong(f"it has more than {MAX_VALUES:,} keys and values")
    found = []
    listed = _json(data)
    if not isinstance(listed, list):
        raise _Wrong("its entries are invalid")
    for one in listed:
        if not isinstance(one, list) or len(one) != 8:
            raise _Wrong("its entries are invalid")
        expr, type_, address, keys, values, *flags = one
        _strings([expr, type_], "a map's expression", 2)
        if not all(isinstance(flag, bool) for flag in flags):
            raise _Wrong("its entries are invalid")
        if _scalars(keys) != _scalars(values):
            raise _Wrong("it does not have a value for each key")
        where = _whole(address, "a map's address", _WORD)
        found.append(SavedEntries(expr, type_, where, keys, values, (flags[0], flags[1]), flags[2]))
    return found


def _scalars(listed: Any) -> int:
    if not isinstance(listed, list) or not all(isinstance(one, (str, int, float)) for one in listed):
        raise _Wrong("its entries are invalid")
    return len(listed)
