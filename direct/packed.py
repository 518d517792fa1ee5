"""Core files that are compressed: written out to a temporary file, which is removed when gomap leaves."""

from __future__ import annotations

import atexit
import gzip
import lzma
import os
import shlex
import shutil
import sys
import tempfile
from contextlib import suppress
from importlib import import_module
from typing import Any, BinaryIO, cast

from gomap.errors import GomapError

#: How a file begins, what opens it, and the packages that have it, the first that is there.
FORMATS = (
    (b"\x1f\x8b", "gzip", ("gzip",)),
    (b"\xfd7zXZ\x00", "xz", ("lzma",)),
    (b"\x28\xb5\x2f\xfd", "zstd", ("compression.zstd", "pyzstd", "zstandard")),
    (b"\x04\x22\x4d\x18", "lz4", ("lz4.frame",)),
)
#: Bytes of disk that are left free.
SPARE = 256 << 20


def unpacked(core: str) -> str:
    """The core file, or where it was written out to. Raises GomapError, OSError."""
    with open(core, "rb") as file:
        begin = file.read(8)
    found = next((one for one in FORMATS if begin.startswith(one[0])), None)
    if found is None:
        return core
    _, name, packages = found
    with _opened(core, name, packages) as packed:
        area = os.environ.get("TMPDIR") or None
        try:
            descriptor, path = tempfile.mkstemp(prefix="gomap-core-", dir=area)
        except OSError as error:
            where = area or "a temporary file"
            raise GomapError(f"{core} can't be written out to {where}: {error.strerror}: set TMPDIR") from error
        atexit.register(_remove, path)
        with open(descriptor, "wb") as out:
            try:
                while data := packed.read(1 << 20):
                    if data.count(0) == len(data):
                        out.seek(len(data), os.SEEK_CUR)  # a hole
                    else:
                        out.write(data)
                    if shutil.disk_usage(path).free < SPARE:
                        raise GomapError(f"{core} does not fit on the disk with {os.path.dirname(path)}: set TMPDIR")
                out.truncate()
            except (EOFError, ValueError, RuntimeError, lzma.LZMAError, gzip.BadGzipFile) as error:
                raise GomapError(f"{core} is damaged or truncated ({name}): {error}") from error
            except OSError as error:
                raise GomapError(f"{core} can't be written out to {path}: {error.strerror or error}") from error
            except Exception as error:  # of packages whose errors are of kinds of their own
                if type(error).__module__.partition(".")[0] in {one.partition(".")[0] for one in packages}:
                    raise GomapError(f"{core} is damaged or truncated ({name}): {error}") from error
                raise
    return path


def _opened(core: str, name: str, packages: tuple[str, ...]) -> BinaryIO:
    for package in packages:
        try:
            module: Any = import_module(package)
        except ImportError:
            continue
        return cast(BinaryIO, module.open(core, "rb"))
    raise GomapError(
        f"{core} is compressed ({name}): {shlex.quote(sys.executable)} -m pip install "
        f"{packages[-1].partition('.')[0]}, or unpack it"
    )


def _remove(path: str) -> None:
    with suppress(OSError):
        os.unlink(path)
