"""The route to WebP and AVIF, through Pillow: bands of pixels → all pixels → bytes."""

import dataclasses
import io
from collections.abc import Iterator

from compressor import containers, png, raster
from compressor.humanize import human_format
from compressor.jpeg import perceptual
from compressor.metadata import Attachments, orientation, orientation_exif
from compressor.pipeline import bounds, features
from compressor.pipeline.pixels import PixelSource
from compressor.pipeline.routes import Plan, Route, RouteContext
from compressor.settings import Format, Metadata, Path, Settings, Subsampling
from compressor.spool import BytesSource, Readable

BAND_LINES = 64


def steps_of(settings: Settings) -> tuple[float, ...]:
    """Return the distances at which the encoder of a format has another result, falling; () if all distances have."""
    if settings.format not in (Format.WEBP, Format.AVIF):
        return ()
    found = raster.distinct_qualities(settings.format.value, settings.effort)
    return tuple(perceptual.distance_for(quality, settings.effort) for quality in found)


class PixelsToOther(Route):
    """WebP or AVIF, encoded by Pillow. The whole image is in memory, which is charged.

    A lossless WebP is decoded again, and compared by a checksum.
    """

    path = Path.PIXELS

    def __init__(self, pixels: PixelSource, context: RouteContext) -> None:
        self._pixels, self._settings, self._stages = pixels, context.settings, context.stages
        self.height = pixels.height
        self.format = context.settings.format.value
        self._quality = perceptual.quality_for(context.distance, context.settings.effort)
        self._notices: list[str] = []
        self._share = features.RepeatedShare(pixels.width, pixels.channels)
        self._checksum = png.PixelChecksum(png.new_header(pixels.width, pixels.height, pixels.channels))

    @property
    def is_exact(self) -> bool:
        return self._settings.lossless

    @property
    def notices(self) -> list[str]:
        return [*self._pixels.notices, *self._notices]

    def body(self) -> Iterator[bytes | memoryview]:
        pixels, settings = self._pixels, self._settings
        bands = self._share.adding(self._stages.timed(pixels.bands(BAND_LINES), "decode"))
        bands = self._checksum.adding(bands) if self.is_exact else bands
        with self._stages.stage("encode"):
            made = raster.encode(
                bands, pixels.width, pixels.height, pixels.channels, self.format,
                quality=raster.own_number(self.format, settings.effort, self._quality),
                lossless=settings.lossless, effort=settings.effort, subsampling=self._subsampling,
                metadata=self._attachments,
            )  # fmt: skip
        if settings.metadata is Metadata.KEEP:
            yield made
        else:  # encoders add metadata of their own
            yield from containers.without_metadata(self.format, BytesSource(made), settings.metadata, [])

    def verify(self, result: Readable) -> bool:
        """Return whether a lossless result shows the source's own pixels."""
        if not self.is_exact:
            return True
        opened = raster.open(io.BytesIO(b"".join(result.chunks())), self.format)
        found = png.PixelChecksum(png.new_header(opened.width, opened.height, opened.channels))
        for _ in found.adding(opened.bands(BAND_LINES)):
            pass
        return found.digest() == self._checksum.digest()

    def _subsampling(self) -> Subsampling:
        """Return the subsampling of AVIF: that of the settings, or 4:4:4 for a drawing, which has colored edges."""
        asked = self._settings.subsampling
        self.chose_444 = asked is Subsampling.AUTO and features.is_drawing(self._share.value)
        return Subsampling.S444 if self.chose_444 else asked

    def _attachments(self) -> Attachments:
        """Return the metadata of the source that the policy keeps. All of them are known only after its last pixel."""
        grey = (
            self._pixels.channels == 1 and self.format == "avif"
        )  # WebP has no grey, nor has Pillow's AVIF with alpha
        attachments = self._pixels.attachments.reduced(self._settings.metadata).matching(grey=grey)
        if attachments.exif is not None and not raster.takes_exif(self.format, attachments.exif):
            turned = orientation(attachments.exif)
            reduced = dataclasses.replace(attachments, exif=orientation_exif(turned) if turned != 1 else None)
            attachments = reduced.with_notices(f"damaged Exif is not carried over to {human_format(self.format)}")
        if attachments.comments:
            self._notices.append(f"comments are not carried over to {human_format(self.format)}")
        across, down = attachments.density or attachments.aspect or (1, 1)
        if abs(across - down) > max(across, down) // 100:
            shape = f"pixels are not square (resolution {across} x {down})"
            self._notices.append(f"{shape}: not carried over to {human_format(self.format)}")
        self._notices += attachments.notices
        return attachments


def plan_pixels_to_other(pixels: PixelSource, context: RouteContext) -> Plan:
    """Return the plan of pixels to WebP or AVIF. Raise UnsupportedError for a subsampling that the format excludes."""
    settings = context.settings
    kind = settings.format.value
    raster.check(kind, pixels.width, pixels.height, settings)
    encoding_bytes = raster.encoding_bytes(kind, pixels.width, pixels.height, pixels.channels, settings)
    memory_bytes = bounds.BASE_BYTES + encoding_bytes + pixels.band_bytes(BAND_LINES)
    decoding_bytes = pixels.width * pixels.height * bounds.PILLOW_OTHER_BYTES
    decoding = None if settings.lossless else lambda lines: decoding_bytes
    return Plan(memory_bytes, lambda: PixelsToOther(pixels, context), decoding, pixels.channels in (2, 4))
