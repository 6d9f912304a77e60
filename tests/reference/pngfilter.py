"""PNG filters and samples as the standard's text has them, byte by byte (W3C PNG clauses 7.2, 9 and 12.7)."""

import itertools
import struct
import zlib

import numpy as np


def paeth_predictor(a, b, c):
    """Clause 9.4."""
    p = a + b - c
    pa, pb, pc = abs(p - a), abs(p - b), abs(p - c)
    if pa <= pb and pa <= pc:
        return a
    if pb <= pc:
        return b
    return c


def prediction(kind, a, b, c):
    """Table 12 of clause 9.2."""
    return [0, a, b, (a + b) // 2, paeth_predictor(a, b, c)][kind]


def neighbours(row, above, bpp, i):
    """Figure 19; what is outside the image is 0."""
    a = row[i - bpp] if i >= bpp else 0
    c = above[i - bpp] if i >= bpp else 0
    return a, above[i], c


def filter_row(kind, row, above, bpp):
    """A scanline as list of ints, filtered, without the type byte."""
    return [(row[i] - prediction(kind, *neighbours(row, above, bpp, i))) % 256 for i in range(len(row))]


def unfilter_row(kind, filtered, above, bpp):
    """The reverse."""
    row = []
    for i, x in enumerate(filtered):
        row.append((x + prediction(kind, *neighbours(row, above, bpp, i))) % 256)
    return row


def cheapest(row, above, bpp):
    """Clause 12.7: the type with the smallest sum of absolute differences, bytes taken as signed; lowest on a tie."""
    costs = [sum(min(x, 256 - x) for x in filter_row(kind, row, above, bpp)) for kind in range(5)]
    return costs.index(min(costs))


def samples(row, depth, count):
    """Samples of a scanline: bits from the left, most significant first."""
    bits = "".join(f"{byte:08b}" for byte in row)
    return [int(bits[i * depth : (i + 1) * depth], 2) for i in range(count)]


def pixels(width, depth, color, rows, palette=b"", transparency=None):
    """Scanlines to 8-bit pixels, a list of tuples for each row."""
    per_pixel = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[color]
    most = 2**depth - 1
    result = []
    for row in rows:
        values = samples(row, depth, width * per_pixel)
        line = []
        for i in range(width):
            pixel = tuple(values[i * per_pixel : (i + 1) * per_pixel])
            if color == 3:
                entry = tuple(palette[3 * pixel[0] : 3 * pixel[0] + 3]) or (0, 0, 0)
                if transparency is not None:
                    entry += (transparency[pixel[0]] if pixel[0] < len(transparency) else 255,)
            else:
                # Half up: never a tie, since 255 divides 2^depth - 1 an odd number of times, or the other way round.
                entry = tuple((2 * 255 * value + most) // (2 * most) for value in pixel)
                if transparency is not None:
                    key = struct.unpack(f">{per_pixel}H", transparency)
                    entry += (0 if pixel == tuple(k & most for k in key) else 255,)
            line.append(entry)
        result.append(line)
    return result


def chunk(kind, data):
    """Clause 5.3."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, depth, color, data, *, before=(), after=(), interlace=0, idat_bytes=1 << 30):
    """A file around compressed image data; `before` and `after` it go chunks as (type, data)."""
    parts = [
        b"\x89PNG\r\n\x1a\n",
        chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlace)),
    ]
    parts += [chunk(kind, content) for kind, content in before]
    parts += [chunk(b"IDAT", data[at : at + idat_bytes]) for at in range(0, len(data), idat_bytes)]
    parts += [chunk(kind, content) for kind, content in after]
    return b"".join((*parts, chunk(b"IEND", b"")))


def filtered_rows(rows, kinds, bpp):
    """Scanlines behind their filter types, ready for zlib."""
    above, out = [0] * len(rows[0]), bytearray()
    for row, kind in zip(rows, kinds, strict=True):
        out += bytes([kind, *filter_row(kind, [int(x) for x in row], [int(x) for x in above], bpp)])
        above = row
    return bytes(out)


def random_rows(seed, height, row_bytes):
    """Scanlines with some structure, so that filters differ in cost."""
    rng = np.random.default_rng(seed)
    smooth = np.add.outer(np.arange(height) * 3, np.arange(row_bytes) * 2)
    return ((smooth + rng.integers(0, 24, (height, row_bytes))) % 256).astype(np.uint8)


def least_varied(row, above, bpp):
    """The type that leaves the fewest different pairs of neighbouring bytes; lowest on a tie."""
    filtered = [filter_row(kind, row, above, bpp) for kind in range(5)]
    counts = [len(set(itertools.pairwise(line))) for line in filtered]
    return counts.index(min(counts))
