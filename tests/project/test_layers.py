"""The shape of the code, read from its syntax trees: who may import whom, one door per library, and sizes."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import ROOT

PACKAGE = ROOT / "compressor"

# From the bottom up. A unit (a module or a package of `compressor`) imports those of lower layers only. Units of one
# layer do not import each other, but for `errors`; modules within a unit may.
LAYERS = (
    {"errors", "t81", "settings", "humanize", "icc", "usage", "atomic_write"},
    {"kernels"},
    {"spool"},
    {"memory", "tiles", "cores", "bytestream", "window", "inputs"},
    {"metadata", "sniff", "cicp", "parsers"},
    {"jpeg", "png", "raster", "containers"},
    {"pipeline"},
    {"footprint", "metrics", "stores"},
    {"ledger"},
    {"report"},
    {"v1", "certificates"},
    {"wire", "credentials"},
    {"client", "calls"},
    {"service", "batch"},
    {"exporter"},
    {"cli"},
)
LAYER = {unit: number for number, units in enumerate(LAYERS) for unit in units}

# Libraries that only these units may name.
DOORS = {
    "numba": {"kernels"},
    "llvmlite": {"kernels"},
    "PIL": {"raster"},
    "zlib_ng": {"png"},
    "deflate": {"png"},
    "grpc": {"service", "client", "v1"},
    "grpc_health": {"service", "client"},
    "grpc_reflection": {"service"},
    "grpc_status": {"service", "client"},
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
LONG_FILES: set[str] = set()
LONG_FUNCTIONS: set[str] = set()


def unit_of(module: str) -> str:
    """The unit that a dotted name below `compressor` belongs to."""
    return module.split(".")[0]


def modules() -> list[Path]:
    """All files but the generated ones and the package's front, whose names are loaded on use."""
    front, generated = PACKAGE / "__init__.py", PACKAGE / "v1"
    return [path for path in sorted(PACKAGE.rglob("*.py")) if path != front and path.parent != generated]


def dotted(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and full dotted name of all that is imported, also inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative import"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def violations(importer: str, source: str) -> list[str]:
    """What is wrong with the imports of module `importer` (dotted, below `compressor`)."""
    unit, wrong = unit_of(importer), []
    for line, name in imports(ast.parse(source)):
        library, _, rest = name.partition(".")
        if library != "compressor":
            if unit not in DOORS.get(library, {unit}):
                wrong.append(f"{importer}:{line} imports {library}, the door of {', '.join(sorted(DOORS[library]))}")
            continue
        target = unit_of(rest)
        if target not in LAYER:
            wrong.append(f"{importer}:{line} imports {name}: not a unit that has a layer")
        elif target not in (unit, "errors") and LAYER[target] >= LAYER[unit]:
            wrong.append(f"{importer}:{line} imports {target}, which is not below {unit}")
    return wrong


def test_every_unit_has_a_layer() -> None:
    assert {unit_of(dotted(path)) for path in modules()} <= set(LAYER)


@pytest.mark.parametrize("path", modules(), ids=dotted)
def test_imports_point_down_and_libraries_have_one_door(path: Path) -> None:
    assert violations(dotted(path), path.read_text()) == []


@pytest.mark.parametrize(
    "importer, source, problem",
    [
        ("memory", "from compressor.pipeline import stream", "not below"),
        ("memory", "from compressor import pipeline", "not below"),
        ("memory", "def f():\n    import compressor.pipeline", "not below"),
        ("jpeg.reader", "from compressor.png import chunks", "not below"),
        ("jpeg.reader", "from compressor import compress", "not a unit"),
        ("pipeline", "from numba import njit", "the door of kernels"),
        ("pipeline", "import PIL.Image", "the door of raster"),
        ("cli.output", "import grpc", "the door of client"),
    ],
)
def test_a_violation_is_seen(importer: str, source: str, problem: str) -> None:
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
def test_an_import_that_points_down_is_fine(importer: str, source: str) -> None:
    assert violations(importer, source) == []


@pytest.mark.parametrize("path", modules(), ids=dotted)
def test_files_and_functions_are_short(path: Path) -> None:
    text = path.read_text()
    lengths = {
        f"{dotted(path)}.{node.name}": int(node.end_lineno or 0) - node.lineno + 1
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }

    assert text.count("\n") <= FILE_LINES_MAX or dotted(path) in LONG_FILES
    assert {name for name, lines in lengths.items() if lines > FUNCTION_LINES_MAX} <= LONG_FUNCTIONS
