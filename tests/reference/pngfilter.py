"""PNG filters and samples as in the text of the standard, byte by byte (W3C PNG clauses 7.2, 9 and 12.7)."""

import itertools
import struct
import zlib
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

Chunk = tuple[bytes, bytes]


def paeth_predictor(a: int, b: int, c: int) -> int:
    """Return the Paeth predictor (clause 9.4)."""
    p = a + b - c
    pa, pb, pc = abs(p - a), abs(p - b), abs(p - c)
    if pa <= pb and pa <= pc:
        return a
    if pb <= pc:
        return b
    return c


def prediction(kind: int, a: int, b: int, c: int) -> int:
    """Return the prediction of a filter type (clause 9.2, Table 12)."""
    return [0, a, b, (a + b) // 2, paeth_predictor(a, b, c)][kind]


def neighbors(row: Sequence[int], above: Sequence[int], bpp: int, i: int) -> tuple[int, int, int]:
    """Return a, b and c of Figure 19; bytes outside the image are 0."""
    a = row[i - bpp] if i >= bpp else 0
    c = above[i - bpp] if i >= bpp else 0
    return a, above[i], c


def filter_row(kind: int, row: Sequence[int], above: Sequence[int], bpp: int) -> list[int]:
    """Filter a scanline; the result has no type byte."""
    return [(row[i] - prediction(kind, *neighbors(row, above, bpp, i))) % 256 for i in range(len(row))]


def unfilter_row(kind: int, filtered: Sequence[int], above: Sequence[int], bpp: int) -> list[int]:
    """Reconstruct a filtered scanline."""
    row: list[int] = []
    for i, x in enumerate(filtered):
        row.append((x + prediction(kind, *neighbors(row, above, bpp, i))) % 256)
    return row


def cheapest(row: Sequence[int], above: Sequence[int], bpp: int) -> int:
    """Return the type with the smallest sum of absolute differences, bytes taken as signed (clause 12.7); the lowest on
    a tie."""
    costs = [sum(min(x, 256 - x) for x in filter_row(kind, row, above, bpp)) for kind in range(5)]
    return costs.index(min(costs))


def samples(row: Iterable[int], depth: int, count: int) -> list[int]:
    """Return the samples of a scanline: bits from the left, most significant first."""
    bits = "".join(f"{byte:08b}" for byte in row)
    return [int(bits[i * depth : (i + 1) * depth], 2) for i in range(count)]


def pixels(
    width: int,
    depth: int,
    color: int,
    rows: Iterable[Iterable[int]],
    palette: bytes = b"",
    transparency: bytes | None = None,
) -> list[list[tuple[int, ...]]]:
    """Convert scanlines to 8-bit pixels, a list of tuples for each row."""
    per_pixel = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[color]
    most = 2**depth - 1
    result = []
    for row in rows:
        values = samples(row, depth, width * per_pixel)
        line = []
        for i in range(width):
            pixel = tuple(values[i * per_pixel : (i + 1) * per_pixel])
            if color == 3:
                entry: tuple[int, ...] = tuple(palette[3 * pixel[0] : 3 * pixel[0] + 3]) or (0, 0, 0)
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


def chunk(kind: bytes, data: bytes) -> bytes:
    """Return a chunk (clause 5.3)."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(
    width: int,
    height: int,
    depth: int,
    color: int,
    data: bytes,
    *,
    before: Iterable[Chunk] = (),
    after: Iterable[Chunk] = (),
    interlace: int = 0,
    idat_bytes: int = 1 << 30,
) -> bytes:
    """Return a file with compressed image data, and chunks (type, data) `before` and `after` them."""
    parts = [
        b"\x89PNG\r\n\x1a\n",
        chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlace)),
    ]
    parts += [chunk(kind, content) for kind, content in before]
    parts += [chunk(b"IDAT", data[at : at + idat_bytes]) for at in range(0, len(data), idat_bytes)]
    parts += [chunk(kind, content) for kind, content in after]
    return b"".join((*parts, chunk(b"IEND", b"")))


def filtered_rows(rows: Sequence[Sequence[int]] | npt.NDArray[np.uint8], kinds: Iterable[int], bpp: int) -> bytes:
    """Return filtered scanlines, each after its filter type, for zlib."""
    above: Sequence[int] = [0] * len(rows[0])
    out = bytearray()
    for row, kind in zip(rows, kinds, strict=True):
        out += bytes([kind, *filter_row(kind, [int(x) for x in row], [int(x) for x in above], bpp)])
        above = row
    return bytes(out)


def random_rows(seed: int, height: int, row_bytes: int) -> npt.NDArray[np.uint8]:
    """Return scanlines with some structure, so that filters differ in cost."""
    rng = np.random.default_rng(seed)
    smooth = np.add.outer(np.arange(height) * 3, np.arange(row_bytes) * 2)
    rows: npt.NDArray[np.uint8] = ((smooth + rng.integers(0, 24, (height, row_bytes))) % 256).astype(np.uint8)
    return rows


def least_varied(row: Sequence[int], above: Sequence[int], bpp: int) -> int:
    """Return the type that leaves the fewest different pairs of adjacent bytes; the lowest on a tie."""
    filtered = [filter_row(kind, row, above, bpp) for kind in range(5)]
    counts = [len(set(itertools.pairwise(line))) for line in filtered]
    return counts.index(min(counts))
