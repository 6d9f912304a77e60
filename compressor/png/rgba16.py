"""Scanlines expanded to 16-bit RGBA, whatever their form: a conversion is lossless if these pixels are equal."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from compressor import scratch
from compressor.bytestream import ByteStream
from compressor.kernels.png.rgba16 import OPAQUE, expand_rgba16
from compressor.png.header import GREY, PALETTE, SAMPLES, ByteArray, PngHeader, read_header
from compressor.png.reader import Checksum, colors, scanlines
from compressor.spool import Spool

Rgba16Pixels = NDArray[np.uint64]

PIECE_PIXELS = 1 << 15  # expanded at a time, at least a line


def pixel(red: int, green: int, blue: int, alpha: int = 0xFFFF) -> int:
    """Return a pixel of 16-bit samples in the kernels' format."""
    return red | green << 16 | blue << 32 | alpha << 48


def rgba(value: int) -> tuple[int, int, int, int]:
    """Return the samples of a pixel."""
    return value & 0xFFFF, value >> 16 & 0xFFFF, value >> 32 & 0xFFFF, value >> 48


def scaled(sample: int, depth: int) -> int:
    """Return a sample of `depth` bits scaled to 16 bits: 65535 * sample / (2 ** depth - 1), which is exact."""
    return sample * (0xFFFF // ((1 << depth) - 1))


def transparent_pixel(header: PngHeader) -> int | None:
    """Return the opaque pixel that tRNS makes transparent (clause 11.3.1.1), None without one and for palettes."""
    if header.transparency is None or header.color_type == PALETTE:
        return None
    # Bits above the bit depth are ignored.
    key = np.frombuffer(header.transparency, ">u2").astype(int) & ((1 << header.bit_depth) - 1)
    samples = [scaled(int(sample), header.bit_depth) for sample in key]
    return pixel(*(samples * 3 if header.color_type == GREY else samples))


def lookup_table(header: PngHeader) -> Rgba16Pixels:
    """Return the table that `expand_rgba16` takes."""
    key = transparent_pixel(header)
    if header.color_type == PALETTE:
        table = np.full((256, 4), 0xFFFF, "<u2")
        table[:, : header.channels] = colors(header)
        table[:, : header.channels] *= 257
        return table.view("<u8").astype(np.uint64)[:, 0]
    if header.color_type == GREY and header.bit_depth <= 8:
        most = (1 << header.bit_depth) - 1
        step = scaled(1, header.bit_depth)
        values = np.arange(256, dtype=np.uint64) & np.uint64(most)
        grey: Rgba16Pixels = values * np.uint64(pixel(step, step, step, 0)) | OPAQUE
        if key is not None:
            grey[grey == key] &= ~OPAQUE
        return grey
    return np.array([] if key is None else [key], np.uint64)


class Expander:
    """Expands scanlines of one image to pixels."""

    def __init__(self, header: PngHeader) -> None:
        self._header, self._table = header, lookup_table(header)
        self._out = np.empty((0, 0), np.uint64)

    def __call__(self, rows: ByteArray) -> Iterator[Rgba16Pixels]:
        """Yield pixels, (n, width) uint64, at most PIECE_PIXELS or a line at a time; the array is reused.

        Scanlines may be cropped on the right, all at the same byte.
        """
        width = min(self._header.width, rows.shape[1] * 8 // self._header.bits_per_pixel)
        at_once = max(1, PIECE_PIXELS // width)
        if self._out.shape[1:] != (width,) or len(self._out) < min(at_once, len(rows)):
            self._out = scratch.empty((min(at_once, len(rows)), width), np.uint64)
        for first in range(0, len(rows), at_once):
            part = rows[first : first + at_once]
            out = self._out[: len(part)]
            status = expand_rgba16(part, SAMPLES[self._header.color_type], self._header.bit_depth, self._table, out)
            assert status == len(part), "the reader's scanlines are long enough"
            yield out


def pixel_checksum(header: PngHeader) -> Checksum:
    """Return a checksum to update with all pixels of an image."""
    return Checksum((header.width, header.height))


class PixelChecksum:
    """A checksum of an image's pixels: equal for images that show the same, whatever their form."""

    def __init__(self, header: PngHeader) -> None:
        self._checksum, self._expand = pixel_checksum(header), Expander(header)

    def adding(self, bands: Iterator[ByteArray]) -> Iterator[ByteArray]:
        """Yield bands of scanlines, each added first. (n, row_bytes), or the same samples in another shape."""
        for band in bands:
            for pixels in self._expand(band.reshape(len(band), -1)):
                self._checksum.update(pixels.data)
            yield band

    def digest(self) -> tuple[int, int]:
        """Return the checksums of all pixels so far."""
        return self._checksum.digest()


def read_pixel_checksum(stream: ByteStream, lines: int, spool: Callable[[], Spool] | None = None) -> tuple[int, int]:
    """Return the checksum of a PNG's pixels."""
    header = read_header(stream)
    found = PixelChecksum(header)
    for _ in found.adding(scanlines(stream, header, lines, spool)):
        pass
    return found.digest()
