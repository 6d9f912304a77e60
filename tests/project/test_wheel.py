"""The wheel, as `make wheel` makes it, in an environment that has no compiler and no Numba."""

import json
import os
import re
import subprocess
import venv
import zipfile
from pathlib import Path

import pytest

import compressor
from tests import ROOT
from tests.jpeg_files import jpeg

pytestmark = pytest.mark.heavy
GLIBC_MINOR_MAX = 17  # manylinux2014; what the dependencies need is newer
COMPRESS = """
import json, sys, compressor
from compressor.kernels import library
result = compressor.compress(sys.argv[1])
open(sys.argv[2], "wb").write(result.data)
print(json.dumps([library.description(), "numba" in sys.modules, compressor.__file__]))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel") / "dist"
    done = subprocess.run(["make", "wheel", f"DIST={folder}"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(path.suffix for path in folder.iterdir()) == [".gz", ".whl"]
    assert done.stdout.count("PASSED") == 2
    return next(folder.glob("*.whl"))


def test_its_tag_names_the_oldest_glibc_and_every_python(wheel: Path) -> None:
    found = re.search(r"-cp311-abi3-.*manylinux_2_(\d+)_\w+\.whl$", wheel.name)

    assert found and int(found[1]) <= GLIBC_MINOR_MAX


def test_it_has_the_compiled_kernels_and_neither_tests_nor_scripts(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()

    assert len([name for name in names if re.fullmatch(r"compressor/kernels/_compiled\.\w+\.abi3\.so", name)]) == 1
    assert {name.split("/")[0] for name in names if "dist-info" not in name and ".data" not in name} == {"compressor"}


def test_it_compresses_where_nothing_can_be_compiled(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv/bin/python"
    bare = {**os.environ, "PATH": str(python.parent), "CC": "/no/compiler", "PYTHONPATH": ""}
    command: list[str | Path] = [
        python,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--only-binary=:all:",
        "-c",
        ROOT / "constraints.txt",
        wheel,
    ]
    subprocess.run(command, env=bare, cwd=tmp_path, check=True)
    source, made = tmp_path / "a.jpg", tmp_path / "b.jpg"
    source.write_bytes(jpeg(200, 120, quality=95))

    done = subprocess.run(
        [python, "-c", COMPRESS, source, made], env=bare, cwd=tmp_path, check=True, capture_output=True, text=True
    )
    kernels, has_numba, file = json.loads(done.stdout)

    assert kernels.startswith("compiled, ") and not has_numba
    assert Path(file).is_relative_to(tmp_path)
    assert made.read_bytes() == compressor.compress(source).data
    shown = subprocess.run(["compressor", "--version"], env=bare, cwd=tmp_path, capture_output=True, text=True)
    assert shown.stdout == f"compressor {compressor.__version__}, kernels: {kernels}\n"
    installed = subprocess.run([python, "-m", "pip", "list"], env=bare, capture_output=True, text=True).stdout
    assert "numba" not in installed and "hatchling" not in installed
