"""gomap triage and gomap sql without core files: the dataset, the report's SQL, what a query may do, names of cores."""

from __future__ import annotations

import builtins
import errno
import gzip
import json
import os
import queue
import signal
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from direct import reference
from direct.fleet import dataset, fetch, main, report, run, tables
from direct.fleet.dataset import Dataset
from direct.fleet.read import STEPS
from direct.fleet.run import Done, Plan, _complete, todo
from gomap.errors import GomapError
from gomap.results.fields import fields_of
from gomap.results.fleet import TABLES

PLAN = Plan([], 1, None, 1 << 30, 60.0, 50, False)


def answer(core: str, steps: int = len(STEPS), errors: Sequence[tuple[str, str]] = (), **row: Any) -> dict[str, Any]:
    """As a worker gives it. Tables are rows by name."""
    rows = {name: row.pop(name) for name in TABLES if name in row}
    return {
        "core": {"seconds": 1.0, "cpu": 1.0, "memory": 1, **row},
        "errors": list(errors),
        "done": STEPS[:steps],
        **rows,
    }


def keep(data: Dataset, core: str, given: dict[str, Any], version: str = "1", plan: Plan = PLAN) -> None:
    one = fetch.Found(core, 10, 1_800_000_000.0, version)
    _complete(plan, one, given)
    data.keep(core, given)


def a_map(core: str, entries: int, size: int, **more: Any) -> dict[str, Any]:
    row = dict.fromkeys((one.name for one in fields_of(TABLES["maps"])), None)
    row |= {"core": core, "map": "main.M", "kind": "global", "type": "map[int]int", "maps": 1, "entries": entries}
    return {**row, "bytes": size, "waste": 0, "rebuilt": size, "std": False, "address": "0x10", **more}


def told(out: Path, data: Dataset) -> Any:
    data.write_tables()
    return report.result_of(str(out), Done())


def test_tables_in_the_docs_are_as_made() -> None:
    """Else: python3 -m direct.reference"""
    text = reference.FLEET.read_text("utf-8")
    assert reference.made(text, TABLES) == text


def test_parts_replace_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many files as the cores need; a smaller dataset leaves none of a larger one behind."""
    monkeypatch.setattr(dataset, "PART", 3)
    data = Dataset(str(tmp_path / "out"))
    data.write_tables()
    assert tables.asked(tables.opened(str(data.folder)), "SELECT count(*) FROM cores")[1] == [(0,)]
    for number in range(7):
        keep(data, f"/core.{number}", answer(f"/core.{number}", maps=[a_map(f"/core.{number}", number, 100)]))
    data.write_tables()
    assert len(dataset.parts_of(str(data.folder))["maps"]) == 3
    query = "SELECT count(*), sum(entries), min(program IS NULL) FROM cores JOIN maps USING (core)"
    assert tables.asked(tables.opened(str(data.folder)), query.replace("entries", "maps.entries").replace(
        "program", "maps.program"))[1] == [(7, 21, True)]  # fmt: skip
    for number in range(5):
        data.file_of(f"/core.{number}").unlink()
    data.file_of("/core.5").write_bytes(b"damaged")
    data.write_tables()
    assert tables.asked(tables.opened(str(data.folder)), "SELECT core FROM cores")[1] == [("/core.6",)]
    assert len(dataset.parts_of(str(data.folder))["maps"]) == 1
    assert {path.name for path in data.folder.iterdir()} == {"read", "tables"}


def test_which_cores_are_read_again(tmp_path: Path) -> None:
    data = Dataset(str(tmp_path))
    keep(data, "/whole", answer("/whole"))
    keep(data, "/partly", answer("/partly", 2, [("findings", "it takes longer")]))
    keep(data, "/failed", answer("/failed", 0, [("opening it", "not a core file")]))
    assert data.known("/partly")["core"]["error"] == "findings: it takes longer"  # type: ignore[index]
    cores = [fetch.Found(name, 10, None, "1") for name in ("/whole", "/partly", "/failed", "/new")]

    def left(plan: Plan, version: str = "1") -> set[str]:
        return {one.core for one in todo(plan, data, [fetch.Found(c.core, 10, None, version) for c in cores])[0]}

    assert left(PLAN) == {"/failed", "/new"}
    assert left(PLAN, "2") == {one.core for one in cores}
    assert left(Plan([], 1, None, 1 << 30, 600.0, 50, False)) == {"/partly", "/failed", "/new"}
    assert left(Plan([], 1, None, 1 << 30, 60.0, 50, True)) == {one.core for one in cores}
    assert left(Plan(["/other"], 9, "tcp://x", 1 << 30, 60.0, 50, False)) == {"/failed", "/new"}
    # Another directory may have a build of the program with debug information.
    keep(data, "/whole", {**answer("/whole"), "wanting": True})
    assert left(PLAN) == {"/failed", "/new"}
    assert left(Plan(["/other"], 1, None, 1 << 30, 60.0, 50, False)) == {"/whole", "/failed", "/new"}
    with data.locked(), pytest.raises(GomapError, match="another gomap triage"), Dataset(str(tmp_path)).locked():
        pass


def test_what_was_not_looked_at(tmp_path: Path) -> None:
    """Tables that a core has no rows of are missing, and a death that was not looked for is no life."""
    data = Dataset(str(tmp_path))
    keep(data, "/ends", answer("/ends", died="panic", cause="panic: x"))
    keep(data, "/lives", answer("/lives", died="none"))
    keep(data, "/cut", answer("/cut", 2, [("races", "it takes longer")], missing="the stacks of 3 goroutines"))
    keep(data, "/truncated", answer("/truncated", missing="/truncated is truncated by 3 bytes"))
    keep(data, "/failed", answer("/failed", 0, [("opening it", "not a core file")]))
    rows = "the tables races, findings, advice have"
    assert {core: data.known(core)["core"]["missing"] for core in ("/ends", "/cut", "/failed")} == {  # type: ignore[index]
        "/ends": None,
        "/cut": f"the stacks of 3 goroutines; what {rows}",
        "/failed": "what the tables maps, goroutines, races, findings, advice have",
    }
    assert {one.cause: one.cores for one in told(tmp_path, data).clusters} == {
        "panic: x": 1, "no fatal error, panic or signal": 1, "not known": 2,
    }  # fmt: skip


def test_an_error_of_all_steps_is_told_once(tmp_path: Path) -> None:
    data = Dataset(str(tmp_path))
    steps = ("maps", "goroutines", "races", "findings", "advice")
    keep(data, "/a", answer("/a", 0, [(step, "cut off") for step in steps]))
    keep(data, "/b", answer("/b", 3, [(step, "cut off") for step in steps[:2]]))
    assert [data.known(one)["core"]["error"] for one in ("/a", "/b")] == [  # type: ignore[index]
        "cut off",
        "maps, goroutines: cut off",
    ]


def test_maps_that_grow_and_stand_out(tmp_path: Path) -> None:
    """By the medians of builds in the order of their times, and of the cores of one build."""
    data = Dataset(str(tmp_path))
    kib = 1 << 10

    def add(name: str, build: int, size: int, **more: Any) -> None:
        row: dict[str, Any] = {"program": "p", "build": f"id{9 - build}", "built": f"2026-01-0{build}", "taken": "2026"}
        keep(data, name, answer(name, **row, maps=[a_map(name, size // 10, size, **more)]))

    for build, sizes in ((1, (100, 110, 90)), (2, (150, 140, 160)), (3, (400, 390, 410))):
        for i, size in enumerate(sizes):
            add(f"/grows.{build}.{i}", build, size * kib)
    for build, size in ((1, 100), (2, 300), (3, 200)):
        add(f"/falls.{build}", build, size * kib, map="main.Falls")
    for build, size in ((1, 100), (2, 140)):
        add(f"/little.{build}", build, size * kib, map="main.Little")
    for build, size in ((1, 1), (2, 10)):
        add(f"/small.{build}", build, size * kib, map="main.Small")
    for i in range(6):
        add(f"/odd.{i}", 1, (500 if i == 4 else 100 + i) * kib, map="main.Odd")
        add(f"/std.{i}", 1, (500 if i == 4 else 100) * kib, map="time.zones", std=True)
    for i in range(4):
        add(f"/few.{i}", 1, (500 if i == 3 else 100) * kib, map="main.Few")
    found = told(tmp_path, data)
    (grown,) = found.grown
    assert (grown.map, grown.factor, grown.example) == ("main.M", 4.0, "/grows.3.2")
    assert [(one.build, one.cores, one.bytes) for one in grown.builds] == [
        ("id8", 3, 100 * kib), ("id7", 3, 150 * kib), ("id6", 3, 400 * kib),
    ]  # fmt: skip
    (odd,) = found.odd
    assert (odd.map, odd.bytes, odd.cores, odd.of, odd.example) == ("main.Odd", 500 * kib, 1, 6, "/odd.4")
    assert odd.median == (102 + 103) * kib // 2


def test_rows_are_no_cores(tmp_path: Path) -> None:
    """The maps of one core that variables of several kinds lead to are several rows, which belong together."""
    data = Dataset(str(tmp_path))
    kib = 1 << 10

    def add(name: str, build: str, sizes: tuple[int, int], place: str) -> None:
        rows = [
            a_map(name, size, size * kib, map=place, kind=kind, function="main.f")
            for kind, size in zip(("local", "dead"), sizes)
        ]
        keep(data, name, answer(name, program="p", build=build, built=build, maps=rows))

    for i in range(4):  # as many cores have no peers, though they have eight rows
        add(f"/few.{i}", "1", (10, 400 if i == 3 else 10), "few")
    for i in range(5):
        add(f"/odd.{i}", "1", (250, 250) if i == 4 else (50 + i, 50), "odd")
    add("/odd.5", "2", (300, 300), "odd")
    found = told(tmp_path, data)
    (odd,) = found.odd
    assert (odd.map, odd.bytes, odd.entries, odd.median, odd.cores, odd.of) == ("odd", 500 * kib, 500, 102 * kib, 1, 5)
    (grown,) = found.grown
    assert [(one.build, one.cores, one.bytes) for one in grown.builds] == [("1", 5, 102 * kib), ("2", 1, 600 * kib)]


def test_clusters(tmp_path: Path) -> None:
    """A line in package main is each program's own; that of a library is one for all programs."""
    data = Dataset(str(tmp_path))
    for i, (program, place, name) in enumerate((
        ("a", "main.f (main.go:1)", None), ("b", "main.f (main.go:1)", None), ("a", "lib.g (lib.go:2)", "lib.M"),
        ("b", "lib.g (lib.go:2)", "lib.M"), ("b", "lib.g (lib.go:2)", "main.M"), ("b", "lib.g (lib.go:3)", "lib.M"),
    )):  # fmt: skip
        keep(data, f"/{i}", answer(f"/{i}", program=program, cause="panic: x", place=place, map=name))
    keep(data, "/failed", answer("/failed", 0, [("opening it", "/failed is cut off at 0x1f after 77 bytes")]))
    keep(data, "/lives", answer("/lives", program="a", died="none"))
    found = told(tmp_path, data)
    got = {(one.cause, one.program, one.programs, one.place, one.map, one.cores) for one in found.clusters}
    assert got == {
        ("panic: x", "a", 1, "main.f (main.go:1)", None, 1), ("panic: x", "b", 1, "main.f (main.go:1)", None, 1),
        ("panic: x", None, 2, "lib.g (lib.go:2)", "lib.M", 2), ("panic: x", "b", 1, "lib.g (lib.go:2)", "main.M", 1),
        ("panic: x", "b", 1, "lib.g (lib.go:3)", "lib.M", 1),
        ("no fatal error, panic or signal", "a", 1, None, None, 1),
    }  # fmt: skip
    assert [one.error for one in found.failures] == ["CORE is cut off at N after N bytes"]
    assert sum(one.share for one in found.clusters) == pytest.approx(1)


def test_nobody_is_left_to_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scheduler that has lost all its workers waits for others for ever."""

    class Client:
        threads: ClassVar = [{}, OSError(), {"a": 1}, {}, {}]

        def nthreads(self) -> Any:
            found = self.threads.pop(0)
            if isinstance(found, OSError):
                raise found
            return found

    monkeypatch.setattr(run, "PATIENCE", 0.001)
    with pytest.raises(GomapError, match=r"the Dask scheduler has no workers any more"):
        run._next(queue.SimpleQueue(), Client())
    assert not Client.threads


# -- gomap sql -----------------------------------------------------------------------------------------------


@pytest.fixture
def out(tmp_path: Path) -> Path:
    data = Dataset(str(tmp_path / "out"))
    keep(data, "/a", answer("/a", program="p", bytes=1 << 40))
    data.write_tables()
    return data.folder


def test_sql_as_people_and_programs_ask(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["sql", str(out), "SELECT core, bytes, program, go FROM cores"]) == 0
    text = capsys.readouterr().out.split()
    assert text == ["core", "bytes", "program", "go", "/a", str(1 << 40), "p"]
    query = "SELECT core, 'inf'::DOUBLE AS inf, TIMESTAMP '2026-01-02 03:04:05' AS t, (1::HUGEINT << 100) AS big, "
    query += "[1, NULL] AS l FROM cores"
    assert main.main(["sql", str(out), query, "--json"]) == 0
    data = json.loads(capsys.readouterr().out)["data"]
    assert data["rows"] == [["/a", "inf", "2026-01-02 03:04:05", str(1 << 100), [1, None]]]
    assert [one["name"] for one in data["columns"]] == ["core", "inf", "t", "big", "l"]
    assert main.main(["sql", str(out), "SELECT 'a,\"b' AS x, NULL AS y", "--csv"]) == 0
    assert capsys.readouterr().out == 'x,y\n"a,""b",\n'
    assert main.main(["sql", str(out), "SELECT core FROM cores WHERE false"]) == 0
    assert capsys.readouterr().out == "no rows\n"


def test_a_query_reaches_nothing_else(out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("password\nhunter2\n")
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    part = next((out / "tables" / "cores").iterdir())
    for query in (
        f"SELECT * FROM '{secret}'", f"SELECT * FROM read_csv('{secret}')", f"SELECT * FROM read_text('{secret}')",
        f"SELECT * FROM read_parquet('{part}')", f"SELECT * FROM glob('{tmp_path}/*')", f"FROM sniff_csv('{secret}')",
        f"COPY cores TO '{tmp_path}/copy.csv'", f"COPY (SELECT 1) TO '{part}'", f"EXPORT DATABASE '{tmp_path}/db'",
        f"ATTACH '{tmp_path}/x.db'", "INSTALL httpfs", "LOAD httpfs", "SET enable_external_access = true",
        "PRAGMA enable_profiling", "DROP VIEW cores", "DELETE FROM cores", "UPDATE cores SET core = ''",
        "CREATE TABLE x AS SELECT * FROM cores", "EXPLAIN ANALYZE COPY cores TO 'x'", "SELECT 1; SELECT 2", "", ";",
        "SELECT * FROM secret", "SELECT * FROM before", "SELECT * FROM query", "SELECT nope FROM cores", "SELEC 1",
        "SELECT * FROM parts", "CALL pragma_version()", "SELECT core FROM cores WHERE core = ?", "WITH x AS (SELECT",
        "SELECT * FROM 'http://127.0.0.1:1/x.parquet'",
    ):  # fmt: skip
        assert main.main(["sql", str(out), query]) == 1, query
        said = capsys.readouterr()
        assert said.out == "" and said.err.startswith("gomap: ") and said.err.count("\n") == 1, (query, said.err)
        assert "hunter2" not in said.err and "Traceback" not in said.err
        assert main.main(["sql", str(out), query, "--json"]) == 1, query
        assert json.loads(capsys.readouterr().out)["error"]["code"] == "bad-query", query
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    assert not (tmp_path / "copy.csv").exists() and not (tmp_path / "x.db").exists()


def test_a_query_takes_no_more_than_it_may(out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """DuckDB writes no temporary files, into the working directory by default, and takes half of the memory."""
    connection = tables.opened(str(out))
    (row,) = tables.asked(connection, "SELECT current_setting('temp_directory'), current_setting('memory_limit')")[1]
    assert row[0] == ""
    number, unit = row[1].split()
    half = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2
    assert float(number) * {"MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}[unit] == pytest.approx(half, rel=0.05)


def test_a_query_of_too_much(out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(tables, "_memory", lambda: 128 << 20)
    assert main.main(["sql", str(out), "SELECT list(range) FROM range(100000000)"]) == 1
    said = "gomap: the query needs more than half of this machine's memory: ask for fewer rows\n"
    assert capsys.readouterr().err == said


def test_ctrl_c_during_a_query(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """DuckDB answers it by an error that is none of its own."""
    timer = threading.Timer(0.5, lambda: signal.raise_signal(signal.SIGINT))
    timer.start()
    assert main.main(["sql", str(out), "SELECT count(*) FROM range(10000000000000)"]) == 130
    assert capsys.readouterr().err == "gomap: interrupted\n"


def test_no_dataset(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in (tmp_path, tmp_path / "nothing"):
        assert main.main(["sql", str(folder), "SELECT 1", "--json"]) == 1
        said = capsys.readouterr()
        assert json.loads(said.out)["error"]["code"] == "no-dataset"
        assert said.err.startswith(f"gomap: {folder} is not a folder that gomap triage")
    Dataset(str(tmp_path)).write_tables()
    next((tmp_path / "tables" / "maps").iterdir()).write_bytes(b"PAR1")
    assert main.main(["sql", str(tmp_path), "SELECT * FROM maps"]) == 1
    assert capsys.readouterr().err.startswith(f"gomap: the tables of {tmp_path} can't be read: ")


# -- what is named ---------------------------------------------------------------------------------------------


def found(*names: object, without: str = "/nope/out") -> tuple[list[fetch.Found], list[str]]:
    """(the cores that names stand for, the warnings)."""
    warnings: list[str] = []
    return list(fetch.found([str(name) for name in names], without, warnings.append)), warnings


def test_cores_by_name(tmp_path: Path) -> None:
    for name in ("a/core.1", "a/b/core.2", "a/[x]", "core.3"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)

    def named(*names: str) -> list[str]:
        cores, _ = found(*(f"{tmp_path}/{name}" for name in names))
        assert all(one.size == os.path.getsize(one.core) and one.taken is not None for one in cores)
        return [os.path.relpath(one.core, tmp_path) for one in cores]

    assert named("a") == ["a/[x]", "a/b/core.2", "a/core.1"]
    assert named("core.3", "*.3", "core.?") == ["core.3"]
    assert named("a/[x]") == ["a/[x]"]
    assert named("**/core.*") == ["a/b/core.2", "a/core.1", "core.3"]
    for name in ("nope", "nope*"):
        with pytest.raises(GomapError, match=r"nope.*: no such file|nope can't be read: No such file or directory"):
            named(name)
    with pytest.raises(GomapError, match=r"nope://y can't be read: Protocol not known: nope"):
        found("nope://y")
    ((before,), _) = found(tmp_path / "core.3")
    (tmp_path / "core.3").write_text("other1")
    ((after,), _) = found(tmp_path / "core.3")
    assert after.version != before.version


def test_what_is_no_core_file(tmp_path: Path) -> None:
    """A pipe, which never ends; a link to nothing; the files of the dataset itself; a directory without files."""
    folder = tmp_path / "cores"
    out = folder / "out"
    Dataset(str(out)).write_tables()
    with pytest.raises(GomapError, match=r"cores: it has no files$"):
        found(folder, without=str(out))
    (tmp_path / "elsewhere").write_text("core")
    (folder / "link").symlink_to(tmp_path / "elsewhere")
    (folder / "gone").symlink_to(tmp_path / "nothing")
    os.mkfifo(folder / "pipe")
    ((one,), warnings) = found(folder, without=str(out))
    assert (one.core, one.size) == (str(folder / "link"), 4)
    assert warnings == [f"{folder}/gone can't be read: No such file or directory"]
    (tmp_path / "elsewhere").write_text("else")
    os.utime(tmp_path / "elsewhere", (1, 1))
    ((changed,), _) = found(f"{folder}/*", without=str(out))
    assert changed.core == one.core and changed.version != one.version
    with pytest.raises(GomapError, match=r"no such file"):
        found(f"{out}/tables/*/*", without=str(out))


def test_a_directory_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is named, and the others are read. Root may read all: the error is made."""
    (tmp_path / "core").touch()

    def walk(folder: str, onerror: Any) -> Any:
        onerror(PermissionError(errno.EACCES, "Permission denied", f"{folder}/lost+found"))
        yield folder, [], ["core"]

    monkeypatch.setattr(os, "walk", walk)
    cores, warnings = found(tmp_path)
    assert [one.core for one in cores] == [f"{tmp_path}/core"]
    assert warnings == [f"{tmp_path}/lost+found can't be read: Permission denied: core files in it are left out"]


def test_files_of_the_dataset(out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is new gets the rights that the umask leaves; what can't be written is one line."""
    (tmp_path / "x").write_text("no core")
    before = os.umask(0o027)
    try:
        data = Dataset(str(tmp_path / "new"))
        options = main.parsers()["triage"].parse_args([str(tmp_path / "x"), "--out", str(data.folder)])
        assert main._answer(options, data, Done()) == 0
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (data.folder, *data.folder.rglob("*"))}
    assert {name: modes[name] for name in ("new", "tables", "maps", "part-00000.parquet", "report.txt")} == {
        "new": 0o750, "tables": 0o750, "maps": 0o750, "part-00000.parquet": 0o640, "report.txt": 0o640,
    }  # fmt: skip
    assert modes["report.json"] == 0o640
    capsys.readouterr()
    (data.folder / "lock").unlink(missing_ok=True)
    (data.folder / "lock").mkdir()
    for place in (data.folder, tmp_path / "x", tmp_path / "x" / "y"):
        assert main.main(["triage", str(tmp_path / "x"), "--out", str(place)]) == 1
        said = capsys.readouterr().err
        assert said.startswith(f"gomap: {place} can't be written: ") and said.count("\n") == 1


def test_keys_stay_in_their_dataset(tmp_path: Path) -> None:
    """A run without them would report those of cores that another run has read."""
    data = Dataset(str(tmp_path))
    data.have_keys(False)
    data.have_keys(True)
    data.have_keys(True)
    with pytest.raises(GomapError, match=r"was written with --with-keys: give that again, or another --out"):
        Dataset(str(tmp_path)).have_keys(False)


def test_a_damaged_answer_is_none(tmp_path: Path) -> None:
    data = Dataset(str(tmp_path))
    for text in (b"", b"x", gzip.compress(b"[]"), gzip.compress(b"{}"), gzip.compress(b"{}")[:-4]):
        data.file_of("/a").parent.mkdir(exist_ok=True)
        data.file_of("/a").write_bytes(text)
        assert todo(PLAN, data, [fetch.Found("/a", 1, None, "1")])[1] == 0
        assert list(data.answers()) == []


def test_bad_arguments(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for given, words in (
        (["--memory", "10M"], "a size of 128M or more"), (["--memory", "much"], "a size of 128M or more"),
        (["--time", "0"], "a number of seconds"), (["--time", "nan"], "a number of seconds"),
        (["--workers", "0"], "a number, 1 or more"), (["-n", "-1"], "a number, 0 or more"),
    ):  # fmt: skip
        with pytest.raises(SystemExit):
            main.main(["triage", "x", "--out", str(tmp_path / "out"), *given])
        assert words in capsys.readouterr().err
    for given, words in (
        (["--programs", "/nope"], "--programs /nope: no such directory"),
        (["--scheduler", "nope://x"], "nope"),
    ):  # fmt: skip
        (tmp_path / "x").touch()
        assert main.main(["triage", str(tmp_path / "x"), "--out", str(tmp_path / "out"), *given, "--json"]) == 1
        said = capsys.readouterr()
        assert words in said.err and said.err.count("\n") == 1
        assert words in json.loads(said.out)["error"]["message"]
    assert main._size("2G") == main._size("2GiB") == main._size("2048m") == 2 << 30


@pytest.mark.parametrize("name", ["distributed", "duckdb", "pyarrow"])
def test_without_a_package(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def missing(wanted: str) -> Any:
        if wanted.partition(".")[0] == name:
            raise ModuleNotFoundError(f"No module named {wanted!r}", name=wanted)
        return builtins.__import__(wanted, fromlist=["x"])

    monkeypatch.setattr(fetch, "import_module", missing)
    assert main.main(["triage", "x", "--out", "/nope/out"]) == 1
    line = f"gomap: gomap triage needs {name}: python3 -m pip install 'gomap[fleet]'\n"
    assert capsys.readouterr().err == line
