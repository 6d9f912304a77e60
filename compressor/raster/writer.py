"""WebP and AVIF out, by Pillow: the whole image is in memory."""

import io
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from compressor.errors import LimitError, SettingsError, UnsupportedError
from compressor.metadata import ORIENTATION, Attachments, is_sound
from compressor.raster.reader import title
from compressor.settings import Effort, Subsampling

Bytes = NDArray[np.uint8]

AVIF_MORE_BYTES = {Subsampling.AUTO: 0, Subsampling.S420: 0, Subsampling.S422: 12, Subsampling.S444: 28}
SIDES_MAX = {"webp": 16383, "avif": 65536}  # of the formats themselves


def check_subsampling(format: str, subsampling: Subsampling, *, lossless: bool) -> None:
    """Refuse a chroma subsampling that the format does not have: lossy WebP is 4:2:0 (RFC 9649, 2.5), lossless WebP
    keeps all samples.
    """
    if format != "webp" or subsampling is Subsampling.AUTO:
        return
    if lossless and subsampling is not Subsampling.S444:
        raise SettingsError("subsampling", f"is {subsampling.value}, but lossless WebP keeps all samples of chroma")
    if not lossless and subsampling is not Subsampling.S420:
        raise UnsupportedError(f"subsampling {subsampling.value} is not possible in WebP: lossy WebP is always 4:2:0")


def encoding_bytes(
    format: str, width: int, height: int, channels: int, subsampling: Subsampling = Subsampling.AUTO
) -> int:
    """Peak memory above idle of `encode`, measured likewise, the image included.

    Bytes per pixel: WebP 14.4, lossless 22.6, with alpha 29.3; AVIF 20 grey, 30 RGB, 35 with alpha, and 42 for `best`;
    AVIF_MORE_BYTES more where chroma has more samples: `best` with alpha takes 50 (4:2:0), 55 (4:2:2), 74 (4:4:4).
    """
    alpha = channels in (2, 4)
    each = (32 if alpha else 24) if format == "webp" else 48 + AVIF_MORE_BYTES[subsampling]
    return width * height * each + (8 << 20)


def takes_exif(format: str, exif: bytes) -> bool:
    """Return whether Pillow can write Exif to a format: on the way to AVIF it decodes Exif to make `irot` and `imir` of
    the orientation."""
    if format != "avif":
        return True
    if not is_sound(exif):
        return False
    try:
        found = Image.Exif()
        found.load(exif)
        turned = found.pop(ORIENTATION, 1)
        found.tobytes()
    except Exception:  # damaged, in any of a dozen ways
        return False
    return isinstance(turned, int) and 0 <= turned <= 0xFFFF


def encode(
    bands: Iterable[Bytes],
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
    """A whole WebP or AVIF file from bands of pixels, uint8 (n, width, channels); one thread, whole image in memory.

    metadata  asked for when the last band has been taken, since what follows the pixels may be metadata too
    """
    if max(width, height) > SIDES_MAX[format]:
        raise UnsupportedError(f"{title(format)}: {width} x {height} pixels, at most {SIDES_MAX[format]} a side")
    if lossless and format == "avif":
        raise UnsupportedError("AVIF: lossless")
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
        options |= {"exact": lossless}  # keep colours that alpha hides
    else:
        if channels > 1 and subsampling is not Subsampling.AUTO:  # grey has no chroma: 4:0:0
            options["subsampling"] = ":".join(subsampling.value)
        options |= {"speed": {Effort.FAST: 9, Effort.BALANCED: 6, Effort.BEST: 4}[effort], "max_threads": 1}
    told = metadata()
    options |= {"icc_profile": told.icc, "exif": told.exif or b"", "xmp": told.xmp or b""}
    out = io.BytesIO()
    try:
        image.save(out, format.upper(), **options)
    except MemoryError:
        raise LimitError(f"{title(format)}: more memory than can be had") from None
    except (OSError, ValueError, RuntimeError) as error:
        raise UnsupportedError(f"{title(format)}: {' '.join(str(error).split())}") from None
    finally:
        image.close()
    return out.getvalue()
