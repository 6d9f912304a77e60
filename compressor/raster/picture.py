"""Images opened or made with Pillow, as input: their pixels and metadata, treated like those of a file."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from compressor.errors import UnsupportedError
from compressor.metadata import ORIENTATION, tiff_stream
from compressor.raster import embedded, reader
from compressor.settings import Raw

DIRECTORIES = (reader.EXIF_IFD, reader.GPS_IFD)
XMP_KEYWORD = "XML:com.adobe.xmp"


class Picture(NamedTuple):
    """An image in memory.

    pixels   (height, width, channels) uint8, C order
    raw      geometry, as a single tile, and metadata
    notices  notices of what pixels and metadata have lost
    loss     why the pixels differ from the image, so that `lossless` is not possible; "" where they do not
    """

    pixels: NDArray[np.uint8]
    raw: Raw
    notices: tuple[str, ...]
    loss: str


def read_picture(image: Image.Image) -> Picture:
    """Return pixels and metadata of the current frame. Raises UnsupportedError for pixels without an 8-bit form."""
    format = (image.format or "").lower()
    try:
        image.load()
    except Exception as error:  # a file that is not decoded yet can be broken
        reader.translate(error, format or "image", "pixels")
    transparent = "transparency" in image.info
    modes = reader.WITH_ALPHA if transparent and image.mode in reader.WITH_ALPHA else reader.BAND_MODES
    if image.mode not in modes or (image.mode == "I" and format not in ("png", "ppm")):  # of unknown range
        raise UnsupportedError(f"pixels of Pillow's mode {image.mode}")
    mode, channels = modes[image.mode]
    notices, loss, icc = [], "", image.info.get("icc_profile") or None
    if image.mode.startswith("I"):
        notices.append("more than 8 bits per sample reduced to 8")
        if transparent:
            notices.append("the transparent color was dropped")
        loss = "more than 8 bits per sample"
        pixels = reader.scale_grey(image, 65535, 255).reshape(image.height, image.width)
    elif image.mode == "CMYK":
        transform, notice = reader.cmyk_transform(icc)
        notices.append(notice)
        loss = image.mode
        converted = ImageCms.applyTransform(image, transform) if transform else image.convert("RGB")
        pixels = np.asarray(converted)
    else:
        if image.mode in ("YCbCr", "LAB", "HSV"):
            notices.append(f"{image.mode} converted to RGB")
            loss = image.mode
        pixels = np.asarray(image if image.mode == mode else image.convert(mode))
    if image.mode in ("CMYK", "YCbCr", "LAB", "HSV"):
        icc = None  # it is not for RGB
    if getattr(image, "is_animated", False):
        notices.append("only the current frame of several was used")
    samples = np.ascontiguousarray(pixels).reshape(image.height, image.width, channels)
    return Picture(samples, _raw(image, channels, icc), tuple(notices), loss)


def _raw(image: Image.Image, channels: int, icc: bytes | None) -> Raw:
    info, (width, height) = image.info, image.size
    xmp = info.get("xmp") or info.get(XMP_KEYWORD)
    comment = embedded.text(info.get("comment"))
    texts = [f"{keyword}: {text}" for keyword, text in getattr(image, "text", {}).items() if keyword != XMP_KEYWORD]
    return Raw(
        width=width,
        height=height,
        channels=channels,
        tile_width=width,
        tile_height=height,
        icc_profile=icc,
        exif=_exif(image),
        xmp=xmp.encode(errors="replace") if isinstance(xmp, str) else xmp or None,
        comments=(*([comment] if comment else []), *texts),
        density=reader.density(info.get("dpi")),
        aspect=reader.aspect(info),
    )


def _exif(image: Image.Image) -> bytes | None:
    """Return Exif as it was read, or as Pillow writes it if it has been changed since."""
    if hasattr(image, "tag_v2"):
        return reader.tiff_exif(image)
    stored: bytes | None = image.info.get("exif")
    found = stored
    try:
        was, now = Image.Exif(), image.getexif()
        was.load(stored or b"")
        changed = {tag for tag in {*was, *now} if was.get(tag) != now.get(tag)}
        changed |= {tag for tag in DIRECTORIES if was.get_ifd(tag) != now.get_ifd(tag)}
        if changed == {ORIENTATION} and ORIENTATION not in was and {"xmp", XMP_KEYWORD} & image.info.keys():
            changed = set()  # Pillow reads an orientation from XMP, viewers do not
        if changed:
            found = now.tobytes() if len(now) else None
    except Exception:  # damaged in any of a dozen ways: keep it unchanged
        found = stored
    return tiff_stream(found) or None
