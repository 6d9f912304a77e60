"""The kernel cache: it is reused, never stale, and harmless if nothing can be written."""

import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from compressor.kernels import cache
from tests import ROOT

PROBE = """
from numba import njit
from compressor.kernels.probe_table import STEP

@njit("i8(i8)", nogil=True, cache=True)
def probe(x):
    return x + STEP
"""

REPORT = """
import json, os
before = dict(os.environ)
from compressor import kernels
names = [name for name, seconds in kernels.warmup()]
from compressor.kernels.probe import probe
hits, misses = kernels.loaded()
print(json.dumps({
    "directory": str(kernels.PLACE.directory),
    "cpu": kernels.PLACE.cpu,
    "hits": hits,
    "misses": misses,
    "result": probe(1),
    "modules": names,
    "environment_kept": before == dict(os.environ),
}))
"""


# Makes root respect the mode bits too: CAP_DAC_OVERRIDE (1) leaves the bounding set (PR_CAPBSET_DROP is 24) of what is
# executed next. In the child and not between fork and exec: gRPC's threads, where other tests left some, abort there.
WITHOUT_ROOT = "import ctypes, os, sys; ctypes.CDLL(None).prctl(24, 1, 0, 0, 0); os.execv(sys.argv[1], sys.argv[1:])"


class Package:
    """A copy of the package with one kernel, run in processes of its own."""

    def __init__(self, folder: Path) -> None:
        self.kernels = folder / "path" / "compressor" / "kernels"
        self.caches = folder / "caches"
        self.tmp = folder / "tmp"
        self.tmp.mkdir()
        for name in ("__init__.py", "t81.py", "kernels/__init__.py", "kernels/cache.py"):
            target = self.kernels.parent / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / "compressor" / name, target)
        (self.kernels / "probe.py").write_text(PROBE)
        self.step(1)

    def step(self, value: int) -> None:
        """Edit the file that the kernel takes its constant from."""
        (self.kernels / "probe_table.py").write_text(f"STEP = {value}\n")

    def run(self, code: str = REPORT, **environment: str) -> dict[str, object]:
        clean = {
            "PATH": os.environ["PATH"],
            "HOME": "/proc/nowhere",
            "PYTHONPATH": str(self.kernels.parent.parent),
            "PYTHONDONTWRITEBYTECODE": "1",
            "TMPDIR": str(self.tmp),
            "COMPRESSOR_CACHE_DIR": str(self.caches),
        }
        command = [sys.executable, "-c", WITHOUT_ROOT, sys.executable, "-c", code]
        done = subprocess.run(command, env=clean | environment, cwd=self.tmp, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        found: dict[str, object] = json.loads(done.stdout)
        return found


@pytest.fixture
def package(tmp_path: Path) -> Package:
    return Package(tmp_path)


@pytest.fixture
def read_only() -> Iterator[Callable[[Path], None]]:
    """Make a tree read-only, and writable again afterwards so that pytest can clean up."""
    changed = []

    def take(tree: Path) -> None:
        for path in (tree, *tree.rglob("*")):
            changed.append((path, path.stat().st_mode))
            path.chmod(0o555 if path.is_dir() else 0o444)

    yield take
    for path, mode in changed:
        path.chmod(stat.S_IMODE(mode))


def files(tree: Path) -> list[str]:
    return sorted(str(path.relative_to(tree)) for path in tree.rglob("*"))


def test_a_second_process_finds_what_the_first_compiled(package: Package) -> None:
    first, second = package.run(), package.run()

    assert (first["hits"], first["misses"]) == (0, 1)
    assert (second["hits"], second["misses"]) == (1, 0)
    assert first["directory"] == second["directory"]
    assert str(second["directory"]).startswith(str(package.caches))
    assert second["modules"] == ["cache", "probe", "probe_table"]


def test_an_edit_in_another_file_is_noticed(package: Package) -> None:
    """Numba alone would keep the old constant: it checks only the file of the kernel."""
    assert package.run()["result"] == 2
    package.step(10)

    edited = package.run()

    assert (edited["result"], edited["misses"]) == (11, 1)


def test_the_cache_is_found_wherever_the_package_is_installed(package: Package) -> None:
    package.run()
    moved = package.kernels.parent.parent.with_name("elsewhere")
    package.kernels.parent.parent.rename(moved)

    assert package.run(PYTHONPATH=str(moved))["hits"] == 1


def test_bounds_checked_kernels_have_a_directory_of_their_own(package: Package) -> None:
    plain, checked = package.run(), package.run(NUMBA_BOUNDSCHECK="1")

    assert checked["misses"] == 1
    assert checked["directory"] != plain["directory"]


def test_the_environment_is_not_changed(package: Package) -> None:
    """Settings of Numba must not reach child processes without this package."""
    assert package.run(COMPRESSOR_CPU="generic")["environment_kept"]


def test_a_complete_read_only_cache_is_sufficient(package: Package, read_only: Callable[[Path], None]) -> None:
    package.run()
    read_only(package.caches)
    before = files(package.caches)

    found = package.run()

    assert (found["hits"], found["misses"]) == (1, 0)
    assert files(package.caches) == before


def test_an_empty_root_that_is_read_only_sends_kernels_to_a_temporary_directory(
    package: Package, read_only: Callable[[Path], None]
) -> None:
    package.caches.mkdir()
    read_only(package.caches)

    first, second = package.run(), package.run()

    assert str(first["directory"]).startswith(f"{package.tmp}/compressor-")
    assert (first["misses"], second["hits"]) == (1, 1)


def test_a_user_without_a_home_gets_a_temporary_directory(package: Package) -> None:
    assert str(package.run(COMPRESSOR_CACHE_DIR="")["directory"]).startswith(f"{package.tmp}/compressor-")


def bake(package: Package, cpu: str) -> Path:
    baked = package.tmp.with_name("baked")
    assert package.run(COMPRESSOR_BAKED_CACHE=str(baked), COMPRESSOR_CPU=cpu)["misses"] == 1
    return baked


def test_a_baked_cache_is_used_by_each_cpu_it_was_baked_for(
    package: Package, read_only: Callable[[Path], None]
) -> None:
    for cpu in cache.BAKED_CPUS:
        baked = bake(package, cpu)
    read_only(baked)

    own = package.run(COMPRESSOR_BAKED_CACHE=str(baked))
    generic = package.run(COMPRESSOR_BAKED_CACHE=str(baked), COMPRESSOR_CPU="generic")

    assert (own["hits"], own["misses"], own["cpu"]) == (1, 0, cache.baked_cpu(cache.cpu_flags()))
    assert (generic["hits"], generic["misses"], generic["cpu"]) == (1, 0, "generic")
    assert not package.caches.exists()


def test_kernels_missing_from_a_read_only_baked_cache_are_compiled_and_kept_elsewhere(
    package: Package, read_only: Callable[[Path], None]
) -> None:
    """Only generic code was baked, and code for another CPU is needed: Numba alone would raise PermissionError."""
    baked = bake(package, "generic")
    read_only(baked)
    before = files(baked)
    best = cache.BAKED_CPUS[0]

    runs = [package.run(COMPRESSOR_BAKED_CACHE=str(baked), COMPRESSOR_CPU=best) for _ in range(2)]

    assert [run["misses"] for run in runs] == [int(best != "generic"), 0]
    assert str(runs[0]["directory"]).startswith(f"{package.tmp}/compressor-")
    assert files(baked) == before


def test_a_baked_cache_of_other_sources_is_not_used(package: Package, read_only: Callable[[Path], None]) -> None:
    baked = bake(package, "generic")
    read_only(baked)
    package.step(10)

    found = package.run(COMPRESSOR_BAKED_CACHE=str(baked))

    assert (found["result"], found["cpu"]) == (11, None)
    assert str(found["directory"]).startswith(str(package.caches))


def test_the_host_cpu_can_be_requested(package: Package) -> None:
    baked = bake(package, "generic")

    found = package.run(COMPRESSOR_BAKED_CACHE=str(baked), COMPRESSOR_CPU="host")

    assert (found["cpu"], found["misses"]) == (None, 1)


def test_without_any_directory_kernels_are_compiled_uncached(package: Package) -> None:
    code = "from compressor.kernels import cache; cache.Locator.directory = None; cache._uncached_below(cache.HERE)\n"

    found = package.run(code + REPORT)

    assert (found["result"], found["hits"]) == (2, 0)


def test_without_any_directory_none_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "private_tmp", lambda: None)
    monkeypatch.setenv("COMPRESSOR_CACHE_DIR", "/proc/nowhere")
    monkeypatch.delenv("COMPRESSOR_BAKED_CACHE", raising=False)

    assert cache.choose("key").directory is None


def test_a_temporary_directory_that_others_can_write_to_is_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loading a cache runs native code, so no other user may have written it."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    ours = tmp_path / f"compressor-{os.getuid()}"

    assert cache.private_tmp() == ours
    ours.chmod(0o777)
    assert cache.private_tmp() != ours
    ours.rmdir()
    (tmp_path / "theirs").mkdir()
    ours.symlink_to(tmp_path / "theirs")
    assert cache.private_tmp() != ours


@pytest.mark.parametrize("name", ["t81.py", "kernels/a.py", "kernels/b.py", "kernels/deep/c.py"])
def test_an_edit_of_any_kernel_file_or_of_the_tables_changes_the_digest(name: str, tmp_path: Path) -> None:
    for each in ("t81.py", "kernels/a.py", "kernels/b.py", "kernels/deep/c.py", "pipeline.py"):
        path = tmp_path / each
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x = 1\n")
    before = cache.digest(tmp_path)
    (tmp_path / "pipeline.py").write_text("x = 2\n")
    assert cache.digest(tmp_path) == before

    (tmp_path / name).write_text("x = 2\n")

    assert cache.digest(tmp_path) != before


def test_only_a_cpu_with_every_flag_of_level_3_gets_its_code() -> None:
    assert cache.baked_cpu(cache.V3_FLAGS | {"avx512f"}) == cache.BAKED_CPUS[0]
    for flag in cache.V3_FLAGS:
        assert cache.baked_cpu(cache.V3_FLAGS - {flag}) == "generic"


def test_a_machine_without_cpuinfo_has_no_flags(tmp_path: Path) -> None:
    assert cache.cpu_flags(tmp_path / "cpuinfo") == frozenset()


def test_an_unknown_cpu_is_rejected_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPRESSOR_CPU", "pentium")

    with pytest.raises(ValueError, match="COMPRESSOR_CPU is 'pentium', must be one of host, "):
        cache.choose("key")
