"""Core files wherever they are: paths, patterns and directories, and URLs that fsspec opens."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from typing import Any, Callable

from direct.packed import unpacked
from gomap.errors import GomapError
from gomap.human import one_line

#: Bytes of disk that are left free, and that are copied at once.
SPARE, CHUNK = 256 << 20, 1 << 20
EXTRA = "python3 -m pip install 'gomap[fleet]'"


@dataclass(frozen=True)
class Found:
    """A core file. core: its path or URL. size: bytes. taken: when it was written, in seconds since 1970. version: text
    that is another one when the file has changed."""

    core: str
    size: int
    taken: float | None
    version: str


def package(name: str, what: str) -> Any:
    """The optional package of that name. Raises GomapError. what: what needs it."""
    try:
        return import_module(name)
    except ImportError as error:
        missing = (error.name or name).partition(".")[0]
        raise GomapError(f"{what} needs {missing}: {EXTRA}") from error


def found(names: Sequence[str], without: str, warn: Callable[[str], None]) -> Iterator[Found]:
    """The core files that the names stand for, each once. without: a folder whose files are none. warn: is given what
    can't be looked at. Raises GomapError where a name stands for none."""
    fsspec = package("fsspec", "gomap triage")
    seen: set[str] = set()
    own = os.path.realpath(without) + os.sep
    for name in names:
        number = 0
        try:
            for one in _of(fsspec, name, warn):
                if "://" not in one.core and os.path.realpath(one.core).startswith(own):
                    continue
                number += 1
                if one.core not in seen:
                    seen.add(one.core)
                    yield one
        except ImportError as error:
            raise GomapError(f"{name} can't be opened: {one_line(str(error))}") from error
        except GomapError:
            raise
        except Exception as error:  # of the packages for its protocol, whose errors are of kinds of their own
            why = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
            raise GomapError(f"{name} can't be read: {one_line(why)}") from error
        if not number:
            raise GomapError(f"{name}: {'it has no files' if os.path.isdir(name) else 'no such file'}")


def _of(fsspec: Any, name: str, warn: Callable[[str], None]) -> Iterator[Found]:
    fs, path = fsspec.core.url_to_fs(name)
    is_local = "file" in (fs.protocol if isinstance(fs.protocol, tuple) else (fs.protocol,)) and "::" not in name
    chain = name.partition("::")[2]
    if not fs.isdir(path):
        is_pattern = any(c in path for c in "*?[") and not fs.exists(path)
        listed = fs.glob(path, detail=True) if is_pattern else {path: fs.info(path)}
    elif is_local:
        listed = {one: {} for one in _below(path, warn)}
    else:
        listed = fs.find(path, detail=True)
    for each, info in sorted(listed.items()):
        if is_local:
            yield from _here(os.path.abspath(each), warn)
        elif info.get("type") in ("file", "other", None):
            core = fs.unstrip_protocol(each) + (f"::{chain}" if chain else "")
            yield Found(core, int(info.get("size") or 0), _written(info), _version(info))


def _below(folder: str, warn: Callable[[str], None]) -> Iterator[str]:
    """The files in a directory of this machine."""

    def left_out(error: OSError) -> None:
        if error.filename == folder:
            raise error
        warn(f"{error.filename} can't be read: {error.strerror}: core files in it are left out")

    for place, _, names in os.walk(folder, onerror=left_out):
        yield from (os.path.join(place, name) for name in names)


def _here(path: str, warn: Callable[[str], None]) -> Iterator[Found]:
    """A file of this machine, where it is one: opening a pipe would wait for its writer."""
    try:
        info = os.stat(path)
    except OSError as error:
        warn(f"{path} can't be read: {error.strerror}")
        return
    if stat.S_ISREG(info.st_mode):
        yield Found(path, info.st_size, info.st_mtime, f"{info.st_size}|{info.st_mtime_ns}")


def _written(info: dict[str, Any]) -> float | None:
    for name in ("mtime", "LastModified", "last_modified", "updated", "created"):
        value = info.get(name)
        if isinstance(value, (int, float)):
            return float(value)
        if isinstance(value, datetime):
            return value.timestamp()
    return None


def _version(info: dict[str, Any]) -> str:
    marks = [
        info.get(name) for name in ("size", "ETag", "etag", "md5Hash", "crc", "CRC", "mtime", "LastModified", "updated")
    ]
    return "|".join("" if mark is None else str(mark) for mark in marks)


def local(core: str, folder: str) -> str:
    """The core file on this machine, not compressed: itself, or a copy in the folder, which TMPDIR names. Raises
    GomapError, OSError."""
    if "://" not in core:
        return unpacked(core)
    fsspec = package("fsspec", "a core file at a URL")
    path = os.path.join(folder, "core")
    try:
        with fsspec.open(core, "rb") as remote, open(path, "wb") as copy:
            while data := remote.read(CHUNK):
                if data.count(0) == len(data):
                    copy.seek(len(data), os.SEEK_CUR)  # a hole
                else:
                    copy.write(data)
                if shutil.disk_usage(folder).free < SPARE:
                    raise GomapError(f"{core} does not fit on the disk with {folder}: set TMPDIR")
            copy.truncate()
    except GomapError:
        raise
    except Exception as error:  # of the packages for its protocol, whose errors are of kinds of their own
        raise GomapError(f"{core} can't be read: {one_line(f'{type(error).__name__}: {error}')}") from error
    return unpacked(path)
