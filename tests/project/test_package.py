"""The front of the package: light to import, complete when looked at."""

import ast
import json
import subprocess
import sys

import pytest

import compressor
from tests import ROOT

HEAVY = ("numba", "llvmlite", "numpy", "grpc", "PIL", "prometheus_client", "typer", "rich")
IMPORT_SECONDS_MAX = 0.05


def in_a_new_process(code: str) -> object:
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.serial
def test_importing_the_package_takes_less_than_50_ms() -> None:
    """The best of five, since the machine may be busy with other things."""
    code = "import json, time; t = time.perf_counter(); import compressor; print(json.dumps(time.perf_counter() - t))"

    assert min(float(str(in_a_new_process(code))) for _ in range(5)) < IMPORT_SECONDS_MAX


@pytest.mark.parametrize("used", ["", "compressor.Settings(quality=70)", "compressor.FormatError", "dir(compressor)"])
def test_neither_kernels_nor_services_are_loaded_before_they_are_used(used: str) -> None:
    code = f"import json, sys, compressor\n{used}\nprint(json.dumps(sorted(set(sys.modules) & set({HEAVY!r}))))"

    assert in_a_new_process(code) == []


def test_type_checkers_and_the_interpreter_see_the_same_names() -> None:
    tree = ast.parse((ROOT / "compressor" / "__init__.py").read_text())
    declared = {
        alias.asname: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("compressor.")
        for alias in node.names
    }

    assert declared == compressor._HOME


@pytest.mark.parametrize("name", sorted(compressor._HOME))
def test_every_public_name_can_be_had(name: str) -> None:
    assert getattr(compressor, name) is vars(compressor)[name]


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'compressor' has no attribute 'nothing'"):
        _ = compressor.nothing


def test_the_version_is_the_installed_one() -> None:
    from importlib.metadata import version

    assert compressor.__version__ == version("compressor")
