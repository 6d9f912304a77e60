"""Routes to JPEG.

JpegToJpeg      bytes → coefficients → (requantized) → bytes
IncompleteJpeg  no result: the source is returned
PixelsToJpeg    bands of pixels → coefficients → bytes
"""

import functools
from collections.abc import Callable, Iterator, Mapping

from compressor.bytestream import ByteStream
from compressor.errors import FormatError, LimitError, UnsupportedError
from compressor.jpeg import adaptive_quantization, encoder, mpf, one_pass, perceptual, requantize, static_codes, writer
from compressor.jpeg import attachments as segments
from compressor.jpeg.encoder import clear_dummy_blocks
from compressor.jpeg.frame import Frame, Header, Slab
from compressor.jpeg.reader import read_header, read_slabs
from compressor.jpeg.reduction import AdditionalPictures
from compressor.jpeg.scan_search import ScanSearch
from compressor.jpeg.scans import read_scans
from compressor.jpeg.tables import Table
from compressor.metadata import removed_trailing_bytes
from compressor.pipeline import bounds
from compressor.pipeline.coefficients import Coefficients, Fingerprint
from compressor.pipeline.full_chroma import falls_back_to_444
from compressor.pipeline.pixels import PixelSource, without_alpha
from compressor.pipeline.routes import Plan, Route, RouteContext
from compressor.settings import Effort, Metadata, Path, Settings, Subsampling
from compressor.spool import Readable
from compressor.t81 import DIMENSION_MAX
from compressor.tiles import BandLifetime, band_lines


class JpegToJpeg(Route):
    """Coefficients stay coefficients; their quantization tables become coarser if the settings ask for it.

    frame, tables  of the result
    fingerprint    of the slabs that `output` has encoded, if they have to be the source's; None if not
    """

    format = "jpeg"

    def __init__(
        self,
        source: Coefficients,
        context: RouteContext,
        frame: Frame,
        tables: Mapping[int, Table],
        output: one_pass.OnePassSlabs | ScanSearch,
        fingerprint: Fingerprint | None = None,
    ) -> None:
        self._source, self._header = source, source.header
        self._settings, self._stages = context.settings, context.stages
        self._wanted = wanted(context)
        self._frame, self._tables, self._output = frame, tables, output
        self._fingerprint = fingerprint
        self._notices: list[str] = []
        self._body_bytes = 0  # from the first scan to EOI
        self._end = 0  # offset in the source at which its image ended
        self._further: AdditionalPictures | None = None  # if they are reduced as well
        self._has_index = mpf.index_of(self._header.segments) is not None
        self.height = self._header.frame.height
        self.path = Path.COEFFICIENTS if fingerprint is None else Path.LOSSLESS

    @property
    def notices(self) -> list[str]:
        kept = self._fingerprint is not None and not self._settings.lossless
        finer = [f"the source is no finer than {self._wanted}: coefficients kept"] if kept and self._wanted else []
        return [*self._header.notices, *self._header.removed, *finer, *self._notices]

    @property
    def source_notices(self) -> list[str]:
        return self._header.notices

    def prepare(self) -> None:
        with self._stages.stage("encode"):
            self._output.prepare()

    def head(self) -> bytes:
        kept = self._header.segments if self._further is None else self._further.head(self._header.segments)
        head = writer.header(self._frame, self._tables, self._output.codes, kept)
        index = mpf.index_of(kept)
        if index is None:
            return head
        at = 2 + sum(4 + len(segment.data) for segment in kept[: kept.index(index)]) + 4  # SOI, then segments
        size = len(head) + self._body_bytes
        if self._further is None:
            data = mpf.rewrite_offsets(index, size, (size - self._end) - (at - index.offset))
        else:
            data = self._further.index(size, at)
        return head[:at] + data + head[at + len(data) :]

    @property
    def head_needs_body(self) -> bool:
        return self._has_index or self._header.dnl

    def body(self) -> Iterator[bytes | memoryview]:
        for piece in self._image():
            self._body_bytes += len(piece)
            yield piece
        self._end = self._source.end()
        if self._settings.metadata is Metadata.KEEP:
            yield from self._source.rest  # thumbnails, videos, other pictures
            return
        rest_bytes = sum(map(len, self._source.rest))
        if self._has_index:
            index = mpf.index_of(self._header.segments)
            assert index is not None
            self._further = AdditionalPictures(self._source.source, index, self._end, self._header.frame.blocks_per_row)
            rest_bytes -= self._further.source_size
            self._notices += self._further.notices
            yield from self._further.pieces()
        self._notices += removed_trailing_bytes(rest_bytes)

    def _image(self) -> Iterator[bytes | memoryview]:
        """Yield the bytes after the head, up to EOI."""
        yield from self._stages.timed(self._output.body(), "encode")
        for segment in self._header.trailing:
            yield writer.segment(segment.marker, segment.data)
        yield writer.END_OF_IMAGE

    def verify(self, result: Readable) -> bool:
        """Return whether a result that has to be exact has the source's coefficients."""
        if self._fingerprint is None:
            return True
        found, stream = Fingerprint(), ByteStream(result.chunks())
        try:
            header = read_header(stream)
            slabs = read_slabs(stream, header) if header.streams else read_scans(result, header)
            for slab in slabs if is_one_pass(self._settings) else clear_dummy_blocks(slabs, header.frame):
                found.add(slab)
        except (FormatError, LimitError):
            return False
        return found.digest() == self._fingerprint.digest()


class IncompleteJpeg(Route):
    """A JPEG whose scans leave coefficients out. Decoders smooth the blocks of such a file (decompress_smooth_data in
    libjpeg's jdcoefct.c) and of no other: the same coefficients in a complete file would look different."""

    format = "jpeg"
    path = Path.NONE

    def __init__(self, source: Coefficients) -> None:
        self._header, self.height = source.header, source.header.frame.height
        self.obstacle = (
            f"its scans leave out {source.lacking}: decoders smooth such an image, but would not smooth the result"
        )

    @property
    def notices(self) -> list[str]:
        return self._header.notices

    @property
    def source_notices(self) -> list[str]:
        return self._header.notices

    def body(self) -> Iterator[bytes | memoryview]:
        raise RuntimeError(self.obstacle)


def plan_jpeg_to_jpeg(header: Header, read: Callable[[], Coefficients], context: RouteContext) -> Plan:
    """Return the plan of JPEG to JPEG.

    read  begin to read the coefficients that follow `header`
    """

    def start() -> Route:
        source = read()
        return IncompleteJpeg(source) if source.lacking else _start_jpeg_to_jpeg(source, context)

    decoding = functools.partial(bounds.result_bands, header.frame, settings=context.settings)
    return Plan(bounds.jpeg_to_jpeg(header, context.settings), start, None if context.settings.lossless else decoding)


def wanted(context: RouteContext) -> str:
    """Return the visual quality that a route is to give its result, for people; "" if only its size counts."""
    settings = context.settings
    if settings.target_score is None and settings.quality is None and settings.max_bytes is not None:
        return ""
    if settings.target_score is not None:
        return f"a score of {settings.target_score:g}"
    return f"quality {round(perceptual.quality_for(context.distance, settings.effort))}"


def is_one_pass(settings: Settings) -> bool:
    """Return whether coefficients are coded as they arrive; otherwise they are spooled until all have been counted."""
    return settings.effort is Effort.FAST and not settings.lossless


def _start_jpeg_to_jpeg(source: Coefficients, context: RouteContext) -> JpegToJpeg:
    header, settings = source.header, context.settings
    requantization = (
        None if settings.lossless else requantize.plan_requantization(header, context.distance, settings.effort)
    )
    if requantization is None:
        return _start_exact(source, context)
    slabs = requantization.slabs(context.stages.timed(source.slabs, "decode"), settings.effort)
    output: one_pass.OnePassSlabs | ScanSearch
    if is_one_pass(settings):
        output = _one_pass(requantization.frame, slabs, context)
    else:
        few = settings.effort is Effort.BALANCED
        output = ScanSearch(
            requantization.frame, clear_dummy_blocks(slabs, requantization.frame), context.spool, defaults_only=few
        )
    return JpegToJpeg(source, context, requantization.frame, dict(enumerate(requantization.tables)), output)


def _start_exact(source: Coefficients, context: RouteContext) -> JpegToJpeg:
    """Begin a conversion that keeps every coefficient."""
    header, settings = source.header, context.settings
    frame, fingerprint = header.frame, Fingerprint()
    slabs = context.stages.timed(source.slabs, "decode")
    output: one_pass.OnePassSlabs | ScanSearch
    if is_one_pass(settings):
        output = _one_pass(frame, fingerprint.adding(slabs), context)
    else:
        # Lossless results may take the longest search. Others begin it with the source's own scans.
        coding = source.coding if settings.effort is Effort.BALANCED and not settings.lossless else ()
        kept = clear_dummy_blocks(slabs, frame)
        output = ScanSearch(frame, kept, context.spool, fingerprint, coding=coding)
    tables = {component.tq: header.quantization[component.tq] for component in frame.components}
    return JpegToJpeg(source, context, frame, tables, output, fingerprint)


def _one_pass(frame: Frame, slabs: Iterator[Slab], context: RouteContext) -> one_pass.OnePassSlabs:
    return one_pass.OnePassSlabs(frame, static_codes.codes_for(context.distance, len(frame.components)), slabs)


class PixelsToJpeg(Route):
    """Pixels quantized perceptually: one sequential scan coded in one pass, or the scans that `ScanSearch` chooses."""

    format = "jpeg"
    path = Path.PIXELS

    def __init__(
        self,
        pixels: PixelSource,
        context: RouteContext,
        frame: Frame,
        tables: Mapping[int, Table],
        output: one_pass.OnePassPixels | ScanSearch,
    ) -> None:
        self._pixels, self._settings, self._stages = pixels, context.settings, context.stages
        self._frame, self._tables, self._output = frame, tables, output
        self._notices: list[str] = []
        self.height = pixels.height

    @property
    def notices(self) -> list[str]:
        return [*self._pixels.notices, *self._notices]

    def prepare(self) -> None:
        with self._stages.stage("encode"):
            self._output.prepare()

    def head(self) -> bytes:
        attachments = self._pixels.attachments.reduced(self._settings.metadata).matching(grey=self._pixels.channels < 3)
        made, self._notices = segments.segments_for(attachments)
        return writer.header(self._frame, self._tables, self._output.codes, made)

    def body(self) -> Iterator[bytes | memoryview]:
        yield from self._stages.timed(self._output.body(), "encode")
        yield writer.END_OF_IMAGE


def plan_pixels_to_jpeg(pixels: PixelSource, context: RouteContext) -> Plan:
    """Return the plan of pixels to JPEG. Raise LimitError above JPEG's dimensions, UnsupportedError for lossless."""
    settings = context.settings
    if max(pixels.width, pixels.height) > DIMENSION_MAX:
        raise LimitError(f"{pixels.width} x {pixels.height} pixels, JPEG has at most {DIMENSION_MAX} per side")
    if settings.lossless:
        raise UnsupportedError("lossless: JPEG can't keep pixels exactly, choose PNG")
    subsampling = "420" if settings.subsampling is Subsampling.AUTO else settings.subsampling.value
    plan = _plan_subsampled(pixels, context, subsampling)
    if not falls_back_to_444(pixels.channels, settings):
        return plan
    finer = _plan_subsampled(pixels, context, "444")
    assert plan.result_bytes is not None and finer.result_bytes is not None
    decodings = plan.result_bytes, finer.result_bytes
    return Plan(
        max(plan.memory_bytes, finer.memory_bytes),
        plan.start,
        lambda lines: max(decoding(lines) for decoding in decodings),
    )


def _plan_subsampled(pixels: PixelSource, context: RouteContext, subsampling: str) -> Plan:
    """Return the plan of pixels to JPEG with a subsampling such as "420"."""
    settings = context.settings
    frame = writer.frame_for(pixels.width, pixels.height, 3 if pixels.channels >= 3 else 1, subsampling)
    lines = band_lines(pixels.width, 8 * frame.v_max)
    lifetime = pixels.lifetime
    if pixels.channels in (2, 4) and lifetime is BandLifetime.STABLE:
        lifetime = BandLifetime.REUSED  # bands without alpha share a buffer
    band_bytes = pixels.band_bytes(lines)
    memory_bytes = bounds.pixels_to_jpeg(frame, pixels.channels, lines, band_bytes, lifetime, settings)
    decoding = functools.partial(bounds.result_bands, frame, settings=settings)
    return Plan(memory_bytes, lambda: _start_pixels_to_jpeg(pixels, context, frame, lines, lifetime), decoding)


def _start_pixels_to_jpeg(
    pixels: PixelSource, context: RouteContext, frame: Frame, lines: int, lifetime: BandLifetime
) -> PixelsToJpeg:
    settings, stages = context.settings, context.stages
    count, distance = len(frame.components), context.distance
    tables = perceptual.quantization_tables(distance, count, perceptual.table_set_of(settings.effort))
    bands = stages.timed(without_alpha(pixels, settings.background, lines), "decode")
    output: one_pass.OnePassPixels | ScanSearch
    if settings.effort is Effort.FAST:
        transform = encoder.Transform(frame, tables, perceptual.dead_zones(distance, count))
        codes = static_codes.codes_for(distance, count)
        charge = functools.partial(stages.add, "encode")
        output = one_pass.OnePassPixels(frame, transform, codes, bands, lifetime, charge)
    else:
        quantizer = adaptive_quantization.AdaptiveQuantizer(frame, tables, distance, settings.effort, count == 3)
        overshoot = tables[0] if settings.effort is Effort.BEST else None
        slabs = quantizer.from_pixels(bands, overshoot)
        few = settings.effort is Effort.BALANCED
        output = ScanSearch(frame, clear_dummy_blocks(slabs, frame), context.spool, defaults_only=few)
    return PixelsToJpeg(pixels, context, frame, dict(enumerate(tables)), output)
