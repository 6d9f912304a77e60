"""An image reduced to a palette: scanlines are quantized, a band at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from compressor import scratch
from compressor.kernels.png.palette import FULL, diffuse
from compressor.png.forms import Form, background, convert_chunks, is_form_independent
from compressor.png.header import PALETTE, ByteArray, PngHeader
from compressor.png.histogram import Histogram
from compressor.png.palette import best_palette, points_of, prepared
from compressor.png.policy import kept_chunks
from compressor.png.reader import pixel_buffers, to_pixels
from compressor.png.reduction import convert_header
from compressor.png.rgba16 import pixel, rgba
from compressor.settings import Metadata

CALL_PIXELS = 1 << 14  # that one call of the kernel replaces: a few milliseconds
# The share of errors that a pixel takes and diffuses, by its difference from its neighbors: none in flat areas, which
# stay flat, most in gradients, none at edges. Bytes at equal SSIMULACRA2 on nine graphics, relative to pngquant 3.0:
# -19.8 %; with 0.9 in flat areas, too, -19.0 %; with edges at 40, and shares for what is taken alone, -18.3 %.
SHARE, SMOOTH, EDGE = 0.9, 4, 24


class UnfitChunkError(Exception):
    """A chunk can't be carried over to a palette, or rules out another form of the image."""


def shares() -> NDArray[np.int32]:
    """Return the share of errors that are diffused by activity, (256,), in 1/FULL."""
    falling = np.clip((EDGE - np.arange(256)) / (EDGE - SMOOTH), 0, 1)
    falling[0] = 0
    return np.rint(SHARE * FULL * falling).astype(np.int32)


@dataclass(frozen=True, slots=True)
class PalettePlan:
    """A palette for an image.

    source  header of the scanlines that are quantized
    header  of the result: a palette, with 1, 2, 4 or 8 bits
    colors  (n, 4) uint8 RGBA
    """

    source: PngHeader
    header: PngHeader
    colors: ByteArray

    def rows(self, bands: Iterator[ByteArray]) -> Iterator[ByteArray]:
        """Yield the scanlines of the result, a few at a time; the array is reused.

        bands  scanlines of the source
        """
        width, lines = self.source.width, max(1, CALL_PIXELS // self.source.width)
        palette, takes = prepared(points_of(self.colors)), shares()
        errors = np.zeros((width, 4), np.int32)
        above: ByteArray | None = None
        buffers: tuple[ByteArray, ByteArray] | None = None
        out = scratch.empty((lines, width), np.uint8)
        for band in bands:
            buffers = pixel_buffers(self.source, len(band)) if buffers is None else buffers
            pixels = to_pixels(self.source, band, buffers)
            for first in range(0, len(pixels), lines):
                part = pixels[first : first + lines]
                before = part[0] if above is None else above
                status = diffuse(part, before, palette, len(self.colors), takes, errors, out)
                assert status == len(part), "the arrays were made for these pixels"
                above = part[-1].copy()
                yield packed(out[: len(part)], self.header.bit_depth)


def quantized_pixels(width: int) -> int:
    """Return the pixels that are quantized at a time: CALL_PIXELS, or a line."""
    return max(1, CALL_PIXELS // width) * width


def packed(indices: ByteArray, depth: int) -> ByteArray:
    """Return indices (n, width) as samples of 1, 2, 4 or 8 bits, leftmost in the high bits (clause 7.2)."""
    if depth == 8:
        return indices
    per_byte = 8 // depth
    n, width = indices.shape
    rows = np.zeros((n, -(-width // per_byte)), np.uint8)
    for place in range(per_byte):
        column = indices[:, place::per_byte]
        rows[:, : column.shape[1]] |= column << (8 - depth * (1 + place))
    return rows


def quantization(header: PngHeader, histogram: Histogram, count: int, metadata: Metadata) -> PalettePlan:
    """Return the palette of at most `count` colors for an image.

    header     of the source; complete, with the chunks after the image data
    histogram  of all its pixels
    metadata   policy for the chunks of the result

    Raise UnfitChunkError if a chunk that is kept can't be carried over.
    """
    source = replace(header, chunks=list(kept_chunks(header.chunks, metadata)))
    if not all(is_form_independent(chunk) for chunk in kept_chunks(header.trailing, metadata)):
        raise UnfitChunkError("a chunk after the image data depends on its form")
    if source.bit_depth == 16:
        source = in_8_bits(source)
    fixed = background_colors(source)
    if len(fixed) >= count:
        raise UnfitChunkError("bKGD needs one of the colors")
    colors = best_palette(histogram.cells(), count, fixed)
    depth = next(bits for bits in (1, 2, 4, 8) if len(colors) <= 1 << bits)
    entries = tuple(pixel(*(257 * int(sample) for sample in color)) for color in colors)
    form = Form(PALETTE, depth, entries)
    for chunk in source.chunks:
        if convert_chunks([chunk], source, form) is None:
            raise UnfitChunkError(f"{chunk.name} can't be carried over to a palette")
    return PalettePlan(header, convert_header(source, form, source.chunks), colors)


def in_8_bits(header: PngHeader) -> PngHeader:
    """Return the header of an image whose 16-bit samples are reduced to 8, with the chunks that state samples."""
    made = replace(header, bit_depth=8, chunks=[])
    for chunk in header.chunks:
        if chunk.type == b"sBIT":
            chunk = replace(chunk, data=bytes(min(8, bits) for bits in chunk.data))
        elif chunk.type == b"bKGD" and (color := background(chunk, header)) is not None:
            samples = [round(sample / 257) for sample in rgba(color)[:3]][: len(chunk.data) // 2]
            chunk = replace(chunk, data=b"".join(sample.to_bytes(2, "big") for sample in samples))
        made.chunks.append(chunk)
    return made


def background_colors(header: PngHeader) -> ByteArray:
    """Return the color of bKGD as an opaque one, (0 or 1, 4)."""
    found: Sequence[int | None] = [background(chunk, header) for chunk in header.chunks if chunk.type == b"bKGD"]
    return np.array(
        [[sample >> 8 for sample in rgba(color)] for color in found if color is not None], np.uint8
    ).reshape(-1, 4)
