"""The choice of the route, from the header of an image and the settings."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from compressor import containers, png, raster
from compressor.bytestream import ByteStream
from compressor.errors import SettingsError, UnsupportedError
from compressor.humanize import human_format
from compressor.jpeg.attachments import has_gain_map
from compressor.jpeg.frame import Header
from compressor.jpeg.headers import BLOCKS_PER_MCU_MAX
from compressor.jpeg.pixels import COLORS as JPEG_CHANNELS
from compressor.jpeg.quality import is_made_before
from compressor.jpeg.reader import read_header
from compressor.parsers.tiff import TiffFile
from compressor.pipeline import bounds, scoring
from compressor.pipeline.archive_routing import route_to_archive
from compressor.pipeline.coefficients import read_coefficients
from compressor.pipeline.pixels import ArrayPixels, JpegPixels, PixelSource, PngPixels, RasterPixels, RawPixels
from compressor.pipeline.routed import (
    HAS_CREDENTIALS,
    Routed,
    keeps_credentials,
    known_format,
    planned,
    returned,
    source_of_jpeg,
)
from compressor.pipeline.routes import Plan, Route, RouteContext
from compressor.pipeline.to_archive import ONLY_JPEG
from compressor.pipeline.to_jpeg import plan_jpeg_to_jpeg, plan_pixels_to_jpeg
from compressor.pipeline.to_other import plan_pixels_to_other
from compressor.pipeline.to_png import plan_pixels_to_png, plan_png_to_png
from compressor.pipeline.unchanged import may_return_source
from compressor.pipeline.variants import possible
from compressor.settings import ACCEPTABLE, Delivery, Format, Raw, Settings, Source, Subsampling
from compressor.spool import Spool
from compressor.t81 import DIMENSION_MAX
from compressor.tiles import check_raw

# The output formats under `keep`. That of a BMP also depends on its pixels: see `_plan_kept_bmp`.
KEPT_AS = {"jpeg": "jpeg", "png": "png", "bmp": "png"}
CHANNELS = {1: "grey", 2: "grey with alpha", 3: "RGB", 4: "RGBA"}
UNARCHIVE = "`unarchive` makes the JPEG again if it was archived"
LOSES_AGAIN = "another lossy encoding would lose quality a second time"
NO_ROUTE = "is returned unchanged"  # in every reason of `reason_to_keep`, and in no other
Conversion = Callable[[str, RouteContext], Routed]  # from the target and a context to the decision


def route_file(stream: ByteStream, original: Spool, context: RouteContext) -> Routed:
    """Read the header of a file and choose its route.

    original  the spool that `stream` copies to; formats that do not stream are read from it

    Raise FormatError if it is not an image, UnsupportedError if no route leads to the requested format.
    """
    kind, settings = known_format(stream), context.settings
    if settings.archive:
        return route_to_archive(kind, stream, original, context)
    target = KEPT_AS.get(kind, "") if settings.format is Format.KEEP else settings.format.value
    if kind == "jpeg":
        return _route_jpeg(target, stream, original, context)
    if kind == "png":
        return _route_png(target, stream, original, context)
    source = Source(format=kind, description=human_format(kind), width=0, height=0, channels=0)
    if kind not in raster.PLUGINS and (not target or _is_auto_returning(kind, settings)):
        return returned(source, reason_to_keep(source))
    if kind == "jxl":
        raise UnsupportedError(f"{source.description}: this format can't be read; {UNARCHIVE}")
    return _route_with_pillow(source, target, stream, original, context)


def route_raw(raw: Raw, samples: Any, context: RouteContext) -> Routed:
    """Choose the route of raw samples: tiles, or the pixels that were made of them before."""
    if context.settings.archive:
        raise SettingsError("archive", f"needs a file: {ONLY_JPEG}")
    context.charge(sum(raw.metadata_bytes().values()))
    pixels: ArrayPixels | RawPixels
    if isinstance(samples, ArrayPixels | RawPixels):
        pixels = samples
    else:
        check_raw(raw)
        needed_again = context.settings.is_measured or context.settings.is_tried
        pixels = RawPixels(raw, samples, context.spool() if needed_again else None)
    description = f"raw, 8-bit {CHANNELS[raw.channels]}"
    source = Source(
        format="raw", description=description, width=raw.width, height=raw.height, channels=raw.channels
    )  # fmt: skip

    def to(target: str, context: RouteContext) -> Routed:
        plan = _plan_pixels(pixels, target, context, raw=True)
        return planned(source, plan, context, pixels.spooled_band_bytes)

    target = context.settings.format_of_raw(raw.channels)
    lossy = dict.fromkeys(("jpeg", "webp", "avif"), pixels.loss) if pixels.loss else {}
    routed = _route_auto(source, to, context, lossy) if target is Format.AUTO else to(target.value, context)
    return dataclasses.replace(routed, pixels=pixels)


def _route_auto(source: Source, to: Conversion, context: RouteContext, excluded: Mapping[str, str]) -> Routed:
    """Return what an image can become with the format `auto`; its source if that is nothing.

    excluded  reason by format that is known already

    Raise UnsupportedError if the source may not be returned either.
    """

    def memory_of(target: Format, settings: Settings) -> int:
        routed = to(target.value, dataclasses.replace(context, settings=settings))
        if routed.plan is None:
            raise UnsupportedError(routed.reason)
        return routed.source.reserved_bytes

    has_alpha = source.format != "jpeg" and scoring.has_alpha(source.channels)  # four of a JPEG are CMYK
    if has_alpha and context.settings.background is None:
        excluded = {"jpeg": "has no alpha, and no background is given", **excluded}
    found = possible(context.settings, memory_of, excluded, context.memory_max)
    if not found.memory_bytes:
        if source.format != "raw" and may_return_source(source.format, context.settings):
            return returned(source, f"no other format can show it as it is: {found.reasons}")
        raise UnsupportedError(f"auto: no accepted format is possible: {found.reasons}")
    source = dataclasses.replace(source, reserved_bytes=max(found.memory_bytes.values()))
    return Routed(source, possible=found)


def _would_lose_again(kind: str, size: int, settings: Settings) -> bool:
    """Return whether a WebP or AVIF, which this package may have made, is returned in place of a lossy result of the
    same format: compared with what has lost already, a score takes ever fewer bytes."""
    if settings.max_bytes is not None and size > settings.max_bytes:
        return False
    by_score = settings.is_corrected or settings.target_score is not None
    return _is_auto_returning(kind, settings) or (settings.format == kind and by_score)


def _is_auto_returning(kind: str, settings: Settings) -> bool:
    """Return whether the format is `auto`, and a file of its own format may be returned."""
    return settings.format is Format.AUTO and may_return_source(kind, settings)


def reason_to_keep(source: Source) -> str:
    """Return why a file that has no route is returned unchanged."""
    if source.format == "png":
        return f"an animated PNG {NO_ROUTE}"
    if source.format == "jxl":
        return f"JPEG XL {NO_ROUTE}: {UNARCHIVE}"
    return f"{source.description} {NO_ROUTE} unless another format is requested"


def _route_jpeg(target: str, stream: ByteStream, original: Spool, context: RouteContext) -> Routed:
    settings = context.settings
    header = read_header(stream, settings.metadata)
    _reject_unsupported_jpeg(header, target, settings.subsampling)
    source = source_of_jpeg(header)
    if header.credentials and keeps_credentials("jpeg", settings):
        return returned(source, HAS_CREDENTIALS)
    if target == "auto":
        return _route_auto_jpeg(header, source, stream, original, context)
    return _convert_jpeg(header, source, target, stream, original, context)


def _convert_jpeg(
    header: Header, source: Source, target: str, stream: ByteStream, original: Spool, context: RouteContext
) -> Routed:
    """Choose the route of a JPEG to a format, of which it has been found that it can be read."""
    settings = context.settings
    read = functools.partial(read_coefficients, stream, header, original, context.stages, context.charge)
    if target == "jpeg":
        if settings.is_search and header.dnl:
            raise UnsupportedError("JPEG with a height given by DNL: target_score and max_bytes are not supported")
        source_bytes = functools.partial(bounds.scored_jpeg, header)
        routed = planned(source, plan_jpeg_to_jpeg(header, read, context), context, source_bytes)
        made_before = settings.is_search and settings.quality is None and is_made_before(header)
        return dataclasses.replace(routed, made_before=made_before)
    if target in ("png", "webp", "avif") and header.color in JPEG_CHANNELS:
        pixels = JpegPixels(header, read, lambda: stream.size)
        # Whether a file of several scans is complete is known only from all of them, so they are read now.
        if not header.streams and pixels.coefficients.lacking:
            pixels.smoothed = raster.open(original.file(), "jpeg")
        return planned(source, _plan_pixels(pixels, target, context), context, pixels.band_bytes)
    return _route_with_pillow(source, target, stream, original, context)


def _route_auto_jpeg(
    header: Header, source: Source, stream: ByteStream, original: Spool, context: RouteContext
) -> Routed:
    """Return what a JPEG can become with the format `auto`."""
    settings, others = context.settings, ""
    if settings.lossless:
        others = "would not keep its coefficients"
    elif header.color not in JPEG_CHANNELS:
        others = f"{header.color} is not kept"
    elif has_gain_map(header.segments):
        others = "the gain map is not kept"
    read = functools.partial(read_coefficients, stream, header, original, context.stages, context.charge)
    if not header.streams and not others and (lacking := read().lacking):
        others = f"its scans leave out {lacking}"

    def to(target: str, context: RouteContext) -> Routed:
        _reject_unsupported_jpeg(header, target, context.settings.subsampling)
        if target == "jpeg":
            return _convert_jpeg(header, source, target, stream, original, context)
        pixels = JpegPixels(header, read, lambda: stream.size)
        return planned(source, _plan_pixels(pixels, target, context), context, pixels.band_bytes)

    excluded = dict.fromkeys(("png", "webp", "avif"), others) if others else {}
    if is_made_before(header) and may_return_source("jpeg", settings):
        excluded = dict.fromkeys(("png", "webp", "avif"), LOSES_AGAIN)
        if settings.is_search and settings.quality is None:
            return returned(source, "made by compressor before")
    return _route_auto(source, to, context, excluded)


def _reject_unsupported_jpeg(header: Header, target: str, subsampling: Subsampling) -> None:
    """Raise UnsupportedError for a JPEG that can't be read, or can't be converted as requested."""
    if header.obstacle:
        raise UnsupportedError(f"JPEG with {header.obstacle}")
    found = header.frame.subsampling
    if target == "jpeg":
        blocks = header.frame.mcu_blocks
        if (
            blocks > BLOCKS_PER_MCU_MAX
        ):  # the limit of the one scan that is written; scans of a single component have none
            raise UnsupportedError(f"JPEG with sampling factors {found}: {blocks} blocks in an MCU")
        if subsampling is not Subsampling.AUTO and found not in ("grey", ":".join(subsampling)):
            problem = f"subsampling {subsampling} is not supported yet for a JPEG with {found}"
            raise UnsupportedError(f"{problem}: leave it on auto")
    elif header.dnl:
        raise UnsupportedError(f"JPEG with a height given by DNL can't be converted to {target}")


def _route_png(target: str, stream: ByteStream, original: Spool, context: RouteContext) -> Routed:
    settings = context.settings
    header = png.read_header(stream, settings.metadata)
    source = Source(
        format="png",
        description=header.description,
        width=header.width,
        height=header.height,
        channels=header.channels,
    )
    if header.animated:
        if target != "png" and not _is_auto_returning("png", settings):
            raise UnsupportedError(f"PNG: animated, and can't be converted to {target}")
        return returned(source, reason_to_keep(source))
    if header.credentials and keeps_credentials("png", settings):
        return returned(source, HAS_CREDENTIALS)

    def to(target: str, context: RouteContext) -> Routed:
        if target != "png":
            pixels = PngPixels(stream, header, context.spool)
            return planned(source, _plan_pixels(pixels, target, context), context, pixels.band_bytes)
        kept = original if context.settings.delivery_of(raw=False) is Delivery.SAFE else None
        return planned(source, plan_png_to_png(stream, header, context, kept), context, lambda lines: 0)

    if target != "auto":
        return to(target, context)
    pixels = PngPixels(stream, header, context.spool)
    others = pixels.loss or "".join(pixels.attachments.color_notices)
    excluded = dict.fromkeys(("jpeg", "webp", "avif"), others) if others else {}
    return _route_auto(source, to, context, excluded)


def _route_with_pillow(
    source: Source, target: str, stream: ByteStream, original: Spool, context: RouteContext
) -> Routed:
    """Choose the route of a file whose pixels Pillow decodes: all of it is spooled, and the whole image is held in
    memory, which is charged in full."""
    for _ in stream.drain():
        pass
    kind = source.format
    try:
        opened = raster.open(original.file(), kind)
    except UnsupportedError as error:
        if target and not _is_auto_returning(kind, context.settings):
            raise
        source = _undecodable(source, original, error)
        return returned(source, reason_to_keep(source))
    several = "several pages" if kind == "tiff" else "animated"
    description = source.description + (f", {several}" if opened.frames > 1 else "")
    source = dataclasses.replace(
        source, description=description, width=opened.width, height=opened.height, channels=opened.channels
    )
    if not target or (opened.frames > 1 and (target == kind or _is_auto_returning(kind, context.settings))):
        return returned(source, reason_to_keep(source))
    if opened.frames > 1:
        raise UnsupportedError(f"{human_format(kind)}: {several}, and can't be converted to {target}")
    if kind in ("webp", "avif") and _would_lose_again(kind, original.size, context.settings):
        return returned(source, LOSES_AGAIN)
    uncarried = containers.unmapped_metadata(kind, original)
    if any("C2PA" in name for name in uncarried) and keeps_credentials(kind, context.settings):
        return returned(source, HAS_CREDENTIALS)

    def to(target: str, context: RouteContext) -> Routed:
        if kind == "bmp" and context.settings.format is Format.KEEP:
            plan = _plan_kept_bmp(opened, RasterPixels(opened, uncarried), context)
        else:
            plan = _plan_pixels(RasterPixels(opened, uncarried, deep=target == "png"), target, context)
        return planned(source, plan, context, lambda lines: opened.reserved_bytes, holds_image=True)

    if target != "auto":
        return to(target, context)
    return _route_auto(source, to, context, _lost_by_auto(opened, uncarried))


def _lost_by_auto(opened: "raster.Raster", uncarried: Sequence[str]) -> Mapping[str, str]:
    """Return why formats would not show an image as it is, by format."""
    others = opened.loss or "".join(opened.metadata.color_notices)
    others = "the gain map is not kept" if "gain map" in uncarried else others
    if not others:
        return {}
    opened.keep_depth()
    formats = ACCEPTABLE if opened.loss or not others.startswith("more than") else ("jpeg", "webp", "avif")
    return dict.fromkeys(formats, others)


def _undecodable(source: Source, original: Spool, problem: UnsupportedError) -> Source:
    """Return the description of a file whose pixels can't be decoded and that is returned unchanged."""
    source = dataclasses.replace(source, description=str(problem).replace(": ", ", ", 1))
    if source.format != "tiff":
        return source
    width, height, channels = TiffFile(original.read, original.size).sides()
    return dataclasses.replace(source, width=width, height=height, channels=channels)


def _plan_kept_bmp(opened: "raster.Raster", pixels: PixelSource, context: RouteContext) -> Plan:
    """Return the plan of a BMP under `keep`.

    It becomes PNG if it has at most 256 colors, since JPEG blurs the edges of drawings, or if JPEG can't hold it:
    lossless, with alpha, or too long. Others become JPEG. Colors are counted once memory for the image is reserved.
    """
    to_png = _plan_pixels(pixels, "png", context)
    too_long = max(opened.width, opened.height) > DIMENSION_MAX
    if context.settings.lossless or opened.channels in (2, 4) or too_long:
        return to_png
    to_jpeg = _plan_pixels(pixels, "jpeg", context)

    def start() -> Route:
        with context.stages.stage("decode"):
            chosen = to_png if opened.has_few_colors() else to_jpeg
        return chosen.start()

    return Plan(max(to_png.memory_bytes, to_jpeg.memory_bytes), start, to_jpeg.result_bytes)


def _plan_pixels(pixels: PixelSource, target: str, context: RouteContext, *, raw: bool = False) -> Plan:
    """Return the plan from pixels to a format."""
    settings = context.settings
    settings.check_loss(pixels.loss, target)
    if target == "jpeg":
        return plan_pixels_to_jpeg(pixels, context)
    if target == "png":
        return plan_pixels_to_png(pixels, context, two_passes=settings.delivery_of(raw=raw) is Delivery.SAFE)
    return plan_pixels_to_other(pixels, context)
