"""gomap triage and gomap sql."""

from __future__ import annotations

import argparse
import csv
import io
import os
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Callable

from direct.fleet import fetch, report
from direct.fleet.dataset import Dataset
from direct.fleet.run import Done, Plan, read_all, todo
from direct.fleet.tables import asked, opened
from gomap.errors import GomapError, UsageError
from gomap.human import one_line
from gomap.progress import silent
from gomap.render import json as as_json
from gomap.render import text as as_text
from gomap.render.terminal import INTERRUPTED, complain, ended, open_streams, progress, style, write
from gomap.report import Report, Table
from gomap.results.fleet import TABLES
from gomap.results.triage import SqlColumn, SqlResult
from gomap.zips import whole

_SIZE = re.compile(r"(\d+)\s*([KMGT]?)(?:i?B)?\Z", re.IGNORECASE)
#: The least memory that a process which reads a core needs.
LEAST = 128 << 20
#: Columns of a table that goes into a file or pipe.
WIDE = 100_000


def parsers() -> dict[str, argparse.ArgumentParser]:
    """The command line of each subcommand."""
    triage = argparse.ArgumentParser(
        prog="gomap triage",
        description="Read many core files and say what their programs died of, which maps are corrupt, grow from build "
        "to build or stand out. Each core is read in a process of its own; Dask distributes the work.",
        epilog="Run it again with the same --out to go on after an interruption, or to add cores. Docs: docs/fleet.md.",
    )
    triage.add_argument(
        "CORE", nargs="+", help="core files (also .gz, .xz, .zst, .lz4), directories, patterns ('cores/*') or URLs "
        "that fsspec opens (s3://..., gs://...)",
    )  # fmt: skip
    triage.add_argument("--out", metavar="DIR", required=True, help="the folder for the dataset and the report")
    triage.add_argument(
        "--programs", metavar="DIR", action="append", default=[], help="where the programs are, which are found by "
        "build ID: any directory, or one laid out as debuginfod's (buildid/HEX/executable); may be repeated. Without "
        "it, each core names its program",
    )  # fmt: skip
    cpus = os.cpu_count() or 1
    triage.add_argument(
        "--workers",
        metavar="N",
        type=_positive,
        default=cpus,
        help=f"processes that read cores on this machine (default: {cpus})",
    )
    triage.add_argument(
        "--scheduler", metavar="ADDRESS", help="an existing Dask scheduler, such as tcp://10.0.0.1:8786"
    )
    triage.add_argument(
        "--memory", metavar="SIZE", type=_size, default=2 << 30, help="most memory for reading one core (default: 2G)"
    )
    triage.add_argument(
        "--time", metavar="SECONDS", type=_seconds, default=300.0, help="most time for reading one core (default: 300)"
    )
    triage.add_argument(
        "--maps", metavar="N", type=_positive, default=50, help="rows of maps that are kept of each core, those with "
        "the most bytes first (default: 50)",
    )  # fmt: skip
    triage.add_argument("--with-keys", action="store_true", help="keep keys of maps and panics' values, which may be "
                        "personal data, in the dataset and the report")  # fmt: skip
    triage.add_argument(
        "-n", metavar="N", type=_natural, default=20, help="rows of each list of the report (default: 20; 0 for all)"
    )
    triage.add_argument("--json", action="store_true", help="print the report as one line of JSON")
    sql = argparse.ArgumentParser(
        prog="gomap sql",
        description="Answer a SELECT over the tables that gomap triage wrote, with DuckDB. Nothing is changed.",
        epilog=f"The tables are {', '.join(TABLES)}; docs/fleet.md has their columns.",
    )
    sql.add_argument("DIR", help="the folder of gomap triage --out")
    sql.add_argument("QUERY", help="one SELECT")
    form = sql.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print the answer as one line of JSON")
    form.add_argument("--csv", action="store_true", help="print the answer as CSV")
    return {"triage": triage, "sql": sql}


def main(argv: Sequence[str] | None = None) -> int:
    """Status 0 when there is an answer."""
    open_streams()
    arguments = list(sys.argv[1:] if argv is None else argv)
    options = parsers()[arguments[0]].parse_args(arguments[1:])
    return _or_json(arguments[0], options, {"triage": _triage, "sql": _sql}[arguments[0]])


def _or_json(name: str, options: argparse.Namespace, work: Callable[[argparse.Namespace], int]) -> int:
    """With --json, an error is printed as JSON too."""

    def run() -> int:
        try:
            return work(options)
        except GomapError as error:
            if options.json:
                write(as_json.failure(f"gomap {name}", error))
            raise

    return ended("gomap", run)


# -- triage ------------------------------------------------------------------------------------------------


def _triage(options: argparse.Namespace) -> int:
    start = time.monotonic()
    for folder in options.programs:
        if not os.path.isdir(folder):
            raise UsageError(f"--programs {folder}: no such directory")
    for name in ("distributed", "duckdb", "pyarrow"):  # missing packages are reported before the long work
        fetch.package(name, "gomap triage")
    plan = Plan(
        [os.path.abspath(folder) for folder in options.programs], options.workers, options.scheduler, options.memory,
        options.time, options.maps, options.with_keys,
    )  # fmt: skip
    cores = list(fetch.found(options.CORE, options.out, lambda text: complain(one_line(f"gomap: {text}"))))
    dataset, done = Dataset(options.out), Done()
    line = progress(sys.stderr, style(sys.stderr).width)
    with dataset.locked():
        dataset.have_keys(options.with_keys)
        left, done.kept = todo(plan, dataset, cores)
        try:
            if left:
                read_all(plan, dataset, left, done, line or silent)
        except KeyboardInterrupt:
            if line is not None:
                line.clear()
            written = todo(plan, dataset, [done.writing])[1] if done.writing is not None else 0
            read = done.kept + done.read + written
            complain(f"gomap: interrupted: {read:,} of {len(cores):,} cores are read; run it again to go on")
            return INTERRUPTED
        except OSError as error:
            raise GomapError(f"{options.out} can't be written: {error.strerror or error}") from error
        finally:
            if line is not None:
                line.clear()
        done.seconds = time.monotonic() - start
        return _answer(options, dataset, done)


def _answer(options: argparse.Namespace, dataset: Dataset, done: Done) -> int:
    try:
        dataset.write_tables()
        result = report.result_of(options.out, done)
        told = report.described(result, options.n)
        json = as_json.bare("gomap triage", result)
        for name, text in (("report.json", json), ("report.txt", as_text.render(told, as_text.Style(100)))):
            with whole(os.path.join(options.out, name), overwrite=True) as out:
                out.write(text.encode("utf-8", "backslashreplace"))
            os.chmod(os.path.join(options.out, name), 0o666 & ~_umask())
    except OSError as error:
        raise GomapError(f"{options.out} can't be written: {error.strerror or error}") from error
    write(json if options.json else as_text.render(told, style(sys.stdout)))
    return 0


def _umask() -> int:
    """The bits that new files do not get."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


# -- sql ---------------------------------------------------------------------------------------------------


def _sql(options: argparse.Namespace) -> int:
    columns, rows = asked(opened(options.DIR), options.QUERY)
    names = [name for name, _ in columns]
    if options.json:
        result = SqlResult([SqlColumn(*one) for one in columns], [[_plain(cell) for cell in row] for row in rows])
        write(as_json.bare("gomap sql", result))
    elif options.csv:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(names)
        writer.writerows([["" if cell is None else cell for cell in row] for row in rows])
        write(text.getvalue())
    else:
        numbers = {i for i, (_, kind) in enumerate(columns) if kind in _NUMBERS}
        lines = [[_text(cell) for cell in row] for row in rows]
        table = Report(None, [] if rows else ["no rows"], [Table(names, lines, frozenset(numbers))] if rows else [])
        shown = style(sys.stdout)
        write(as_text.render(table, shown if sys.stdout.isatty() else replace(shown, width=WIDE)))
    return 0


_NUMBERS = frozenset({"NUMBER", "BIGINT", "INTEGER", "HUGEINT", "DOUBLE", "FLOAT", "UBIGINT", "DECIMAL"})


def _text(cell: Any) -> str:
    return "" if cell is None else f"{cell:.6g}" if isinstance(cell, float) else one_line(str(cell))


def _plain(cell: Any) -> Any:
    """A value of DuckDB's as JSON has it."""
    if cell is None or isinstance(cell, (bool, str)):
        return cell
    if isinstance(cell, int):
        return cell if abs(cell) < 1 << 63 else str(cell)
    if isinstance(cell, float):
        return cell if cell - cell == 0 else str(cell)
    if isinstance(cell, (list, tuple)):
        return [_plain(one) for one in cell]
    if isinstance(cell, dict):
        return {str(name): _plain(one) for name, one in cell.items()}
    return str(cell)


# -- arguments ---------------------------------------------------------------------------------------------


def _size(text: str) -> int:
    found = _SIZE.match(text)
    number = int(found[1]) << (10 * " KMGT".index(found[2].upper() or " ")) if found else 0
    if number < LEAST:
        raise argparse.ArgumentTypeError(f"a size of 128M or more, such as 2G, not {text!r}")
    return min(number, 1 << 60)


def _seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < 1e9:
        raise argparse.ArgumentTypeError(f"a number of seconds, not {text!r}")
    return number


def _positive(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 1 << 31:
        raise argparse.ArgumentTypeError(f"a number, 1 or more, not {text!r}")
    return int(text)


def _natural(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"a number, 0 or more, not {text!r}")
    return int(text)
