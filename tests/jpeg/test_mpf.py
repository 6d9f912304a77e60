"""Multi-picture files (CIPA DC-007): pictures after the first one are found where the index says."""

import io
import struct
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from compressor import pipeline
from compressor.bytestream import ByteStream
from compressor.jpeg import mpf
from compressor.jpeg.frame import Segment
from compressor.jpeg.headers import read_header
from tests.jpeg_files import read
from tests.pipeline.test_pipeline import photograph, psnr


def file_of(*pictures: NDArray[np.uint8], **options: Any) -> bytes:
    """Return a file with several pictures."""
    sink = io.BytesIO()
    first, *others = (Image.fromarray(picture) for picture in pictures)
    first.save(sink, "MPO", save_all=True, append_images=others, quality=95, **options)
    return sink.getvalue()


def pictures_of(data: bytes) -> tuple[str | None, list[NDArray[np.int64]]]:
    """Return the format of a file and its pictures."""
    opened = Image.open(io.BytesIO(data))
    found: list[NDArray[np.int64]] = []
    for n in range(getattr(opened, "n_frames", 1)):
        opened.seek(n)
        found.append(np.asarray(opened.convert("RGB")).astype(np.int64))
    return opened.format, found


SOURCE = file_of(photograph(320, 480), photograph(64, 96), photograph(41, 53))
_, BEFORE = pictures_of(SOURCE)


@pytest.mark.parametrize(
    "settings",
    [
        {"quality": 70},
        {"quality": 70, "effort": "fast"},
        {"lossless": True},
        {"quality": 70, "delivery": "immediate", "effort": "fast"},
        {"quality": 70, "metadata": "color"},
    ],
    ids=str,
)
def test_all_pictures_are_found_where_the_index_says(settings: dict[str, Any]) -> None:
    result = pipeline.compress(SOURCE, **settings)

    assert len(result.data) < len(SOURCE)
    format, after = pictures_of(result.data)
    assert format == "MPO"
    assert len(after) == 3
    assert psnr(after[0], BEFORE[0]) > 28
    for old, new in zip(BEFORE[1:], after[1:], strict=True):
        np.testing.assert_array_equal(new, old)


def test_the_index_has_the_size_of_the_first_picture() -> None:
    data = pipeline.compress(SOURCE, quality=70).data

    opened = Image.open(io.BytesIO(data))
    first, second = getattr(opened, "mpinfo")[0xB002][:2]  # noqa: B009
    base = data.index(b"MPF\0") + 4
    assert data[first["Size"] - 2 : first["Size"]] == b"\xff\xd9"
    assert first["Size"] == base + second["DataOffset"]


def test_stripping_removes_the_other_pictures_with_a_notice() -> None:
    result = pipeline.compress(SOURCE, quality=70, metadata="strip")

    _, after = pictures_of(result.data)
    assert len(after) == 1
    assert result.data.endswith(b"\xff\xd9")
    assert any("additional images" in notice for notice in result.report.notices)


@pytest.mark.parametrize("cut", range(4, 40, 3))
def test_an_index_that_can_not_be_read_is_ignored(cut: int) -> None:
    index = mpf.index_of(read_header(ByteStream([SOURCE])).segments)
    assert index is not None
    broken = Segment(0xE2, index.data[:cut])

    assert mpf.index_of([Segment(0xE2, b"ICC_PROFILE\0"), broken]) is None


def test_a_file_with_an_index_that_can_not_be_read_is_accepted_with_a_notice() -> None:
    broken = SOURCE.replace(b"MPF\0II*\0", b"MPF\0II*\1").replace(b"MPF\0MM\0*", b"MPF\0MM\1*")
    assert broken != SOURCE

    result = pipeline.compress(broken, quality=70, effort="fast")

    assert ["MPF" in notice for notice in result.report.notices] == [True]
    assert result.data.endswith(SOURCE[-1000:])
    assert read(result.data)[1].segments == read(broken)[1].segments


def test_offsets_are_rewritten_in_either_byte_order() -> None:
    for order, name in (("<", b"II*\0"), (">", b"MM\0*")):
        entry = struct.pack(order + "HHII", 0xB002, 7, 32, 26)
        entries = struct.pack(order + "IIIHH", 0, 100, 0, 0, 0) + struct.pack(order + "IIIHH", 0, 7, 5000, 0, 0)
        directory = struct.pack(order + "IH", 8, 1) + entry + bytes(4)
        data = b"MPF\0" + name + directory + entries

        rewritten = mpf.rewrite_offsets(Segment(0xE2, data), 60, -40)

        assert struct.unpack(order + "IIIHH", rewritten[30:46])[:3] == (0, 60, 0)
        assert struct.unpack(order + "IIIHH", rewritten[46:62])[:3] == (0, 7, 4960)


@pytest.mark.parametrize("count", [0, 1])
@pytest.mark.parametrize("min_saving", [0, 0.99])
@pytest.mark.parametrize("policy", ["keep", "color", "strip"])
def test_a_file_with_an_index_without_additional_pictures_is_accepted(
    policy: Any, min_saving: float, count: int
) -> None:
    sink = io.BytesIO()
    Image.fromarray(photograph(64, 96)).save(sink, "JPEG", quality=95)
    plain = sink.getvalue()
    index = mpf.index_data([mpf.MpEntry(0x030000, len(plain), 0, (0, 0))] * count)
    source = plain[:2] + b"\xff\xe2" + (len(index) + 2).to_bytes(2, "big") + index + plain[2:] + b"behind"

    result = pipeline.compress(source, metadata=policy, min_saving=min_saving)

    assert (mpf.IDENTIFIER in result.data) == (policy == "keep")
    assert result.data.endswith(b"behind") == (policy == "keep")
    assert pipeline.compress(result.data, metadata=policy, min_saving=min_saving).data == result.data
    if policy == "color":
        assert result.report.notices == ("6 bytes after the image were removed",)
