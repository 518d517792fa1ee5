"""install.sh as a user meets it: in a home directory of its own, from a checkout whose path has a space."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

import gomap
from tests.support.debuggers import Gdb
from tests.support.matrix import leave_out
from tests.support.toolchains import ROOT, Row, cache
from tests.support.users import User

SHIPPED = (
    "bin", "delve_bridge", "direct", "gdbext", "gomap", "install.sh", "LICENSE", "pyproject.toml", "README.md", "share",
)  # fmt: skip
IMAGE = ROOT / "tests/unit/images/1.21.13-deletes-deleted-Keep.Ints.hmap"


@pytest.fixture
def user(tmp_path: Path) -> User:
    checkout = tmp_path / "a checkout"
    checkout.mkdir()
    for name in SHIPPED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, checkout / name)
    home = tmp_path / "home"
    home.mkdir()
    env = {k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "GOMAP_"))}
    env["HOME"] = str(home)
    env["PATH"] = f"{Path(sys.executable).parent}:{env['PATH']}"
    # The packages are one test's business; the others stay off the network.
    env |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "", "GOPROXY": "off"}
    # pip asks rustc for its version, and rustup makes itself a home where it finds none.
    env.setdefault("RUSTUP_HOME", str(Path.home() / ".rustup"))
    return User(home, checkout, env)


def fails(run: subprocess.CompletedProcess[str], *words: str) -> None:
    assert run.returncode == 1
    assert run.stderr.startswith("install.sh: ")
    assert all(word in run.stderr for word in words), run.stderr


def write(file: Path, text: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text)


SITUATIONS: dict[str, tuple[dict[str, bytes], str]] = {
    "no file": ({}, ".config/gdb/gdbinit"),
    "home file": ({".gdbinit": b"set width 100\n"}, ".gdbinit"),
    "xdg file": ({".config/gdb/gdbinit": b"set width 100\n"}, ".config/gdb/gdbinit"),
    "both files": ({".config/gdb/gdbinit": b"# a\n", ".gdbinit": b"# b\n"}, ".config/gdb/gdbinit"),
    "no line end": ({".gdbinit": b"set width 100"}, ".gdbinit"),
    "empty file": ({".gdbinit": b""}, ".gdbinit"),
    "any bytes": ({".gdbinit": b"# \xff\x00 caf\xe9\r\n\n\n# tail\x00"}, ".gdbinit"),
    "others' directories": ({".config/other/x": b"", ".local/bin/tool": b""}, ".config/gdb/gdbinit"),
}


@pytest.mark.parametrize("situation", SITUATIONS)
def test_install_twice_and_uninstall(user: User, system_gdb: Gdb, situation: str) -> None:
    files, edited = SITUATIONS[situation]
    for name, text in files.items():
        write(user.home / name, text)
    before = user.tree()

    run = user.install()
    assert run.returncode == 0, run.stderr
    once = user.tree()
    init = once[edited]
    assert init is not None and init.startswith(files.get(edited, b""))
    assert f'"{user.checkout}/gdbext/load.py"'.encode() in init
    assert all(once[name] == text for name, text in files.items() if name != edited)

    assert user.install().returncode == 0
    assert user.tree() == once

    assert user.install("--uninstall").returncode == 0
    assert user.tree() == before
    again = user.install("--uninstall")
    assert again.returncode == 0 and "nothing to uninstall" in again.stdout


def test_gdb_knows_the_commands_afterwards(user: User, system_gdb: Gdb) -> None:
    ask = ("-q", "-batch", "-ex", "help hmap-show")
    assert "Undefined command" in user.type(str(system_gdb.path), *ask).stderr
    assert user.install().returncode == 0
    for gdb in (str(system_gdb.path), str(user.home / ".local/bin/gdb-hmap")):
        run = user.type(gdb, *ask)
        assert run.returncode == 0 and "hmap-show" in run.stdout
        assert run.stderr == ""


def test_lines_added_after_the_block_stay(user: User, system_gdb: Gdb) -> None:
    init = user.home / ".gdbinit"
    init.write_bytes(b"set width 100")
    assert user.install().returncode == 0
    with init.open("ab") as file:
        file.write(b"set height 0\n")
    assert user.install("--uninstall").returncode == 0
    assert init.read_bytes() == b"set width 100\nset height 0\n"


def test_a_file_we_made_stays_when_the_user_wrote_into_it(user: User, system_gdb: Gdb) -> None:
    assert user.install().returncode == 0
    init = user.home / ".config/gdb/gdbinit"
    init.write_bytes(b"set width 100\n" + init.read_bytes())
    assert user.install("--uninstall").returncode == 0
    assert user.tree() == {".config": None, ".config/gdb": None, ".config/gdb/gdbinit": b"set width 100\n"}


def test_link_into_a_repository_of_settings(user: User, system_gdb: Gdb) -> None:
    write(user.home / "dotfiles/gdbinit", b"# mine\n")
    (user.home / ".gdbinit").symlink_to("dotfiles/gdbinit")
    assert user.install().returncode == 0
    assert b"load.py" in (user.home / "dotfiles/gdbinit").read_bytes()
    assert user.install("--uninstall").returncode == 0
    assert (user.home / ".gdbinit").is_symlink()
    assert (user.home / "dotfiles/gdbinit").read_bytes() == b"# mine\n"


def test_the_block_moves_with_the_file_that_gdb_reads(user: User, system_gdb: Gdb) -> None:
    home, xdg = user.home / ".gdbinit", user.home / ".config/gdb/gdbinit"
    home.write_bytes(b"# home\n")
    assert user.install().returncode == 0
    write(xdg, b"# xdg\n")
    assert user.install().returncode == 0
    assert home.read_bytes() == b"# home\n"
    assert b"load.py" in xdg.read_bytes()
    assert user.install("--uninstall").returncode == 0
    assert xdg.read_bytes() == b"# xdg\n"


def test_the_block_follows_the_checkout(user: User, system_gdb: Gdb) -> None:
    (user.home / ".gdbinit").write_bytes(b"# mine")
    assert user.install().returncode == 0
    moved = User(user.home, user.checkout.rename(user.checkout.with_name("elsewhere")), user.env)
    assert moved.install().returncode == 0
    init = (user.home / ".gdbinit").read_text()
    assert init.count("source ") == 1 and f'"{moved.checkout}/gdbext/load.py"' in init
    assert moved.install("--uninstall").returncode == 0
    assert moved.tree() == {".gdbinit": b"# mine"}


def test_a_checkout_that_is_gone_is_no_error(user: User, system_gdb: Gdb) -> None:
    assert user.install().returncode == 0
    user.checkout.rename(user.checkout.with_name("elsewhere"))
    run = user.type(str(system_gdb.path), "-q", "-batch", "-ex", "print 6 * 7")
    assert (run.stdout, run.stderr) == ("$1 = 42\n", "")


@pytest.mark.parametrize("name", ['a "quoted" \\ one', "caf\u00e9 it's"])
def test_any_path_of_the_checkout(user: User, system_gdb: Gdb, name: str) -> None:
    named = User(user.home, user.checkout.rename(user.checkout.with_name(name)), user.env)
    assert named.install().returncode == 0
    run = named.type(str(system_gdb.path), "-q", "-batch", "-ex", "help hmap-show")
    assert "hmap-show" in run.stdout and run.stderr == ""
    assert named.install("--uninstall").returncode == 0
    assert named.tree() == {}


def test_another_checkout_is_installed(user: User, system_gdb: Gdb) -> None:
    """A second clone neither replaces nor removes the first one's installation without --force."""
    second = User(user.home, user.checkout.with_name("second"), user.env)
    shutil.copytree(user.checkout, second.checkout)
    assert user.install().returncode == 0
    before = user.tree()
    for arguments in ((), ("--uninstall",)):
        fails(second.install(*arguments), str(user.checkout), "--force")
        assert user.tree() == before
    assert second.install("--force").returncode == 0
    assert f'"{second.checkout}/gdbext/load.py"' in (user.home / ".config/gdb/gdbinit").read_text()
    fails(user.install("--uninstall"), str(second.checkout))
    assert user.install("--uninstall", "--force").returncode == 0
    assert user.tree() == {}


def test_half_a_block_is_left_to_the_user(user: User, system_gdb: Gdb) -> None:
    assert user.install().returncode == 0
    init = user.home / ".config/gdb/gdbinit"
    text = init.read_bytes().replace(b"# <<< gomap <<<\n", b"set width 100\n")
    init.write_bytes(text)
    fails(user.install("--uninstall"), str(init), "by hand")
    assert init.read_bytes() == text


def test_a_launcher_of_someone_else_stays(user: User) -> None:
    write(user.home / ".local/bin/gdb-hmap", b"theirs")
    before = user.tree()
    fails(user.install(), ".local/bin/gdb-hmap", "move it away")
    assert user.tree() == before


@pytest.fixture(scope="session")
def index(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """pip's own settings, for the tests that take packages from the index."""
    place = tmp_path_factory.mktemp("index")
    pip = [sys.executable, "-m", "pip", "download", "--no-deps", "-d", str(place), "tabulate"]
    if subprocess.run(pip, capture_output=True).returncode != 0:
        leave_out(request.config, "pip reaches no package index")
    return {name: os.environ[name] for name in os.environ if name.startswith("PIP_")}


def with_index(user: User, index: dict[str, str]) -> User:
    kept = {name: value for name, value in user.env.items() if not name.startswith("PIP_")}
    return User(user.home, user.checkout, kept | index)


def packages_import(user: User, *gdb: str) -> bool:
    site = "os.path.expanduser('~/.local/share/gomap/site-py%d.%d' % sys.version_info[:2])"
    ask = f"python import os, sys; sys.path.append({site}); import numpy, pygments, tabulate; print('there')"
    return "there" in user.type(*gdb, "-nx", "-batch", "-ex", ask).stdout


def test_packages_come_for_the_python_of_the_gdb(user: User, system_gdb: Gdb, index: dict[str, str]) -> None:
    user = with_index(user, index)
    run = user.install()
    assert run.returncode == 0, run.stderr
    # Delve may be missing on this machine; what this is about is the packages.
    assert "tabulate are missing" not in run.stdout and "tabulate" in run.stdout
    assert packages_import(user, str(system_gdb.path))
    assert user.install("--uninstall").returncode == 0
    assert not (user.home / ".local").exists()


def test_gdb_from_pypi_where_there_is_none(user: User, index: dict[str, str], without: Callable[..., str]) -> None:
    user = with_index(user, index)
    run = user.install(PATH=without("gdb"))
    assert run.returncode == 0, run.stdout + run.stderr
    launcher = str(user.home / ".local/bin/gdb-hmap")
    run = user.type(launcher, "-q", "-batch", "-ex", "help hmap-show")
    assert run.returncode == 0 and "hmap-show" in run.stdout
    assert packages_import(user, launcher)
    assert user.install("--uninstall").returncode == 0
    assert not (user.home / ".local").exists() and not (user.home / ".config").exists()


def test_without_packages_one_line_says_so(user: User, system_gdb: Gdb) -> None:
    run = user.install()
    assert run.returncode == 0
    lines = [line for line in run.stdout.splitlines() if line.startswith("  packages")]
    assert len(lines) == 1 and ("can do without" in lines[0] or "are there" in lines[0])
    lines = [line for line in run.stdout.splitlines() if line.startswith("  large maps")]
    assert len(lines) == 1 and ("numpy is missing" in lines[0] or "numpy is there" in lines[0])


# --- the package ---------------------------------------------------------------------------------------------


def test_package(user: User, system_gdb: Gdb, index: dict[str, str]) -> None:
    """pip install . into an empty environment: the programs, gdb through the line that gomap gdbinit prints, and a
    gomap.pyz made there, which Python alone runs."""
    user = with_index(user, index)
    place = user.home / "its own"
    made = user.type(sys.executable, "-m", "venv", "--without-pip", str(place))
    pip = (sys.executable, "-m", "pip", "--python", str(place / "bin/python"), "install", "--quiet")
    run = user.type(*pip, str(user.checkout))
    assert (made.returncode, run.returncode) == (0, 0), run.stderr
    shutil.rmtree(user.checkout)

    def ours(program: str, *arguments: str, **env: str) -> str:
        run = user.type(str(place / "bin" / program), *arguments, **env)
        assert (run.returncode, run.stderr) == (0, ""), (program, arguments, run.stdout, run.stderr)
        return run.stdout

    version = f"gomap {gomap.__version__}\n"
    assert [ours(name, "--version") for name in ("gomap", "dlv-hmap")] == [version, version]
    assert ours("gdb-hmap", "--version").startswith(version + "GNU gdb")
    told = "import importlib.metadata as m; d = m.metadata('gomap'); print(d['Version'], d.get_all('Provides-Extra'))"
    assert ours("python", "-c", told) == f"{gomap.__version__} ['large', 'top', 'heap', 'pprof', 'fleet', 'report']\n"
    for name in ("gomap", "gdbext", "delve_bridge", "direct"):
        assert list(place.glob(f"lib/*/site-packages/{name}/py.typed"))
    assert (place / "share/man/man1/gomap.1").is_file()
    assert (place / "share/bash-completion/completions/gomap").is_file()

    ask = ("-q", "-batch", "-ex", "help hmap-show", "-ex", "python import sys; print(sys.path[0])")
    write(user.home / ".gdbinit", ours("gomap", "gdbinit").encode())
    theirs = user.type(str(system_gdb.path), *ask)
    by_program = user.type(str(place / "bin/gdb-hmap"), "-nx", *ask)
    for run in (theirs, by_program):
        assert (run.returncode, run.stderr) == (0, "") and "Usage: hmap-show" in run.stdout
        # Packages for the Python of pip do not come before those of gdb's.
        assert "site-packages" not in run.stdout.splitlines()[-1]
    assert "hmap-top" in ours("dlv-hmap", "--help")
    assert "map[int]int" in ours("gomap", str(IMAGE))
    # The templates of pages are in the package, and in the archive.
    page, told = ("-c", "hmap-report page.html --overwrite"), "saved to page.html (1 map, 1 of them in detail; "
    libraries = {"PYTHONPATH": sysconfig.get_path("purelib")}
    assert told in ours("gomap", str(IMAGE), *page, **libraries)

    assert ours("gomap", "zipapp", "a.pyz").startswith("a.pyz: ")
    bare = (sys.executable, "-I", "-S", str(user.home / "a.pyz"))
    run = user.type(*bare, str(IMAGE))
    assert (run.returncode, run.stderr) == (0, "") and "map[int]int" in run.stdout
    assert user.type(*bare, "--version").stdout == version
    tables = (
        "import sys; sys.path.insert(0, 'a.pyz'); from gomap.stripped import layouts; print(len(layouts.read()) > 4)"
    )
    assert user.type(sys.executable, "-I", "-S", "-c", tables).stdout == "True\n"
    assert told in user.type(sys.executable, "-B", str(user.home / "a.pyz"), str(IMAGE), *page, **libraries).stdout
    for command, said in (("gdbinit", "gdb can't load gomap from an archive"), ("zipapp", "is already an archive")):
        run = user.type(*bare, command)
        assert (run.returncode, run.stdout) == (1, "") and run.stderr.count("\n") == 1 and said in run.stderr

    # Where the package is gone, gdb starts without a word.
    shutil.rmtree(place)
    run = user.type(str(system_gdb.path), "-q", "-batch", "-ex", "print 6 * 7")
    assert (run.stdout, run.stderr) == ("$1 = 42\n", "")


def test_version_and_gdbinit_of_a_checkout(user: User, system_gdb: Gdb) -> None:
    """The same version from each program, and the line that install.sh writes."""
    assert user.install().returncode == 0
    version = f"gomap {gomap.__version__}\n"
    programs = [str(user.checkout / "install.sh"), *(str(user.home / ".local/bin" / n) for n in ("gomap", "dlv-hmap"))]
    assert [user.type(program, "--version").stdout for program in programs] == [version] * 3
    assert user.type(str(user.home / ".local/bin/gdb-hmap"), "--version").stdout.startswith(version + "GNU gdb")
    line = user.type(programs[1], "gdbinit").stdout
    assert line in (user.home / ".config/gdb/gdbinit").read_text()
    told = user.type(str(system_gdb.path), "-q", "-batch", "-ex", "help hmap").stdout
    assert f"This is {version[:-1]}." in told


# --- what is missing ---------------------------------------------------------------------------------------


@pytest.fixture
def without(tmp_path: Path) -> Callable[..., str]:
    """without(PREFIX ...): a PATH on which no program's name starts with one of these."""

    def path(*prefixes: str) -> str:
        place = tmp_path / "bin"
        place.mkdir()
        for program in programs(os.environ["PATH"].split(":")):
            link = place / program.name
            if not program.name.startswith(prefixes) and not link.is_symlink():
                link.symlink_to(program)
        return str(place)

    return path


def programs(path: Iterable[str]) -> Iterable[Path]:
    for directory in map(Path, path):
        if directory.is_dir():
            yield from sorted(p for p in directory.iterdir() if p.is_file() and os.access(p, os.X_OK))


def a_gdb_that(place: Path, version: str | None) -> str:
    """A stand-in for a gdb that is unfit: its version, or no Python at all."""
    place.mkdir(exist_ok=True)
    script = place / "unfit-gdb"
    answer = f"gomap:{version}:3.11" if version else "Python scripting is not supported in this copy of GDB."
    script.write_text(f"#!/bin/sh\necho '{answer}'\n")
    script.chmod(0o755)
    return str(script)


def test_neither_gdb_nor_python(user: User, without: Callable[..., str]) -> None:
    run = user.install(PATH=without("gdb", "python"))
    fails(run, "no gdb on PATH", "no Python 3.10", "apt install gdb")
    assert user.tree() == {}


def test_no_gdb_and_no_pypi(user: User, without: Callable[..., str]) -> None:
    run = user.install(PATH=without("gdb"))
    fails(run, "no gdb on PATH", "gdb-for-pwndbg", "apt install gdb")
    assert user.tree() == {}


@pytest.mark.parametrize(
    ("version", "words"),
    [(None, "no Python scripting"), ("11.2", "12 or newer"), ("Fedora Linux 9.1-2.fc32", "version 9.1")],
)
def test_a_gdb_that_does_not_do(user: User, tmp_path: Path, version: str | None, words: str) -> None:
    run = user.install(GOMAP_GDB=a_gdb_that(tmp_path / "unfit", version))
    fails(run, words, "GOMAP_GDB")
    assert user.tree() == {}


def test_gomap_gdb_that_is_not_there(user: User) -> None:
    fails(user.install(GOMAP_GDB="/nonexistent/gdb"), "/nonexistent/gdb", "no such program")


def test_demo_without_go_and_python(user: User, without: Callable[..., str]) -> None:
    run = user.install("--demo", PATH=without("go", "python"))
    fails(run, "no Go 1.21", "install Go")


def test_tests_without_python(user: User, without: Callable[..., str]) -> None:
    fails(user.install("--test", PATH=without("python")), "Python 3.9", "GOMAP_PYTHON")


def test_tests_of_one_file(user: User, index: dict[str, str]) -> None:
    """One file, without ruff, shellcheck and mypy; marks tell which tests need a debugger."""
    user = with_index(user, index)
    ours = (str(ROOT / "install.sh"), "--test", "unit", "tests/unit/test_marks.py", "-q", "-p", "no:cacheprovider")
    run = user.type(*ours, GOMAP_CACHE=str(cache()))
    assert run.returncode == 0 and " passed in " in run.stdout and "no issues found" not in run.stdout, run.stderr
    assert user.type(*ours, "-m", "live", GOMAP_CACHE=str(cache())).returncode == pytest.ExitCode.NO_TESTS_COLLECTED


@pytest.mark.parametrize(
    "arguments", [("--nonsense",), ("demo",), ("--demo", "extra"), ("--uninstall", "x"), ("--force", "x")]
)
def test_unknown_arguments(user: User, arguments: tuple[str, ...]) -> None:
    run = user.install(*arguments)
    fails(run, arguments[-1])
    assert len(run.stderr.splitlines()) == 1
    assert user.tree() == {}


def test_help_names_every_option(user: User) -> None:
    run = user.install("--help")
    assert run.returncode == 0
    assert all(option in run.stdout for option in ("--uninstall", "--force", "--demo", "--test", "--full", "GOMAP_GDB"))
    assert all(len(line) <= 80 for line in run.stdout.splitlines() if "/" not in line)


# --- the demo ----------------------------------------------------------------------------------------------


def test_demo_leaves_the_home_alone(user: User, system_gdb: Gdb, system_go: Row) -> None:
    run = user.type(str(ROOT / "install.sh"), "--demo", GOMAP_CACHE=str(cache()))
    assert run.returncode == 0, run.stdout + run.stderr
    for command in ("hmap-show", "hmap-alias", "hmap-evac"):
        assert f"(gdb) {command}" in run.stdout
    assert user.tree() == {}


def test_the_demo_fails_when_a_command_does(user: User, system_gdb: Gdb, system_go: Row) -> None:
    shutil.copytree(ROOT / "go_targets", user.checkout / "go_targets")
    with (user.checkout / "gdbext/load.py").open("a") as file:
        file.write(
            "\nimport gdb\n"
            "class Broken(gdb.Command):\n"
            "    def invoke(self, line, tty):\n"
            "        raise gdb.GdbError('broken for the test')\n"
            "Broken('hmap-evac', gdb.COMMAND_DATA)\n"
        )
    run = user.install("--demo", GOMAP_CACHE=str(cache()))
    assert run.returncode != 0
    assert "broken for the test" in run.stdout + run.stderr


def test_delve_where_it_is(user: User, system_gdb: Gdb, tmp_path: Path) -> None:
    own = tmp_path / "own" / "dlv"
    write(own, b"#!/bin/sh\nexit 1\n")
    own.chmod(0o755)
    run = user.install(PATH=f"{own.parent}:{user.env['PATH']}")
    assert run.returncode == 0
    assert f"Delve      {own}\n" in run.stdout
    launched = user.type(str(user.home / ".local/bin/dlv-hmap"), "--help")
    assert launched.returncode == 0
    assert "hmap-show" in launched.stdout
    assert user.install("--uninstall").returncode == 0
    assert user.tree() == {}


@pytest.mark.parametrize(
    "missing, words",
    [
        (("dlv",), "go install did not get it: "),
        (("dlv", "go"), "there is no go on PATH to get it with"),
    ],
)
def test_no_delve_and_no_way_to_it(
    user: User, system_gdb: Gdb, without: Callable[..., str], missing: tuple[str, ...], words: str
) -> None:
    """One line says why, and gdb is set up all the same."""
    run = user.install(PATH=without(*missing), GOBIN="")
    assert run.returncode == 0
    assert f"Delve      dlv is missing, and {words}" in run.stdout
    assert "hmap-show" in user.type(str(system_gdb.path), "-q", "-batch", "-ex", "help hmap-show").stdout
    # What a failed download leaves is gone.
    assert not list((user.home / ".local/share/gomap").glob("dlv*"))
