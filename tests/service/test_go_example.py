"""The client in Go, examples/go: generated and built with Debian's packages, and run as a process."""

import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests import ROOT
from tests.service.conftest import Service, png
from tests.service.fake_pipeline import file_of
from tests.service.running import eventually, free_port

pytestmark = pytest.mark.heavy  # the compiler and its packages take 575 MB, a build 14 s of CPU time


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    for tool in ("go", "protoc", "protoc-gen-go", "protoc-gen-go-grpc"):
        assert shutil.which(tool), f"{tool} is missing: run .ci/system-packages go first"
    built = tmp_path_factory.mktemp("go") / "compress"
    subprocess.run([ROOT / "examples" / "go" / "build.sh", built], check=True, timeout=600)
    return built


def run(*arguments: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([*map(str, arguments)], capture_output=True, text=True, timeout=60, check=False)


def test_an_image_comes_back_smaller(real: Service, tmp_path: Path, program: Path) -> None:
    source, target = tmp_path / "in.png", tmp_path / "out"
    source.write_bytes(png(640, 480))

    done = run(program, "-address", real.address, "-quality", 75, "-effort", "fast", source, target)

    assert done.returncode == 0, done.stderr
    size = target.stat().st_size
    assert done.stdout.startswith(f"{source}: {source.stat().st_size} -> {size} bytes")
    assert size < source.stat().st_size
    assert sorted(tmp_path.iterdir()) == [source, target]


@pytest.mark.parametrize(("verb", "problem"), [(b"late", "FAKE: body at byte "), (b"busy", "no room")])
def test_a_failure_is_one_line_and_leaves_no_file(
    fake: Service, tmp_path: Path, program: Path, verb: bytes, problem: str
) -> None:
    source = tmp_path / "in"
    source.write_bytes(file_of(32 << 20, verb))

    done = run(program, "-address", fake.address, source, tmp_path / "out")

    assert done.returncode == 1
    assert done.stderr.startswith(f"compress: {problem}")
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == [source]


def test_a_service_that_is_not_there_is_one_line_and_leaves_no_file(tmp_path: Path, program: Path) -> None:
    source = tmp_path / "in"
    source.write_bytes(b"image")
    address = f"127.0.0.1:{free_port()}"

    done = run(program, "-address", address, source, tmp_path / "out")

    assert done.returncode == 1
    assert done.stderr.startswith(f"compress: no service at {address}: start one with `compressor serve`")
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == [source]


def test_a_missing_source_is_reported(tmp_path: Path, program: Path) -> None:
    missing = run(program, tmp_path / "nothing", tmp_path / "out")

    assert missing.returncode == 1
    assert missing.stderr.endswith("nothing: no such file or directory\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("-effort", "utmost"),
        ("-effort", "unspecified"),
        ("-quality", "80.7"),
        ("-quality", "101"),
        ("-quality", "4294967376"),  # 80 in 32 bits
    ],
)
def test_a_wrong_option_is_a_usage_error(program: Path, option: str, value: str) -> None:
    done = run(program, option, value, "in", "out")

    assert done.returncode == 2
    assert "usage: compress " in done.stderr


def test_a_signal_leaves_no_file(fake: Service, tmp_path: Path, program: Path) -> None:
    source = tmp_path / "in"
    source.write_bytes(file_of(64 << 20, b"slow"))

    with subprocess.Popen([program, "-address", fake.address, source, tmp_path / "out"]) as process:
        assert eventually(lambda: len(list(tmp_path.iterdir())) == 2, 20)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 1

    assert list(tmp_path.iterdir()) == [source]
