"""Small pictures of images, for people."""

import io

from PIL import Image, ImageOps

from compressor.metadata import ORIENTATION
from compressor.raster.picture import read_picture
from compressor.raster.reader import PLUGINS

# What is decoded for a preview: pixels of the image, and pixels after a decoder of JPEG has scaled it down.
SOURCE_PIXELS_MAX = 1 << 26
DECODED_PIXELS_MAX = 1 << 24
QUALITY = 80


def preview(data: bytes, format: str, side: int) -> tuple[str, bytes]:
    """Return the format and the bytes of an upright picture, at most `side` pixels wide and high, with its profile.

    format  of `data`, as `sniff` names it

    The bytes are b"" if the image is too large to be decoded for this, or is of a kind that Pillow can't decode.
    """
    if format not in PLUGINS:
        return "", b""
    made = io.BytesIO()
    try:
        with PLUGINS[format](io.BytesIO(data)) as image:
            if image.width * image.height > SOURCE_PIXELS_MAX:
                return "", b""
            image.draft(None, (side, side))
            if image.width * image.height > DECODED_PIXELS_MAX:
                return "", b""
            orientation = image.getexif().get(ORIENTATION, 1)
            picture = read_picture(image)
        scaled = Image.fromarray(picture.pixels.squeeze())
        scaled.thumbnail((side, side))
        scaled.getexif()[ORIENTATION] = orientation
        made_format = "jpeg" if picture.raw.channels in (1, 3) else "png"
        profile = picture.raw.icc_profile
        ImageOps.exif_transpose(scaled).save(made, made_format, quality=QUALITY, icc_profile=profile)
    except Exception:  # of any kind, see `reader.translate`: then there is no picture
        return "", b""
    return made_format, made.getvalue()
