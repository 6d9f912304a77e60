"""PNG metadata after the image data: eXIf and text are allowed anywhere before IEND."""

import io
import struct
from typing import Any

import pytest
from PIL import Image

import compressor
from compressor.metadata import orientation_exif
from tests.planted.png import HEIGHT, SIGNATURE, WIDTH, chunk, image_data

XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"
LATE = ((b"eXIf", orientation_exif(6)), (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP))


def png(before: tuple[tuple[bytes, bytes], ...] = (), after: tuple[tuple[bytes, bytes], ...] = ()) -> bytes:
    ihdr = (b"IHDR", struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 2, 0, 0, 0))
    chunks = (ihdr, *before, (b"IDAT", image_data()), *after, (b"IEND", b""))
    return SIGNATURE + b"".join(chunk(*content) for content in chunks)


def orientation_shown(data: bytes) -> int:
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        return int(image.getexif().get(274, 1))


@pytest.mark.parametrize("effort", ["fast", "balanced"])
@pytest.mark.parametrize("policy", ["keep", "color", "strip"])
@pytest.mark.parametrize("format", ["png", "jpeg", "webp", "avif"])
def test_metadata_after_the_image_data_is_treated_like_metadata_before_it(
    format: Any, policy: Any, effort: Any
) -> None:
    result = compressor.compress(png(after=LATE), format=format, metadata=policy, effort=effort)
    assert orientation_shown(result.data) == 6
    assert (XMP in result.data) == (policy == "keep")
    assert not [notice for notice in result.report.notices if "too late" in notice]


@pytest.mark.parametrize("policy", ["keep", "color", "strip"])
def test_metadata_that_is_read_too_late_is_reported(policy: str) -> None:
    asked: dict[str, Any] = {"format": "jpeg", "metadata": policy, "effort": "fast", "delivery": "immediate"}
    result = compressor.compress(png(after=LATE), **asked)
    assert orientation_shown(result.data) == 1
    names = "eXIf, iTXt" if policy == "keep" else "eXIf"
    late = [f"metadata after the image data was read too late to be carried over: {names}"]
    assert [notice for notice in result.report.notices if "too late" in notice] == late
    before = compressor.compress(png(before=LATE), **asked)
    assert orientation_shown(before.data) == 6
    assert not [notice for notice in before.report.notices if "too late" in notice]
