"""Interlacing as in the figure of W3C PNG clause 8.1, pixel by pixel, and a writer of images too large for memory."""

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from tests.reference import pngfilter

# The figure of clause 8.1: the pass of each pixel of an 8 x 8 square.
SQUARE = """
1 6 4 6 2 6 4 6
7 7 7 7 7 7 7 7
5 6 5 6 5 6 5 6
7 7 7 7 7 7 7 7
3 6 4 6 3 6 4 6
7 7 7 7 7 7 7 7
5 6 5 6 5 6 5 6
7 7 7 7 7 7 7 7
"""
PASS_OF = [[int(number) for number in line.split()] for line in SQUARE.split("\n")[1:-1]]


def reduced(width: int, height: int, number: int) -> list[list[tuple[int, int]]]:
    """Return the positions (x, y) of a pass's pixels, a list for each row that has any."""
    rows = [[(x, y) for x in range(width) if PASS_OF[y % 8][x % 8] == number] for y in range(height)]
    return [row for row in rows if row]


def bits_of(row: Iterable[int]) -> str:
    """Return the bits of bytes."""
    return "".join(f"{byte:08b}" for byte in row)


def packed(text: str) -> list[int]:
    """Pack bits to bytes; the last one is padded with zeros."""
    return [int(text[at : at + 8].ljust(8, "0"), 2) for at in range(0, len(text), 8)]


def interlaced(
    rows: Sequence[Iterable[int]] | npt.NDArray[np.uint8], width: int, bits: int, kinds: Sequence[int] = range(5)
) -> bytes:
    """Return image data before zlib: the scanlines of all passes, each after its filter type, of which all are used."""
    image = [bits_of(row) for row in rows]
    out, index = bytearray(), 0
    for number in range(1, 8):
        above: list[int] | None = None
        for places in reduced(width, len(rows), number):
            row = packed("".join(image[y][x * bits : (x + 1) * bits] for x, y in places))
            above = above or [0] * len(row)
            kind = kinds[index % len(kinds)]
            out += bytes([kind, *pngfilter.filter_row(kind, row, above, max(1, bits // 8))])
            above, index = row, index + 1
    return bytes(out)


def deinterlaced(data: bytes, width: int, height: int, bits: int) -> tuple[npt.NDArray[np.uint8], int]:
    """Return the scanlines of interlaced image data, with 0 bits after the last pixel, and the number of bytes read."""
    image = [["0" * bits] * width for _ in range(height)]
    at = 0
    for number in range(1, 8):
        above: list[int] | None = None
        for places in reduced(width, height, number):
            size = (len(places) * bits + 7) // 8
            above = above or [0] * size
            above = pngfilter.unfilter_row(data[at], data[at + 1 : at + 1 + size], above, max(1, bits // 8))
            at += 1 + size
            for i, (x, y) in enumerate(places):
                image[y][x] = bits_of(above)[i * bits : (i + 1) * bits]
    return np.array([packed("".join(line)) for line in image], np.uint8), at


def spread(
    rows: npt.NDArray[np.uint8],
    count: int,
    bits: int,
    x: int,
    dx: int,
    y: int,
    dy: int,
    out: npt.NDArray[np.uint8],
) -> None:
    """Do as the kernel of that name."""
    lines = [bits_of(line) for line in out]
    for r, row in enumerate(rows):
        for i in range(count):
            pixel = bits_of(row)[i * bits : (i + 1) * bits]
            at = (x + i * dx) * bits
            lines[y + r * dy] = lines[y + r * dy][:at] + pixel + lines[y + r * dy][at + bits :]
    out[:] = [packed(line) for line in lines]


def streamed(width: int, height: int, color: int, line: Callable[[int], npt.NDArray[np.uint8]]) -> Iterator[bytes]:
    """Yield an interlaced PNG of any size, piece by piece.

    line  returns line y, (width, samples) uint8
    """
    begin = pngfilter.png(width, height, 8, color, b"", interlace=1)
    end = begin.index(b"IEND") - 4
    yield begin[:end]
    deflate = zlib.compressobj(1)
    steps = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    for x, y, dx, dy in steps:
        for at in range(y, height if x < width else 0, dy):
            piece = deflate.compress(b"\0" + line(at)[x::dx].tobytes())
            if piece:
                yield pngfilter.chunk(b"IDAT", piece)
    yield pngfilter.chunk(b"IDAT", deflate.flush())
    yield begin[end:]
