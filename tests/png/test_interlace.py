"""Interlaced PNG: every size of square against the reference, truncated and damaged in each pass."""

import subprocess
import sys
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from compressor.bytestream import ByteStream
from compressor.errors import FormatError, LimitError, UnsupportedError
from compressor.kernels import library
from compressor.kernels.png.adam7 import spread
from compressor.memory import Resources
from compressor.png.header import DEPTHS, PngHeader, read_header
from compressor.png.interlace import ADAM7, passes
from compressor.png.reader import scanlines
from compressor.spool import Spool
from tests.reference import adam7 as reference
from tests.reference import pngfilter

FORMATS = [(color, depth) for color, depths in DEPTHS.items() for depth in depths]
SIZES = [(width, height) for width in range(1, 10) for height in range(1, 10)]
PALETTE = [(b"PLTE", bytes(range(9)))]


def decode(data: bytes, lines: int = 4, cut: int = 1 << 20) -> tuple[PngHeader, np.ndarray]:
    """Return header and scanlines."""
    stream = ByteStream(data[at : at + cut] for at in range(0, len(data), cut))
    resources = Resources()
    held: list[Spool] = []

    def spool() -> Spool:
        held.append(resources.spool())
        return held[-1]

    try:
        header = read_header(stream)
        rows = [band.copy() for band in scanlines(stream, header, lines, spool)]
    finally:
        for used in held:
            used.close()
    assert stream.read(1) == b""
    return header, np.concatenate(rows)


def bits_per_pixel(color: int, depth: int) -> int:
    return {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[color] * depth


def noise(width: int, height: int, bits: int, seed: int = 0) -> np.ndarray:
    """Return scanlines, in which the bits after the last pixel are 0."""
    rows = np.random.default_rng(seed).integers(0, 256, (height, (width * bits + 7) // 8), np.uint8)
    rows[:, -1] &= 0xFF << (-width * bits % 8) & 0xFF
    return rows


def made(
    width: int, height: int, color: int, depth: int, seed: int = 0, level: int = 6, **options: Any
) -> tuple[bytes, np.ndarray]:
    """Return an interlaced PNG with every filter type, and its scanlines."""
    bits = bits_per_pixel(color, depth)
    rows = noise(width, height, bits, seed)
    data = zlib.compress(reference.interlaced(rows, width, bits), level)
    before = PALETTE if color == 3 else []
    return pngfilter.png(width, height, depth, color, data, before=before, interlace=1, **options), rows


@pytest.mark.parametrize("color, depth", FORMATS)
def test_images_of_every_size_and_kind_agree_with_the_reference(color: Any, depth: Any) -> None:
    for width, height in [*SIZES, (33, 17), (8, 16), (100, 3)]:
        data, rows = made(width, height, color, depth)

        header, found = decode(data)

        np.testing.assert_array_equal(found, rows, err_msg=f"{width} x {height}")
        again, used = reference.deinterlaced(
            reference.interlaced(rows, width, header.bits_per_pixel), width, height, header.bits_per_pixel
        )
        np.testing.assert_array_equal(again, rows)
        assert used == sum(part.height * (1 + part.row_bytes) for part in passes(header))


def test_passes_are_those_of_the_standard() -> None:
    for width, height in SIZES:
        header = read_header(ByteStream([made(width, height, 0, 8)[0]]))
        found = {part.number: (part.width, part.height) for part in passes(header)}
        rows = {number: reference.reduced(width, height, number) for number in range(1, 8)}
        assert found == {number: (len(r[0]), len(r)) for number, r in rows.items() if r}


@pytest.mark.parametrize("color, depth", [(0, 1), (2, 8), (6, 16)])
@pytest.mark.parametrize("lines", [1, 2, 3, 7, 8, 9, 16, 100])
def test_the_height_of_the_bands_makes_no_difference(color: int, depth: int, lines: int) -> None:
    data, rows = made(21, 37, color, depth)

    np.testing.assert_array_equal(decode(data, lines)[1], rows)


@pytest.mark.parametrize("cut", [1, 7, 100])
@pytest.mark.parametrize("idat_bytes", [1, 13, 1 << 20])
def test_the_chunking_of_the_input_makes_no_difference(cut: int, idat_bytes: Any) -> None:
    data, rows = made(21, 17, 2, 8, idat_bytes=idat_bytes)

    np.testing.assert_array_equal(decode(data, cut=cut)[1], rows)


@pytest.mark.parametrize("width, height", [(70_000, 9), (3000, 131), (1, 3000)])
def test_images_larger_than_a_slab_are_read(width: int, height: int) -> None:
    line = np.random.default_rng(4).integers(0, 256, (height, width, 3), np.uint8)
    data = b"".join(reference.streamed(width, height, 2, lambda y: line[y]))

    np.testing.assert_array_equal(decode(data, 16)[1], line.reshape(height, -1))


@pytest.mark.parametrize("level", [0, 1, 9])
def test_passes_can_begin_anywhere_in_a_deflate_block(level: int) -> None:
    data, rows = made(64, 48, 2, 8, level=level)

    np.testing.assert_array_equal(decode(data)[1], rows)


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16, 24, 32, 48, 64])
@pytest.mark.parametrize("x, y, dx, dy", ADAM7)
def test_spread_writes_only_the_pixels_of_its_pass(bits: int, x: Any, y: Any, dx: Any, dy: Any) -> None:
    for count in (1, 2, 5):
        width = x + (count - 1) * dx + 1
        rows = np.random.default_rng(1).integers(0, 256, (2, (count * bits + 7) // 8), np.uint8)
        out = np.random.default_rng(2).integers(0, 256, (y + dy + 1, (width * bits + 7) // 8), np.uint8)
        expected = out.copy()
        reference.spread(rows, count, bits, x, dx, y, dy, expected)

        assert spread(rows, count, bits, x, dx, y, dy, out) == 2
        np.testing.assert_array_equal(out, expected)
        for wrong in ((count + 8, x, y), (count, x + 8, y), (count, x, y + 1), (count, -1, y), (0, x, y)):
            assert spread(rows, wrong[0], bits, wrong[1], dx, wrong[2], dy, out) == -1
        np.testing.assert_array_equal(out, expected)


def test_a_file_truncated_at_any_byte_is_an_error_with_an_offset() -> None:
    data, _ = made(9, 9, 2, 8, idat_bytes=50, after=[(b"tIME", bytes(7))])
    for end in range(len(data)):
        with pytest.raises(FormatError) as raised:
            decode(data[:end])
        assert raised.value.offset is not None, end
        assert raised.value.offset <= end


def pass_starts(width: int, height: int, bits: int) -> list[int]:
    """Return the offsets of the passes in the inflated data."""
    sizes = [
        sum(1 + (len(row) * bits + 7) // 8 for row in reference.reduced(width, height, number))
        for number in range(1, 8)
    ]
    starts: list[int] = np.cumsum([0, *sizes]).tolist()
    return starts


@pytest.mark.parametrize("number", range(1, 8))
def test_an_invalid_filter_type_is_an_error_in_any_pass(number: Any) -> None:
    image = bytearray(reference.interlaced(noise(9, 9, 24), 9, 24))
    image[pass_starts(9, 9, 24)[number - 1]] = 5
    with pytest.raises(FormatError, match=f"row 0 of pass {number} has filter type 5, expected 0 to 4"):
        decode(pngfilter.png(9, 9, 8, 2, zlib.compress(bytes(image)), interlace=1))


@pytest.mark.parametrize("number", range(1, 8))
@pytest.mark.parametrize("more", [0, 1])
def test_a_zlib_stream_that_ends_in_any_pass_is_an_error(number: Any, more: int) -> None:
    image = reference.interlaced(noise(17, 17, 24), 17, 24)
    short = zlib.compress(image[: pass_starts(17, 17, 24)[number - 1] + more])
    with pytest.raises(FormatError, match=f"the zlib stream ends in row 0 of [0-9]+ of pass {number}"):
        decode(pngfilter.png(17, 17, 8, 2, short, interlace=1))


def test_more_image_data_than_passes_is_an_error() -> None:
    image = reference.interlaced(noise(9, 9, 24), 9, 24)
    with pytest.raises(FormatError, match="more image data"):
        decode(pngfilter.png(9, 9, 8, 2, zlib.compress(image + b"\0"), interlace=1))


def test_a_wrong_checksum_is_found_before_the_first_line() -> None:
    data = bytearray(zlib.compress(reference.interlaced(noise(9, 9, 24), 9, 24)))
    data[-1] ^= 1
    with pytest.raises(FormatError, match="invalid zlib stream"):
        decode(pngfilter.png(9, 9, 8, 2, bytes(data), interlace=1))


def test_bytes_after_the_zlib_stream_are_tolerated_with_a_notice() -> None:
    rows = noise(9, 9, 24)
    image = zlib.compress(reference.interlaced(rows, 9, 24)) + b"garbage"

    header, found = decode(pngfilter.png(9, 9, 8, 2, image, idat_bytes=5, interlace=1))

    assert header.notices == ["7 bytes after the compressed image data were dropped"]
    np.testing.assert_array_equal(found, rows)


@pytest.mark.parametrize("width, height", [(1_000_000, 1_000_000), (20_000, 20_000), (1, 1_000_000)])
def test_a_huge_declared_size_in_a_small_file_takes_the_memory_of_one_band(width: int, height: int) -> None:
    with pytest.raises(FormatError, match="the zlib stream ends in row 0 of"):
        decode(pngfilter.png(width, height, 8, 2, zlib.compress(b""), interlace=1), lines=1)


def test_an_interlaced_image_without_a_spool_is_a_value_error() -> None:
    header = read_header(ByteStream([made(2, 2, 0, 8)[0]]))
    with pytest.raises(ValueError, match="spool"):
        scanlines(ByteStream([]), header, 1)


# --- hostile files, also with bounds checked: `python -m tests.png.test_interlace` runs the whole set ----------------


def outcome(data: bytes) -> None:
    """Decode a file. Any error must be one of the package."""
    try:
        decode(data)
    except (FormatError, LimitError, UnsupportedError) as error:
        assert str(error).startswith("PNG: "), error


def kinds() -> list[bytes]:
    return [made(5, 9, color, depth)[0] for color, depth in ((0, 1), (3, 2), (2, 8), (6, 16))]


def flips() -> Iterator[bytes]:
    for data in kinds():
        for at in range(len(data)):
            for bit in (0, 3, 7):
                damaged = bytearray(data)
                damaged[at] ^= 1 << bit
                yield bytes(damaged)


def invalid_fields() -> Iterator[bytes]:
    """Yield files with invalid headers and compressed data, with valid CRCs."""
    rng = np.random.default_rng(0)
    for data in kinds():
        for _ in range(500):
            damaged = bytearray(data)
            at = data.index(b"IDAT" if rng.integers(3) else b"IHDR")
            length = int.from_bytes(data[at - 4 : at], "big")
            damaged[at + 4 + int(rng.integers(length))] = int(rng.integers(256))
            damaged[at + 4 + length : at + 8 + length] = zlib.crc32(damaged[at : at + 4 + length]).to_bytes(4, "big")
            if max(int.from_bytes(damaged[at : at + 4], "big") for at in (16, 20)) < 1 << 12:
                yield bytes(damaged)


def invalid_scanlines() -> Iterator[bytes]:
    """Yield files with random bytes in place of passes, of about the right length, in a valid zlib stream."""
    rng = np.random.default_rng(1)
    for width, height in SIZES:
        for color, depth in FORMATS:
            length = pass_starts(width, height, bits_per_pixel(color, depth))[-1]
            image = rng.integers(0, 5, max(0, length + int(rng.integers(-1, 2))), np.uint8)
            before = PALETTE if color == 3 else []
            yield pngfilter.png(width, height, depth, color, zlib.compress(image, 1), before=before, interlace=1)


SETS = [flips, invalid_fields, invalid_scanlines]


@pytest.mark.parametrize("cases", SETS)
def test_hostile_files_end_in_an_error_or_an_image(cases: Any) -> None:
    for data in cases():
        outcome(data)


def test_hostile_files_do_not_access_memory_outside_of_arrays(safety_build: Any) -> None:
    done = subprocess.run(
        [sys.executable, "-m", __name__], check=False, env=safety_build, capture_output=True, text=True, timeout=300
    )

    assert done.returncode == 0, done.stderr[-3000:]
    assert int(done.stdout) > 5000


if __name__ == "__main__":
    assert library.MODE == "safe"
    count = 0
    for cases in SETS:
        for data in cases():
            outcome(data)
            count += 1
    print(count)
