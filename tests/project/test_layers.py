"""The structure of the code, read from its syntax trees: layers, importers of libraries, circles, and sizes.

Each test fails with the list of all offenders.
"""

import ast
import functools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest

from tests import ROOT

# From the bottom up. A unit (a module or a package of `compressor`) imports those of lower layers only. Units of one
# layer do not import each other, except for `errors`; modules within a unit may.
LAYERS = (
    {"errors", "sniff"},
    {"accept", "choices", "humanize"},
    {"t81", "settings", "prices", "icc", "usage", "atomic_write", "spool_directory", "work_times"},
    {"kernels"},
    {"spool", "spool_budget", "ssimulacra2"},
    {"memory", "tiles", "cores", "bytestream", "window", "inputs", "scratch", "fork_server", "json_records"},
    {"metadata", "cicp", "parsers"},
    {"jpeg", "png", "raster", "containers"},
    {"archive", "results"},
    {"pipeline"},
    {"footprint", "metrics", "stores", "calls"},
    {"ledger"},
    {"report"},
    {"v1", "certificates"},
    {"wire", "credentials"},
    {"client"},
    {"service", "batch"},
    {"exporter"},
    {"cli"},
    {"__main__"},
)
LAYER = {unit: number for number, units in enumerate(LAYERS) for unit in units}

# Libraries that only these units may import.
IMPORTERS = {
    "numba": {"kernels"},
    "llvmlite": {"kernels"},
    "PIL": {"raster"},
    "zlib_ng": {"png"},
    "deflate": {"png"},
    "imagecodecs": {"archive"},
    "grpc": {"service", "client", "v1"},
    "grpc_health": {"service", "client"},
    "grpc_reflection": {"service"},
    "grpc_status": {"service", "client"},
    "opentelemetry": {"service"},
    "uvicorn": {"service"},
    "h11": {"service"},
    "cryptography": {"certificates"},
    "prometheus_client": {"metrics"},
    "typer": {"cli"},
    "rich": {"cli"},
    "boto3": {"stores"},
    "botocore": {"stores"},
    "obstore": {"stores"},
    "distributed": {"batch"},
    "sqlite3": {"ledger", "exporter"},
}

FILE_LINES_MAX = 450
FUNCTION_LINES_MAX = 60
BATCH_FILES_MAX = 18
KERNEL_PARAMETERS_MAX = 9


def files_of(*folders: str) -> list[Path]:
    """Return the Python files below `folders`, relative to the repository, except the generated ones."""
    paths = (path.relative_to(ROOT) for folder in folders for path in sorted((ROOT / folder).rglob("*.py")))
    return [path for path in paths if path.parent != Path("compressor/v1")]


def text_of(path: Path) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def module_of(path: Path) -> str:
    """Return the dotted name of a file's module."""
    return ".".join((path.parent if path.name == "__init__.py" else path.with_suffix("")).parts)


def sources() -> dict[str, str]:
    """Return the text of each module of the repository that others import, by dotted name."""
    return {module_of(path): text_of(path) for path in files_of("compressor", "benchmarks", "scripts", "tests")}


@functools.cache
def parsed(source: str) -> ast.Module:
    return ast.parse(source)


def imports(source: str) -> Iterator[tuple[int, str]]:
    """Yield the line and the full dotted name of each import, inside functions too."""
    for node in ast.walk(parsed(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)


def listed(found: Iterable[str]) -> str:
    """Return offenders one a line: pytest would shorten a list."""
    return "\n".join(["", *found])


# --- layers and libraries ---------------------------------------------------------------------------------------------


def violations(importer: str, source: str) -> list[str]:
    """Return the imports that a module (its dotted name below `compressor`) may not make."""
    unit, found = importer.split(".")[0], []
    if unit not in LAYER:
        found.append(f"{importer}: {unit} has no layer")
        return found
    for line, name in imports(source):
        library, _, rest = name.partition(".")
        if not library:
            found.append(f"{importer}:{line} imports {name}: a relative import")
            continue
        if library != "compressor":
            if unit not in IMPORTERS.get(library, {unit}):
                found.append(
                    f"{importer}:{line} imports {library}, which only {' and '.join(sorted(IMPORTERS[library]))} may"
                )
            continue
        target = rest.split(".")[0]
        if target not in LAYER:
            found.append(f"{importer}:{line} imports {name}: not a unit that has a layer")
        elif target not in (unit, "errors") and LAYER[target] >= LAYER[unit]:
            found.append(f"{importer}:{line} imports {target}, which is not below {unit}")
    return found


def test_imports_point_down_and_libraries_are_imported_where_they_may_be() -> None:
    """The package's own `__init__.py` is left out: it loads its names on use."""
    modules = {name.partition(".")[2]: text for name, text in sources().items() if name.startswith("compressor.")}

    assert len(modules) > 100
    found = [line for name, text in modules.items() for line in violations(name, text)]
    assert not found, listed(found)


@pytest.mark.parametrize(
    "importer, source, problem",
    [
        ("memory", "from compressor.pipeline import stream", "not below"),
        ("memory", "from compressor import pipeline", "not below"),
        ("memory", "def f():\n    import compressor.pipeline", "not below"),
        ("jpeg.reader", "from compressor.png import chunks", "not below"),
        ("jpeg.reader", "from compressor import compress", "not a unit"),
        ("pipeline", "from numba import njit", "which only kernels may"),
        ("pipeline", "import PIL.Image", "which only raster may"),
        ("cli.output", "import grpc", "which only client"),
        ("jpeg.reader", "from . import frame", "relative"),
        ("jpeg.reader", "from .frame import Frame", "relative"),
        ("helpers.text", "", "helpers has no layer"),
    ],
)
def test_a_violation_is_found(importer: str, source: str, problem: str) -> None:
    found = violations(importer, source)

    assert len(found) == 1
    assert problem in found[0]


@pytest.mark.parametrize(
    "importer, source",
    [
        ("settings", "from compressor.errors import SettingsError"),
        ("jpeg.reader", "from compressor.jpeg.frame import Frame"),
        ("cli.app", "from compressor import pipeline"),
        ("service.server", "from compressor.metrics import Metrics"),
        ("raster", "from PIL import Image"),
    ],
)
def test_an_import_that_points_down_is_allowed(importer: str, source: str) -> None:
    assert violations(importer, source) == []


# --- circles ----------------------------------------------------------------------------------------------------------


def import_graph(modules: Mapping[str, str]) -> dict[str, set[str]]:
    """Return which of `modules` (sources by dotted name) each of them imports.

    A package that is imported only because one of its modules is does not count.
    """
    graph = {}
    for importer, source in modules.items():
        names = [name for _, name in imports(source)]
        targets = {name if name in modules else name.rpartition(".")[0] for name in names}
        graph[importer] = (targets & modules.keys()) - {importer}
    return graph


def circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Return the circles of a graph: its strongly connected components of several nodes, by Tarjan's algorithm.

    R. Tarjan, "Depth-First Search and Linear Graph Algorithms", SIAM Journal on Computing 1(2), 1972.
    """
    numbers: dict[str, int] = {}  # order of discovery
    lowest: dict[str, int] = {}  # the earliest node on the stack that can be reached
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        numbers[node] = lowest[node] = len(numbers)
        stack.append(node)
        for target in graph[node]:
            if target not in numbers:
                visit(target)
                lowest[node] = min(lowest[node], lowest[target])
            elif target in stack:
                lowest[node] = min(lowest[node], numbers[target])
        if lowest[node] == numbers[node]:
            component = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(component) > 1:
                found.append(sorted(component))

    for node in graph:
        if node not in numbers:
            visit(node)
    return sorted(found)


def test_imports_form_no_circle() -> None:
    graph = import_graph(sources())
    edges = [
        f"{importer} imports {target}"
        for circle in circles(graph)
        for importer in circle
        for target in sorted(graph[importer] & set(circle))
    ]

    assert len(graph) > 300
    assert not edges, listed(edges)


@pytest.mark.parametrize(
    "modules, expected",
    [
        ({"a": "import b", "b": "import c", "c": ""}, []),
        ({"a": "import b", "b": "import a"}, [["a", "b"]]),
        ({"a": "def f():\n    from b import name", "b": "from a import name"}, [["a", "b"]]),
        ({"p": "from p.a import name", "p.a": "import q", "q": "from p import other"}, [["p", "p.a", "q"]]),
        ({"p": "", "p.a": "from p import b", "p.b": "from p import a"}, [["p.a", "p.b"]]),
        ({"a": "import b", "b": "import c", "c": "import b\nimport d", "d": "import os"}, [["b", "c"]]),
        ({"a": "import b", "b": "import a", "c": "import d", "d": "import c\nimport a"}, [["a", "b"], ["c", "d"]]),
    ],
)
def test_a_circle_is_found(modules: dict[str, str], expected: list[list[str]]) -> None:
    assert circles(import_graph(modules)) == expected


# --- sizes ------------------------------------------------------------------------------------------------------------


def long_functions(path: Path, source: str) -> list[str]:
    """Return the functions of more than FUNCTION_LINES_MAX lines, those of a command's options not counted."""
    functions = (node for node in ast.walk(parsed(source)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    is_command = path.parent == Path("compressor/cli")
    starts = ((node, node.body[0].lineno if is_command else node.lineno) for node in functions)
    lengths = ((node, int(node.end_lineno or 0) - start + 1) for node, start in starts)
    return [
        f"{path}:{node.lineno}: {node.name} has {lines} lines" for node, lines in lengths if lines > FUNCTION_LINES_MAX
    ]


def long_file(path: Path, source: str) -> list[str]:
    """Return a file of more than FILE_LINES_MAX lines."""
    lines = source.count("\n")
    return [f"{path}: {lines} lines"] if lines > FILE_LINES_MAX else []


def test_files_and_functions_are_short() -> None:
    """Functions of tests may be longer: their data and expectations are read in one place."""
    files = {path: text_of(path) for path in files_of("compressor", "benchmarks", "tests")}
    found = [line for path, text in files.items() for line in long_file(path, text)]
    found += [line for path, text in files.items() if path.parts[0] != "tests" for line in long_functions(path, text)]

    assert not found, listed(found)


def test_a_long_file_and_a_long_function_are_found() -> None:
    path, line = Path("a.py"), "    pass\n"

    assert long_file(path, line * 450) == []
    assert long_file(path, line * 451) == ["a.py: 451 lines"]
    assert long_functions(path, "def f():\n" + line * 59) == []
    assert long_functions(path, "class A:\n    async def f():\n" + f"    {line}" * 60) == ["a.py:2: f has 61 lines"]


def test_batch_holds_one_library() -> None:
    files = [str(path) for path in files_of("compressor/batch")]

    assert len(files) <= BATCH_FILES_MAX, listed(files)


def test_no_kernel_has_more_parameters_than_a_reader_can_follow() -> None:
    offenders = [
        f"{path}:{node.lineno}: {node.name}: {len(node.args.args)}"
        for path in files_of("compressor/kernels")
        for node in ast.walk(parsed(text_of(path)))
        if isinstance(node, ast.FunctionDef)
        and any("kernel(" in ast.unparse(decorator) for decorator in node.decorator_list)
        and len(node.args.args) > KERNEL_PARAMETERS_MAX
    ]

    assert not offenders, listed(offenders)
