"""Kernels without a library: Numba compiles them. Its cache is reused, never stale, and need not be writable."""

import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from compressor.kernels import cpus, library
from tests import ROOT

PROBE = """
from compressor.kernels.declare import kernel
from compressor.kernels.probe_table import STEP

@kernel("i8(i8)")
def probe(x):
    return x + STEP
"""

REPORT = """
import json, os
before = dict(os.environ)
from numba.core import config
from compressor.kernels import cache, library
from compressor.kernels.probe import probe
print(json.dumps({
    "directory": str(cache.Locator.directory),
    "cpu": config.CPU_NAME,
    "hits": sum(probe.stats.cache_hits.values()),
    "misses": sum(probe.stats.cache_misses.values()),
    "result": probe(1),
    "kernels": library.description(),
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
        if folder.exists():  # a copy of another one
            return
        self.tmp.mkdir(parents=True)
        kernels = [
            f"kernels/{name}.py"
            for name in ("__init__", "bound", "cache", "cpus", "declare", "jit", "library", "signature")
        ]
        for name in ("__init__.py", "t81.py", *kernels):
            target = self.kernels.parent / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / "compressor" / name, target)
        (self.kernels / "probe.py").write_text(PROBE)
        self.step(1)

    def step(self, value: int) -> None:
        """Edit the file that the kernel takes its constant from."""
        (self.kernels / "probe_table.py").write_text(f"STEP = {value}\n")

    def process(self, code: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        clean = {
            "PATH": os.environ["PATH"],
            "HOME": "/proc/nowhere",
            "PYTHONPATH": str(self.kernels.parent.parent),
            "PYTHONDONTWRITEBYTECODE": "1",
            "TMPDIR": str(self.tmp),
            "NUMBA_CACHE_DIR": str(self.caches),
        }
        command = [sys.executable, "-c", WITHOUT_ROOT, sys.executable, "-c", code]
        return subprocess.run(command, env=clean | environment, cwd=self.tmp, capture_output=True, text=True)

    def run(self, code: str = REPORT, **environment: str) -> dict[str, object]:
        done = self.process(code, **environment)
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


def test_a_second_process_finds_what_the_first_compiled(first: tuple[Path, dict[str, object]]) -> None:
    package, before = Package(first[0]), first[1]
    second = package.run()

    assert (before["hits"], before["misses"]) == (0, 1)
    assert (second["hits"], second["misses"]) == (1, 0)
    assert before["directory"] == second["directory"]
    assert str(second["directory"]).startswith(str(package.caches))
    assert second["kernels"] == "numba"


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

    checked = compiled.run(COMPRESSOR_KERNELS="safe")

    assert (checked["misses"], checked["kernels"]) == (1, "safe")
    assert plain and Path(str(checked["directory"])).name not in plain


def test_the_environment_is_not_changed(compiled: Package) -> None:
    """Settings of Numba must not reach child processes without this package."""
    assert compiled.run()["environment_kept"]


@pytest.mark.parametrize("variable", ["NUMBA_CACHE_DIR", "XDG_CACHE_HOME"])
def test_where_nothing_can_be_written_every_process_compiles(
    variable: str, package: Package, read_only: Callable[[Path], None]
) -> None:
    root = package.tmp / "root"
    root.mkdir()
    read_only(root)

    found = package.run(**{"NUMBA_CACHE_DIR": "", variable: str(root)})

    assert (found["result"], found["directory"], found["hits"]) == (2, "None", 0)


def test_kernels_are_not_compiled_for_all_that_the_cpu_has(compiled: Package) -> None:
    assert compiled.run()["cpu"] == cpus.best_cpu(cpus.cpu_flags())


def test_an_application_that_uses_numba_keeps_its_cpu(package: Package) -> None:
    code = "import numba; numba.njit('i8(i8)')(lambda x: x)\n"

    found = package.run(code + REPORT)

    assert (found["cpu"], found["result"]) == (None, 2)


def test_without_a_library_and_without_numba_the_first_kernel_names_the_extra(package: Package) -> None:
    done = package.process("import sys; sys.modules['numba'] = None; import compressor.kernels.probe")

    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"ImportError: {library.MISSING}"
    assert "'compressor[jit]'" in library.MISSING


def test_a_library_that_is_required_but_missing_is_an_error(package: Package) -> None:
    done = package.process("import compressor.kernels.probe", COMPRESSOR_KERNELS="compiled")

    assert done.stderr.splitlines()[-1] == f"ImportError: {library.MISSING}"


def test_a_library_of_other_sources_is_not_used_and_reported_once(compiled: Package) -> None:
    (compiled.kernels / library.file_name("0123456789abcdef")).write_bytes(b"not a library")

    done = compiled.process(REPORT)

    assert json.loads(done.stdout)["result"] == 2
    (notice,) = done.stderr.splitlines()
    assert notice == "the compiled kernels are of other sources and not used; `make install` compiles them again"


def test_an_unknown_mode_is_rejected_by_name(package: Package) -> None:
    done = package.process("import compressor.kernels.probe", COMPRESSOR_KERNELS="fast")

    message = "ValueError: COMPRESSOR_KERNELS is 'fast', must be one of compiled, numba, safe"
    assert done.stderr.splitlines()[-1] == message


@pytest.mark.parametrize("name", ["t81.py", "kernels/a.py", "kernels/b.py", "kernels/deep/c.py"])
def test_an_edit_of_any_kernel_file_or_of_the_tables_changes_the_digest(name: str, tmp_path: Path) -> None:
    for each in ("t81.py", "kernels/a.py", "kernels/b.py", "kernels/deep/c.py", "pipeline.py"):
        path = tmp_path / each
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x = 1\n")
    before = library.digest(tmp_path)
    (tmp_path / "pipeline.py").write_text("x = 2\n")
    assert library.digest(tmp_path) == before

    (tmp_path / name).write_text("x = 2\n")

    assert library.digest(tmp_path) != before


def test_only_a_cpu_with_every_flag_of_level_3_gets_its_code() -> None:
    assert cpus.best_cpu(cpus.V3_FLAGS | {"avx512f"}) == cpus.CPUS[0]
    for flag in cpus.V3_FLAGS:
        assert cpus.best_cpu(cpus.V3_FLAGS - {flag}) == "generic"


def test_a_machine_without_cpuinfo_has_no_flags(tmp_path: Path) -> None:
    assert cpus.cpu_flags(tmp_path / "cpuinfo") == frozenset()
