"""The source distribution, the extras, and another package with the same import name."""

import os
import re
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

import pytest

from compressor.cli.start import REPLACED
from tests import ROOT

PAGE = (ROOT / "docs/install.md").read_text()
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]


def rows(page: str) -> dict[str, str]:
    """Return the second column of all tables whose first one is a name of code."""
    return {found[1]: found[2] for found in re.finditer(r"^\| `([\w-]+)` \| ([^|]*) \|", page, re.MULTILINE)}


def test_every_extra_is_documented_and_no_other() -> None:
    assert sorted(rows(PAGE)) == sorted(EXTRAS)


@pytest.mark.parametrize("extra", ["archive", "batch", "dask", "http", "jit", "otel", "parquet", "tls"])
def test_the_page_says_what_an_extra_installs(extra: str) -> None:
    wanted = [re.split(r"[\[<>=! ]", line)[0] for line in EXTRAS[extra]]

    assert re.findall(r"`([\w-]+)`", rows(PAGE)[extra]) == wanted


@pytest.fixture(scope="module")
def source_distribution(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    command: list[str | Path] = [sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", folder, ROOT]
    subprocess.run(command, check=True, capture_output=True)
    (made,) = folder.iterdir()
    return made


def test_an_index_would_accept_the_source_distribution(source_distribution: Path) -> None:
    command: list[str | Path] = [sys.executable, "-m", "twine", "check", "--strict", source_distribution]
    done = subprocess.run(command, capture_output=True, text=True)

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_source_distribution_has_what_building_and_testing_need(source_distribution: Path) -> None:
    """Everything that git tracks in these folders, and nothing that was compiled."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    wanted = {
        name for name in listed.splitlines() if name.startswith(("compressor/", "scripts/", "proto/", "tests/", ".ci/"))
    }
    with tarfile.open(source_distribution) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}

    assert wanted and wanted <= names
    assert not {name for name in names if name.endswith((".so", ".pyc"))}


def test_the_command_says_so_if_another_package_has_its_name(tmp_path: Path) -> None:
    """The other one has replaced this file, and leaves all others."""
    package = tmp_path / "compressor"
    package.mkdir()
    for path in (ROOT / "compressor").iterdir():
        (package / path.name).symlink_to(path)
    (package / "__init__.py").unlink()
    (package / "__init__.py").write_text('__version__ = "4.6.0"\n')
    command: list[str | Path] = [
        sys.executable,
        "-c",
        "import runpy; runpy.run_module('compressor.cli', run_name='__main__')",
    ]

    done = subprocess.run(
        command, env=os.environ | {"PYTHONPATH": str(tmp_path)}, cwd=tmp_path, capture_output=True, text=True
    )

    assert (done.returncode, done.stderr) == (1, f"{REPLACED}\n")
    assert REPLACED in PAGE
