"""gomap gdbinit, zipapp, completion: what sets gomap up elsewhere, printed or written."""

from __future__ import annotations

import argparse
import os
import sys
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from gomap.errors import GomapError
from gomap.render.terminal import ended, open_streams, write
from gomap.zips import whole

#: The packages that the archive has: a debugger is not part of it.
INSIDE = ("gomap", "direct")
#: Endings of their files: source, tables and templates.
SUFFIXES = (".py", ".txt", ".html", ".css", ".js")
#: All files of the archive have this date, so that one source makes one archive.
DATE = (1980, 1, 1, 0, 0, 0)
START = "import sys\nfrom direct.__main__ import run\nsys.exit(run())\n"


def parsers() -> dict[str, argparse.ArgumentParser]:
    """The command line of each subcommand."""
    gdbinit = argparse.ArgumentParser(
        prog="gomap gdbinit",
        description="Print the line that loads gomap in gdb. Append it to ~/.config/gdb/gdbinit or ~/.gdbinit.",
    )
    zipapp = argparse.ArgumentParser(
        prog="gomap zipapp",
        description="Write one file that contains gomap pid, core, top, doctor and gomap FILE and needs only "
        "Python 3.9 or later, for containers (docs/production.md).",
    )
    zipapp.add_argument("FILE", nargs="?", default="gomap.pyz", help="the file to write (default: gomap.pyz)")
    completion = argparse.ArgumentParser(
        prog="gomap completion",
        description='Print the completion script: put eval "$(gomap completion)" into ~/.bashrc, or into ~/.zshrc '
        "after `autoload -U bashcompinit && bashcompinit`.",
    )
    return {"gdbinit": gdbinit, "zipapp": zipapp, "completion": completion}


def main(argv: Sequence[str]) -> int:
    """Runs gomap gdbinit, zipapp or completion. Returns the exit status."""
    open_streams()
    options = parsers()[argv[0]].parse_args(argv[1:])

    def work() -> int:
        if argv[0] == "gdbinit":
            write(_gdbinit())
        elif argv[0] == "completion":
            from direct.manual import completion

            write(completion())
        else:
            size = archive(options.FILE)
            write(f"{options.FILE}: {size >> 10:,} KiB; python3 {options.FILE} --help shows what it does\n")
        return 0

    return ended("gomap", work)


def _gdbinit() -> str:
    # gdb sources files only, and none that lie inside an archive.
    if not _root().is_dir():
        raise GomapError("gdb can't load gomap from an archive: install it with pip or from a checkout")
    from gdbext.start import source_line

    return source_line() + "\n"


def _root() -> Path:
    return Path(__file__).absolute().parent.parent


def archive(path: str) -> int:
    """Writes the archive there. Its size in bytes. Raises GomapError."""
    root = _root()
    if not root.is_dir():
        raise GomapError(f"this gomap is already an archive: copy {sys.argv[0]}")
    try:
        with whole(path, overwrite=True) as out:
            out.write(b"#!/usr/bin/env python3\n")
            with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
                for name, data in _files(root):
                    made.writestr(zipfile.ZipInfo(name, DATE), data, zipfile.ZIP_DEFLATED)
            size = out.tell()
            os.chmod(out.name, 0o755)
    except OSError as error:
        raise GomapError(f"{path} can't be written: {error.strerror or error}") from error
    return size


def _files(root: Path) -> Iterator[tuple[str, bytes]]:
    yield "__main__.py", START.encode()
    for package in INSIDE:
        for file in sorted(one for one in (root / package).rglob("*.*") if one.suffix in SUFFIXES):
            yield str(file.relative_to(root)), file.read_bytes()
