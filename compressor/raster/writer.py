"""Encoding of WebP and AVIF, by Pillow: the whole image is in memory."""

import io
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from compressor.errors import LimitError, SettingsError, UnsupportedError
from compressor.humanize import human_format
from compressor.metadata import ORIENTATION, Attachments, is_sound
from compressor.settings import Effort, Subsampling

AVIF_MORE_BYTES = {Subsampling.AUTO: 0, Subsampling.S420: 0, Subsampling.S422: 12, Subsampling.S444: 28}
SIDES_MAX = {"webp": 16383, "avif": 65536}  # of the formats themselves


def check_subsampling(format: str, subsampling: Subsampling, *, lossless: bool) -> None:
    """Raise an error for a chroma subsampling that the format does not support: lossy WebP is 4:2:0 (RFC 9649, 2.5),
    lossless WebP 4:4:4.
    """
    if format != "webp" or subsampling is Subsampling.AUTO:
        return
    if lossless and subsampling is not Subsampling.S444:
        raise SettingsError("subsampling", f"is {subsampling.value}, but lossless WebP keeps all chroma samples")
    if not lossless and subsampling is not Subsampling.S420:
        raise UnsupportedError(f"subsampling {subsampling.value} is not possible in WebP: lossy WebP is always 4:2:0")


def encoding_bytes(
    format: str, width: int, height: int, channels: int, subsampling: Subsampling = Subsampling.AUTO
) -> int:
    """Return the peak memory of `encode` above idle with the image, measured as for the reader.

    Bytes per pixel: WebP 14.4, lossless 22.6, with alpha 29.3; AVIF 20 grey, 30 RGB, 35 with alpha, and 42 for `best`;
    AVIF_MORE_BYTES more where chroma has more samples: `best` with alpha takes 50 (4:2:0), 55 (4:2:2), 74 (4:4:4).
    """
    alpha = channels in (2, 4)
    each = (32 if alpha else 24) if format == "webp" else 48 + AVIF_MORE_BYTES[subsampling]
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
    quality: int = 80,
    lossless: bool = False,
    effort: Effort = Effort.BALANCED,
    subsampling: Subsampling = Subsampling.AUTO,
    metadata: Callable[[], Attachments] = Attachments,
) -> bytes:
    """Return a WebP or AVIF file of bands of pixels, uint8 (n, width, channels), encoded in one thread.

    metadata  called after the last band, since metadata can follow the pixels of the source
    """
    if max(width, height) > SIDES_MAX[format]:
        raise UnsupportedError(
            f"{human_format(format)}: {width} x {height} pixels, at most {SIDES_MAX[format]} per side"
        )
    if lossless and format == "avif":
        raise UnsupportedError(f"{human_format(format)}: lossless")
    check_subsampling(format, subsampling, lossless=lossless)
    mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[channels]
    image = Image.new("RGBA" if channels == 2 else mode, (width, height))
    top = 0
    for band in bands:
        part = Image.frombuffer(mode, (width, len(band)), np.ascontiguousarray(band), "raw", mode, 0, 1)
        image.paste(part.convert("RGBA") if channels == 2 else part, (0, top))
        top += len(band)
    if top != height:
        raise ValueError(f"{top} rows were given for an image of {height}")
    options: dict[str, object] = {"quality": quality}
    if format == "webp":
        options |= {"method": {Effort.FAST: 2, Effort.BALANCED: 4, Effort.BEST: 6}[effort], "lossless": lossless}
        options |= {"exact": lossless}  # keep the colors of transparent pixels
    else:
        if channels > 1 and subsampling is not Subsampling.AUTO:  # grey has no chroma: 4:0:0
            options["subsampling"] = ":".join(subsampling.value)
        options |= {"speed": {Effort.FAST: 9, Effort.BALANCED: 6, Effort.BEST: 4}[effort], "max_threads": 1}
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
