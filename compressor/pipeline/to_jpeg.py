"""Routes to JPEG.

JpegToJpeg      bytes → coefficients → (requantized) → bytes
IncompleteJpeg  none: the source comes back
PixelsToJpeg    bands of pixels → coefficients → bytes
"""

from collections.abc import Callable, Iterator

from compressor.bytestream import ByteStream
from compressor.errors import FormatError, LimitError, UnsupportedError
from compressor.jpeg import adaptive_quantization, encoder, mpf, one_pass, perceptual, requantize, static_codes, writer
from compressor.jpeg import attachments as segments
from compressor.jpeg.encoder import without_padding
from compressor.jpeg.reader import read_header, read_rows
from compressor.jpeg.reduction import FurtherPictures
from compressor.jpeg.scan_search import Smallest
from compressor.jpeg.scans import read_scans
from compressor.metadata import removed_trailing_bytes
from compressor.pipeline import bounds
from compressor.pipeline.coefficients import Coefficients, Fingerprint
from compressor.pipeline.pixels import PixelSource, without_alpha
from compressor.pipeline.routes import Route
from compressor.pipeline.stages import Stages
from compressor.settings import Effort, Metadata, Path, Settings, Subsampling
from compressor.spool import Readable, Spool
from compressor.tiles import BandLifetime, band_lines


class JpegToJpeg(Route):
    """Coefficients stay coefficients; the quantization tables become coarser where the settings ask for it."""

    format = "jpeg"

    def __init__(self, source: Coefficients, settings: Settings, stages: Stages, spool: Callable[[], Spool]) -> None:
        header = source.header
        self._source, self._header, self._settings, self._stages = source, header, settings, stages
        self._fingerprint = Fingerprint()
        self._notices: list[str] = []
        self._body_bytes = self._end = 0  # of the image, without its head; where it ended in the source
        self._further: FurtherPictures | None = None  # where they are reduced as well
        frame = header.frame
        self.height = frame.height
        self._has_index = mpf.index_of(header.segments) is not None
        self._frame, self._tables = frame, {c.tq: header.quantization[c.tq] for c in frame.components}
        rows = stages.timed(source.rows, "decode")
        anew = None if settings.lossless else requantize.planned(header, settings.quality, settings.effort)
        self._exact = anew is None
        self.path = Path.LOSSLESS if self._exact else Path.COEFFICIENTS
        self._one_pass = settings.effort is Effort.FAST and not settings.lossless
        if anew is not None:
            self._frame, self._tables = anew.frame, dict(enumerate(anew.tables))
            rows = anew.rows(rows, settings.effort)
        else:
            # Where `Smallest` packs rows, that is enough for the fingerprint.
            rows = self._digested(rows) if self._one_pass else without_padding(rows, frame)
            if not settings.lossless:
                self._notices.append(f"the source is no finer than quality {settings.quality}: coefficients kept")
        self._output: one_pass.OnePassRows | Smallest
        if self._one_pass:
            distance = perceptual.distance_for(settings.quality, settings.effort)
            codes = static_codes.codes_for(distance, len(frame.components))
            self._output = one_pass.OnePassRows(self._frame, codes, rows)
        else:
            # A lossy result is compared with nothing, and its search need not be the longest.
            few = settings.effort is Effort.BALANCED and not settings.lossless
            self._output = (
                Smallest(frame, rows, spool, self._fingerprint.add_packed, coding=source.coding if few else ())
                if anew is None
                else Smallest(self._frame, without_padding(rows, self._frame), spool, few=few)
            )

    @property
    def notices(self) -> list[str]:
        return [*self._header.notices, *self._header.removed, *self._notices]

    @property
    def tolerated(self) -> list[str]:
        return self._header.notices

    def _digested(self, rows: Iterator[encoder.Row]) -> Iterator[encoder.Row]:
        for row in rows:
            self._fingerprint.add(row)
            yield row

    def prepare(self) -> None:
        with self._stages.stage("encode"):
            self._output.prepare()

    def head(self) -> bytes:
        kept = self._header.segments if self._further is None else self._further.head(self._header.segments)
        head = writer.head(self._frame, self._tables, self._output.codes, kept)
        index = mpf.index_of(kept)
        if index is None:
            return head
        at = 2 + sum(4 + len(segment.data) for segment in kept[: kept.index(index)]) + 4  # SOI, then segments
        size = len(head) + self._body_bytes
        if self._further is None:
            data = mpf.moved(index, size, (size - self._end) - (at - index.offset))
        else:
            data = self._further.index(size, at)
        return head[:at] + data + head[at + len(data) :]

    @property
    def needs_verdict(self) -> bool:
        return self._has_index or self._header.dnl

    def body(self) -> Iterator[bytes | memoryview]:
        for piece in self._image():
            self._body_bytes += len(piece)
            yield piece
        self._end = self._source.end()
        if self._settings.metadata is Metadata.KEEP:
            yield from self._source.rest  # thumbnails, videos, other pictures
            return
        behind = sum(map(len, self._source.rest))
        if self._has_index:
            index = mpf.index_of(self._header.segments)
            assert index is not None
            self._further = FurtherPictures(self._source.source, index, self._end, self._header.frame.blocks_per_row)
            behind -= self._further.source_size
            self._notices += self._further.notices
            yield from self._further.pieces()
        self._notices += removed_trailing_bytes(behind)

    def _image(self) -> Iterator[bytes | memoryview]:
        """All that comes after the head up to EOI."""
        yield from self._stages.timed(self._output.body(), "encode")
        for segment in self._header.trailing:
            yield writer.segment(segment.marker, segment.data)
        yield writer.END_OF_IMAGE

    def verify(self, result: Readable) -> bool:
        """Whether an exact result has the source's coefficients."""
        if not self._exact:
            return True
        found, stream = Fingerprint(), ByteStream(result.chunks())
        try:
            header = read_header(stream)
            rows = read_rows(stream, header) if header.streams else read_scans(result, header)
            for row in rows if self._one_pass else without_padding(rows, header.frame):
                found.add(row)
        except (FormatError, LimitError):
            return False
        return found.digest() == self._fingerprint.digest()


class IncompleteJpeg(Route):
    """A JPEG whose scans leave coefficients out. Decoders smooth the blocks of such a file (decompress_smooth_data in
    libjpeg's jdcoefct.c), and those of no other: the same coefficients in a complete file would look different."""

    format = "jpeg"
    path = Path.NONE

    def __init__(self, source: Coefficients) -> None:
        self._header, self.height = source.header, source.header.frame.height
        self.objection = f"its scans leave out {source.lacking}: decoders smooth it, and would not smooth a result"

    @property
    def notices(self) -> list[str]:
        return self._header.notices

    @property
    def tolerated(self) -> list[str]:
        return self._header.notices

    def body(self) -> Iterator[bytes | memoryview]:
        raise RuntimeError(self.objection)


def jpeg_to_jpeg(source: Coefficients, settings: Settings, stages: Stages, spool: Callable[[], Spool]) -> Route:
    """The route of a JPEG to JPEG."""
    return IncompleteJpeg(source) if source.lacking else JpegToJpeg(source, settings, stages, spool)


class PixelsToJpeg(Route):
    """Quantized for the eye; one sequential scan, coded as it comes, or what `Smallest` finds."""

    format = "jpeg"
    path = Path.PIXELS

    def __init__(self, pixels: PixelSource, settings: Settings, stages: Stages, spool: Callable[[], Spool]) -> None:
        if settings.lossless:
            raise UnsupportedError("lossless: pixels can't be kept in JPEG, ask for PNG")
        self._pixels, self._settings, self._stages = pixels, settings, stages
        self._notices: list[str] = []
        self.height = pixels.height
        color = pixels.channels >= 3
        asked = settings.subsampling
        subsampling = "420" if asked is Subsampling.AUTO else asked.value
        self._frame = writer.frame_for(pixels.width, pixels.height, 3 if color else 1, subsampling)
        count = len(self._frame.components)
        distance = perceptual.distance_for(settings.quality, settings.effort)
        self._tables = dict(enumerate(perceptual.quantization_tables(distance, count)))
        lines = band_lines(pixels.width, 8 * self._frame.v_max)
        band_bytes = pixels.band_bytes(lines)
        come = (
            pixels.come if pixels.channels in (1, 3) or pixels.come is not BandLifetime.LASTING else BandLifetime.REUSED
        )
        self.memory_bytes = bounds.pixels_to_jpeg(self._frame, pixels.channels, lines, band_bytes, come, settings)
        bands = stages.timed(without_alpha(pixels, settings.background, lines), "decode")
        made = list(self._tables.values())
        self._output: one_pass.OnePassPixels | Smallest
        if settings.effort is Effort.FAST:
            transform = encoder.Transform(self._frame, made, perceptual.dead_zones(distance, count))
            codes = static_codes.codes_for(distance, count)
            self._output = one_pass.OnePassPixels(
                self._frame, transform, codes, bands, come, lambda seconds: stages.add("encode", seconds)
            )
        else:
            shaper = adaptive_quantization.Shaper(self._frame, made, distance, settings.effort, color)
            overshoot = made[0] if settings.effort is Effort.BEST else None
            rows = without_padding(
                shaper.rows(adaptive_quantization.PixelSpectra(self._frame, bands, overshoot)), self._frame
            )
            self._output = Smallest(self._frame, rows, spool, few=settings.effort is Effort.BALANCED)

    @property
    def notices(self) -> list[str]:
        return [*self._pixels.notices, *self._notices]

    def prepare(self) -> None:
        with self._stages.stage("encode"):
            self._output.prepare()

    def head(self) -> bytes:
        attachments = self._pixels.attachments.reduced(self._settings.metadata).matching(grey=self._pixels.channels < 3)
        made, self._notices = segments.segments_for(attachments)
        return writer.head(self._frame, self._tables, self._output.codes, made)

    def body(self) -> Iterator[bytes | memoryview]:
        yield from self._stages.timed(self._output.body(), "encode")
        yield writer.END_OF_IMAGE
