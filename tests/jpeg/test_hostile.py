"""Damaged and hostile JPEG files end in FormatError, or decode: quickly, and never outside an array.

`python -m tests.jpeg.test_hostile` runs the whole set. The last test does so with bounds checked, where a read or
write outside an array is an IndexError, including those of `kernels.lanes`.
"""

import io
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pytest
from PIL import Image

from compressor.bytestream import ByteStream
from compressor.errors import FormatError, LimitError
from compressor.jpeg.reader import read_header, read_slabs
from compressor.kernels import library
from tests.reference import huffman as reference

SECONDS_MAX = 2.0


def outcome(data: bytes, chunk: int = 1 << 20) -> bytes | str | None:
    """Return the coefficients, the error's text, or None for a file that this reader does not support."""
    stream = ByteStream(data[n : n + chunk] for n in range(0, len(data), chunk))
    try:
        header = read_header(stream)
        if not header.streams:
            return None
        return b"".join(row.tobytes() for row in read_slabs(stream, header))
    except FormatError as error:
        return str(error)


def small(mode: str = "RGB", **options: Any) -> bytes:
    """Return a small noisy file."""
    pixels = np.random.default_rng(1).integers(0, 256, (17, 17, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(out, "JPEG", quality=40, optimize=True, **options)
    return out.getvalue()


def files() -> list[bytes]:
    """Return small files."""
    return [small("L"), small(subsampling="4:2:0", restart_marker_blocks=1)]


def truncations() -> Iterator[bytes]:
    """Yield files truncated at each byte."""
    for data in files():
        yield from (data[:end] for end in range(len(data)))


def flips() -> Iterator[bytes]:
    """Yield files with a flipped bit."""
    for data in files():
        for bit in range(8 * len(data)):
            flipped = bytearray(data)
            flipped[bit >> 3] ^= 1 << (bit & 7)
            yield bytes(flipped)


def wrong_bytes() -> Iterator[bytes]:
    """Yield files with a special byte in each place: 0xFF, 0, a restart marker, a doubled or a missing byte."""
    for data in files():
        for at in range(len(data)):
            for piece in (b"\xff", b"\0", b"\xff\xd0", b"\xff\xff\0", data[at : at + 1] * 2, b""):
                yield data[:at] + piece + data[at + 1 :]


def noise() -> Iterator[bytes]:
    """Yield random scan data after a valid header, wide and narrow, with and without restart markers."""
    rng = np.random.default_rng(2)
    for sampling in ([(1, 1)], [(2, 2), (1, 1), (1, 1)], [(4, 2), (1, 1), (1, 1)]):
        planes = reference.random_planes(rng, 16, 16, sampling)
        for interval in (0, 1, 7):
            data = reference.encode(planes, 16, 16, sampling, interval=interval)
            data = data.replace(b"\0\x10\0\x10", b"\0\x10\xff\xff", 1)
            scan = data.index(b"\xff\xda") + 8 + 2 * len(sampling)
            for length in (10, 1000, 70_000):
                random = rng.integers(0, 256, length, np.uint8)
                yield data[:scan] + random.tobytes()
                yield data[:scan] + random.tobytes().replace(b"\xff", b"\xff\0")
                yield data[:scan] + (random & 0x55).tobytes()
                yield data[:scan] + b"\xff\xd0" * length
                yield data[:scan] + b"\xff" * length
                yield data[:scan] + b"\0" * length


SETS = [truncations, flips, wrong_bytes, noise]


@pytest.mark.serial
@pytest.mark.parametrize("cases", SETS)
def test_hostile_files_end_in_an_error_or_decode(cases: Callable[[], Iterator[bytes]]) -> None:
    for data in cases():
        start = time.perf_counter()
        outcome(data)
        assert time.perf_counter() - start < SECONDS_MAX


def test_the_outcome_of_a_hostile_file_does_not_depend_on_its_chunks() -> None:
    """Errors name the same offset as well."""
    for cases in (truncations, noise):
        for data in list(cases())[::7]:
            assert outcome(data[:3000], 3) == outcome(data[:3000])


@pytest.mark.serial
@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xd8" + b"\xff" * 1_000_000,
        b"\xff\xd8" + b"\xff\0" * 500_000,
        b"\xff\xd8" + b"\xff\xd0" * 500_000,
        b"\xff\xd8" + b"\0" * 1_000_000,
        b"\xff\xd8" + reference.segment(0xDB, (b"\0" + b"\1" * 64) * 1000) * 15,
        b"\xff\xd8" + reference.segment(0xC4, (b"\0" * 17) * 3800) * 15,
        files()[0][:-2] + b"\xff\0" * 500_000,
        files()[1][:-2] + b"\xff\xd0" * 500_000,
        files()[1].replace(b"\xff\xd0", b"\0" * 900_000 + b"\xff\xd0", 1),
    ],
)
def test_a_megabyte_of_nonsense_is_handled_quickly(data: bytes) -> None:
    start = time.perf_counter()
    try:
        outcome(data)
    except LimitError as error:
        assert "more than" in str(error)
    assert time.perf_counter() - start < SECONDS_MAX


def test_no_hostile_file_reads_or_writes_outside_an_array(safety_build: Mapping[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", __name__], check=False, env=safety_build, capture_output=True, text=True, timeout=300
    )

    assert done.returncode == 0, done.stderr[-3000:]
    assert int(done.stdout) > 10_000


if __name__ == "__main__":
    assert library.MODE == "safe"
    print(sum(1 for cases in SETS for data in cases() if outcome(data) != ""))
