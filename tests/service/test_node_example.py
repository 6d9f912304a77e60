"""The client in another language, built from the proto file: examples/node, copied elsewhere and run as a process."""

import io
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests import ROOT
from tests.service.conftest import Service, png
from tests.service.fake_pipeline import file_of
from tests.service.running import eventually, free_port

NODE = ROOT / "examples" / "node"
Command = Callable[..., list[str]]


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Command:
    """Return a function that composes the command, of a copy of the example in a folder of its own."""
    assert (NODE / "node_modules").is_dir(), "run make node first"
    copy = tmp_path_factory.mktemp("copied") / "node"
    shutil.copytree(NODE, copy, ignore=shutil.ignore_patterns("node_modules"))
    (copy / "node_modules").symlink_to(NODE / "node_modules")

    def composed(*arguments: object) -> list[str]:
        return ["node", str(copy / "compress.js"), *map(str, arguments)]

    return composed


def run(command: list[str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def jpeg() -> bytes:
    sink = io.BytesIO()
    Image.open(io.BytesIO(png(640, 480))).save(sink, "JPEG", quality=95)
    return sink.getvalue()


def test_a_photograph_comes_back_smaller(real: Service, tmp_path: Path, command: Command) -> None:
    source, target = tmp_path / "in.jpg", tmp_path / "out.jpg"
    source.write_bytes(jpeg())

    done = run(command(source, target, "--address", real.address, "--quality", 75, "--effort", "fast"))

    assert done.returncode == 0, done.stderr
    assert f"-> {target.stat().st_size} bytes" in done.stdout
    assert target.stat().st_size < 0.7 * source.stat().st_size
    difference = np.asarray(Image.open(source)).astype(int) - np.asarray(Image.open(target))
    assert np.sqrt(np.mean(difference**2)) < 12
    assert sorted(tmp_path.iterdir()) == [source, target]


def test_a_broken_image_is_one_line_and_leaves_no_file(real: Service, tmp_path: Path, command: Command) -> None:
    source, target = tmp_path / "in.jpg", tmp_path / "out.jpg"
    source.write_bytes(jpeg()[:2000])

    done = run(command(source, target, "--address", real.address))

    assert done.returncode == 1
    assert done.stderr.startswith("compress.js: JPEG: ")
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == [source]


def test_an_upload_that_fails_on_the_way_ends_and_leaves_no_file(
    fake: Service, tmp_path: Path, command: Command
) -> None:
    """The upload waits for room when the failure comes."""
    source = tmp_path / "in.jpg"
    source.write_bytes(file_of(32 << 20, b"late"))

    done = run(command(source, tmp_path / "out.jpg", "--address", fake.address))

    assert done.returncode == 1
    assert done.stderr.startswith("compress.js: FAKE: body at byte ")
    assert list(tmp_path.iterdir()) == [source]


def test_a_service_that_is_not_there_is_one_line_and_leaves_no_file(tmp_path: Path, command: Command) -> None:
    source, target = tmp_path / "in.jpg", tmp_path / "out.jpg"
    source.write_bytes(jpeg())
    target.write_bytes(b"of an earlier run")
    address = f"127.0.0.1:{free_port()}"
    started = time.monotonic()

    done = run(command(source, target, "--address", address))

    assert done.returncode == 1
    assert done.stderr.startswith(f"compress.js: no service at {address}: start one with `compressor serve`")
    assert done.stderr.count("\n") == 1
    assert time.monotonic() - started < 20, "it does not try for ever"
    assert target.read_bytes() == b"of an earlier run"
    assert sorted(tmp_path.iterdir()) == [source, target]


def test_a_missing_source_is_reported_at_once(real: Service, tmp_path: Path, command: Command) -> None:
    done = run(command(tmp_path / "nothing.jpg", tmp_path / "out.jpg", "--address", real.address))

    assert done.returncode == 1
    assert "ENOENT" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_signal_leaves_no_file(fake: Service, tmp_path: Path, command: Command) -> None:
    source = tmp_path / "in.jpg"
    source.write_bytes(file_of(64 << 20, b"slow"))

    with subprocess.Popen(command(source, tmp_path / "out.jpg", "--address", fake.address)) as process:
        assert eventually(lambda: len(list(tmp_path.iterdir())) == 2, 20)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 128 + signal.SIGTERM

    assert list(tmp_path.iterdir()) == [source]


@pytest.mark.parametrize(
    ("option", "value", "problem"),
    [
        ("--sharpness", "3", "Unknown option '--sharpness'"),
        ("--effort", "turbo", "--effort is one of fast, balanced, best"),
        ("--effort", "unspecified", "--effort is one of fast, balanced, best"),
        ("--effort", "", "--effort is one of fast, balanced, best"),
        ("--quality", "80.7", "--quality is a whole number from 1 to 100"),
        ("--quality", "abc", "--quality is a whole number from 1 to 100"),
        ("--quality", "0", "--quality is a whole number from 1 to 100"),
        ("--quality", "101", "--quality is a whole number from 1 to 100"),
    ],
)
def test_a_wrong_option_is_a_usage_error(command: Command, option: str, value: str, problem: str) -> None:
    done = run(command("in.jpg", "out.jpg", option, value))

    assert done.returncode == 2
    assert done.stderr.startswith(f"compress.js: {problem}")
    assert "usage: node compress.js IN OUT" in done.stderr
