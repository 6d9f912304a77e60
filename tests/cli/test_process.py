"""The command with the real pipeline, as a process."""

import dataclasses
import errno
import inspect
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.harness.server import ServerProcess
from compressor import spool
from tests import ROOT
from tests.cli.fakes import MODULE, names, process, run


def test_real_jpeg_gets_smaller_and_stays_an_image(photo: Path) -> None:
    report = json.loads(run("compress", "photo.jpg", "--json", "--quality", "70")[0])

    with Image.open("photo.compressed.jpg") as image:
        image.load()
        assert (image.format, image.size) == ("JPEG", (160, 120))
    assert report["outcome"] == "compressed"
    assert report["bytes_out"] == Path("photo.compressed.jpg").stat().st_size < photo.stat().st_size


def test_a_broken_image_is_one_line_with_place_and_offset(photo: Path) -> None:
    photo.write_bytes(photo.read_bytes()[:-1000])

    _, error = run("compress", "photo.jpg", code=1)

    assert re.fullmatch(r"compressor: photo.jpg: JPEG: \w+ at byte \d+: .+\n", error)
    assert names() == ["photo.jpg"]


def test_help_and_version_need_no_kernels() -> None:
    """Slow imports are left to the commands that need them."""
    heavy = "{'numba', 'numpy', 'grpc', 'PIL', 'rich.console'}"
    code = f"import sys, compressor.cli.app; print(sorted({heavy} & set(sys.modules)))"
    assert process("-c", code).stdout == "[]\n"
    assert re.fullmatch(r"compressor \d\S*, kernels: (compiled, \S+|numba)\n", process(*MODULE, "--version").stdout)
    commands = process(*MODULE, "--help").stdout
    assert all(name in commands for name in ("compress", "inspect", "serve", "health"))


def test_the_console_script_runs_worker_processes(photo: Path) -> None:
    """They import the script that started them, which must not run the command again."""
    source, target = photo.parent / "in", photo.parent / "out"
    source.mkdir()
    photo.rename(source / photo.name)
    places = [str(source), str(target), "--ledger", str(photo.parent / "ledger")]
    said = process(str(ROOT / "scripts/compressor"), "batch", *places, "--quality", "60", "--workers", "2", "--json")

    assert json.loads(said.stdout)["succeeded"]
    assert (target / photo.name).stat().st_size < (source / photo.name).stat().st_size


@pytest.mark.parametrize(
    "number, code, said", [(signal.SIGINT, 130, "compressor: interrupted\n"), (signal.SIGTERM, 143, "")]
)
def test_a_signal_leaves_no_files(photo: Path, number: signal.Signals, code: int, said: str) -> None:
    """Standard input stays open: the command is waiting for more when the signal arrives."""
    command = [sys.executable, *MODULE, "compress", "-", "-o", str(photo.with_name("out.jpg"))]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stderr=pipe, text=True, cwd=ROOT) as running:
        deadline = time.monotonic() + 60
        while names() == ["photo.jpg"] and running.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        running.send_signal(number)
        _, error = running.communicate(timeout=60)

    assert (error, running.returncode) == (said, code)
    assert names() == ["photo.jpg"]


def test_serve_takes_the_options_of_the_server_config() -> None:
    from compressor.cli.basis import BASIS, basis_of
    from compressor.cli.serve import serve
    from compressor.service.config import ServerConfig

    options = {name: parameter.default for name, parameter in inspect.signature(serve).parameters.items()}
    footprint = {name: options.pop(name) for name in BASIS}

    assert options | {"footprint": basis_of(footprint)} == {
        field.name: getattr(ServerConfig(), field.name) for field in dataclasses.fields(ServerConfig)
    }


def test_running_service_does_the_same(photo: Path) -> None:
    here = json.loads(run("compress", "photo.jpg", "--json")[0])
    with ServerProcess("--memory-budget", "64MiB") as server:
        there = json.loads(run("compress", "photo.jpg", "-o", "there.jpg", "--server", server.address, "--json")[0])
        Path("second.jpg").write_bytes(photo.read_bytes())
        run("compress", "photo.jpg", "second.jpg", "--output-dir", "both", "--server", server.address)
        healthy, _ = run("health", "--address", server.address)
    _, gone = run("health", "--address", server.address, "--timeout", "1", code=1)

    assert Path("there.jpg").read_bytes() == Path("photo.compressed.jpg").read_bytes()
    assert Path("both/photo.jpg").read_bytes() == Path("both/second.jpg").read_bytes() == Path("there.jpg").read_bytes()
    assert there["settings_digest"] == here["settings_digest"]
    assert healthy == f"{server.address}: serving\n"
    assert gone == f"{server.address}: not serving\n"
    assert server.code == 0


@pytest.mark.parametrize(
    "words, problem",
    [
        ("--memory-budget 64KiB", r"needs \d+ bytes of memory, more than the whole memory budget of 65536; "
        "--memory-budget raises it"),
        ("--max-bytes 10", r"max_bytes is 10, and even at quality 1 the result has \d+ bytes"),
    ],
)  # fmt: skip
def test_a_limit_is_named_with_the_way_out(photo: Path, words: str, problem: str) -> None:
    _, error = run("compress", "photo.jpg", *words.split(), code=1)

    assert re.fullmatch(f"compressor: photo.jpg: {problem}\n", error)


def test_a_full_disk_is_one_line_with_the_directory(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(**options: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    monkeypatch.setattr(spool, "LENT_BYTES_MAX", 0)
    monkeypatch.setattr(spool, "SPOOL_MEMORY_BYTES", 16)

    _, error = run("compress", "photo.jpg", code=1)

    assert re.fullmatch(r"compressor: photo.jpg: the spool directory /\S+: No space left on device\n", error)
    assert names() == ["photo.jpg"]
