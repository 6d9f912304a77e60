"""Ctrl-C at any moment from our first line on: one line, exit code 130, no traceback and no partial files.

Before that, the interpreter takes some hundredths of a second to start, which we can't control.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests import ROOT
from tests.cli.fakes import MODULE

PATIENCE = 120.0
COMMANDS = {
    "compress": ["compress", "in.png", "-o", "out.jpg", "--format", "jpeg", "--effort", "best", "--force"],
    "compress to a service": ["compress", "in.png", "-o", "out.jpg", "--server", "127.0.0.1:1", "--force"],
    "inspect": ["inspect", "in.png"],
    "serve": ["serve", "--address", "127.0.0.1:0", "--metrics-address", "127.0.0.1:0", "--drain-seconds", "0"],
    "batch": ["batch", "photos", "small", "--workers", "2", "--overwrite", "--json"],
    "exporter": ["exporter", "--ledger", ".", "--state", "state", "--metrics-address", "127.0.0.1:0"],
    "health": ["health", "--address", "127.0.0.1:1"],
    "help": ["--help"],
}
FEW = (0.0, 0.15, 0.6)
MANY = tuple(n * 0.05 for n in range(60))
LATE = {"serve", "exporter", "batch"}  # these shut down gracefully once they have started


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("interrupted")
    noise = np.random.default_rng(5).integers(0, 255, (2000, 1500, 3), np.uint8)
    Image.fromarray(noise).save(made / "in.png", compress_level=1)
    (made / "photos").mkdir()
    for number in range(8):
        Image.fromarray(noise[: 300 + number]).save(made / f"photos/{number}.jpg", quality=95)
    return made


def caught(pid: int) -> int:
    """Return the signals that a process handles, as bits (proc(5))."""
    with contextlib.suppress(OSError, StopIteration):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return int(next(line.split()[1] for line in lines if line.startswith("SigCgt")), 16)
    return 0


def interrupted(words: list[str], folder: Path, after: float, number: int = signal.SIGINT) -> tuple[int, str, str]:
    """Run a command, send a signal to its process group as a terminal does, and return exit code and output."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    pipe, null = subprocess.PIPE, subprocess.DEVNULL
    with subprocess.Popen(
        [sys.executable, *MODULE, *words], cwd=folder, env=environment, stdin=null, stdout=pipe, stderr=pipe, text=True,
        start_new_session=True,
    ) as running:  # fmt: skip
        end = time.monotonic() + PATIENCE
        while not caught(running.pid) >> (signal.SIGTERM - 1) & 1 and running.poll() is None:
            assert time.monotonic() < end
            time.sleep(0.001)
        time.sleep(after)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.pid, number)
        out, error = running.communicate(timeout=PATIENCE)
        return running.returncode, out, error


def test_little_is_imported_before_signals_are_handled() -> None:
    slow = {"contextlib", "enum", "importlib", "re", "signal", "typing", "typer"}
    code = f"import sys; import compressor.cli.start; print(sorted({slow} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-S", "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert ran.stdout == "[]\n"


def check(name: str, folder: Path, after: float) -> None:
    code, _, error = interrupted(COMMANDS[name], folder, after)
    said = [line for line in error.splitlines() if line.startswith("compressor: ")]
    for sign in ("Traceback", "Exception", "KeyboardInterrupt", "Error:"):
        assert sign not in error
    if code == 130:
        assert len(said) == 1 and ("interrupted" in said[0] or name == "batch"), error
        assert name in LATE or error == "compressor: interrupted\n"
    elif name in ("health", "compress to a service"):  # no process is left
        assert code == 1
    else:  # a batch run may have been finishing its last objects
        assert code == 0 and (not said or (name == "batch" and len(said) == 1 and "finishing" in said[0])), error
    assert not list(folder.glob(".compressor-*")) and not list(folder.glob("small/.compressor-*"))


@pytest.mark.parametrize("after", FEW)
@pytest.mark.parametrize("name", COMMANDS)
def test_ctrl_c_prints_one_line_at_a_few_moments(name: str, folder: Path, after: float) -> None:
    check(name, folder, after)


@pytest.mark.heavy
@pytest.mark.parametrize("name", COMMANDS)
def test_ctrl_c_prints_one_line_at_many_moments(name: str, folder: Path) -> None:
    for after in MANY:
        check(name, folder, after)


def test_sigterm_at_the_start_of_a_service_ends_it(folder: Path) -> None:
    """Process 1 of a container ignores a signal without a handler."""
    code, _, error = interrupted(COMMANDS["serve"], folder, 0.0, signal.SIGTERM)

    assert code in (0, 143) and "Traceback" not in error


def test_ignored_signals_stay_ignored(folder: Path) -> None:
    """A shell makes its background jobs ignore them."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        code, out, _ = interrupted(["inspect", "in.png", "--json"], folder, 0.1)
    finally:
        signal.signal(signal.SIGINT, before)

    assert code == 0 and '"png"' in out
