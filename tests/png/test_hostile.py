"""Truncated, damaged and malicious PNG: a clear error or an image, in little time and memory."""

import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compressor.bytestream import ByteStream
from compressor.errors import FormatError, LimitError, UnsupportedError
from compressor.png.header import read_header
from compressor.png.metadata import read_metadata
from compressor.png.reader import scanlines
from tests import ROOT
from tests.png.test_reader import decode, made
from tests.reference import pngfilter as reference

EXPECTED = (FormatError, LimitError, UnsupportedError)


def rich() -> bytes:
    """Return a small file with chunks of every kind."""
    _, rows = made(3, 8, width=5, height=4)
    data = zlib.compress(reference.filtered_rows(rows, [0, 1, 2, 4], 1))
    texts = [
        (b"tEXt", b"Title\0a"),
        (b"zTXt", b"b\0\0" + zlib.compress(b"c")),
        (b"iCCP", b"d\0\0" + zlib.compress(b"e")),
    ]
    before = [*texts, (b"PLTE", bytes(range(24))), (b"tRNS", bytes(4)), (b"pHYs", bytes(9))]
    file: bytes = reference.png(5, 4, 8, 3, data, before=before, after=[(b"tIME", bytes(7))], idat_bytes=9)
    return file


def test_a_file_truncated_at_any_byte_is_an_error_with_an_offset() -> None:
    data = rich()
    for end in range(len(data)):
        with pytest.raises(FormatError) as raised:
            decode(data[:end])
        assert raised.value.offset is not None, end
        assert raised.value.offset <= end
        assert "\n" not in str(raised.value)


def test_flipped_bits_end_in_an_error_or_an_image() -> None:
    data = rich()
    for at in range(len(data)):
        for bit in (0, 3, 7):
            damaged = bytearray(data)
            damaged[at] ^= 1 << bit
            outcome(bytes(damaged))


def test_flipped_bits_with_a_valid_crc_end_in_an_error_or_an_image() -> None:
    """Damage that a CRC would detect, with a valid CRC: in headers, palettes and compressed data."""
    data = rich()
    rng = np.random.default_rng(0)
    starts = [data.index(kind) for kind in (b"IHDR", b"tEXt", b"zTXt", b"iCCP", b"PLTE", b"tRNS", b"pHYs", b"IDAT")]
    for _ in range(600):
        damaged = bytearray(data)
        at = int(rng.choice(starts))
        length = int.from_bytes(data[at - 4 : at], "big")
        damaged[at + 4 + int(rng.integers(length))] = int(rng.integers(256))
        damaged[at + 4 + length : at + 8 + length] = zlib.crc32(damaged[at : at + 4 + length]).to_bytes(4, "big")
        if int.from_bytes(damaged[16:20], "big") < 1 << 12 and int.from_bytes(damaged[20:24], "big") < 1 << 12:
            outcome(bytes(damaged))


def outcome(data: bytes) -> None:
    """Read a whole file. Any error must be one of the package."""
    try:
        header, _, _ = decode(data)
        read_metadata(header)
    except EXPECTED as error:
        assert str(error).startswith("PNG: "), error
        assert "\n" not in str(error)


@pytest.mark.parametrize("length", [0xFFFFFFFF, 0x80000000, 0x7FFFFFFF, 1 << 30, 1 << 24, 14, 12, 0])
@pytest.mark.parametrize("kind", [b"IHDR", b"PLTE", b"tEXt", b"IDAT"])
def test_wrong_lengths_are_errors(kind: bytes, length: Any) -> None:
    data = bytearray(rich())
    at = data.index(kind)
    data[at - 4 : at] = length.to_bytes(4, "big")
    with pytest.raises(EXPECTED):
        decode(bytes(data))


@pytest.mark.parametrize("width, height", [(1_000_000, 1_000_000), (20_000, 20_000), (1, 1_000_000)])
def test_a_huge_declared_size_in_a_small_file_takes_the_memory_of_one_band(width: int, height: int) -> None:
    data = reference.png(width, height, 8, 3, zlib.compress(b""), before=[(b"PLTE", b"123")])
    with pytest.raises(FormatError, match="the zlib stream ends in row 0"):
        decode(data, lines=1)


def test_a_declared_gigabyte_in_sixty_bytes_is_an_error() -> None:
    data = (
        reference.png(18_000, 18_000, 8, 2, b"")[:33] + (1 << 30).to_bytes(4, "big") + b"IDAT" + b"\x78\x9c" + bytes(17)
    )
    with pytest.raises(FormatError, match="^PNG: IDAT at byte"):
        decode(data, lines=1)


@pytest.mark.parametrize(
    "width, height, sides", [(0, 1, "width is 0"), (1, 0, "height is 0"), (1 << 31, 1, "width is")]
)
def test_impossible_sides_are_errors(width: Any, height: int, sides: str) -> None:
    with pytest.raises(FormatError, match=f"^PNG: IHDR at byte (16|20): the {sides}"):
        read_header(ByteStream([reference.png(width, height, 8, 2, b"")]))


def test_a_bomb_after_the_image_data_is_not_inflated() -> None:
    image = zlib.compress(bytes(14 + (1 << 26)))
    with pytest.raises(FormatError, match="more image data"):
        decode(reference.png(2, 2, 8, 2, image))


def test_ten_thousand_empty_chunks_of_image_data_are_read_once() -> None:
    data = zlib.compress(bytes(14))
    whole = reference.png(2, 2, 8, 2, data)
    at = whole.index(b"IDAT") - 4
    _, rows, _ = decode(whole[:at] + reference.chunk(b"IDAT", b"") * 10_000 + whole[at:], cut=4096)
    assert not rows.any()


def test_an_error_of_the_input_propagates() -> None:
    def chunks() -> Iterator[bytes]:
        yield rich()[:150]
        raise ConnectionError("gone")

    stream = ByteStream(chunks())
    header = read_header(ByteStream([rich()]))
    with pytest.raises(ConnectionError):
        for _ in scanlines(stream, read_header(stream), 1):
            assert header.width == 5


MEMORY = """
import sys
import numpy as np
from compressor.bytestream import ByteStream
from compressor.png.header import new_header, read_header
from compressor.png.reader import scanlines, to_pixels
from compressor.png.writer import write
from compressor.settings import Effort

def peak():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])

noise = np.random.default_rng(1).integers(0, 256, (16, 5000, 3), dtype=np.uint8) >> 3

def written(width, height):
    bands = (noise[:height - top, :width].copy() for top in range(0, height, 16))
    return write(new_header(width, height, 3), bands, effort=Effort.FAST)

def read(chunks):
    stream = ByteStream(chunks)
    header = read_header(stream)
    for rows in scanlines(stream, header, 16):
        to_pixels(header, rows)

read(written(64, 48))
path = sys.argv[1]
if sys.argv[2] == "write":
    open("/proc/self/clear_refs", "w").write("5")
    idle = peak()
    with open(path, "wb") as file:
        file.writelines(written(5000, 3200))
else:
    with open(path, "rb") as file:
        open("/proc/self/clear_refs", "w").write("5")
        idle = peak()
        read(iter(lambda: file.read(1 << 16), b""))
print(peak() - idle)
"""


def test_sixteen_megapixels_are_written_in_three_mebibytes_and_read_in_one(tmp_path: Path) -> None:
    """48 MB of samples, 5000 wide, each in a process of its own; measured 1.9 MiB and 0.7 MiB."""
    for step, limit_kib in (("write", 3 << 10), ("read", 1 << 10)):
        command = [sys.executable, "-c", MEMORY, str(tmp_path / "noise.png"), step]
        found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        assert int(found.stdout) < limit_kib, step
