"""Interlacing as clause 8.1 of W3C PNG draws it, pixel by pixel; and a writer for images too large to hold."""

import zlib

import numpy as np

from tests.reference import pngfilter

# The figure of clause 8.1: to which pass the pixels of each 8 x 8 square belong.
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


def reduced(width, height, number):
    """The places (x, y) of a pass's pixels, a list for each of its rows; rows without pixels are not there."""
    rows = [[(x, y) for x in range(width) if PASS_OF[y % 8][x % 8] == number] for y in range(height)]
    return [row for row in rows if row]


def bits_of(row):
    return "".join(f"{byte:08b}" for byte in row)


def packed(text):
    """Bits to bytes; what is missing of the last one is 0."""
    return [int(text[at : at + 8].ljust(8, "0"), 2) for at in range(0, len(text), 8)]


def interlaced(rows, width, bits, kinds=range(5)):
    """Image data before zlib: the scanlines of all passes behind their filter types, which take turns."""
    image = [bits_of(row) for row in rows]
    out, turn = bytearray(), 0
    for number in range(1, 8):
        above = None
        for places in reduced(width, len(rows), number):
            row = packed("".join(image[y][x * bits : (x + 1) * bits] for x, y in places))
            above = above or [0] * len(row)
            kind = kinds[turn % len(kinds)]
            out += bytes([kind, *pngfilter.filter_row(kind, row, above, max(1, bits // 8))])
            above, turn = row, turn + 1
    return bytes(out)


def deinterlaced(data, width, height, bits):
    """The reverse: scanlines of the image, bits behind the last pixel 0; and how many bytes of the data it took."""
    image = [["0" * bits] * width for _ in range(height)]
    at = 0
    for number in range(1, 8):
        above = None
        for places in reduced(width, height, number):
            size = (len(places) * bits + 7) // 8
            above = above or [0] * size
            above = pngfilter.unfilter_row(data[at], data[at + 1 : at + 1 + size], above, max(1, bits // 8))
            at += 1 + size
            for i, (x, y) in enumerate(places):
                image[y][x] = bits_of(above)[i * bits : (i + 1) * bits]
    return np.array([packed("".join(line)) for line in image], np.uint8), at


def spread(rows, count, bits, x, dx, y, dy, out):
    """The kernel of that name."""
    lines = [bits_of(line) for line in out]
    for r, row in enumerate(rows):
        for i in range(count):
            pixel = bits_of(row)[i * bits : (i + 1) * bits]
            at = (x + i * dx) * bits
            lines[y + r * dy] = lines[y + r * dy][:at] + pixel + lines[y + r * dy][at + bits :]
    out[:] = [packed(line) for line in lines]


def streamed(width, height, color, line):
    """An interlaced PNG of any size, piece by piece. line: gives line y, (width, samples) uint8."""
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
