"""Routes to PNG.

PngToPng     scanlines → refiltered → bytes
PixelsToPng  bands of pixels → bytes
"""

from collections.abc import Callable, Iterable, Iterator

from compressor import png
from compressor.bytestream import ByteStream
from compressor.memory import Spool
from compressor.pipeline import bounds
from compressor.pipeline.pixels import Pixels
from compressor.pipeline.stages import Stages
from compressor.settings import Path, Settings
from compressor.tiles import band_lines


class PngToPng:
    """The same scanlines, filtered and deflated anew. Interlacing goes: it costs bytes and shows in no sample."""

    format = "png"
    path = Path.LOSSLESS
    needs_verdict = False

    def __init__(
        self, stream: ByteStream, header: png.Header, settings: Settings, stages: Stages, spool: Callable[[], Spool]
    ) -> None:
        self._header, self._settings, self._stages = header, settings, stages
        self._digest = png.digest(header)
        self.height = header.height
        self._lines = band_lines(header.row_bytes, 1)
        self.memory_bytes = bounds.png_to_png(header, self._lines)
        self._rows = self._digested(stages.timed(png.scanlines(stream, header, self._lines, spool), "decode"))

    @property
    def notices(self) -> list[str]:
        interlaced = ["the source is interlaced, a rewritten PNG is not"] if self._header.interlaced else []
        return [*self._header.notices, *interlaced]

    def _digested(self, rows: Iterator[png.Bytes]) -> Iterator[png.Bytes]:
        for band in rows:
            self._digest.update(band.data)
            yield band

    def prepare(self) -> None:
        """One pass."""

    def head(self) -> bytes:
        return b""

    def body(self) -> Iterator[bytes | memoryview]:
        settings = self._settings
        made = png.write(self._header, self._rows, effort=settings.effort, metadata=settings.metadata)
        return self._stages.timed(made, "encode")

    def verify(self, result: Iterable[bytes]) -> bool:
        """Whether the result has the source's scanlines."""
        return png.read_digest(ByteStream(result), self._lines) == self._digest.digest()

    def close(self) -> None:
        """Nothing to give back."""


class PixelsToPng:
    """A new 8-bit PNG."""

    format = "png"
    path = Path.PIXELS
    needs_verdict = False

    def __init__(self, pixels: Pixels, settings: Settings, stages: Stages) -> None:
        self._pixels, self._settings, self._stages = pixels, settings, stages
        self.height = pixels.height
        self._header = png.new_header(pixels.width, pixels.height, pixels.channels)
        self._lines = band_lines(pixels.width * pixels.channels, 1)
        self.memory_bytes = bounds.BASE_BYTES + pixels.band_bytes(self._lines) + bounds.png_writing(self._header)
        self._notices: list[str] = []

    @property
    def notices(self) -> list[str]:
        return [*self._pixels.notices, *self._notices]

    def prepare(self) -> None:
        """One pass."""

    def head(self) -> bytes:
        return b""

    def body(self) -> Iterator[bytes | memoryview]:
        attachments = self._pixels.attachments.reduced(self._settings.metadata)
        chunks, lost = png.metadata_chunks(attachments, grey=self._pixels.channels < 3)
        self._notices += [*attachments.notices, *lost]
        self._header.chunks += chunks
        bands = self._stages.timed(self._pixels.bands(self._lines), "decode")
        return self._stages.timed(png.write(self._header, bands, effort=self._settings.effort), "encode")

    def verify(self, result: Iterable[bytes]) -> bool:
        """The source was in another format: there is no second decoder to compare with."""
        return True

    def close(self) -> None:
        """Nothing to give back."""
