"""Sources of pixels: bands of grey or RGB, with or without alpha, from any kind of input."""

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

import numpy as np

from compressor import png, raster, tiles
from compressor.bytestream import ByteStream
from compressor.errors import SettingsError
from compressor.humanize import human_format
from compressor.jpeg import mpf
from compressor.jpeg.attachments import attachments_of
from compressor.jpeg.frame import Header
from compressor.jpeg.pixels import COLORS, kind_of
from compressor.jpeg.pixels import bands as jpeg_bands
from compressor.jpeg.policy import PICTURES_REMOVED
from compressor.kernels.color import flatten
from compressor.metadata import Attachments, attachments_of_raw, removed_trailing_bytes
from compressor.pipeline import bounds
from compressor.pipeline.coefficients import Coefficients
from compressor.settings import Raw, Tile
from compressor.spool import Spool
from compressor.tiles import Band, BandLifetime


class PixelSource(Protocol):
    """Pixels in bands. Attachments and notices are complete after the last band.

    channels   1 grey, 2 grey and alpha, 3 RGB, 4 RGBA
    lifetime   how long a band stays valid
    loss       the property of the source's samples that bands do not keep ("more than 8 bits per sample"), or ""
    bit_depth  of the samples in bands: 8, or 16 for PNG, big-endian
    """

    width: int
    height: int
    channels: int
    lifetime: BandLifetime
    loss: str
    bit_depth: int

    def bands(self, lines: int) -> Iterator[Band]:
        """Yield bands of (n, width, channels) uint8, or the same bytes in another shape.

        n is a multiple of `lines`, except in the last band.
        """
        ...

    def band_bytes(self, lines: int) -> int:
        """Return the bytes of memory that bands of so many lines take."""
        ...

    @property
    def attachments(self) -> Attachments: ...

    @property
    def notices(self) -> Sequence[str]: ...


class PngPixels:
    """A PNG as it streams in. An interlaced one is spooled first."""

    lifetime = BandLifetime.SLOW_SOURCE
    bit_depth = 8

    def __init__(self, stream: ByteStream, header: png.PngHeader, spool: Callable[[], Spool]) -> None:
        self._stream, self._header, self._spool = stream, header, spool
        self.width, self.height, self.channels = header.width, header.height, header.channels
        self.loss = "more than 8 bits per sample" if header.bit_depth == 16 else ""
        self._end: int | None = None
        self._attached = 0  # how many chunks after the image data the attachments include

    def bands(self, lines: int) -> Iterator[Band]:
        buffers = png.pixel_buffers(self._header, lines)
        for rows in png.scanlines(self._stream, self._header, lines, self._spool):
            yield png.to_pixels(self._header, rows, buffers)
        self._end = self._stream.offset

    def band_bytes(self, lines: int) -> int:
        return bounds.png_bands(self._header, lines, pixels=True)

    @property
    def attachments(self) -> Attachments:
        self._attached = len(self._header.trailing)
        return png.read_metadata(self._header, self._stream.charge)

    @property
    def notices(self) -> Sequence[str]:
        deep = ["16-bit samples reduced to 8"] if self._header.bit_depth == 16 else []
        rest = removed_trailing_bytes(0 if self._end is None else self._stream.size - self._end)
        late = png.late_metadata(self._header, self._attached)
        return [*self._header.notices, *deep, *late, *png.removed_credentials(self._header.credentials), *rest]


class JpegPixels:
    """A JPEG, decoded from its coefficients. If the file holds several pictures, the first one.

    read      begin to read the coefficients
    size      return the size of the source, once all of it has been read
    smoothed  the image as libjpeg decodes it; to be set if scans leave out coefficients, which libjpeg interpolates
    """

    smoothed: "raster.Raster | None" = None
    lifetime = BandLifetime.SLOW_SOURCE
    loss = ""
    bit_depth = 8

    def __init__(self, header: Header, read: Callable[[], Coefficients], size: Callable[[], int]) -> None:
        self._header, self._size = header, size
        self._read = read
        self._ended: int | None = None
        self.width, self.height = header.frame.width, header.frame.height
        self.channels = COLORS[header.color]
        for index in range(len(header.frame.components)):
            kind_of(header.frame, index)  # raises where a component can't be upsampled

    @functools.cached_property
    def coefficients(self) -> Coefficients:
        """Begin to read coefficients when they are first requested."""
        return self._read()

    def bands(self, lines: int) -> Iterator[Band]:
        if self.smoothed is None:
            yield from jpeg_bands(self._header, self.coefficients.slabs, lines)
        else:
            yield from self.smoothed.bands(lines)
        self._ended = self.coefficients.end()

    def band_bytes(self, lines: int) -> int:
        if self.smoothed is not None:
            return self.smoothed.reserved_bytes
        return bounds.jpeg_bands(self._header, lines)

    @property
    def attachments(self) -> Attachments:
        return attachments_of(self._header.segments)

    @property
    def notices(self) -> Sequence[str]:
        header, notices = self._header, [*self._header.notices, *self._header.removed]
        if self.smoothed is not None:
            notices.append(f"the scans leave out {self.coefficients.lacking}: smoothed as libjpeg does")
        if mpf.index_of(header.segments) is not None:
            notices.append(PICTURES_REMOVED)
        if header.trailing:
            notices.append(f"{len(header.trailing)} metadata segments after the first scan were dropped")
        if self._ended is not None and self._size() > self._ended:
            notices += removed_trailing_bytes(self._size() - self._ended)
        return notices


class RawPixels:
    """Tiles as they stream in, and the metadata that came before them.

    samples  a spool that receives all lines, so that bands can be requested again; None to request them once
    """

    lifetime = BandLifetime.REUSED
    loss = ""
    bit_depth = 8
    notices: Sequence[str] = ()

    def __init__(self, raw: Raw, arriving: Iterable[Tile], samples: Spool | None = None) -> None:
        self._raw, self._arriving, self._samples = raw, arriving, samples
        self.attachments = attachments_of_raw(raw)
        self.width, self.height, self.channels = raw.width, raw.height, raw.channels

    def bands(self, lines: int) -> Iterator[Band]:
        rows = tiles.tile_rows(self._raw, self._arriving)
        if self._samples is None:
            return tiles.rebanded(rows, lines)
        if self._samples.size == self.width * self.height * self.channels:
            return self._spooled(self._samples, lines)
        return tiles.rebanded(self._spooling(self._samples, rows), lines)

    def _spooling(self, samples: Spool, rows: Iterator[Band]) -> Iterator[Band]:
        for row in rows:
            samples.write(row.reshape(-1).data)
            yield row

    def _spooled(self, samples: Spool, lines: int) -> Iterator[Band]:
        row_bytes = self.width * self.channels
        for top in range(0, self.height, lines):
            data = samples.read(top * row_bytes, min(lines, self.height - top) * row_bytes)
            yield np.frombuffer(data, np.uint8).reshape(-1, row_bytes)

    def band_bytes(self, lines: int) -> int:
        return bounds.raw_bands(self._raw, lines)

    def spooled_band_bytes(self, lines: int) -> int:
        """Return the bytes of memory that a band of spooled lines takes, joined from two parts at most."""
        return 2 * lines * self.width * self.channels


class ArrayPixels:
    """An array (height, width, channels) uint8, C order, that the caller holds: its bands are views.

    raw            its metadata
    notices, loss  on the conversion of the picture that the array was made from; see `raster.Picture`
    """

    lifetime = BandLifetime.STABLE
    bit_depth = 8

    def __init__(self, array: Band, raw: Raw, notices: Sequence[str] = (), loss: str = "") -> None:
        self._array = array
        self.attachments = attachments_of_raw(raw)
        self.notices, self.loss = notices, loss
        self.height, self.width, self.channels = array.shape
        self.size = array.size

    def bands(self, lines: int) -> Iterator[Band]:
        lines *= 16  # nothing is copied, so fewer calls cost nothing
        for top in range(0, self.height, lines):
            yield self._array[top : top + lines]

    def band_bytes(self, lines: int) -> int:
        return 0

    def spooled_band_bytes(self, lines: int) -> int:
        """Return 0: nothing is spooled."""
        return 0


class RasterPixels:
    """A file of any other format, all of whose pixels Pillow holds.

    uncarried  names of metadata that attachments have no field for
    deep       yield grey with more than 8 bits per sample in 16 bits
    """

    lifetime = BandLifetime.REUSED

    def __init__(self, opened: "raster.Raster", uncarried: Sequence[str] = (), *, deep: bool = False) -> None:
        if deep:
            opened.keep_depth()
        self._raster = opened
        self.loss, self.bit_depth = opened.loss, opened.bit_depth
        lost = [f"not carried over from {human_format(opened.format)}: {', '.join(uncarried)}"] if uncarried else []
        self.attachments = opened.metadata.with_notices(*lost)
        self.width, self.height, self.channels = opened.width, opened.height, opened.channels

    def bands(self, lines: int) -> Iterator[Band]:
        return self._raster.bands(lines)

    def band_bytes(self, lines: int) -> int:
        return self._raster.reserved_bytes

    @property
    def notices(self) -> Sequence[str]:
        return self._raster.notices


def without_alpha(pixels: PixelSource, background: tuple[int, int, int] | None, lines: int) -> Iterator[Band]:
    """Return bands of (n, width * 1 or 3) uint8, with alpha composited onto the background.

    Raise SettingsError for alpha without a background.
    """
    if pixels.channels in (1, 3):
        return (band.reshape(len(band), -1) for band in pixels.bands(lines))
    if background is None:
        raise SettingsError("background", "the image has alpha and JPEG has none: set a background color")
    color = np.array(background if pixels.channels == 4 else [grey(background)], np.uint8)
    return flattened(pixels.bands, color, pixels.width, lines)


def flattened(bands: Callable[[int], Iterator[Band]], background: np.ndarray, width: int, lines: int) -> Iterator[Band]:
    """Yield bands composited onto a background, (1,) or (3,) uint8: grey or RGB."""
    channels = len(background)
    out = np.empty((0, width * channels), np.uint8)
    for band in bands(lines):
        if len(band) > len(out):
            out = np.empty((len(band), width * channels), np.uint8)
        flatten(band.reshape(len(band), width, channels + 1), background, out[: len(band)])
        yield out[: len(band)]


def grey(color: tuple[int, int, int]) -> int:
    """Return the luma of a color (JFIF 1.02)."""
    red, green, blue = color
    return round(0.299 * red + 0.587 * green + 0.114 * blue)
