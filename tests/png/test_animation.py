"""Animated PNG is returned unchanged; an animation whose only frame is the static image is a still image."""

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from compressor import pipeline
from compressor.errors import UnsupportedError
from compressor.settings import Outcome
from tests.pipeline.test_to_png import drawn, encoded, shown
from tests.reference.pngfilter import chunk

HEIGHT, WIDTH = 120, 160
PIXELS = drawn(HEIGHT, WIDTH)


def control(frames: int = 1, plays: int = 0) -> tuple[bytes, bytes]:
    return b"acTL", struct.pack(">II", frames, plays)


def frame(number: int = 0, width: int = WIDTH, height: int = HEIGHT, x: int = 0, y: int = 0) -> tuple[bytes, bytes]:
    return b"fcTL", struct.pack(">5I2H2B", number, width, height, x, y, 1, 10, 0, 0)


def frame_data(number: int) -> tuple[bytes, bytes]:
    return b"fdAT", struct.pack(">I", number) + b"compressed data that nobody looks at"


def apng(before: Sequence[tuple[bytes, bytes]], after: Sequence[tuple[bytes, bytes]] = ()) -> bytes:
    """Put chunks before the first IDAT of a PNG and after the last."""
    data = encoded(PIXELS, "PNG", compress_level=0)
    at = data.index(b"IDAT") - 4
    made = [b"".join(chunk(*one) for one in chunks) for chunks in (before, after)]
    file: bytes = data[:at] + made[0] + data[at:-12] + made[1] + data[-12:]
    return file


STILL = {
    "shown once": apng([control(1, 1), frame()]),
    "shown for ever": apng([control(), frame()]),
    "fcTL first": apng([frame(), control()]),
    "acTL after the image": apng([], [control(2), frame(0), frame_data(1)]),
}
ANIMATED = {
    "two frames": apng([control(2), frame()], [frame(1), frame_data(2)]),
    "one frame that is not the image": apng([control(1)], [frame(0), frame_data(1)]),
    "two frames that are not the image": apng([control(2)], [frame(0), frame_data(1), frame(2), frame_data(3)]),
    "one frame of a part": apng([control(1), frame(width=WIDTH - 1)]),
    "one frame set in": apng([control(1), frame(width=WIDTH - 1, x=1)]),
    "one frame without a size": apng([control(1), (b"fcTL", b"\0\0\0\0")]),
    "no frame": apng([control(0), frame()]),
    "two controls of the image": apng([control(1), frame(0), frame(1)]),
    "a control that is cut off": apng([(b"acTL", b"\0\0\0"), frame()]),
}


@pytest.mark.parametrize("name", STILL)
@pytest.mark.parametrize("settings", [{}, {"lossless": True}, {"delivery": "immediate"}, {"effort": "fast"}], ids=str)
def test_an_animation_of_one_frame_is_compressed_like_a_still_image(name: Any, settings: Any) -> None:
    plain = pipeline.compress(apng([]), **settings).data
    result = pipeline.compress(STILL[name], **settings)

    assert result.data == plain
    assert result.report.outcome is Outcome.COMPRESSED


@pytest.mark.parametrize("format", ["jpeg", "webp", "avif"])
def test_an_animation_of_one_frame_is_converted_to_other_formats(format: Any) -> None:
    result = pipeline.compress(STILL["shown once"], format=format)

    assert result.report.format == format
    assert not any("acTL" in notice or "fcTL" in notice for notice in result.report.notices)


@pytest.mark.parametrize("name", ANIMATED)
def test_animations_are_returned_unchanged(name: Any) -> None:
    result = pipeline.compress(ANIMATED[name])

    assert result.data == ANIMATED[name]
    assert (result.report.outcome, result.report.reason) == ("unchanged", "an animated PNG is returned unchanged")
    with pytest.raises(UnsupportedError, match="animated"):
        pipeline.compress(ANIMATED[name], format="jpeg")


@pytest.mark.parametrize("settings", [{}, {"format": "jpeg"}], ids=str)
def test_frames_without_an_actl_are_reported(settings: Any) -> None:
    source = apng([control(1), frame()], [frame(1), frame_data(2), frame_data(3), frame(4), frame_data(5)])
    result = pipeline.compress(source, **settings)

    assert "2 additional frames, without an acTL, were dropped" in result.report.notices
    if not settings:
        np.testing.assert_array_equal(shown(result.data)[:, :, :3], PIXELS)
