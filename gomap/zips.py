"""Files that are written whole or not at all, and zips of a few members, read with suspicion: they may come from
anywhere."""

from __future__ import annotations

import contextlib
import os
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO, BinaryIO

from gomap.errors import BadImage

#: What reading a damaged zip, or the JSON in it, raises.
DAMAGED = (zipfile.BadZipFile, zlib.error, ValueError, EOFError, NotImplementedError, RuntimeError)
#: The most bytes that the directory of a few members takes, and the result for a larger one.
MAX_DIRECTORY, TOO_MANY = 1024, 1 << 16
_END, _END64 = b"PK\5\6", b"PK\6\7"  # the zip's end record, and the record before it in a zip64


@contextlib.contextmanager
def whole(path: str, overwrite: bool) -> Iterator[IO[bytes]]:
    """A file that gets its name when all of it is written: whatever stops that, Ctrl-C too, leaves nothing behind.
    overwrite: whether it may replace a file. Raises OSError, and BadImage if there is one that it may not replace."""
    folder = os.path.dirname(os.path.abspath(path))
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".gomap-", delete=False) as out:
        try:
            yield out
            out.close()
            (os.replace if overwrite else _unless_exists)(out.name, path)
        finally:
            out.close()
            with contextlib.suppress(FileNotFoundError):
                os.unlink(out.name)


def _exists(path: str) -> BadImage:
    """The error where a file is in the way."""
    return BadImage(f"{path} exists already: --overwrite replaces it")


def _unless_exists(written: str, path: str) -> None:
    """Gives the file its name, which no other has. Raises OSError, BadImage."""
    try:
        os.link(written, path)  # unlike a rename it never replaces a file
    except FileExistsError:
        raise _exists(path) from None
    except OSError:  # a file system without hard links
        if os.path.lexists(path):
            raise _exists(path) from None
        os.replace(written, path)


def save(path: str, data: bytes, overwrite: bool) -> None:
    """Writes a file of these bytes, and replaces none unless overwrite is set. Raises BadImage."""
    try:
        with whole(path, overwrite) as out:
            out.write(data)
    except OSError as error:
        raise BadImage(f"{path} can't be written: {error.strerror or error}") from error


def check_place(path: str, overwrite: bool) -> None:
    """Raises BadImage where no file can be written there: to be asked before long work, not after it."""
    if os.path.lexists(path) and not overwrite:
        raise _exists(path)
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise BadImage(f"{path} can't be written: {folder} is not a directory")


def members(file: BinaryIO) -> int | None:
    """How many members the zip has by its end record, before anything of its directory is read: TOO_MANY where the
    directory is longer than that of a few. None where the file does not end as a zip does."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(size - 42, 0))
    tail = file.read(42)
    end = tail[-22:]
    if not end.startswith(_END) or tail[:-22].startswith(_END64):
        return None
    count, length = int.from_bytes(end[10:12], "little"), int.from_bytes(end[12:16], "little")
    return count if length <= MAX_DIRECTORY else TOO_MANY


def is_plain(info: zipfile.ZipInfo) -> bool:
    """Whether the member is not encrypted, and stored or deflated."""
    return not info.flag_bits & 1 and info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def read(archive: zipfile.ZipFile, name: str, most: int) -> bytes | None:
    """The member; None where it is longer than `most` bytes, whatever the directory says of its size."""
    with archive.open(name) as member:
        data = member.read(most + 1)
    return data if len(data) <= most else None


def values_in(text: str) -> int:
    """At most so many values has JSON text."""
    return text.count(",") + text.count("[") + text.count("{") + 1
