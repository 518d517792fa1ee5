"""The folder that gomap triage writes: a file for each core that was read, and the tables made of them all.

read/XX/NAME.json.gz     what became of one core, written completely or not at all
with-keys                there if keys and values of programs are in it
tables/TABLE/part-N.parquet
report.txt, report.json
"""

from __future__ import annotations

import fcntl
import gzip
import hashlib
import json
import os
import shutil
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from direct.fleet.fetch import package
from gomap.errors import GomapError
from gomap.results.fields import ResultField, fields_of
from gomap.results.fleet import TABLES
from gomap.zips import whole

#: Cores of one Parquet file, so that writing it takes no more memory however many there are.
PART = 2000
#: Columns of tables that are taken from the core's row.
_OF_CORE = ("program", "build", "built")


class NoDataset(GomapError):
    """A folder that gomap triage has not written."""

    code = "no-dataset"


class Dataset:
    """The folder. Raises GomapError where it can't be made."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        try:
            (self.folder / "read").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise GomapError(f"{folder} can't be written: {error.strerror}") from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Only one run at a time writes to it. Raises GomapError."""
        try:
            file = open(self.folder / "lock", "w")  # noqa: SIM115
        except OSError as error:
            raise GomapError(f"{self.folder} can't be written: {error.strerror}") from error
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise GomapError(f"another gomap triage writes to {self.folder}") from error
            except OSError as error:
                raise GomapError(f"{self.folder} can't be locked: {error.strerror}") from error
            yield

    def have_keys(self, wanted: bool) -> None:
        """Notes that the dataset has keys and values of programs. Raises GomapError where it has them and they are not
        wanted: cores that are not read again would bring theirs into the report."""
        mark = self.folder / "with-keys"
        try:
            if wanted:
                mark.touch()
        except OSError as error:
            raise GomapError(f"{self.folder} can't be written: {error.strerror}") from error
        if not wanted and mark.exists():
            raise GomapError(f"{self.folder} was written with --with-keys: give that again, or another --out")

    def file_of(self, core: str) -> Path:
        """Where the answer about a core is kept."""
        name = hashlib.sha256(core.encode("utf-8", "surrogateescape")).hexdigest()[:32]
        return self.folder / "read" / name[:2] / f"{name}.json.gz"

    def known(self, core: str) -> dict[str, Any] | None:
        """The answer about a core, None where it was not read yet."""
        return _loaded(self.file_of(core))

    def keep(self, core: str, answer: dict[str, Any]) -> None:
        """Writes the answer about a core. Raises OSError."""
        path = self.file_of(core)
        path.parent.mkdir(exist_ok=True)
        with whole(str(path), overwrite=True) as out:
            out.write(gzip.compress(json.dumps(answer).encode(), 5, mtime=0))

    def answers(self) -> Iterator[dict[str, Any]]:
        """All answers, in the order of their files' names."""
        for folder in sorted((self.folder / "read").iterdir()):
            for path in sorted(folder.glob("*.json.gz")):
                found = _loaded(path)
                if found is not None:
                    yield found

    def write_tables(self) -> None:
        """Makes the tables of all answers; the tables before are replaced at once. Raises GomapError, OSError."""
        arrow, parquet = package("pyarrow", "gomap triage"), package("pyarrow.parquet", "gomap triage")
        schemas = {name: _schema(arrow, fields_of(row)) for name, row in TABLES.items()}
        made = self.folder / ".tables-new"  # only one run writes here at a time
        shutil.rmtree(made, ignore_errors=True)
        try:
            made.mkdir()
            for name in TABLES:
                (made / name).mkdir()
            for number, some in enumerate(_parts(self.answers())):
                for name, schema in schemas.items():
                    rows = [row for answer in some for row in _rows(answer, name)]
                    if rows or not number:
                        table = arrow.Table.from_pylist(rows, schema=schema)
                        parquet.write_table(table, made / name / f"part-{number:05d}.parquet", compression="zstd")
            old, place = self.folder / ".tables-old", self.folder / "tables"
            shutil.rmtree(old, ignore_errors=True)
            if place.exists():
                place.rename(old)
            made.rename(place)
            shutil.rmtree(old, ignore_errors=True)
        finally:
            shutil.rmtree(made, ignore_errors=True)


def parts_of(folder: str) -> dict[str, list[str]]:
    """The Parquet files of each table of a dataset. Raises NoDataset."""
    found: dict[str, list[str]] = {}
    for name in TABLES:
        place = Path(folder, "tables", name)
        found[name] = [str(path) for path in sorted(place.glob("part-*.parquet"))]
        if not found[name]:
            what = "no such folder" if not os.path.isdir(folder) else f"it has no table {name}"
            raise NoDataset(f"{folder} is not a folder that gomap triage --out has finished: {what}")
    return found


def _loaded(path: Path) -> dict[str, Any] | None:
    with suppress(OSError, ValueError, EOFError, zlib.error):
        found: dict[str, Any] = json.loads(gzip.decompress(path.read_bytes()))
        return found if isinstance(found, dict) and {"core", "asked"} <= found.keys() else None
    return None


def _parts(answers: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    some: list[dict[str, Any]] = []
    written = False
    for answer in answers:
        some.append(answer)
        if len(some) == PART:
            yield some
            some, written = [], True
    if some or not written:
        yield some


def _rows(answer: dict[str, Any], table: str) -> Sequence[dict[str, Any]]:
    core = answer["core"]
    if table == "cores":
        return [_text(core)]
    rows = [_text(row) for row in answer.get(table, ())]
    if table == "maps":
        return [{**row, **{name: core.get(name) for name in _OF_CORE}} for row in rows]
    return rows


def _text(row: dict[str, Any]) -> dict[str, Any]:
    """Names may have bytes that are not UTF-8, which Parquet's texts may not."""
    return {
        name: value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
        for name, value in row.items()
    }


def _schema(arrow: Any, fields: Sequence[ResultField]) -> Any:
    kinds = {"integer": arrow.int64(), "number": arrow.float64(), "boolean": arrow.bool_()}
    return arrow.schema([(one.name, kinds.get(one.type.form, arrow.string())) for one in fields])
