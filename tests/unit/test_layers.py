"""The import graph: layers one way, debugger and sockets in one place each, no side effects, Python 3.9."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gomap.commands import registry
from tests.support.sources import FILES, PACKAGES, ROOT, tree

#: A module may import modules of lower layers, and of its own package. From docs/architecture.md.
LAYERS = (
    ("gomap.results.fields",),
    ("gomap.arrays", "gomap.errors", "gomap.human", "gomap.wrap", "gomap.progress", "gomap.anomaly"),
    ("gomap.results", "gomap.zips", "gomap.syntax"),
    ("gomap.memory", "gomap.gotypes", "gomap.elf", "gomap.report"),
    ("gomap.reads",),
    ("gomap.columns", "gomap.target", "gomap.process", "gomap.corefile"),
    ("gomap.registers", "gomap.places"),
    ("gomap.golang",),
    ("gomap.heap",),
    ("gomap.maps", "gomap.ongoroutine"),
    ("gomap.moving",),
    ("gomap.syncmap", "gomap.dwarf"),
    ("gomap.scopes", "gomap.enclosed"),
    ("gomap.spelling", "gomap.string_texts"),
    ("gomap.known",),
    ("gomap.values",),
    ("gomap.rows",),
    ("gomap.listing",),
    ("gomap.captures", "gomap.typenames"),
    ("gomap.literals",),
    ("gomap.keys",),
    ("gomap.graph",),
    ("gomap.names", "gomap.fields"),
    ("gomap.follow",),
    ("gomap.expr",),
    ("gomap.analysis",),
    ("gomap.trace",),
    ("gomap.stripped",),
    ("gomap.declare",),
    ("gomap.answers", "gomap.completion"),
    ("gomap.snapshots", "gomap.profiles", "gomap.pages"),
    ("gomap.commands",),
    ("gomap.render",),
    ("gomap.frontend",),
    ("gomap.recorded",),
    ("gomap.image", "gdbext", "delve_bridge"),
    ("direct",),
    ("direct.fleet",),
)
RANKS = {name: rank for rank, names in enumerate(LAYERS) for name in names}

OPTIONAL = {"google", "jinja2", "numpy", "pygments", "scipy", "tabulate", "textual", "rich"}
OPTIONAL |= {"dask", "distributed", "duckdb", "fsspec", "pyarrow"}
#: Modules that are about such a package, and imported only where it is there.
ABOUT = {"direct.screen": {"textual", "rich"}}

#: Imports inside a function, against the order, with the reason.
ALLOWED_LATE = {
    ("gomap.commands.record", "gomap.image"),  # the file format is known in one place, and knows the registry
    ("gomap.commands.diff", "gomap.recorded"),  # hmap-diff opens files of all kinds, whatever front door asks
    ("gomap.commands.diff", "direct.target"),  # core files too, as `gomap core` does; no debugger takes part
}


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in FILES}


def imports(path: Path, nodes: list[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            assert node.module
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in MODULES else node.module


def all_imports(path: Path) -> set[str]:
    return set(imports(path, list(ast.walk(tree(path)))))


def top_imports(path: Path) -> set[str]:
    """Imports that happen when the module is imported: outside of functions, and not for a checker of types alone."""

    def outside(node: ast.AST) -> Iterator[ast.AST]:
        for child in ast.iter_child_nodes(node):
            of_types = isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"
            if not of_types and not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
                yield child
                yield from outside(child)

    return set(imports(path, list(outside(tree(path)))))


def layer(module: str) -> str | None:
    """The name of the layer that a module belongs to."""
    found = [name for name in RANKS if module == name or module.startswith(name + ".")]
    return max(found, key=len) if found else None


def ours(modules: set[str]) -> set[str]:
    return {module for module in modules if module.split(".")[0] in PACKAGES}


by_module = pytest.mark.parametrize("module", MODULES)


def test_there_is_something_to_check() -> None:
    assert {"gomap.frontend", "gomap.golang.layouts.swiss.view", "gdbext.target"} <= set(MODULES)


@by_module
def test_every_module_has_a_layer(module: str) -> None:
    # The package itself holds its version and nothing else.
    assert module == "gomap" or layer(module) is not None


@by_module
def test_imports_run_one_way(module: str) -> None:
    own = layer(module)
    wrong = []
    for imported in ours(all_imports(MODULES[module])):
        other = layer(imported)
        if other is None:
            assert imported == "gomap"
        elif other != own and (own is None or RANKS[other] >= RANKS[own]) and (module, imported) not in ALLOWED_LATE:
            wrong.append(imported)
    assert wrong == []


def test_a_command_is_a_declaration_and_an_answer() -> None:
    """registry.py lists each once; what gdb loads when it starts imports nothing but gomap.declare."""
    folder = ROOT / "gomap/commands"
    declared = {path.stem for path in (folder / "declared").glob("[!_]*.py")}
    assert declared == {path.stem for path in folder.glob("[!_]*.py")} - {"registry"} == set(registry.NAMES)
    assert [command.name for command in registry.COMMANDS] == [f"hmap-{name}" for name in registry.NAMES]
    assert {one for name in declared for one in ours(all_imports(MODULES[f"gomap.commands.declared.{name}"]))} == {
        "gomap.declare"
    }


def test_late_imports_are_late() -> None:
    for module, imported in ALLOWED_LATE:
        assert imported in all_imports(MODULES[module])
        assert imported not in top_imports(MODULES[module])


def test_no_circle() -> None:
    graph = {module: ours(top_imports(path)) for module, path in MODULES.items()}
    done: set[str] = set()

    def visit(module: str, above: tuple[str, ...]) -> None:
        assert module not in above, f"a circle: {' -> '.join((*above, module))}"
        if module in done:
            return
        for imported in graph.get(module, set()):
            visit(imported, (*above, module))
        done.add(module)

    for module in graph:
        visit(module, ())


@by_module
def test_debuggers_and_sockets_have_their_place(module: str) -> None:
    roots = {imported.split(".")[0] for imported in all_imports(MODULES[module])}
    if not module.startswith("gdbext"):
        assert "gdb" not in roots
    if module != "delve_bridge.rpc":
        assert "socket" not in roots
    if module.startswith("gomap"):
        if module == "gomap.process":
            roots -= {"threading", "ctypes"}  # it reads ahead, by a call that Python has no name for
        if module == "gomap.trace.bpf":
            roots -= {"ctypes"}  # system calls that Python has no names for
        assert not roots & {
            "subprocess",
            "multiprocessing",
            "threading",
            "asyncio",
            "ctypes",
            "pickle",
            "marshal",
        }


@by_module
def test_only_what_is_promised_is_needed(module: str) -> None:
    """The standard library, ourselves, and packages that may be missing."""
    roots = {imported.split(".")[0] for imported in all_imports(MODULES[module])}
    standard = getattr(sys, "stdlib_module_names", roots)  # from Python 3.10 on
    known = {*standard, *PACKAGES, "gdb"}
    assert roots - known <= OPTIONAL
    assert not {i.split(".")[0] for i in top_imports(MODULES[module])} & OPTIONAL - ABOUT.get(module, set())


@by_module
def test_nothing_evaluates_text(module: str) -> None:
    calls = [node.func for node in ast.walk(tree(MODULES[module])) if isinstance(node, ast.Call)]
    names = {call.id for call in calls if isinstance(call, ast.Name)}
    assert not names & {"eval", "exec", "compile", "__import__"}


def pythons() -> list[str]:
    """This Python and, where it is there, the oldest that counts."""
    oldest = shutil.which("python3.9")
    works = oldest and subprocess.run([oldest, "-c", ""], capture_output=True, check=False).returncode == 0
    return [sys.executable, *([oldest] if oldest and works else [])]


IMPORT = """
import importlib, os, sys
sys.path.insert(0, sys.argv[1])
before = dict(os.environ)
for name in sys.argv[2:]:
    importlib.import_module(name)
assert dict(os.environ) == before
assert "gdb" not in sys.modules and "socket" not in sys.modules and "pygments" not in sys.modules
"""


@pytest.mark.parametrize("python", pythons(), ids=lambda path: Path(path).name)
def test_importing_does_nothing(python: str, tmp_path: Path) -> None:
    """No output, no files, no debugger; -S: without any installed package."""
    modules = [module for module in MODULES if module.startswith("gomap")]
    ran = subprocess.run(
        [python, "-S", "-B", "-W", "error", "-c", IMPORT, str(ROOT), *modules],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []


@by_module
def test_top_levels_only_define(module: str) -> None:
    """Statements that do something on import: only in the file that is there to be sourced."""
    if module == "gdbext.load":
        return
    for node in tree(MODULES[module]).body:
        assert not isinstance(node, (ast.For, ast.While, ast.With, ast.Try, ast.Raise)), ast.dump(node)
        if isinstance(node, ast.Expr):
            assert isinstance(node.value, ast.Constant), ast.dump(node)
        if isinstance(node, ast.If):
            assert "__name__" in ast.dump(node.test) or "TYPE_CHECKING" in ast.dump(node.test)


@pytest.mark.parametrize("path", [*FILES, *sorted((ROOT / "tests").rglob("*.py"))], ids=lambda path: path.stem)
def test_python_3_9_reads_it(path: Path) -> None:
    source = tree(path)
    names = {alias.name for node in ast.walk(source) if isinstance(node, ast.ImportFrom) for alias in node.names}
    body = source.body[1:] if ast.get_docstring(source) else source.body
    reads_annotations = path.parent.name == "results" or path.name == "anomaly.py"
    if body and path.name != "load.py" and not reads_annotations:
        assert "annotations" in names or not any(isinstance(n, (ast.FunctionDef, ast.ClassDef)) for n in body)
    assert not any(isinstance(node, ast.With) and _bracketed(node, path) for node in ast.walk(source))


def _bracketed(node: ast.With, path: Path) -> bool:
    """with (a, b): is read by the parser of 3.9, and promised from 3.10 on only."""
    if len(node.items) < 2:
        return False
    line = path.read_text("utf-8").split("\n")[node.lineno - 1]
    return line.strip() == "with ("
