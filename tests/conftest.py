"""Rules for all tests: none may be skipped, and a file is left out where its tools can't be installed."""

import os
import re
import shutil
import signal
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from compressor.kernels import library
from tests import ROOT, safety

# Building an image needs root, too. `.ci/run` installs what Debian has of these, and refuses to go on without.
TOOLS = {
    "project/test_image.py": ("buildah", "mmdebstrap"),
    "deploy/test_compose.py": ("docker-compose",),
    "deploy/test_kubernetes.py": ("kubectl",),
    "deploy/test_systemd.py": ("systemd-analyze",),
    "service/test_full_disk.py": ("mkfs.ext4",),
}


def can_mount() -> bool:
    """Return whether this process has CAP_SYS_ADMIN (21), which it takes to mount a file system."""
    found = re.search(r"^CapEff:\s*(\w+)$", Path("/proc/self/status").read_text(), re.MULTILINE)
    return found is not None and bool(int(found[1], 16) >> 21 & 1)


def missing() -> dict[str, list[str]]:
    """Return what each file needs that this machine does not have."""
    found = {file: [tool for tool in tools if shutil.which(tool) is None] for file, tools in TOOLS.items()}
    if os.getuid():
        found["project/test_image.py"].append("root")
    if not list(Path("/usr/lib").glob("*/faketime/libfaketime.so.1")):
        found["service/test_clock_step.py"] = ["libfaketime"]
    if not can_mount():
        found["service/test_full_disk.py"].append("CAP_SYS_ADMIN")
    if not os.path.exists("/dev/loop-control"):
        found["service/test_full_disk.py"].append("/dev/loop-control")
    # `make test` has a pass for each of the two.
    if library.COMPILED is None:
        found["kernels/test_library.py"] = ["the compiled library"]
    else:
        found["kernels/intrinsics"] = ["kernels that Numba compiles"]
    return {file: needs for file, needs in found.items() if needs}


# An example may take long on a busy machine.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")

MISSING = missing()
collect_ignore = list(MISSING)

# Files that take longest. Workers begin with them, so that none is left with one at the end while the others idle.
LONGEST = (
    "project/test_image.py",
    "service/test_load.py",
    "docs/test_pages.py",
    "deploy/test_scripted_run.py",
    "metadata/test_policies.py",
    "kernels/test_boundscheck.py",
    "kernels/test_ssimulacra2.py",
    "fuzz/test_fuzz.py",
    "jpeg/test_scans_hostile.py",
    "kernels/test_cache.py",
    "batch/test_rename_stores.py",
    "service/test_access.py",
    "service/test_workers.py",
    "service/http/test_flow.py",
)

# A shell's background job ignores SIGINT, and so would every process that a test starts and then interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_report_header() -> list[str]:
    return [f"left out: tests/{file}, which needs {', '.join(needs)}" for file, needs in MISSING.items()]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):  # of pytest-xdist
        order = {ROOT / "tests" / name: place for place, name in enumerate(LONGEST)}
        items.sort(key=lambda item: order.get(item.path, len(LONGEST)))


@pytest.fixture(scope="session")
def safety_build() -> Mapping[str, str]:
    """The environment of processes whose kernels check every access to an array, compiled once for all tests."""
    return safety.compiled()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """A skipped test proves nothing, so it fails the run: leave out what can't run, or make it run."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and reporter.stats.get("skipped") and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        reporter.write_line("a test was skipped: this fails the run", red=True)
