"""Routes to PNG.

PngToPng     scanlines → the smallest form that says the same → filtered → bytes
PixelsToPng  bands of pixels → bytes
"""

from collections.abc import Callable, Iterator

from compressor import png
from compressor.bytestream import ByteStream
from compressor.memory import Readable, Spool
from compressor.metadata import removed_behind
from compressor.pipeline import bounds
from compressor.pipeline.pixels import Pixels
from compressor.pipeline.routes import Route
from compressor.pipeline.stages import Stages
from compressor.settings import Effort, Metadata, Path, Settings
from compressor.tiles import band_lines


class PngToPng(Route):
    """The same pixels, filtered and deflated anew. Interlacing goes: it costs bytes and shows in no sample.

    original  the source's own bytes when all of it has been read, for a second look at them: a first pass over all
              scanlines finds the smallest form that says the same. None: one pass, and the form stays
    """

    format = "png"
    path = Path.LOSSLESS

    def __init__(
        self,
        stream: ByteStream,
        header: png.Header,
        settings: Settings,
        stages: Stages,
        spool: Callable[[], Spool],
        original: Spool | None = None,
    ) -> None:
        self._stream, self._header, self._settings, self._stages = stream, header, settings, stages
        self._spool = spool
        self._original = None if settings.effort is Effort.FAST else original
        self._digest = png.digest(header)
        self.height = header.height
        self._lines = band_lines(header.row_bytes, 1)
        self._plan: png.Plan | None = None
        self._behind: list[str] = []  # notices of what followed the image
        self.memory_bytes = bounds.png_to_png(header, self._lines, settings.effort, self._original is not None)

    @property
    def notices(self) -> list[str]:
        interlaced = ["the source is interlaced, a rewritten PNG is not"] if self._header.interlaced else []
        changed = [self._plan.notice] if self._plan is not None and self._plan.notice else []
        removed = png.removed(self._header.chunks, self._settings.metadata)
        credentials = png.removed_credentials(self._header.credentials)
        return [*self._header.notices, *interlaced, *changed, *credentials, *removed, *self._behind]

    @property
    def tolerated(self) -> list[str]:
        return self._header.notices

    def _scanlines(self, stream: ByteStream, header: png.Header) -> Iterator[png.Bytes]:
        return self._stages.timed(png.scanlines(stream, header, self._lines, self._spool), "decode")

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
            rows = self._plan.rows(self._scanlines(stream, png.read_header(stream, metadata)))
            made = png.write(self._plan.header, rows, effort=effort, metadata=metadata, choice=self._plan.choice)
        yield from self._stages.timed(made, "encode")
        if metadata is Metadata.KEEP:
            yield from stream.drain()  # what follows IEND
        else:
            self._behind = removed_behind(sum(map(len, stream.drain())))

    def _digested(self, rows: Iterator[png.Bytes]) -> Iterator[png.Bytes]:
        for band in rows:
            self._digest.update(band.data)
            yield band

    def verify(self, result: Readable) -> bool:
        """Whether the result has the source's scanlines or, where its form may be another, shows the same pixels."""
        read = png.read_digest if self._plan is None else png.read_pixel_digest
        return read(ByteStream(result.chunks()), self._lines) == self._digest.digest()


class PixelsToPng(Route):
    """A new PNG of the depth that the bands have."""

    format = "png"
    path = Path.PIXELS

    def __init__(self, pixels: Pixels, settings: Settings, stages: Stages) -> None:
        self._pixels, self._settings, self._stages = pixels, settings, stages
        self.height = pixels.height
        self._header = png.new_header(pixels.width, pixels.height, pixels.channels, pixels.bit_depth)
        self._lines = band_lines(self._header.row_bytes, 1)
        writing = bounds.png_writing(self._header, settings.effort)
        self.memory_bytes = bounds.BASE_BYTES + pixels.band_bytes(self._lines) + writing
        self._notices: list[str] = []

    @property
    def notices(self) -> list[str]:
        return [*self._pixels.notices, *self._notices]

    def body(self) -> Iterator[bytes | memoryview]:
        attachments = self._pixels.attachments.reduced(self._settings.metadata)
        chunks, lost = png.metadata_chunks(attachments, grey=self._pixels.channels < 3)
        self._notices += [*attachments.notices, *lost]
        self._header.chunks += chunks
        bands = self._stages.timed(self._pixels.bands(self._lines), "decode")
        return self._stages.timed(png.write(self._header, bands, effort=self._settings.effort), "encode")
