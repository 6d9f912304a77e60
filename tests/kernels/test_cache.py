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
        self.baked = folder / "baked"
        if folder.exists():  # a copy of another one
            return
        self.tmp.mkdir(parents=True)
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
    return Package(tmp_path / "package")


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, object]]:
    """A package whose kernel one process compiled, and what that process reported."""
    folder = tmp_path_factory.mktemp("compiled") / "package"
    return folder, Package(folder).run()


@pytest.fixture
def compiled(first: tuple[Path, dict[str, object]], tmp_path: Path) -> Package:
    """A copy of that package, its cache included."""
    return Package(Path(shutil.copytree(first[0], tmp_path / "compiled")))


def bake(package: Package, cpu: str) -> None:
    assert package.run(COMPRESSOR_BAKED_CACHE=str(package.baked), COMPRESSOR_CPU=cpu)["misses"] == 1


@pytest.fixture(scope="module")
def generic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package with a cache baked for the lowest level of CPU."""
    folder = tmp_path_factory.mktemp("generic") / "package"
    bake(Package(folder), "generic")
    return folder


@pytest.fixture
def baked(generic: Path, tmp_path: Path) -> Package:
    """A copy of that package."""
    return Package(Path(shutil.copytree(generic, tmp_path / "baked")))


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


def test_a_second_process_finds_what_the_first_compiled(first: tuple[Path, dict[str, object]]) -> None:
    package, before = Package(first[0]), first[1]
    second = package.run()

    assert (before["hits"], before["misses"]) == (0, 1)
    assert (second["hits"], second["misses"]) == (1, 0)
    assert before["directory"] == second["directory"]
    assert str(second["directory"]).startswith(str(package.caches))
    assert second["modules"] == ["cache", "probe", "probe_table"]


def test_an_edit_in_another_file_is_seen(first: tuple[Path, dict[str, object]], compiled: Package) -> None:
    """Numba alone would go on with the old constant: it looks at the file of the kernel only."""
    assert first[1]["result"] == 2
    compiled.step(10)

    edited = compiled.run()

    assert (edited["result"], edited["misses"]) == (11, 1)


def test_the_cache_is_found_wherever_the_package_is_installed(compiled: Package) -> None:
    moved = compiled.kernels.parent.parent.with_name("elsewhere")
    compiled.kernels.parent.parent.rename(moved)

    assert compiled.run(PYTHONPATH=str(moved))["hits"] == 1


def test_bounds_checked_kernels_have_a_directory_of_their_own(compiled: Package) -> None:
    plain = [path.name for path in compiled.caches.iterdir()]

    checked = compiled.run(NUMBA_BOUNDSCHECK="1")

    assert checked["misses"] == 1
    assert plain and Path(str(checked["directory"])).name not in plain


def test_the_environment_is_not_changed(package: Package) -> None:
    """Settings of Numba must not reach child processes without this package."""
    assert package.run(COMPRESSOR_CPU="generic")["environment_kept"]


def test_a_full_cache_that_is_read_only_is_enough(compiled: Package, read_only: Callable[[Path], None]) -> None:
    read_only(compiled.caches)
    before = files(compiled.caches)

    found = compiled.run()

    assert (found["hits"], found["misses"]) == (1, 0)
    assert files(compiled.caches) == before


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


def test_a_baked_cache_is_used_by_each_cpu_it_was_baked_for(baked: Package, read_only: Callable[[Path], None]) -> None:
    for cpu in cache.BAKED_CPUS[:-1]:  # the last one, generic, is there
        bake(baked, cpu)
    read_only(baked.baked)

    own = baked.run(COMPRESSOR_BAKED_CACHE=str(baked.baked))
    generic = baked.run(COMPRESSOR_BAKED_CACHE=str(baked.baked), COMPRESSOR_CPU="generic")

    assert (own["hits"], own["misses"], own["cpu"]) == (1, 0, cache.baked_cpu(cache.cpu_flags()))
    assert (generic["hits"], generic["misses"], generic["cpu"]) == (1, 0, "generic")
    assert not baked.caches.exists()


def test_what_a_read_only_baked_cache_lacks_is_compiled_elsewhere_and_kept(
    baked: Package, read_only: Callable[[Path], None]
) -> None:
    """Only the generic code was baked, and for another CPU some is wanted: Numba alone would raise PermissionError."""
    read_only(baked.baked)
    before = files(baked.baked)
    best = cache.BAKED_CPUS[0]

    runs = [baked.run(COMPRESSOR_BAKED_CACHE=str(baked.baked), COMPRESSOR_CPU=best) for _ in range(2)]

    assert [run["misses"] for run in runs] == [int(best != "generic"), 0]
    assert str(runs[0]["directory"]).startswith(f"{baked.tmp}/compressor-")
    assert files(baked.baked) == before


def test_a_baked_cache_of_other_sources_is_not_used(baked: Package, read_only: Callable[[Path], None]) -> None:
    read_only(baked.baked)
    baked.step(10)

    found = baked.run(COMPRESSOR_BAKED_CACHE=str(baked.baked))

    assert (found["result"], found["cpu"]) == (11, cache.baked_cpu(cache.cpu_flags()))
    assert str(found["directory"]).startswith(str(baked.caches))


def test_kernels_are_not_compiled_for_all_that_the_cpu_has(compiled: Package) -> None:
    assert compiled.run()["cpu"] == cache.baked_cpu(cache.cpu_flags())


def test_the_host_cpu_can_be_asked_for(baked: Package) -> None:
    found = baked.run(COMPRESSOR_BAKED_CACHE=str(baked.baked), COMPRESSOR_CPU="host")

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
