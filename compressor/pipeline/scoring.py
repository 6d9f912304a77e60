"""The score of a result: the SSIMULACRA2 of what a decoder shows of it against what one shows of the source.

Both are read again from spools, in bands and in lockstep.
"""

import io
from collections.abc import Callable, Iterator
from typing import BinaryIO

import numpy as np

from compressor import png, raster
from compressor.bytestream import ByteStream
from compressor.errors import UnsupportedError
from compressor.jpeg.frame import Header, Slab
from compressor.jpeg.pixels import COLORS, kind_of
from compressor.jpeg.pixels import bands as jpeg_bands
from compressor.jpeg.reader import read_header, read_slabs
from compressor.jpeg.scans import Scans
from compressor.jpeg.zero_steps import without_zero_steps
from compressor.pipeline import bounds
from compressor.pipeline.pixels import PixelSource, PngPixels, flattened, grey
from compressor.pipeline.stages import Stages
from compressor.settings import Metadata
from compressor.sniff import PREFIX, sniff
from compressor.spool import Readable, Spool
from compressor.ssimulacra2 import Ssimulacra2
from compressor.ssimulacra2 import memory_bytes as scorer_bytes
from compressor.tiles import Band, band_lines

PERFECT = 100.0  # the score of the source's own samples
# Intensities of sRGB onto which pictures with alpha are composited, 0.1 and 0.9 (libjxl, tools/ssimulacra2_main.cc).
BACKGROUNDS = ((26, 26, 26), (230, 230, 230))


class Shown:
    """A picture as a decoder shows it: bands of 8-bit samples, which may be read several times.

    channels  1 grey, 2 grey and alpha, 3 RGB, 4 RGBA
    bands     return an iterator over bands (n, width * channels), n a multiple of the lines asked for but for the last
    """

    def __init__(self, width: int, height: int, channels: int, bands: Callable[[int], Iterator[Band]]) -> None:
        self.width, self.height, self.channels, self.bands = width, height, channels, bands


def shown_pixels(pixels: PixelSource) -> Shown:
    """Return what is shown of pixels that may be read several times."""
    return Shown(pixels.width, pixels.height, pixels.channels, pixels.bands)


def shown_file(file: Readable, spool: Callable[[], Spool]) -> Shown:
    """Return what is shown of a complete file, any that can be decoded.

    Raise UnsupportedError for a JPEG whose height a DNL segment gives, or that no decoder shows.
    """
    stream = ByteStream(file.chunks())
    kind = sniff(stream.peek(PREFIX))
    if kind == "png":
        # Metadata take memory and show nothing.
        header = png.read_header(stream, Metadata.STRIP)
        pixels = PngPixels(stream, header, spool)
        return Shown(pixels.width, pixels.height, pixels.channels, pixels.bands)
    if kind == "jpeg":
        found = read_header(stream, Metadata.STRIP)
        if found.dnl:
            raise UnsupportedError("JPEG with a height given by DNL can't be scored")
        if found.color in COLORS and (slabs := _slabs(stream, found, file)) is not None:
            for index in range(len(found.frame.components)):
                kind_of(found.frame, index)
            frame, channels = found.frame, COLORS[found.color]
            return Shown(frame.width, frame.height, channels, lambda lines: jpeg_bands(found, slabs, lines))
    opened = raster.open(_file_of(file), kind)
    return Shown(opened.width, opened.height, opened.channels, opened.bands)


def _slabs(stream: ByteStream, header: Header, file: Readable) -> Iterator[Slab] | None:
    """Return the slabs of a JPEG; None if its scans leave out coefficients, which libjpeg interpolates."""
    if header.streams:
        return without_zero_steps(read_slabs(stream, header), header)
    scans = Scans(file, header)
    return None if scans.lacking else without_zero_steps(scans.slabs(), header)


def _file_of(file: Readable) -> BinaryIO:
    """Return a seekable file for Pillow, which holds the whole image anyway."""
    return file.file() if isinstance(file, Spool) else io.BytesIO(b"".join(file.chunks()))


def in_lockstep(one: Iterator[Band], other: Iterator[Band]) -> Iterator[tuple[Band, Band]]:
    """Yield the next lines of both pictures, as many as both have in their bands; nothing is copied."""
    a = b = np.empty((0, 0), np.uint8)
    while True:
        a = next(one, a) if not len(a) else a
        b = next(other, b) if not len(b) else b
        count = min(len(a), len(b))
        if not count:
            return
        yield a[:count], b[:count]
        a, b = a[count:], b[count:]


def score(source: Shown, result: Shown, background: tuple[int, int, int] | None, stages: Stages) -> float:
    """Return the score of a result, at most 100.

    background  onto which alpha was composited if the result has none

    If the result has alpha, or lost one that was opaque, it is the lower one of the scores over two backgrounds. Raise
    RuntimeError if the sizes differ, which is a defect of the encoder.
    """
    if (source.width, source.height) != (result.width, result.height):
        sizes = f"{source.width} x {source.height}, {result.width} x {result.height}"
        raise RuntimeError(f"the result does not have the size of the source: {sizes}")
    width, lines = source.width, scored_lines(source.width)
    colors = 3 if max(source.channels, result.channels) >= 3 else 1
    backgrounds: tuple[tuple[int, int, int], ...]
    if has_alpha(result.channels) or (has_alpha(source.channels) and background is None):
        backgrounds = BACKGROUNDS
    elif has_alpha(source.channels) and background is not None:
        backgrounds = (background,)
    else:
        backgrounds = ((0, 0, 0),)
    scorers = [Ssimulacra2(width, source.height, colors) for _ in backgrounds]
    pairs = in_lockstep(_lines(source, lines), _lines(result, lines))
    for one, other in stages.timed(pairs, "score"):
        for scorer, color in zip(scorers, backgrounds, strict=True):
            scorer.add(
                _opaque(one, source.channels, width, color, colors),
                _opaque(other, result.channels, width, color, colors),
            )
    return min(scorer.score() for scorer in scorers)


def scored_lines(width: int) -> int:
    """Return the lines that are decoded at a time."""
    return band_lines(width, 16)


def has_alpha(channels: int) -> bool:
    """Return whether so many channels include alpha."""
    return channels in (2, 4)


def _lines(picture: Shown, lines: int) -> Iterator[Band]:
    return (band.reshape(len(band), -1) for band in picture.bands(lines))


def _opaque(band: Band, channels: int, width: int, color: tuple[int, int, int], colors: int) -> Band:
    """Return a band (n, width, colors): alpha composited onto a color, grey repeated where RGB is asked for."""
    if has_alpha(channels):
        onto = np.array(color if channels == 4 else [grey(color)], np.uint8)
        band = next(flattened(lambda lines: iter([band]), onto, width, len(band)))
    found = band.reshape(len(band), width, -1)
    return found if found.shape[2] == colors else np.ascontiguousarray(np.broadcast_to(found, (*found.shape[:2], 3)))


def memory_bytes(width: int, channels: int, result_has_alpha: bool, source_bytes: int, result_bytes: int) -> int:
    """Return the peak memory of scoring above idle: both pictures in bands, bands that are converted, and the scorers.

    channels                    of the source
    source_bytes, result_bytes  of decoding both in bands of `scored_lines`
    """
    colors, scorers = (3 if channels >= 3 else 1), (2 if result_has_alpha else 1)
    converted = 3 * scored_lines(width) * width * colors if has_alpha(channels) else 0
    return bounds.BASE_BYTES + source_bytes + result_bytes + converted + scorers * scorer_bytes(width, colors)
