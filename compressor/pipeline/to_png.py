"""Routes to PNG.

PngToPng     scanlines → the smallest color type and bit depth → filtered → bytes
PixelsToPng  bands of pixels → bytes, or → a PNG in a spool → the smallest color type and bit depth → bytes

With `png_colors` both may instead reduce the pixels to a palette: see `palettes`.
"""

import math
from collections.abc import Iterator

from compressor import png
from compressor.bytestream import ByteStream
from compressor.metadata import removed_trailing_bytes
from compressor.pipeline import bounds
from compressor.pipeline.palettes import PaletteResult, reduction_bytes
from compressor.pipeline.pixels import PixelSource, RasterPixels
from compressor.pipeline.routes import Plan, Route, RouteContext
from compressor.settings import Effort, Metadata, Path
from compressor.spool import Readable, Spool
from compressor.tiles import band_lines


class ToPng(Route):
    """The base of the routes to PNG. The result has the color type and bit depth of `header`, or those that a first
    pass has chosen.

    header  of the scanlines that are written in one pass, or surveyed in the first of two
    lines   scanlines that are read at a time
    """

    format = "png"

    def __init__(self, header: png.PngHeader, context: RouteContext, lines: int) -> None:
        self._header, self._lines, self._context = header, lines, context
        self._settings, self._stages, self._spool = context.settings, context.stages, context.spool
        self._checksum = png.checksum(header)
        self._reduction: png.ReductionPlan | None = None
        colors = self._settings.png_colors
        self._histogram = None if colors is None else png.Histogram(header.width, header.height)
        self._made: Spool | None = None  # the result, if it was made to be compared with another one
        self._palette_notices: list[str] = []

    def _checked(self, rows: Iterator[png.ByteArray]) -> Iterator[png.ByteArray]:
        for band in rows:
            self._checksum.update(band.data)
            yield band

    def _scanlines(self, stream: ByteStream, header: png.PngHeader) -> Iterator[png.ByteArray]:
        return self._stages.timed(png.scanlines(stream, header, self._lines, self._spool), "decode")

    def _reduced(self, reduction: png.ReductionPlan, source: ByteStream, metadata: Metadata) -> Iterator[bytes]:
        """Return the pieces of the result of the second pass.

        source  a PNG with the scanlines that the first pass has surveyed
        """
        rows = reduction.rows(self._scanlines(source, png.read_header(source, metadata)))
        effort = self._settings.effort
        return png.write(reduction.header, rows, effort=effort, metadata=metadata, choice=reduction.choice)

    def _lossless(self) -> Iterator[bytes | memoryview]:
        """Yield the lossless result of the second pass."""
        raise NotImplementedError

    def _rest(self, stream: ByteStream) -> Iterator[bytes]:
        """Yield what follows the image in a source that has been read."""
        yield from ()

    def _surveyed(self, rows: Iterator[png.ByteArray], survey: png.Survey) -> Iterator[png.ByteArray]:
        """Yield the scanlines of the first pass."""
        buffers: tuple[png.ByteArray, png.ByteArray] | None = None
        for band in rows:
            with self._stages.stage("encode"):
                survey.add(band)
                if self._histogram is not None:
                    buffers = buffers or png.pixel_buffers(self._header, len(band))
                    self._histogram.add(png.to_pixels(self._header, band, buffers))
            yield band

    def _plan(self, survey: png.Survey, kept: Spool, metadata: Metadata) -> None:
        """Choose the form of the result after the first pass, and make it if it has fewer colors.

        kept      a PNG with the pixels of the source
        metadata  policy for the chunks of the result
        """
        self._checksum, count = survey.checksum, self._settings.png_colors
        if count is not None and survey.colors > count:
            self._reduce_colors(count, survey, kept, metadata)
        if not self.quantized and self._reduction is None:
            with self._stages.stage("encode"):
                self._reduction = survey.plan(metadata)

    def _reduce_colors(self, count: int, survey: png.Survey, kept: Spool, metadata: Metadata) -> None:
        """Make the result with a palette of at most `count` colors, unless it has too low a score or is no smaller."""
        histogram, self._histogram = self._histogram, None
        assert histogram is not None
        try:
            with self._stages.stage("encode"):
                plan = png.quantization(self._header, histogram, count, metadata)
        except png.UnfitChunkError as error:
            self._palette_notices.append(f"png_colors has no effect: {error}")
            return
        del histogram
        found = PaletteResult(kept, plan, self._context, metadata, self._lines)
        with self._stages.stage("encode"):
            score = found.score()
            self.encodings += 1
            if score < found.score_min:
                missed = f"have a score of {math.floor(score)}, less than {found.score_min:g}"
                self._palette_notices.append(f"{count} colors {missed}: the result is lossless")
                found.close()
                return
            made = self._spool()
            for piece in found.pieces():
                made.write(piece)
            found.close()
            for piece in self._rest(found.stream):
                made.write(piece)
            self._reduction = survey.plan_within(metadata, made.size)
        if self._reduction is not None and (lossless := self._lossless_within(made.size)) is not None:
            self._made = lossless
            self._palette_notices.append(f"{count} colors take no fewer bytes: the result is lossless")
            made.close()
            return
        deep = ["16-bit samples reduced to 8"] if self._header.bit_depth == 16 else []
        self._palette_notices += [f"reduced to at most {count} colors", *deep]
        self._made, self._checksum = made, found.checksum
        self.quantized, self.score, self.path = True, score, Path.PIXELS
        self.encodings -= 1  # the lossless one was not completed

    def _lossless_within(self, limit: int) -> Spool | None:
        """Return the lossless result if it has at most `limit` bytes; it is made as far as it has to be."""
        result = self._spool()
        for piece in self._lossless():
            result.write(piece)
            if result.size > limit:
                result.close()
                return None
        return result

    def verify(self, result: Readable) -> bool:
        """Return whether the result has the source's scanlines or, if it was reduced, the same pixels.

        With fewer colors it must have the pixels that were chosen.
        """
        is_same_form = self._reduction is None and not self.quantized
        read = png.read_checksum if is_same_form else png.read_pixel_checksum
        return read(ByteStream(result.chunks()), self._lines) == self._checksum.digest()


class PngToPng(ToPng):
    """Scanlines that are filtered and deflated again. Interlacing is removed: it costs bytes and changes no sample.

    original  the source's bytes, complete once `stream` has been read to its end, for a second pass: the first one
              finds the smallest color type and bit depth. None for one pass, which keeps those of the source
    """

    path = Path.LOSSLESS

    def __init__(
        self, stream: ByteStream, header: png.PngHeader, context: RouteContext, lines: int, original: Spool | None
    ) -> None:
        super().__init__(header, context, lines)
        self._stream, self._original = stream, original
        self.height = header.height
        self._rest_notices: list[str] = []  # of what followed the image

    @property
    def notices(self) -> list[str]:
        interlaced = ["the source is interlaced, a rewritten PNG is not"] if self._header.interlaced else []
        changed = [self._reduction.notice] if self._reduction is not None and self._reduction.notice else []
        changed = [] if self.quantized else changed
        removed = png.removed_colors(self._header.chunks, self._settings.metadata)
        credentials = png.removed_credentials(self._header.credentials)
        first = [*self._header.notices, *interlaced, *self._palette_notices, *changed]
        return [*first, *credentials, *removed, *self._rest_notices]

    @property
    def source_notices(self) -> list[str]:
        return [*self._header.notices, *([] if self.quantized else self._palette_notices)]

    def prepare(self) -> None:
        """Make the first pass, if there are two."""
        if self._original is None:
            return
        survey = png.Survey(self._header, self._settings.effort)
        for _ in self._surveyed(self._scanlines(self._stream, self._header), survey):
            pass
        for _ in self._stream.drain():  # the spool is read only when it is complete
            pass
        self._plan(survey, self._original, self._settings.metadata)

    def body(self) -> Iterator[bytes | memoryview]:
        yield from self._lossless() if self._made is None else self._made.chunks()

    def _lossless(self) -> Iterator[bytes | memoryview]:
        effort, metadata = self._settings.effort, self._settings.metadata
        stream = self._stream
        if self._reduction is None:
            rows = self._checked(self._scanlines(stream, self._header))
            made = png.write(self._header, rows, effort=effort, metadata=metadata)
        else:
            assert self._original is not None
            stream = ByteStream(self._original.chunks())
            made = self._reduced(self._reduction, stream, metadata)
        yield from self._stages.timed(made, "encode")
        yield from self._rest(stream)

    def _rest(self, stream: ByteStream) -> Iterator[bytes]:
        """Yield what follows IEND, if it is kept."""
        if self._settings.metadata is Metadata.KEEP:
            yield from stream.drain()
        else:
            self._rest_notices = removed_trailing_bytes(sum(map(len, stream.drain())))


def plan_png_to_png(stream: ByteStream, header: png.PngHeader, context: RouteContext, original: Spool | None) -> Plan:
    """Return the plan of PNG to PNG.

    stream    positioned after `header`
    original  the spool that `stream` copies to, if it is kept; None allows one pass only
    """
    effort = context.settings.effort
    colors = context.settings.png_colors
    kept = None if effort is Effort.FAST and colors is None else original
    lines = header.slab_lines if kept is not None or effort is Effort.FAST else trial_lines(header)
    memory_bytes = bounds.png_to_png(header, lines, effort, kept is not None)
    if colors is not None:
        added, scoring_bytes = reduction_bytes(header, lines, effort)
        memory_bytes = max(memory_bytes + added, scoring_bytes)
    return Plan(memory_bytes, lambda: PngToPng(stream, header, context, lines, kept))


class PixelsToPng(ToPng):
    """A new PNG with the bit depth of the bands, or with the smallest color type and bit depth that keep the pixels.

    compact  a spool for two passes: the first writes the pixels to it as a quickly compressed PNG while it surveys
             them, so that samples are never held uncompressed; the second writes the result. None for one pass
    """

    path = Path.PIXELS

    def __init__(
        self, pixels: PixelSource, header: png.PngHeader, context: RouteContext, lines: int, compact: Spool | None
    ) -> None:
        super().__init__(header, context, lines)
        self._pixels, self._compact = pixels, compact
        self.height = pixels.height
        self._notices: list[str] = []

    @property
    def is_exact(self) -> bool:
        return not self.quantized

    @property
    def notices(self) -> list[str]:
        return [*self._pixels.notices, *self._notices, *self._palette_notices]

    def _bands(self) -> Iterator[png.ByteArray]:
        for band in self._stages.timed(self._pixels.bands(self._lines), "decode"):
            yield band.reshape(len(band), -1)

    def _add_attachments(self) -> None:
        """Add the source's metadata to the header."""
        grey = self._pixels.channels < 3
        attachments = self._pixels.attachments.reduced(self._settings.metadata).matching(grey=grey)
        chunks, lost = png.metadata_chunks(attachments, grey=grey)
        self._notices += [*attachments.notices, *lost]
        self._header.chunks += chunks

    def prepare(self) -> None:
        """Make the first pass, if there are two."""
        if self._compact is None:
            return
        survey = png.Survey(self._header, self._settings.effort)
        written = png.write(self._header, self._surveyed(self._bands(), survey), effort=Effort.FAST)
        for piece in self._stages.timed(written, "encode"):
            self._compact.write(piece)
        self._add_attachments()  # the compact PNG needs none
        self._plan(survey, self._compact, Metadata.KEEP)  # attachments are reduced already

    def body(self) -> Iterator[bytes | memoryview]:
        yield from self._lossless() if self._made is None else self._made.chunks()
        if self._compact is not None:
            self._compact.close()

    def _lossless(self) -> Iterator[bytes | memoryview]:
        if self._reduction is None:
            self._add_attachments()
            made = png.write(self._header, self._checked(self._bands()), effort=self._settings.effort)
        else:
            assert self._compact is not None
            made = self._reduced(self._reduction, ByteStream(self._compact.chunks()), Metadata.KEEP)
        yield from self._stages.timed(made, "encode")

    def verify(self, result: Readable) -> bool:
        """Return whether the result has the same pixels, if it has to be lossless or was made in two passes."""
        if self._reduction is None and not self.quantized and not self._settings.lossless:
            return True
        return super().verify(result)


def plan_pixels_to_png(pixels: PixelSource, context: RouteContext, *, two_passes: bool) -> Plan:
    """Return the plan of pixels to PNG.

    two_passes  whether two are allowed, since no byte has to leave before the pixels end; `fast` always makes one
    """
    effort = context.settings.effort
    colors = context.settings.png_colors
    surveyed = two_passes and (effort is not Effort.FAST or colors is not None)
    header = png.new_header(pixels.width, pixels.height, pixels.channels, pixels.bit_depth)
    from_file = isinstance(pixels, RasterPixels)  # Pillow makes several copies of a band
    lines = header.slab_lines if (surveyed or effort is Effort.FAST) and not from_file else trial_lines(header)
    band_bytes = pixels.band_bytes(lines)
    lasting_bytes = band_bytes if from_file else 0  # Pillow's image is held after the last band
    memory_bytes = bounds.pixels_to_png(header, lines, band_bytes, lasting_bytes, effort, surveyed=surveyed)
    if colors is not None:
        added, scoring_bytes = reduction_bytes(header, lines, effort)
        memory_bytes = max(memory_bytes + added, lasting_bytes + scoring_bytes)

    def start() -> Route:
        own_header = png.new_header(pixels.width, pixels.height, pixels.channels, pixels.bit_depth)  # receives metadata
        return PixelsToPng(pixels, own_header, context, lines, context.spool() if surveyed else None)

    return Plan(memory_bytes, start)


def trial_lines(header: png.PngHeader) -> int:
    """Return the scanlines of a band of which every choice of filters is tried before the first byte leaves."""
    return band_lines(header.row_bytes, 1)
