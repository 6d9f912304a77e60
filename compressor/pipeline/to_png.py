"""Routes to PNG.

PngToPng     scanlines → the smallest form that says the same → filtered → bytes
PixelsToPng  bands of pixels → bytes; or → a PNG in a spool → the smallest form of it → bytes
"""

from collections.abc import Callable, Iterator

from compressor import png
from compressor.bytestream import ByteStream
from compressor.metadata import removed_trailing_bytes
from compressor.pipeline import bounds
from compressor.pipeline.pixels import PixelSource, RasterPixels
from compressor.pipeline.routes import Route
from compressor.pipeline.stages import Stages
from compressor.settings import Effort, Metadata, Path, Settings
from compressor.spool import Readable, Spool
from compressor.tiles import band_lines


class ToPng(Route):
    """The part that routes to PNG share: a result in the form of `header`, or as a first pass planned it.

    header  of the scanlines that are written in one pass, or looked at in the first of two
    spool   makes one
    """

    format = "png"

    def __init__(self, header: png.PngHeader, settings: Settings, stages: Stages, spool: Callable[[], Spool]) -> None:
        self._header, self._settings, self._stages, self._spool = header, settings, stages, spool
        self._digest = png.digest(header)
        self._plan: png.ReductionPlan | None = None
        self._lines = band_lines(header.row_bytes, 1)

    def _digested(self, rows: Iterator[png.ByteArray]) -> Iterator[png.ByteArray]:
        for band in rows:
            self._digest.update(band.data)
            yield band

    def _scanlines(self, stream: ByteStream, header: png.PngHeader) -> Iterator[png.ByteArray]:
        return self._stages.timed(png.scanlines(stream, header, self._lines, self._spool), "decode")

    def _planned(self, plan: png.ReductionPlan, again: ByteStream, metadata: Metadata) -> Iterator[bytes]:
        """Yield the result of the second pass. again: a PNG with the scanlines that the first one has seen."""
        rows = plan.rows(self._scanlines(again, png.read_header(again, metadata)))
        return png.write(plan.header, rows, effort=self._settings.effort, metadata=metadata, choice=plan.choice)

    def verify(self, result: Readable) -> bool:
        """Whether the result has the source's scanlines or, where its form may be another, shows the same pixels."""
        read = png.read_digest if self._plan is None else png.read_pixel_digest
        return read(ByteStream(result.chunks()), self._lines) == self._digest.digest()


class PngToPng(ToPng):
    """The same pixels, filtered and deflated anew. Interlacing goes: it costs bytes and shows in no sample.

    original  the source's own bytes when all of it has been read, for a second look at them: a first pass over all
              scanlines finds the smallest form that says the same. None: one pass, and the form stays
    """

    path = Path.LOSSLESS

    def __init__(
        self,
        stream: ByteStream,
        header: png.PngHeader,
        settings: Settings,
        stages: Stages,
        spool: Callable[[], Spool],
        original: Spool | None = None,
    ) -> None:
        super().__init__(header, settings, stages, spool)
        self._stream = stream
        self._original = None if settings.effort is Effort.FAST else original
        self.height = header.height
        self._behind: list[str] = []  # notices of what followed the image
        self.memory_bytes = bounds.png_to_png(header, self._lines, settings.effort, self._original is not None)

    @property
    def notices(self) -> list[str]:
        interlaced = ["the source is interlaced, a rewritten PNG is not"] if self._header.interlaced else []
        changed = [self._plan.notice] if self._plan is not None and self._plan.notice else []
        removed = png.removed_colors(self._header.chunks, self._settings.metadata)
        credentials = png.removed_credentials(self._header.credentials)
        return [*self._header.notices, *interlaced, *changed, *credentials, *removed, *self._behind]

    @property
    def tolerated(self) -> list[str]:
        return self._header.notices

    def prepare(self) -> None:
        """The first pass."""
        if self._original is None:
            return
        survey = png.Survey(self._header, self._settings.effort)
        for rows in self._scanlines(self._stream, self._header):
            with self._stages.stage("encode"):
                survey.add(rows)
        for _ in self._stream.drain():  # the spool can't be read before it is complete
            pass
        with self._stages.stage("encode"):
            self._plan = survey.plan(self._settings.metadata)
            self._digest = survey.digest

    def body(self) -> Iterator[bytes | memoryview]:
        effort, metadata = self._settings.effort, self._settings.metadata
        stream = self._stream
        if self._plan is None:
            rows = self._digested(self._scanlines(stream, self._header))
            made = png.write(self._header, rows, effort=effort, metadata=metadata)
        else:
            assert self._original is not None
            stream = ByteStream(self._original.chunks())
            made = self._planned(self._plan, stream, metadata)
        yield from self._stages.timed(made, "encode")
        if metadata is Metadata.KEEP:
            yield from stream.drain()  # what follows IEND
        else:
            self._behind = removed_trailing_bytes(sum(map(len, stream.drain())))


class PixelsToPng(ToPng):
    """A new PNG of the depth that the bands have, or of less where that shows the same.

    With `in_two_passes` the pixels are looked at while they are written, quickly, to a PNG in a spool, and written
    again in the smallest form that shows the same. The spool holds no samples that are not compressed.
    """

    path = Path.PIXELS

    def __init__(
        self,
        pixels: PixelSource,
        settings: Settings,
        stages: Stages,
        spool: Callable[[], Spool],
        *,
        in_two_passes: bool,
    ) -> None:
        header = png.new_header(pixels.width, pixels.height, pixels.channels, pixels.bit_depth)
        super().__init__(header, settings, stages, spool)
        self._pixels = pixels
        self._compact = spool() if in_two_passes and settings.effort is not Effort.FAST else None
        self.height = pixels.height
        band_bytes = pixels.band_bytes(self._lines)
        lasting_bytes = band_bytes if isinstance(pixels, RasterPixels) else 0  # Pillow's image stays, others end
        surveyed = self._compact is not None
        self.memory_bytes = bounds.pixels_to_png(
            header, self._lines, band_bytes, lasting_bytes, settings.effort, surveyed=surveyed
        )
        self._notices: list[str] = []

    @property
    def notices(self) -> list[str]:
        return [*self._pixels.notices, *self._notices]

    def _bands(self) -> Iterator[png.ByteArray]:
        for band in self._stages.timed(self._pixels.bands(self._lines), "decode"):
            yield band.reshape(len(band), -1)

    def _take_attachments(self) -> None:
        grey = self._pixels.channels < 3
        attachments = self._pixels.attachments.reduced(self._settings.metadata).matching(grey=grey)
        chunks, lost = png.metadata_chunks(attachments, grey=grey)
        self._notices += [*attachments.notices, *lost]
        self._header.chunks += chunks

    def prepare(self) -> None:
        """The first pass."""
        if self._compact is None:
            return
        survey = png.Survey(self._header, self._settings.effort)
        written = png.write(self._header, self._surveyed(survey), effort=Effort.FAST)
        for piece in self._stages.timed(written, "encode"):
            self._compact.write(piece)
        self._take_attachments()  # the compact PNG needs none
        with self._stages.stage("encode"):
            self._plan = survey.plan(Metadata.KEEP)  # they are reduced already
            self._digest = survey.digest

    def _surveyed(self, survey: png.Survey) -> Iterator[png.ByteArray]:
        for band in self._bands():
            survey.add(band)
            yield band

    def body(self) -> Iterator[bytes | memoryview]:
        if self._plan is None:
            self._take_attachments()
            made = png.write(self._header, self._digested(self._bands()), effort=self._settings.effort)
        else:
            assert self._compact is not None
            made = self._planned(self._plan, ByteStream(self._compact.chunks()), Metadata.KEEP)
        yield from self._stages.timed(made, "encode")
        if self._compact is not None:
            self._compact.close()

    def verify(self, result: Readable) -> bool:
        """Return whether the result shows the pixels, where they were asked to stay or were written twice."""
        if self._plan is None and not self._settings.lossless:
            return True
        return super().verify(result)
