"""The package on macOS, as far as Linux can tell: in processes that `tests/project/macos` makes resemble it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import compressor
from tests import ROOT
from tests.jpeg_files import jpeg, photo

ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT / "tests/project/macos"), str(ROOT)))}
ENVIRONMENT.pop("COMPRESSOR_KERNELS", None)  # llvmlite looks for the file that it has on macOS

IMPORT_ALL = """
import importlib, json, os, pkgutil, sys
platform = sys.platform, hasattr(os, "sched_getaffinity")
sys.platform = "linux"  # for a library that loads another file on macOS
import llvmlite.binding
sys.platform = "darwin"
import compressor
names = [found.name for found in pkgutil.walk_packages(compressor.__path__, "compressor.")]
names = [name for name in names if not name.endswith(("__main__", "_dask"))]  # distributed: psutil is of Linux here
for name in names:
    importlib.import_module(name)
print(json.dumps([*platform, len(names)]))
"""


def run(*arguments: str | Path, code: int = 0, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run Python with arguments on something like macOS, and check its exit code."""
    done = subprocess.run(
        [sys.executable, *arguments], env=ENVIRONMENT, cwd=folder, capture_output=True, text=True, umask=0o027
    )
    assert done.returncode == code, done.stderr
    return done


def command(*arguments: str | Path, code: int = 0, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    return run("-m", "compressor.cli", *arguments, code=code, folder=folder)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a JPEG and a PNG."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "a.jpg").write_bytes(jpeg(200, 120, quality=95))
    photo(64, 48).save(folder / "b.png", compress_level=0)
    return folder


def test_every_module_is_imported() -> None:
    platform, has_linux_only_names, count = json.loads(run("-c", IMPORT_ALL).stdout)

    assert (platform, has_linux_only_names) == ("darwin", False)
    assert count > 200


def test_the_command_shows_its_help() -> None:
    assert "Usage: compressor" in command("--help").stdout


def test_images_become_the_same_bytes_as_on_linux(photos: Path, tmp_path: Path) -> None:
    for name in ("a.jpg", "b.png"):
        command("compress", photos / name, "--output", tmp_path / name)

        assert (tmp_path / name).read_bytes() == compressor.compress(photos / name).data


@pytest.mark.parametrize("effort", ["fast", "balanced"])
def test_pixels_are_encoded_on_all_cores(photos: Path, tmp_path: Path, effort: str) -> None:
    command("compress", photos / "b.png", "--format", "jpeg", "--effort", effort, "--output", tmp_path / "c.jpg")

    expected = compressor.compress(photos / "b.png", format=compressor.Format.JPEG, effort=compressor.Effort(effort))
    assert (tmp_path / "c.jpg").read_bytes() == expected.data


def test_an_archive_gives_back_every_byte(photos: Path, tmp_path: Path) -> None:
    command("compress", photos / "a.jpg", "--archive", "--output", tmp_path / "a.jxl")
    command("unarchive", tmp_path / "a.jxl", "--output", tmp_path / "a.jpg")

    assert (tmp_path / "a.jpg").read_bytes() == (photos / "a.jpg").read_bytes()


def test_a_folder_is_compressed_by_worker_processes(photos: Path, tmp_path: Path) -> None:
    command("batch", photos, tmp_path / "made", "--workers", "2", folder=tmp_path)

    made = sorted((tmp_path / "made").iterdir())
    assert [path.name for path in made] == ["a.jpg", "b.png"]
    assert all(path.stat().st_size < (photos / path.name).stat().st_size for path in made)


def test_a_file_is_not_replaced_in_place_unless_a_change_may_go_unnoticed(photos: Path, tmp_path: Path) -> None:
    """Names are exchanged with renameat2, which is missing."""
    file = tmp_path / "in" / "a.jpg"
    file.parent.mkdir()
    file.write_bytes((photos / "a.jpg").read_bytes())
    words = ("batch", file.parent, "--in-place", "--discard-originals", "--ledger", tmp_path / "ledger")

    refused = command(*words, code=2, folder=tmp_path)
    assert "--allow-non-atomic is needed" in refused.stderr
    assert file.read_bytes() == (photos / "a.jpg").read_bytes()

    command(*words, "--allow-non-atomic", folder=tmp_path)
    assert file.stat().st_size < (photos / "a.jpg").stat().st_size


def test_a_new_file_has_the_permissions_of_the_umask(tmp_path: Path) -> None:
    """The umask is read without /proc."""
    code = "import os; from compressor.stores.file_write import umask; print(umask(), umask(), os.umask(0))"

    assert run("-c", code).stdout.split() == [str(0o027)] * 3
