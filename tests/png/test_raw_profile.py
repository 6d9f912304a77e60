"""Exif in a raw profile ("Raw profile type exif"), as ImageMagick wrote it before eXIf existed."""

import zlib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageOps

import compressor
from compressor.metadata import orientation_exif
from compressor.png.chunks import Chunk
from compressor.png.raw_profile import exif_of
from tests.png.test_trailing_metadata import orientation_shown, png

SECRET = b"Jane Doe"


def raw_profile(exif: bytes, keyword: bytes = b"Raw profile type exif", compress: bool = True) -> tuple[bytes, bytes]:
    digits = exif.hex()
    lines = "\n".join(digits[at : at + 72] for at in range(0, len(digits), 72))
    text = f"\nexif\n{len(exif):8d}\n{lines}\n".encode()
    return (b"zTXt", keyword + b"\0\0" + zlib.compress(text)) if compress else (b"tEXt", keyword + b"\0" + text)


TURNED = b"Exif\0\0" + orientation_exif(6) + SECRET


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("min_saving", [0, 0.99])
@pytest.mark.parametrize("policy", ["color", "strip"])
@pytest.mark.parametrize("format", ["keep", "jpeg", "webp", "avif"])
def test_a_raw_profile_is_reduced_to_its_orientation(format: str, policy: str, min_saving: float, after: bool) -> None:
    chunks = (raw_profile(TURNED),)
    source = png(after=chunks) if after else png(before=chunks)
    assert orientation_shown(source) == 6
    asked: dict[str, Any] = {"format": format, "metadata": policy, "min_saving": min_saving}
    result = compressor.compress(source, **asked)
    assert orientation_shown(result.data) == 6
    assert SECRET not in result.data and SECRET.hex().encode() not in result.data and b"Raw profile" not in result.data
    if format == "keep":
        assert compressor.compress(result.data, **asked).data == result.data


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("keyword", [b"Raw profile type exif", b"Raw profile type APP1"])
def test_a_raw_profile_is_carried_over_as_exif(keyword: bytes, compress: bool) -> None:
    source = png(before=(raw_profile(TURNED, keyword, compress),))
    result = compressor.compress(source, format="webp")
    assert orientation_shown(result.data) == 6 and SECRET in result.data
    assert not [notice for notice in result.report.notices if "not carried over" in notice]


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("upright", [1, 3])
@pytest.mark.parametrize("min_saving", [0, 0.99])
@pytest.mark.parametrize("format", ["keep", "jpeg"])
def test_exif_takes_precedence_over_a_raw_profile(format: Any, min_saving: float, upright: int, order: int) -> None:
    chunks = (raw_profile(TURNED), (b"eXIf", orientation_exif(upright)))[::order]
    result = compressor.compress(png(before=chunks), format=format, metadata="strip", min_saving=min_saving)
    assert orientation_shown(result.data) == upright
    assert result.data.count(b"eXIf") <= 1


@pytest.mark.parametrize(
    "chunk",
    [
        (b"zTXt", b"Raw profile type exif\0\0nothing that inflates"),
        (b"tEXt", b"Raw profile type exif\0\nexif\n 4\nzzzz\n"),
        (b"tEXt", b"Raw profile type exif\0"),
        (b"iTXt", raw_profile(TURNED)[1]),
        raw_profile(TURNED[6:]),
        raw_profile(b"http://ns.adobe.com/xap/1.0/\0<x/>", b"Raw profile type APP1"),
        raw_profile(TURNED + bytes(1 << 20)),
        raw_profile(TURNED + bytes(1 << 18), compress=False),
    ],
)
@pytest.mark.parametrize("policy", ["keep", "strip"])
def test_other_text_has_no_orientation(policy: Any, chunk: Any) -> None:
    assert exif_of(Chunk(*chunk)) is None
    result = compressor.compress(png(before=(chunk,)), format="webp", metadata=policy)
    assert orientation_shown(result.data) == 1


def test_pillow_applies_the_orientation_of_a_raw_profile(tmp_path: Path) -> None:
    path = tmp_path / "turned.png"
    path.write_bytes(png(before=(raw_profile(TURNED),)))
    with Image.open(path) as image:
        width, height = image.size
        assert ImageOps.exif_transpose(image).size == (height, width)
