"""Files of any height that are copied together in bounded memory: the same picture as JPEG and as PNG, in seconds.

The generated picture (`generate.bands`) is drawn for a strip of 512 rows. Below it its *units*, 64 rows each, come
again in a random order. What codes a unit does not depend on what stands before it, so that it is coded once:

- JPEG: libjpeg-turbo codes the strip with a restart marker after every row of MCUs. Intervals between restart markers
  start anew (ITU-T T.81, E.1.4, and G.1.2.2 for runs of bands' ends), in each scan of a progressive file too.
- PNG: each unit begins with a scanline that is filtered by Sub, and its compressed data ends with a full flush, after
  which deflate looks back no further (RFC 1951, 3.2.4 and zlib's manual on Z_FULL_FLUSH).
"""

import io
import os
import re
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from benchmarks.harness import fidelity, generate

UNIT_ROWS = generate.BAND_ROWS
STRIP_ROWS = 512
IDAT_BYTES = 1 << 15
ADLER_BASE = 65521  # RFC 1950, 8.2
# First column and line of each interlace pass, and the steps between them (ISO/IEC 15948, 8.2).
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
KINDS = {"baseline": "jpg", "progressive": "jpg", "png": "png", "interlaced": "png"}

Pixels = npt.NDArray[np.uint8]


class Picture:
    """Width x height pixels of RGB, as units.

    strip_rows  how many are drawn, a multiple of 64
    units       of the strip, each (64, width, 3) uint8
    order       the units from the top of the picture on; the last may be cut
    """

    def __init__(self, width: int, height: int, seed: int = 1, strip_rows: int = STRIP_ROWS) -> None:
        self.width, self.height = width, height
        count = -(-height // UNIT_ROWS)
        self.units = list(generate.bands(width, UNIT_ROWS * min(count, strip_rows // UNIT_ROWS), seed))
        self.order = np.random.default_rng((seed, 100)).integers(0, len(self.units), count).tolist()

    def bands(self) -> Iterator[Pixels]:
        """The picture from the top: (at most 64, width, 3)."""
        for n, unit in enumerate(self.order):
            yield self.units[unit][: self.height - n * UNIT_ROWS]

    def eighths(self) -> fidelity.Eighths:
        """Its means, without drawing it."""
        strip = fidelity.Eighths(self.width, UNIT_ROWS * len(self.units))
        for unit in self.units:
            strip.add(unit)
        means = strip.means.reshape(len(self.units), UNIT_ROWS // 8, -1, 3)
        whole = fidelity.Eighths(self.width, self.height)
        whole.means = means[self.order].reshape(-1, *means.shape[2:])[: self.height // 8]
        return whole


# --- JPEG ---------------------------------------------------------------------------------------------------------


def jpeg(picture: Picture, progressive: bool, quality: int = 90) -> Iterator[bytes]:
    """The bytes of a 4:2:0 JPEG, as libjpeg-turbo codes it; progressive by its own script of ten scans."""
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
    """A scan of the picture from that of the strip: intervals, each a row of MCUs, with RST0 to RST7 between them."""
    rows_per_unit = len(intervals) // len(picture.units)
    rows = -(-picture.height * rows_per_unit // UNIT_ROWS)
    for row in range(rows):
        unit, inside = divmod(row, rows_per_unit)
        if row:
            yield bytes([0xFF, 0xD0 + (row - 1) % 8])
        yield intervals[picture.order[unit] * rows_per_unit + inside]


# --- PNG ----------------------------------------------------------------------------------------------------------


class _Piece:
    """Scanlines with their filter types, compressed so that they can stand anywhere in a stream."""

    def __init__(self, rows: Pixels) -> None:
        lines = rows.reshape(len(rows), -1)
        filtered = generate.filtered(lines, np.zeros(lines.shape[1], np.uint8))
        self.length, self.adler = len(filtered), zlib.adler32(filtered)
        deflate = zlib.compressobj(1, zlib.DEFLATED, -15)
        data = deflate.compress(filtered) + deflate.flush(zlib.Z_FULL_FLUSH)
        parts = (data[at : at + IDAT_BYTES] for at in range(0, len(data), IDAT_BYTES))
        self.chunks = b"".join(generate.chunk(b"IDAT", part) for part in parts)


def combined(first: int, second: int, length: int) -> int:
    """Adler-32 of two strings in a row, of which the second has `length` bytes (RFC 1950, 8.2: sums of sums)."""
    a = (first & 0xFFFF) + (second & 0xFFFF) - 1
    b = (first >> 16) + (second >> 16) + length * ((first & 0xFFFF) - 1)
    return b % ADLER_BASE << 16 | a % ADLER_BASE


def png(picture: Picture, interlaced: bool) -> Iterator[bytes]:
    """The bytes of an 8-bit RGB PNG, all filter types in turns."""
    ihdr = struct.pack(">IIBBBBB", picture.width, picture.height, 8, 2, 0, 0, interlaced)
    yield b"\x89PNG\r\n\x1a\n" + generate.chunk(b"IHDR", ihdr)
    yield generate.chunk(b"IDAT", b"\x78\x01")  # zlib's header
    adler = 1
    for left, top, dx, dy in ADAM7 if interlaced else ((0, 0, 1, 1),):
        whole = [_Piece(unit[top::dy, left::dx]) for unit in picture.units] if picture.width > left else []
        for n, unit in enumerate(picture.order):
            rows = min(UNIT_ROWS, picture.height - n * UNIT_ROWS)
            if not whole or rows <= top:
                continue
            piece = whole[unit] if rows == UNIT_ROWS else _Piece(picture.units[unit][top:rows:dy, left::dx])
            adler = combined(adler, piece.adler, piece.length)
            yield piece.chunks
    yield generate.chunk(b"IDAT", b"\x03\x00" + struct.pack(">I", adler))  # an empty last block of fixed codes
    yield generate.chunk(b"IEND", b"")


# --- files --------------------------------------------------------------------------------------------------------


def default_folder() -> Path:
    """Where files are kept from run to run."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "compressor-benchmarks"


class Files:
    """Pictures of one size, made when they are asked for and kept in a folder."""

    def __init__(self, folder: Path, width: int, height: int) -> None:
        self._folder, self._width, self._height = folder, width, height
        self._made: Picture | None = None

    @property
    def picture(self) -> Picture:
        """What all of them show."""
        if self._made is None:
            self._made = Picture(self._width, self._height)
        return self._made

    def __getitem__(self, kind: str) -> Path:
        """The file of a kind: baseline, progressive, png or interlaced."""
        path = self._folder / f"{kind}-{self._width}x{self._height}.{KINDS[kind]}"
        if not path.exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            partial = path.with_suffix(f".{os.getpid()}")
            with partial.open("wb") as file:
                if KINDS[kind] == "jpg":
                    file.writelines(jpeg(self.picture, kind == "progressive"))
                else:
                    file.writelines(png(self.picture, kind == "interlaced"))
            partial.rename(path)  # a run that is interrupted leaves no half of a file under its name
        return path
