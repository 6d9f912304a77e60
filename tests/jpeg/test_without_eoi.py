"""JPEG without an EOI marker whose MCUs are complete: accepted, and bytes after the last MCU are kept."""

import functools
import io
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import compressor
from compressor.errors import FormatError
from compressor.jpeg.markers import NO_EOI
from compressor.jpeg.reader import REMEMBERED_BYTES
from tests.jpeg_files import jpeg
from tests.reference.huffman import segment

KINDS: dict[str, dict[str, Any]] = {
    "baseline": {},
    "progressive": {"progressive": True},
    "restarts": {"restart_marker_blocks": 2},
    "grey": {"mode": "L"},
}
WHOLE = {kind: jpeg(97, 75, quality=90, **options) for kind, options in KINDS.items()}
TRAILERS = {
    "nothing": b"",
    "half a marker": b"\xff",
    "text": b"a trailer of another program" * 20,
    "no marker of T.81": b"\0\0\1\n\xffg\x92 panorama" * 30,
    "fill bytes": b"\xff\xff\xff\xff\0abc\xff\x67xyz" * 50,
    "a picture": WHOLE["grey"],
    "every byte": bytes(range(256)) * 8,
    "segments that end the file": segment(0xE1, b"what?") + segment(0xFE, b"a comment"),
    "a segment that is cut off": b"\xff\xe2\xff\xffshort",
    "restart markers": b"\xff\xd3\xff\xd4ab\xff\xc0",
    "no scan header": b"\xff\xda\0\x08\7\1\0\0\x3f\0data\xff\xd9",
    "a frame header": WHOLE["baseline"][WHOLE["baseline"].index(b"\xff\xc0") :],
}


def libjpeg(data: bytes) -> NDArray[np.uint8]:
    """Return the pixels that libjpeg decodes."""
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def compressed(data: bytes, chunk: int, **settings: Any) -> tuple[bytes, compressor.Report]:
    """Compress a file in chunks."""
    stream = compressor.stream(
        [data[at : at + chunk] for at in range(0, len(data), chunk)],
        compressor.Settings(format=compressor.Format.JPEG, **settings),
    )
    return b"".join(stream), stream.report


@functools.cache
def compressed_whole(kind: str, chunk: int, **settings: Any) -> bytes:
    return compressed(WHOLE[kind], chunk, **settings)[0]


@pytest.mark.parametrize("trailer", TRAILERS)
@pytest.mark.parametrize("kind", KINDS)
def test_bytes_after_the_last_mcu_are_kept_after_the_image(kind: str, trailer: str) -> None:
    whole, rest = WHOLE[kind], TRAILERS[trailer]
    data = whole[:-2] + rest
    for chunk in (1, 7, 1000, len(data)):
        choices: list[dict[str, Any]] = [
            {"lossless": True},
            {"effort": "fast", "delivery": "immediate", "quality": 50},
        ]
        for settings in choices:
            made, report = compressed(data, chunk, **settings)
            assert report.notices.count(NO_EOI) == 1
            assert not any("belong to no" in notice for notice in report.notices)
            if report.outcome == "unchanged":
                assert made == data
            else:
                image = made[: len(made) - len(rest)]
                assert made[len(image) :] == rest
                assert image.endswith(b"\xff\xd9")
                assert image == compressed_whole(kind, chunk, **settings) or len(image) >= len(whole)


@pytest.mark.parametrize("kind", KINDS)
def test_pixels_are_those_of_the_complete_file(kind: str) -> None:
    for rest in TRAILERS.values():
        result = compressor.compress(WHOLE[kind][:-2] + rest, format="png")
        np.testing.assert_array_equal(libjpeg(result.data), libjpeg(WHOLE[kind]))
        assert NO_EOI in result.report.notices
        dropped = [notice for notice in result.report.notices if "after the image" in notice]
        assert [notice.split()[0] for notice in dropped] == ([str(len(rest))] if rest else [])


@pytest.mark.parametrize("kind", KINDS)
def test_a_policy_removes_the_trailer(kind: str) -> None:
    whole = jpeg(97, 75, quality=98, **KINDS[kind])
    for policy in ("color", "strip"):
        result = compressor.compress(whole[:-2] + b"secret" * 50, quality=50, metadata=policy)
        assert result.data == compressor.compress(whole, quality=50, metadata=policy).data
        assert "300 bytes after the image were removed" in result.report.notices


@pytest.mark.parametrize("kind", ["baseline", "progressive"])
def test_stray_bytes_before_an_eoi_stay_stray_bytes(kind: str) -> None:
    whole = WHOLE[kind]
    result = compressor.compress(whole[:-2] + bytes(100) + b"\xff\xd9", lossless=True)

    assert result.data == compressor.compress(whole, lossless=True).data
    assert ["100 bytes in" in notice for notice in result.report.notices] == [True]


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_ends_before_its_last_mcu_is_still_an_error(kind: str) -> None:
    for rest in (b"", b"\xff\x67abc", b"\xff\xe1\0\5abc"):
        with pytest.raises(FormatError, match="cut off|the scans end|code"):
            compressor.compress(WHOLE[kind][:-100] + rest)


def test_more_bytes_than_are_remembered_are_not_a_trailer() -> None:
    """One pass remembers a limited number of bytes. Zeros to the end of the file are skipped with a notice."""
    whole = WHOLE["baseline"][:-2]
    made, report = compressed(whole + bytes(2 * REMEMBERED_BYTES), 1000, lossless=True)
    assert made.endswith(b"\xff\xd9") and len(report.notices) == 2

    with pytest.raises(FormatError, match="not allowed here"):
        compressor.compress(whole + bytes(2 * REMEMBERED_BYTES) + b"\xff\x67 and more" * 10)
