"""Encoding of WebP and AVIF, by Pillow: the whole image is in memory."""

import io
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from compressor.errors import LimitError, SettingsError, UnsupportedError
from compressor.humanize import human_format
from compressor.metadata import ORIENTATION, Attachments, is_sound
from compressor.settings import Effort, Settings, Subsampling

# Bytes per pixel at the peak of `encode`, with the image, by what chroma and alpha the encoder gets. After each, what
# was measured above idle with Pillow 13.0 (libwebp 1.6.0, libavif 1.4.2) on 1 to 2 megapixels of noise and gradients.
WEBP_BYTES = {False: 24, True: 54}  # without and with alpha: 20.9, 47.8
WEBP_LOSSLESS_BYTES = {False: 48, True: 54}  # 42.0, 47.3
AVIF_BYTES = {"grey": 22, "4:2:0": 34, "4:2:2": 41, "4:4:4": 48}  # 18.8, 28.3, between them, 44.0
AVIF_ALPHA_BYTES = 8  # more: 5.3 with 4:2:0, 8.8 with 4:4:4
AVIF_BEST_BYTES = {"grey": 16, "4:2:0": 18, "4:2:2": 20, "4:4:4": 22}  # more for `best`: 14.9, 16.0, between, 21.9
SIDES_MAX = {"webp": 16383, "avif": 65536}  # of the formats themselves
METHODS = {Effort.FAST: 4, Effort.BALANCED: 6, Effort.BEST: 6}  # of lossy WebP: 6 takes 4 % fewer bytes, 2.5x the time
# Pillow's `quality` and `method` of a lossless WebP. On four drawings (80, 4), Pillow's default, takes 8 % more bytes
# than (30, 2) and twice its time; (100, 6) takes a quarter less, and 3 to 50 times the time.
LOSSLESS = {Effort.FAST: (30, 2), Effort.BALANCED: (30, 2), Effort.BEST: (100, 6)}
# Of AVIF: against 6, 4 takes 4 % fewer bytes and 5 times the time, 9 takes 16 % more and a tenth.
SPEEDS = {Effort.FAST: 9, Effort.BALANCED: 6, Effort.BEST: 4}


def check(format: str, width: int, height: int, settings: Settings) -> None:
    """Raise an error for what a format does not support: the size of an image, lossless AVIF, or chroma subsampling,
    since lossy WebP is 4:2:0 (RFC 9649, 2.5), lossless WebP 4:4:4.
    """
    lossless, subsampling = settings.lossless, settings.subsampling
    if max(width, height) > SIDES_MAX[format]:
        raise UnsupportedError(
            f"{human_format(format)}: {width} x {height} pixels, at most {SIDES_MAX[format]} per side"
        )
    if lossless and format == "avif":
        raise UnsupportedError(f"{human_format(format)}: lossless")
    if format != "webp" or subsampling is Subsampling.AUTO:
        return
    if lossless and subsampling is not Subsampling.S444:
        raise SettingsError("subsampling", f"is {subsampling.value}, but lossless WebP keeps all chroma samples")
    if not lossless and subsampling is not Subsampling.S420:
        raise UnsupportedError(f"subsampling {subsampling.value} is not possible in WebP: lossy WebP is always 4:2:0")


def encoding_bytes(format: str, width: int, height: int, channels: int, settings: Settings) -> int:
    """Return the peak memory of `encode` above idle, with the image."""
    alpha = channels in (2, 4)
    if format == "webp":
        each = (WEBP_LOSSLESS_BYTES if settings.lossless else WEBP_BYTES)[alpha]
    else:
        chroma = "grey" if channels == 1 else "4:4:4"
        if channels > 1 and settings.subsampling is not Subsampling.AUTO:
            chroma = ":".join(settings.subsampling.value)
        each = AVIF_BYTES[chroma] + (AVIF_ALPHA_BYTES if alpha else 0)
        each += AVIF_BEST_BYTES[chroma] if settings.effort is Effort.BEST else 0
    return width * height * each + (8 << 20)


def takes_exif(format: str, exif: bytes) -> bool:
    """Return whether Pillow can write Exif to a format: for AVIF it decodes Exif to convert the orientation to `irot`
    and `imir`."""
    if format != "avif":
        return True
    if not is_sound(exif):
        return False
    try:
        found = Image.Exif()
        found.load(exif)
        oriented = found.pop(ORIENTATION, 1)
        found.tobytes()
    except Exception:  # damaged in any of a dozen ways
        return False
    return isinstance(oriented, int) and 0 <= oriented <= 0xFFFF


def encode(
    bands: Iterable[NDArray[np.uint8]],
    width: int,
    height: int,
    channels: int,
    format: str,
    *,
    quality: float = 80,
    lossless: bool = False,
    effort: Effort = Effort.BALANCED,
    subsampling: Callable[[], Subsampling] = lambda: Subsampling.AUTO,
    metadata: Callable[[], Attachments] = Attachments,
) -> bytes:
    """Return a WebP or AVIF file of bands of pixels, uint8 (n, width, channels), encoded in one thread.

    quality      on the encoder's own scale, 0 to 100; see `scales`. A lossless one has no quality
    subsampling  called after the last band, since it may depend on the pixels. AUTO: 4:2:0, or none for grey
    metadata     called after the last band, since metadata can follow the pixels of the source
    """
    mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[channels]
    image = Image.new("RGBA" if channels == 2 else mode, (width, height))
    top = 0
    for band in bands:
        part = Image.frombuffer(mode, (width, len(band)), np.ascontiguousarray(band), "raw", mode, 0, 1)
        image.paste(part.convert("RGBA") if channels == 2 else part, (0, top))
        top += len(band)
    if top != height:
        raise ValueError(f"{top} rows were given for an image of {height}")
    options: dict[str, object] = {}
    if format == "webp":
        options["quality"], options["method"] = LOSSLESS[effort] if lossless else (quality, METHODS[effort])
        options |= {"lossless": lossless, "exact": lossless}  # exact: keep the colors of transparent pixels
    else:
        options |= {"quality": round(quality), "speed": SPEEDS[effort], "max_threads": 1}
        chosen = subsampling()
        if channels > 1 and chosen is not Subsampling.AUTO:  # grey has no chroma: 4:0:0
            options["subsampling"] = ":".join(chosen.value)
    attachments = metadata()
    options |= {"icc_profile": attachments.icc, "exif": attachments.exif or b"", "xmp": attachments.xmp or b""}
    out = io.BytesIO()
    try:
        image.save(out, format.upper(), **options)
    except MemoryError:
        raise LimitError(f"{human_format(format)}: out of memory") from None
    except (OSError, ValueError, RuntimeError) as error:
        raise UnsupportedError(f"{human_format(format)}: {' '.join(str(error).split())}") from None
    finally:
        image.close()
    return out.getvalue()
