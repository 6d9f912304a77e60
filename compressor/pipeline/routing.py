"""Which route an image takes: by what it is, and by what was asked for."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

from compressor import containers, png, raster
from compressor.bytestream import ByteStream
from compressor.cores import BRIEF_WIDTH
from compressor.errors import FormatError, LimitError, UnsupportedError
from compressor.humanize import human_format
from compressor.jpeg.frame import Header
from compressor.jpeg.headers import BLOCKS_PER_MCU_MAX
from compressor.jpeg.pixels import COLORS as COLORS_OF_JPEG
from compressor.jpeg.quality import estimated_quality
from compressor.jpeg.reader import read_header
from compressor.parsers.tiff import TiffFile
from compressor.pipeline import bounds
from compressor.pipeline.coefficients import read_coefficients
from compressor.pipeline.pixels import ArrayPixels, JpegPixels, PixelSource, PngPixels, RasterPixels, RawPixels
from compressor.pipeline.routes import Route, RouteContext
from compressor.pipeline.to_jpeg import PixelsToJpeg, jpeg_to_jpeg
from compressor.pipeline.to_other import PixelsToOther
from compressor.pipeline.to_png import PixelsToPng, PngToPng
from compressor.pipeline.unchanged import may_stay, reason_unchanged
from compressor.settings import ContentCredentials, Delivery, Format, Metadata, Raw, Settings, Source, Subsampling
from compressor.sniff import PREFIX, sniff
from compressor.spool import Spool
from compressor.t81 import DIMENSION_MAX
from compressor.tiles import check_raw

# The output formats under `keep`. Nobody wants a BMP kept as it is; what it becomes depends on its pixels.
KEPT_AS = {"jpeg": "jpeg", "png": "png", "bmp": "jpeg or png"}
COLORS = {1: "grey", 2: "grey with alpha", 3: "RGB", 4: "RGBA"}


PixelRoute = PixelsToJpeg | PixelsToPng | PixelsToOther
# What is known from the header, and the route, to be begun when there is memory for it; or why there is none: the file
# comes back as it is.
Opened = tuple[Source, Callable[[], Route] | str]
HAS_CREDENTIALS = "has content credentials"


def open_file(stream: ByteStream, original: Spool, context: RouteContext) -> Opened:
    """Read the header.

    original  the spool that `stream` copies to: formats that do not stream are read from it
    """
    kind = sniff(stream.peek(PREFIX))
    target = _target(kind, context.settings)
    if kind == "unknown":
        found = stream.peek(8).hex(" ")
        problem = f"no known image format begins with {found}" if found else "the input is empty"
        raise FormatError("image", "signature", 0, problem)
    if kind == "jpeg":
        return _open_jpeg(target, stream, original, context)
    if kind == "png":
        return _open_png(target, stream, original, context)
    return _open_raster(kind, target, stream, original, context)


def _target(kind: str, settings: Settings) -> str:
    """The output format, "" for none: the file comes back as it is."""
    return KEPT_AS.get(kind, "") if settings.format is Format.KEEP else settings.format.value


def _open_jpeg(target: str, stream: ByteStream, original: Spool, context: RouteContext) -> Opened:
    settings = context.settings
    header = read_header(stream, settings.metadata)
    if header.obstacle:
        raise UnsupportedError(f"JPEG with {header.obstacle}")
    native = target == "jpeg"
    blocks = sum(h * v for h, v in header.frame.sampling)
    if native and blocks > BLOCKS_PER_MCU_MAX:  # in one scan, which is what we write; scans of their own have no limit
        raise UnsupportedError(f"JPEG with sampling factors {header.frame.subsampling}: {blocks} blocks in an MCU")
    if header.dnl and not native:
        raise UnsupportedError(f"JPEG with a height given by DNL can't be made {target}")
    if native:
        _check_subsampling(header, settings.subsampling)
    frame = header.frame
    source = Source(
        format="jpeg",
        description=f"{header.process} JPEG, {frame.subsampling}",
        width=frame.width,
        height=frame.height,
        channels=len(frame.components),
        quality=estimated_quality(header),
        reserved_bytes=bounds.BASE_BYTES,
    )
    if header.credentials and _keeps_credentials("jpeg", settings):
        return source, HAS_CREDENTIALS
    context.stages.brief = native and frame.width <= BRIEF_WIDTH
    read = functools.partial(read_coefficients, stream, header, original, context.stages, context.hold)
    if native:
        source = dataclasses.replace(source, reserved_bytes=bounds.jpeg_to_jpeg(header, settings))
        return source, lambda: jpeg_to_jpeg(read(), settings, context.stages, context.spool)
    if target in ("png", "webp", "avif") and header.color in COLORS_OF_JPEG:
        pixels = JpegPixels(header, lambda: stream.size)
        if not header.streams:  # the whole file is needed, now or later: only its scans say whether it is complete
            pixels.coefficients = read()
            if pixels.coefficients.lacking:
                pixels.smoothed = raster.open(original.file(), "jpeg")
        route = _route_for(pixels, target, context)

        def start() -> Route:
            if header.streams:
                pixels.coefficients = read()
            return route

        return dataclasses.replace(source, reserved_bytes=route.memory_bytes), start
    return _through_pillow(source, target, stream, original, context)


def _keeps_credentials(kind: str, settings: Settings) -> bool:
    """Return whether a file with content credentials is to come back as it is; a policy that takes metadata away takes
    these as well."""
    unchanged = settings.content_credentials is ContentCredentials.UNCHANGED
    return unchanged and settings.metadata is Metadata.KEEP and may_stay(kind, settings)


def _check_subsampling(header: Header, asked: Subsampling) -> None:
    has = header.frame.subsampling
    if asked is not Subsampling.AUTO and has not in ("grey", f"{asked[0]}:{asked[1]}:{asked[2]}"):
        raise UnsupportedError(f"subsampling {asked} is not supported yet for a JPEG with {has}: leave it on auto")


def _open_png(target: str, stream: ByteStream, original: Spool, context: RouteContext) -> Opened:
    settings = context.settings
    header = png.read_header(stream, settings.metadata)
    source = Source(
        format="png",
        description=header.description,
        width=header.width,
        height=header.height,
        channels=header.channels,
        reserved_bytes=bounds.BASE_BYTES,
    )
    if header.animated:
        if target != "png":
            raise UnsupportedError(f"PNG: animated, and can't be made {target}")
        return source, reason_unchanged(source)
    if header.credentials and _keeps_credentials("png", settings):
        return source, HAS_CREDENTIALS
    if target == "png":
        kept = original if settings.delivery_of(raw=False) is Delivery.SAFE else None
        route: PngToPng | PixelRoute = PngToPng(stream, header, settings, context.stages, context.spool, kept)
    else:
        route = _route_for(PngPixels(stream, header, context.spool), target, context)
    return dataclasses.replace(source, reserved_bytes=route.memory_bytes), lambda: route


def _open_raster(kind: str, target: str, stream: ByteStream, original: Spool, context: RouteContext) -> Opened:
    source = Source(
        format=kind, description=human_format(kind), width=0, height=0, channels=0, reserved_bytes=bounds.BASE_BYTES
    )
    if not target and kind not in raster.PLUGINS:
        return source, reason_unchanged(source)
    return _through_pillow(source, target, stream, original, context)


def _through_pillow(source: Source, target: str, stream: ByteStream, original: Spool, context: RouteContext) -> Opened:
    """The whole file to the spool, the whole image to memory: all of it charged."""
    for _ in stream.drain():
        pass
    try:
        opened = raster.open(original.file(), source.format)
    except UnsupportedError as error:
        if target:
            raise
        source = _unread(source, original, error)
        return source, reason_unchanged(source)
    several = "several pages" if source.format == "tiff" else "animated"
    source = dataclasses.replace(
        source,
        width=opened.width,
        height=opened.height,
        channels=opened.channels,
        description=source.description + (f", {several}" if opened.frames > 1 else ""),
    )
    if not target or (opened.frames > 1 and target == source.format):
        return source, reason_unchanged(source)
    if opened.frames > 1:
        raise UnsupportedError(f"{human_format(source.format)}: {several}, and can't be made {target}")
    uncarried = containers.unmapped_metadata(source.format, original)
    if any("C2PA" in name for name in uncarried) and _keeps_credentials(source.format, context.settings):
        return source, HAS_CREDENTIALS
    pixels = RasterPixels(opened, uncarried, deep=target == "png")
    if target == KEPT_AS["bmp"]:
        return _open_kept_bmp(opened, pixels, source, context)
    route = _route_for(pixels, target, context)
    return dataclasses.replace(source, reserved_bytes=route.memory_bytes), lambda: route


def _unread(source: Source, original: Spool, problem: UnsupportedError) -> Source:
    """Return what is known of a file whose pixels can't be had and that comes back as it is."""
    source = dataclasses.replace(source, description=str(problem).replace(": ", ", ", 1))
    if source.format != "tiff":
        return source
    width, height, channels = TiffFile(original.read, original.size).sides()
    return dataclasses.replace(source, width=width, height=height, channels=channels)


def _open_kept_bmp(opened: "raster.Raster", pixels: PixelSource, source: Source, context: RouteContext) -> Opened:
    """PNG for a BMP of at most 256 colours, since JPEG blurs the edges of what is drawn, and for one that JPEG can't
    take: lossless, with alpha, or too long. JPEG for others. Colours are counted when there is memory for the image."""
    to_png = _route_for(pixels, "png", context)
    too_long = max(opened.width, opened.height) > DIMENSION_MAX
    if context.settings.lossless or opened.channels in (2, 4) or too_long:
        return dataclasses.replace(source, reserved_bytes=to_png.memory_bytes), lambda: to_png
    to_jpeg = _route_for(pixels, "jpeg", context)

    def start() -> Route:
        with context.stages.stage("decode"):
            return to_png if opened.has_few_colors() else to_jpeg

    return dataclasses.replace(source, reserved_bytes=max(to_png.memory_bytes, to_jpeg.memory_bytes)), start


def _route_for(pixels: PixelSource, target: str, context: RouteContext, *, raw: bool = False) -> PixelRoute:
    settings, stages = context.settings, context.stages
    settings.check_loss(pixels.loss, target)
    match target:
        case "jpeg":
            if max(pixels.width, pixels.height) > DIMENSION_MAX:
                raise LimitError(f"{pixels.width} x {pixels.height} pixels, JPEG has at most {DIMENSION_MAX} a side")
            return PixelsToJpeg(pixels, settings, stages, context.spool)
        case "png":
            safe = settings.delivery_of(raw=raw) is Delivery.SAFE
            return PixelsToPng(pixels, settings, stages, context.spool, in_two_passes=safe)
        case _:
            return PixelsToOther(pixels, settings, stages)


def open_raw(raw: Raw, arriving: Any, context: RouteContext) -> Opened:
    """Tiles, or in their place all pixels."""
    context.hold(sum(raw.metadata_bytes().values()))
    pixels: PixelSource
    if isinstance(arriving, ArrayPixels):
        pixels = arriving
    else:
        check_raw(raw)
        pixels = RawPixels(raw, arriving)
    route = _route_for(pixels, context.settings.format_of_raw(raw.channels).value, context, raw=True)
    description = f"raw, 8-bit {COLORS[raw.channels]}"
    source = Source(
        format="raw",
        description=description,
        width=raw.width,
        height=raw.height,
        channels=raw.channels,
        reserved_bytes=route.memory_bytes,
    )
    return source, lambda: route
