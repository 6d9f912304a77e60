"""Files of any height, assembled in bounded memory within seconds: the same image as JPEG and as PNG.

A strip of 512 rows of the generated image (`generate.bands`) is encoded. The image consists of its *units*, 64 rows
each, repeated in random order. The encoding of a unit does not depend on preceding data, so that each is encoded once:

- JPEG: libjpeg-turbo encodes the strip with a restart marker after every row of MCUs. Each restart interval is
  independent (ITU-T T.81, E.1.4, and G.1.2.2 for end-of-band runs), also in the scans of a progressive file.
- PNG: each unit begins with a scanline with filter type Sub, and its compressed data ends with a full flush, after
  which deflate does not refer to earlier data (RFC 1951, 3.2.4, and zlib's manual on Z_FULL_FLUSH).
"""

import io
import re
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.harness import fidelity, generate
from benchmarks.harness.fidelity import Pixels
from compressor.atomic_write import AtomicFile, temporary_name

UNIT_ROWS = generate.BAND_ROWS
STRIP_ROWS = 512
IDAT_BYTES = 1 << 15
ADLER_BASE = 65521  # RFC 1950, 8.2
# First column and row of each interlace pass, and the steps between them (ISO/IEC 15948, 8.2).
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
KINDS = {"baseline": "jpg", "progressive": "jpg", "png": "png", "interlaced": "png"}


class Picture:
    """An RGB image of width × height pixels, composed of units.

    strip_rows  number of generated rows, a multiple of 64
    units       of the strip, each (64, width, 3) uint8
    order       indices of the units from the top of the image; the last unit may be cut off
    """

    def __init__(self, width: int, height: int, seed: int = 1, strip_rows: int = STRIP_ROWS) -> None:
        self.width, self.height = width, height
        count = -(-height // UNIT_ROWS)
        self.units = list(generate.bands(width, UNIT_ROWS * min(count, strip_rows // UNIT_ROWS), seed))
        self.order = np.random.default_rng((seed, 100)).integers(0, len(self.units), count).tolist()

    def bands(self) -> Iterator[Pixels]:
        """Yield the image from the top as bands of (at most 64, width, 3)."""
        for n, unit in enumerate(self.order):
            yield self.units[unit][: self.height - n * UNIT_ROWS]

    def eighths(self) -> fidelity.Eighths:
        """Return its means of 8 × 8 pixels, computed from the units alone."""
        strip = fidelity.Eighths(self.width, UNIT_ROWS * len(self.units))
        for unit in self.units:
            strip.add(unit)
        means = strip.means.reshape(len(self.units), UNIT_ROWS // 8, -1, 3)
        picture = fidelity.Eighths(self.width, self.height)
        picture.means = means[self.order].reshape(-1, *means.shape[2:])[: self.height // 8]
        return picture


# --- JPEG ---------------------------------------------------------------------------------------------------------


def jpeg(picture: Picture, progressive: bool, quality: int = 90) -> Iterator[bytes]:
    """Yield the bytes of a 4:2:0 JPEG as libjpeg-turbo encodes it, progressive with its default script of ten scans."""
    file = io.BytesIO()
    strip = Image.fromarray(np.concatenate(picture.units))
    strip.save(file, "JPEG", quality=quality, subsampling=2, progressive=progressive, restart_marker_rows=1)
    data = file.getvalue()
    at = 2
    yield data[:at]
    while data[at + 1] != 0xD9:  # EOI
        kind, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4])
        segment, at = data[at : at + 2 + length], at + 2 + length
        if kind in (0xC0, 0xC2):  # SOF: marker, length, precision, Y, …
            segment = segment[:5] + struct.pack(">H", picture.height) + segment[7:]
        yield segment
        if kind == 0xDA:  # SOS
            end = re.compile(rb"\xff[^\x00\xd0-\xd7]").search(data, at)
            assert end is not None
            yield from _scan(picture, re.split(rb"\xff[\xd0-\xd7]", data[at : end.start()]))
            at = end.start()
    yield data[at : at + 2]


def _scan(picture: Picture, intervals: Sequence[bytes]) -> Iterator[bytes]:
    """Yield a scan of the image: restart intervals of the strip's scan, one per row of MCUs, with RST0 to RST7."""
    rows_per_unit = len(intervals) // len(picture.units)
    rows = -(-picture.height * rows_per_unit // UNIT_ROWS)
    for row in range(rows):
        unit, inside = divmod(row, rows_per_unit)
        if row:
            yield bytes([0xFF, 0xD0 + (row - 1) % 8])
        yield intervals[picture.order[unit] * rows_per_unit + inside]


# --- PNG ----------------------------------------------------------------------------------------------------------


class _CompressedRows:
    """Filtered scanlines, compressed so that they can be used anywhere in a deflate stream."""

    def __init__(self, rows: Pixels) -> None:
        lines = rows.reshape(len(rows), -1)
        filtered = generate.filtered(lines, np.zeros(lines.shape[1], np.uint8))
        self.length, self.adler = len(filtered), zlib.adler32(filtered)
        deflate = zlib.compressobj(1, zlib.DEFLATED, -15)
        data = deflate.compress(filtered) + deflate.flush(zlib.Z_FULL_FLUSH)
        parts = (data[at : at + IDAT_BYTES] for at in range(0, len(data), IDAT_BYTES))
        self.chunks = b"".join(generate.chunk(b"IDAT", part) for part in parts)


def combine_adler(first: int, second: int, length: int) -> int:
    """Return the Adler-32 of two concatenated strings, the second of `length` bytes (RFC 1950, 8.2: sums of sums)."""
    a = (first & 0xFFFF) + (second & 0xFFFF) - 1
    b = (first >> 16) + (second >> 16) + length * ((first & 0xFFFF) - 1)
    return b % ADLER_BASE << 16 | a % ADLER_BASE


def png(picture: Picture, interlaced: bool) -> Iterator[bytes]:
    """Yield the bytes of an 8-bit RGB PNG with alternating filter types."""
    ihdr = struct.pack(">IIBBBBB", picture.width, picture.height, 8, 2, 0, 0, interlaced)
    yield b"\x89PNG\r\n\x1a\n" + generate.chunk(b"IHDR", ihdr)
    yield generate.chunk(b"IDAT", b"\x78\x01")  # zlib's header
    adler = 1
    for left, top, dx, dy in ADAM7 if interlaced else ((0, 0, 1, 1),):
        units = [_CompressedRows(unit[top::dy, left::dx]) for unit in picture.units] if picture.width > left else []
        for n, unit in enumerate(picture.order):
            rows = min(UNIT_ROWS, picture.height - n * UNIT_ROWS)
            if not units or rows <= top:
                continue
            part = units[unit] if rows == UNIT_ROWS else _CompressedRows(picture.units[unit][top:rows:dy, left::dx])
            adler = combine_adler(adler, part.adler, part.length)
            yield part.chunks
    yield generate.chunk(b"IDAT", b"\x03\x00" + struct.pack(">I", adler))  # an empty final block with fixed codes
    yield generate.chunk(b"IEND", b"")


# --- files --------------------------------------------------------------------------------------------------------


class Files:
    """Files of one size that show the same image, created on demand and kept in a folder."""

    def __init__(self, folder: Path, width: int, height: int) -> None:
        self._folder, self._width, self._height = folder, width, height
        self._made: Picture | None = None

    @property
    def picture(self) -> Picture:
        """The image in all files."""
        if self._made is None:
            self._made = Picture(self._width, self._height)
        return self._made

    def __getitem__(self, kind: str) -> Path:
        """Return the file of a kind: baseline, progressive, png or interlaced."""
        path = self._folder / f"{kind}-{self._width}x{self._height}.{KINDS[kind]}"
        if not path.exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            make, option = (jpeg, "progressive") if KINDS[kind] == "jpg" else (png, "interlaced")
            with AtomicFile(temporary_name(self._folder)) as file:
                file.open().writelines(make(self.picture, kind == option))
                file.publish(path)
        return path
