"""Damaged and hostile JPEG files in several scans end in an error, or decode: quickly, and never outside an array.

`python -m tests.jpeg.test_scans_hostile` runs the whole set. The last test does so with bounds checked, where a read or
write outside an array is an IndexError, including those of `kernels.lanes`.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import pytest

from compressor.bytestream import ByteStream
from compressor.errors import FormatError, LimitError, UnsupportedError
from compressor.jpeg.reader import read_header
from compressor.jpeg.scans import Scans
from compressor.kernels import library
from compressor.spool import BytesSource
from tests.jpeg.test_dnl import dnl_file
from tests.jpeg.test_scans import BITWISE, SIMPLE, YCC
from tests.jpeg_files import jpeg
from tests.reference import huffman
from tests.reference import progressive as reference

SECONDS_MAX = 2.0


def outcome(data: bytes) -> int | str:
    """Return the size of the coefficients, or the error's text."""
    try:
        header = read_header(ByteStream([data]))
        if header.streams:
            return "one scan"
        return sum(row.nbytes for row in Scans(BytesSource(data), header).slabs())
    except (FormatError, LimitError, UnsupportedError) as error:
        return str(error)


def small(
    script: Sequence[reference.Scan], *, sof: int = 0xC2, interval: int = 0, count: int = 3, density: float = 0.3
) -> bytes:
    """Return a small file with random coefficients in these scans."""
    sampling = [(2, 2), (1, 1), (1, 1)][:count]
    planes = huffman.random_planes(np.random.default_rng(1), 17, 9, sampling if count > 1 else [(1, 1)], density)
    return reference.encode(planes, 17, 9, sampling, script, sof=sof, intervals=(interval,))


# Tables without most of their codes, so that most flipped bits are data.
GREY: list[reference.Scan] = [
    ((0,), 0, 0, 0, 1),
    ((0,), 1, 63, 0, 2),
    ((0,), 1, 63, 2, 1),
    ((0,), 0, 0, 1, 0),
    ((0,), 1, 63, 1, 0),
]
APART: list[reference.Scan] = [((0,), 0, 63, 0, 0), ((1, 2), 0, 63, 0, 0)]


def files() -> list[bytes]:
    """Return small files."""
    grey = jpeg(17, 9, "L", quality=90, progressive=True)
    dnl = dnl_file(small([((0,), 0, 63, 0, 0)], sof=0xC1, count=1), 9)
    return [grey, small(GREY, count=1, interval=2), small(APART, sof=0xC1, interval=1), dnl]


def truncations() -> Iterator[bytes]:
    """Yield files truncated at each byte."""
    for data in files():
        yield from (data[:end] for end in range(4, len(data)))
    data = small(SIMPLE)
    yield from (data[:end] for end in range(4, len(data), 7))


def flips() -> Iterator[bytes]:
    """Yield files with a flipped bit."""
    for data in files():
        for bit in range(8 * data.index(b"\xff\xda"), 8 * len(data), 3):
            flipped = bytearray(data)
            flipped[bit >> 3] ^= 1 << (bit & 7)
            yield bytes(flipped)


def wrong_bytes() -> Iterator[bytes]:
    """Yield files with 0xFF, 0, a restart marker, a doubled or a missing byte at each position of the scans."""
    for data in files():
        for at in range(data.index(b"\xff\xda"), len(data), 2):
            for piece in (b"\xff", b"\0", b"\xff\xd0", data[at : at + 1] * 2, b""):
                yield data[:at] + piece + data[at + 1 :]


def noise() -> Iterator[bytes]:
    """Yield random data after each scan header of an image of the largest width, with all kinds of scans."""
    rng = np.random.default_rng(2)
    for script in (SIMPLE, BITWISE, APART):
        for interval in (0, 1, 7):
            parts = small(script, interval=interval, sof=0xC1 if script is APART else 0xC2).split(b"\xff\xda")
            head = parts[0].replace(b"\0\x09\0\x11", b"\0\x10\xff\xff", 1)
            for length in (10, 20_000):
                for mask in (0xFF, 0x55, 0x11):
                    data = head
                    for part in parts[1:]:
                        random = (rng.integers(0, 256, length, np.uint8) & mask).tobytes().replace(b"\xff", b"\xff\0")
                        data += b"\xff\xda" + part[: 2 + part[1]] + random
                        data += part[part.index(b"\xff\xdb") :] if b"\xff\xdb" in part else b"\xff\xd9"
                    yield data


def bombs() -> Iterator[bytes]:
    """Yield little data that requires much work, within the limits of headers."""
    many: list[reference.Scan] = [(YCC, 0, 0, 0, 0), *[((c,), 1, 63, 0, 0) for c in YCC] * 16]
    thin: list[reference.Scan] = [(YCC, 0, 0, 0, 0), *[((c,), 1, 1, 0, 0) for c in YCC] * 33]
    for script in (many, thin):
        data = small(script, density=0.0)
        yield data
        yield data.replace(b"\0\x09\0\x11", b"\xff\xff\xff\xff", 1)
        yield data.replace(b"\0\x09\0\x11", b"\x10\0\x10\0", 1)
    huge = small([(YCC, 0, 0, 0, 0)], density=0.0).replace(b"\0\x09\0\x11", b"\x20\0\x20\0", 1)
    dc = huge.index(b"\xff\xda") + 14
    yield huge[:dc] + b"\0" * 900_000 + b"\xff\xd9"
    yield huge[:dc] + b"\xff\0" * 450_000 + b"\xff\xd9"
    yield huge[:dc] + b"\xff\xd0" * 450_000 + b"\xff\xd9"
    yield huge[:dc] + b"\xff" * 900_000 + b"\xff\xd9"
    yield huge[:dc] + (b"\xff\xda" + huge[dc - 12 : dc] + b"\0" * 100) * 8_000


SETS = [truncations, flips, wrong_bytes, noise, bombs]


@pytest.mark.parametrize("cases", SETS)
def test_hostile_files_end_in_an_error_or_decode_in_little_time(cases: Callable[[], Iterator[bytes]]) -> None:
    for data in cases():
        start = time.process_time()
        outcome(data)
        assert time.process_time() - start < SECONDS_MAX


@pytest.mark.parametrize("ah_al", [0, 0x10], ids=["first", "refine"])
def test_many_scans_over_many_empty_blocks_are_quick(ah_al: int) -> None:
    """A complete file: 16 MP of zeros, in the largest number of scans. libjpeg takes minutes for such files."""
    blocks = 512 * 512
    frame = b"\x08\x10\0\x10\0\x01\x01\x11\0"
    dc, ac = (bytes([1]) + bytes(15) + b"\0"), (bytes([1]) + bytes(15) + b"\xe0")
    data = b"\xff\xd8" + huffman.segment(0xC2, frame) + huffman.segment(0xDB, b"\0" + b"\1" * 64)
    data += huffman.segment(0xC4, b"\0" + dc + b"\x10" + ac)
    data += huffman.segment(0xDA, b"\1\1\0\0\0\0") + bytes(blocks // 8)
    run = "0" + "1" * 14  # 32767 blocks without a coefficient
    bits = run * (blocks // 32767 + 1)
    for k in [*range(1, 64), *range(1, 36)]:
        data += huffman.segment(0xDA, b"\1\1\0" + bytes([k, k, ah_al])) + huffman.stuffed(bits)
    start = time.process_time()

    assert outcome(data + b"\xff\xd9") == blocks * 128
    assert time.process_time() - start < SECONDS_MAX


def test_no_hostile_file_reads_or_writes_outside_an_array(safety_build: Mapping[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", __name__], check=False, env=safety_build, capture_output=True, text=True, timeout=300
    )

    assert done.returncode == 0, done.stderr[-3000:]
    assert int(done.stdout) > 5_000


if __name__ == "__main__":
    assert library.MODE == "safe"
    print(sum(1 for cases in SETS for data in cases() if outcome(data) != ""))
