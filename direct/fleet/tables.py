"""The tables of a dataset in DuckDB, which can read nothing else."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from direct.fleet.dataset import parts_of
from direct.fleet.fetch import package
from gomap.errors import GomapError
from gomap.human import one_line


class BadQuery(GomapError):
    """A query that can't be run."""

    code = "bad-query"


def opened(folder: str) -> Any:
    """A connection with a view for each table. Raises NoDataset; GomapError without DuckDB or pyarrow.

    The files are read by pyarrow: DuckDB itself may open no file, load no extension and change no setting.
    """
    parts = parts_of(folder)
    duckdb, dataset = package("duckdb", "gomap sql"), package("pyarrow.dataset", "gomap sql")
    connection = duckdb.connect(":memory:")
    try:
        for name, files in parts.items():
            connection.register(name, dataset.dataset(files, format="parquet"))
    except (OSError, ValueError) as error:
        raise GomapError(f"the tables of {folder} can't be read: {one_line(str(error))}") from error
    for setting in (
        "temp_directory = ''",  # else it is in the working directory
        f"memory_limit = '{_memory() >> 21} MiB'",  # half of it
        "enable_external_access = false",
        "python_enable_replacements = false",
        "autoinstall_known_extensions = false",
        "autoload_known_extensions = false",
        "lock_configuration = true",
    ):
        connection.execute(f"SET {setting}")
    return connection


def _memory() -> int:
    """Bytes of this machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def asked(connection: Any, query: str) -> tuple[list[tuple[str, str]], Sequence[tuple[Any, ...]]]:
    """(name and type of each column, rows) of one SELECT. Raises BadQuery."""
    duckdb = package("duckdb", "gomap sql")
    try:
        statements = connection.extract_statements(query)
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            raise BadQuery("gomap sql takes one SELECT: the tables can't be changed")
        found = connection.execute(statements[0])
        return [(one[0], str(one[1])) for one in found.description], found.fetchall()
    except (duckdb.OutOfMemoryException, MemoryError) as error:
        raise BadQuery("the query needs more than half of this machine's memory: ask for fewer rows") from error
    except RuntimeError as error:  # no error of DuckDB's own: Ctrl-C
        raise KeyboardInterrupt from error
    except duckdb.Error as error:
        text = " ".join(str(error).split("\n\nLINE", 1)[0].split())
        raise BadQuery(one_line(text)) from error
