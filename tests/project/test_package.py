"""The top level of the package: fast to import, with all public names. And its page in a package index."""

import ast
import json
import pydoc
import re
import runpy
import subprocess
import sys
from collections.abc import Callable

import pytest

import compressor
from tests import ROOT

HEAVY = ("numba", "llvmlite", "numpy", "grpc", "PIL", "prometheus_client", "typer", "rich")
IMPORT_SECONDS_MAX = 0.05
README = (ROOT / "README.md").read_text()
RELATIVE_LINK = re.compile(r"\]\((?!https?:|#)")


def in_a_new_process(code: str) -> object:
    """Return what `code` prints, read as JSON."""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.serial
def test_importing_the_package_takes_less_than_50_ms() -> None:
    """The fastest of five imports counts, because the machine may be busy."""
    code = "import json, time; t = time.perf_counter(); import compressor; print(json.dumps(time.perf_counter() - t))"

    assert min(float(str(in_a_new_process(code))) for _ in range(5)) < IMPORT_SECONDS_MAX


@pytest.mark.parametrize("used", ["", "compressor.Settings(quality=70)", "compressor.FormatError", "dir(compressor)"])
def test_heavy_libraries_are_not_loaded_before_they_are_used(used: str) -> None:
    code = f"import json, sys, compressor\n{used}\nprint(json.dumps(sorted(set(sys.modules) & set({HEAVY!r}))))"

    assert in_a_new_process(code) == []


def test_type_checkers_and_the_interpreter_find_the_same_names() -> None:
    tree = ast.parse((ROOT / "compressor" / "__init__.py").read_text())
    declared = {
        alias.asname: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("compressor.")
        for alias in node.names
    }

    assert declared == compressor._HOME


@pytest.mark.parametrize("name", sorted(compressor._HOME))
def test_every_public_name_is_an_attribute(name: str) -> None:
    assert getattr(compressor, name) is vars(compressor)[name]


def test_only_public_names_are_listed() -> None:
    assert dir(compressor) == sorted([*compressor._HOME, "__version__"])


def test_help_of_the_main_function_is_short_and_shows_its_types() -> None:
    signature, *text = pydoc.plain(pydoc.render_doc(compressor.compress)).splitlines()[2:]

    assert signature.replace("'", "") == (
        "compress(image: Input, settings: Settings | None = None, *, resources: Resources | None = None, "
        "**keywords: Unpack[SettingsFields]) -> Result"
    )
    assert len(text) < 20 and all(len(line) <= 120 for line in text)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'compressor' has no attribute 'nothing'"):
        _ = compressor.nothing


def test_the_version_is_the_installed_one() -> None:
    from importlib.metadata import version

    assert compressor.__version__ == version("compressor")


with_absolute_links: Callable[[str, str | None], str] = runpy.run_path(str(ROOT / "scripts/readme.py"))[
    "with_absolute_links"
]


def test_links_on_the_package_page_are_absolute() -> None:
    page = with_absolute_links(README, "https://code.example/compressor/")

    assert RELATIVE_LINK.search(README)
    assert not RELATIVE_LINK.search(page)
    assert "[docs/cli.md](https://code.example/compressor/blob/HEAD/docs/cli.md)" in page
    assert "](https://code.example/compressor/raw/HEAD/docs/density.png)" in page


def test_without_a_repository_the_package_page_has_no_dead_links() -> None:
    assert not RELATIVE_LINK.search(with_absolute_links(README, None))
    assert with_absolute_links("[a](b.md#c), ![d](e.png), [f](https://g.example/h)", None) == (
        "a, d, [f](https://g.example/h)"
    )


def test_the_package_page_is_the_readme() -> None:
    """The build back end reports it after the hook of pyproject.toml has run."""
    command = [sys.executable, "-m", "hatchling", "metadata", "readme"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)

    assert done.stdout.startswith(README[:200])
    assert not RELATIVE_LINK.search(done.stdout)
