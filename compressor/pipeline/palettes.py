"""The result with at most `png_colors` colors, and its memory.

The image is read once more and reduced to the palette while it is written to a spool, as a quickly compressed PNG. If
that has the score that is asked for, its pixels are stored as those of any PNG, losslessly.
"""

from collections.abc import Iterator

from compressor import png
from compressor.bytestream import ByteStream
from compressor.pipeline import bounds, scoring
from compressor.pipeline.routes import RouteContext
from compressor.png.histogram import histogram_bytes, slots_for
from compressor.png.palette import palette_bytes
from compressor.settings import PALETTE_SCORE_MIN, Effort, Metadata
from compressor.spool import Spool


class PaletteResult:
    """The reduction of an image to a palette.

    kept      a PNG with the source's pixels
    plan      its palette
    metadata  policy for the chunks of the result
    lines     scanlines that are read at a time
    stream    of `kept`; after IEND once the image was scored
    """

    def __init__(
        self, kept: Spool, plan: png.PalettePlan, context: RouteContext, metadata: Metadata, lines: int
    ) -> None:
        self._kept, self._plan, self._metadata, self._lines = kept, plan, metadata, lines
        self._settings, self._stages, self._spool = context.settings, context.stages, context.spool
        self._reduced = context.spool()
        self._survey = png.Survey(plan.header, context.settings.effort)
        self.checksum = self._survey.checksum
        self.stream = ByteStream(kept.chunks())

    @property
    def score_min(self) -> float:
        """Return the score that the result must have."""
        target = self._settings.target_score
        return PALETTE_SCORE_MIN if target is None else target

    def score(self) -> float:
        """Reduce the image, and return its score."""
        rows = self._surveyed(self._plan.rows(self._scanlines(self.stream)))
        for piece in png.write(self._plan.header, rows, effort=Effort.FAST, metadata=Metadata.STRIP):
            self._reduced.write(piece)
        source, result = (scoring.shown_file(file, self._spool) for file in (self._kept, self._reduced))
        # A picture whose alpha is opaque everywhere may have a result without alpha: any background is right.
        with self._stages.stage("score"):
            return scoring.score(source, result, scoring.BACKGROUNDS[0], self._stages)

    def pieces(self) -> Iterator[bytes]:
        """Yield the result, once it was scored."""
        reduction = self._survey.plan(self._metadata)
        rows = reduction.rows(self._scanlines(ByteStream(self._reduced.chunks())))
        yield from png.write(
            reduction.header, rows, effort=self._settings.effort, metadata=self._metadata, choice=reduction.choice
        )

    def close(self) -> None:
        """Free the reduced image."""
        self._reduced.close()

    def _surveyed(self, rows: Iterator[png.ByteArray]) -> Iterator[png.ByteArray]:
        for band in rows:
            self._survey.add(band)
            yield band

    def _scanlines(self, stream: ByteStream) -> Iterator[png.ByteArray]:
        header = png.read_header(stream, Metadata.STRIP)
        return self._stages.timed(png.scanlines(stream, header, self._lines, self._spool), "decode")


def reduction_bytes(header: png.PngHeader, lines: int, effort: Effort) -> tuple[int, int]:
    """Return the bytes that reducing an image to a palette adds to its lossless route, and those of scoring it.

    header  of a PNG with the source's pixels
    lines   scanlines that are read at a time
    """
    width, height = header.width, header.height
    counted = histogram_bytes(width, height)
    made = palette_bytes(slots_for(width, height) // 2)
    pixels = sum(buffer.nbytes for buffer in png.pixel_buffers(header, lines))
    indexed = png.new_header(width, height, 1)
    quantized = width * (16 + 4) + png.quantized_pixels(width)  # errors, the line above, indices
    surveyed = 3 * sum(bounds.survey_bytes(indexed, lines, effort))
    written = bounds.png_bands(indexed, lines) + bounds.png_writing(indexed, effort)
    scored = scoring.scored_lines(width)
    decoded = bounds.png_bands(header, scored, pixels=True), bounds.png_bands(indexed, scored) + 4 * scored * width
    scoring_bytes = scoring.memory_bytes(width, header.channels, scoring.has_alpha(header.channels), *decoded)
    return counted + pixels + max(made, quantized + surveyed + written), counted + scoring_bytes
