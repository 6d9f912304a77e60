"""Interlaced PNG through the pipeline: its results, and the memory that it takes."""

import io
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from compressor import pipeline
from compressor.bytestream import ByteStream
from compressor.errors import FormatError
from compressor.memory import Resources
from compressor.png.header import read_header
from tests import ROOT
from tests.corpus import CORPUS
from tests.png.test_interlace import decode
from tests.reference import adam7 as reference
from tests.reference import pngfilter


def photograph(height: int, width: int, channels: int) -> NDArray[np.uint8]:
    y, x = np.mgrid[:height, :width]
    waves = [128 + 60 * np.sin(x / (9 + c) + y / 31) + 50 * np.cos(y / (7 + c)) for c in range(channels)]
    return np.stack(waves, 2).astype(np.uint8)


def interlaced(pixels: NDArray[np.uint8], level: int = 6) -> bytes:
    """Build an interlaced PNG with filter type 0 in all passes."""
    height, width, channels = pixels.shape
    color = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    image = reference.interlaced(pixels.reshape(height, -1), width, 8 * channels, kinds=[0])
    data: bytes = pngfilter.png(width, height, 8, color, zlib.compress(image, level), interlace=1)
    return data


@pytest.mark.parametrize("delivery", ["safe", "immediate"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_jpeg_from_it_equals_that_of_a_twin_that_is_not_interlaced(channels: int, delivery: str) -> None:
    pixels = photograph(45, 83, channels)
    twin = io.BytesIO()
    Image.fromarray(pixels.squeeze()).save(twin, "PNG")
    settings: dict[str, Any] = {"format": "jpeg", "delivery": delivery, "background": (9, 99, 200)}

    result = pipeline.compress(interlaced(pixels), **settings)

    assert result.data == pipeline.compress(twin.getvalue(), **settings).data
    assert result.report.path == "pixels"


@pytest.mark.parametrize("delivery", ["safe", "immediate"])
def test_a_png_from_it_has_the_same_samples_and_is_not_interlaced(delivery: Any) -> None:
    pixels = photograph(45, 83, 3)

    result = pipeline.compress(interlaced(pixels), delivery=delivery)

    assert (result.report.outcome, result.report.path) == ("compressed", "lossless")
    assert not read_header(ByteStream([result.data])).interlaced
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(result.data))), pixels)
    assert result.report.notices == ("the source is interlaced, a rewritten PNG is not",)


def test_it_is_returned_unchanged_if_that_is_smaller() -> None:
    source = pngfilter.png(1, 1, 8, 0, zlib.compress(b"\0\7", 9), interlace=1)

    result = pipeline.compress(source)

    assert (result.report.outcome, result.report.reason, result.data) == ("unchanged", "not smaller", source)


def test_a_damaged_one_is_rejected_on_every_route_and_everything_is_freed() -> None:
    data = interlaced(photograph(45, 83, 3))
    resources = Resources(memory_budget=1 << 30)
    for format in ("jpeg", "png", "webp"):
        with pytest.raises(FormatError, match="^PNG: IDAT"):
            pipeline.compress(data[:-40], format=format, resources=resources)
    assert resources.reserved_bytes == resources.spooled_bytes == 0


def test_inspect_reads_only_its_header() -> None:
    data = interlaced(photograph(45, 83, 3))
    source = pipeline.inspect(iter([data[:60]]))
    assert "interlaced" in source.description
    assert source.reserved_bytes < 16 << 20


# --- the PNG test suite: interlaced files have twins that are not ---------------------------------------------------


def test_the_interlaced_files_of_the_png_suite_have_the_samples_of_their_twins() -> None:
    for path in sorted((CORPUS / "pngsuite").glob("basi*.png")):
        twin = path.with_name(path.name.replace("basi", "basn"))
        rows = decode(path.read_bytes())[1]
        np.testing.assert_array_equal(rows, decode(twin.read_bytes())[1], err_msg=path.name)
        again = pipeline.compress(path.read_bytes(), delivery="immediate").data
        assert not read_header(ByteStream([again])).interlaced
        np.testing.assert_array_equal(decode(again)[1], rows, err_msg=path.name)


MEMORY = """
import sys
from compressor import pipeline
from tests.pipeline.test_interlaced import large

def peak():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])

def run(path, effort, format):
    with open(path, "rb") as file:
        settings = pipeline.Settings(format=format, effort=effort, background=(0, 0, 0))
        with pipeline.stream(iter(lambda: file.read(1 << 16), b""), settings) as job:
            size = sum(map(len, job))
            return job.source.reserved_bytes, job.report

small, path, effort, format = sys.argv[1:]
run(small, effort, format)
open("/proc/self/clear_refs", "w").write("5")
idle = peak()
reserved, report = run(path, effort, format)
print((peak() - idle) << 10, reserved, report.path, report.outcome, round(sum(report.stage_seconds.values()), 1))
"""


def large(path: Path, width: int, height: int) -> Path:
    """Write an interlaced RGB PNG with noise, line by line."""
    lines = np.random.default_rng(1).integers(0, 32, (16, width, 3), np.uint8)
    with open(path, "wb") as file:
        file.writelines(reference.streamed(width, height, 2, lambda y: lines[y % 16]))
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    directory = tmp_path_factory.mktemp("interlaced")
    return [str(large(directory / "small.png", 40, 30)), str(large(directory / "large.png", 2500, 3200))]


@pytest.mark.parametrize("effort, format", [("fast", "jpeg"), ("balanced", "jpeg"), ("fast", "png")])
def test_eight_megapixels_take_no_more_memory_than_is_reserved(files: list[str], effort: str, format: str) -> None:
    """24 MB of samples, 2500 wide, in a process of its own."""
    command = [sys.executable, "-c", MEMORY, *files, effort, format]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    peak, reserved = map(int, found.stdout.split()[:2])
    assert peak < reserved, found.stdout
