"""JPEG whose scans omit coefficients: decoders smooth it, so the result is unchanged, or has the smoothed pixels."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import compressor
from compressor.errors import FormatError
from tests.jpeg.test_pixels import smooth_planes
from tests.reference.huffman import Sampling
from tests.reference.progressive import Scan, clear_dummy_blocks, encode

YCC = (0, 1, 2)
SAMPLING = [(2, 2), (1, 1), (1, 1)]
# Every component in three scans of AC: a low band, a high band, the last bits of both.
WHOLE: list[Scan] = [(YCC, 0, 0, 0, 1), (YCC, 0, 0, 1, 0)]
WHOLE += [((c,), ss, se, 0, 1) for ss, se in ((1, 9), (10, 63)) for c in YCC]
WHOLE += [((c,), 1, 63, 1, 0) for c in YCC]
GREY: list[Scan] = [((0,), 0, 0, 0, 0), ((0,), 1, 20, 0, 0), ((0,), 21, 63, 0, 0)]


def file(
    script: Sequence[Scan], sampling: Sampling = SAMPLING, width: int = 75, height: int = 43, **options: Any
) -> bytes:
    """Return a photograph-like file with these scans only."""
    planes = clear_dummy_blocks(smooth_planes(3, width, height, sampling), width, height, sampling)
    return encode(planes, width, height, sampling, script, dqts=(bytes([0] + [12] * 64),), **options)


def without(*omitted: int) -> list[Scan]:
    """Return all scans except some."""
    return [scan for number, scan in enumerate(WHOLE) if number not in omitted]


LACKING: dict[str, tuple[Sequence[Scan], str]] = {
    "last bit of DC": (without(1), "the last bits of 1 coefficients of component 1"),
    "low band of luma": (without(2, 8), "63 coefficients of component 1"),
    "low band of Cb": ([*without(3, 9), ((1,), 10, 63, 1, 0)], "9 coefficients of component 2"),
    "high band of luma": ([*without(5, 8), ((0,), 1, 9, 1, 0)], "54 coefficients of component 1"),
    "last bits of luma": (without(8), "the last bits of 63 coefficients of component 1"),
    "last bits of Cr": (without(10), "the last bits of 63 coefficients of component 3"),
    "last bit of one coefficient": (
        [*without(10), ((2,), 1, 62, 1, 0)],
        "the last bits of 1 coefficients of component 3",
    ),
    "all AC": (without(*range(2, 11)), "63 coefficients of component 2"),
    "all but the first scan": (WHOLE[:1], "the last bits of 1 coefficients of component 1"),
    "a component": ([((0,), ss, se, ah, al) for c, ss, se, ah, al in WHOLE if c in (YCC, (0,))], "of component 2"),
}
FILES = {name: (file(script), reason) for name, (script, reason) in LACKING.items() if name != "low band of luma"}
FILES |= {
    "grey, high band": (file(GREY[:2], [(1, 1)]), "43 coefficients of component 1"),
    "grey, low band": (file(GREY[::2], [(1, 1)]), "20 coefficients of component 1"),
    "sequential, a component": (file([((0,), 0, 63, 0, 0), ((1,), 0, 63, 0, 0)], sof=0xC1), "64 coefficients of comp"),
}
SETTINGS = [
    {}, {"lossless": True}, {"effort": "fast", "quality": 20}, {"effort": "best", "format": "jpeg", "quality": 1},
    {"delivery": "immediate"}, {"delivery": "immediate", "effort": "fast", "lossless": True},
]  # fmt: skip


def libjpeg(data: bytes) -> NDArray[np.uint8]:
    """Return the pixels that libjpeg decodes."""
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("name", FILES)
def test_a_file_with_missing_coefficients_is_returned_unchanged_with_the_reason(
    name: str, settings: dict[str, Any]
) -> None:
    data, reason = FILES[name]
    result = compressor.compress(data, **settings)

    assert result.data == data
    assert (result.report.outcome, result.report.path, result.report.bytes_out) == ("unchanged", "none", len(data))
    assert reason in result.report.reason


@pytest.mark.parametrize("name", FILES)
def test_other_formats_get_the_pixels_that_libjpeg_shows(name: str) -> None:
    data, reason = FILES[name]
    choices: list[dict[str, Any]] = [{"format": "png", "effort": "fast"}, {"format": "webp", "lossless": True}]
    for settings in choices:
        result = compressor.compress(data, **settings)

        np.testing.assert_array_equal(libjpeg(result.data), libjpeg(data))
        assert [reason in notice and "smoothed" in notice for notice in result.report.notices] == [True]


def test_some_of_these_files_are_smoothed_by_libjpeg_and_some_are_not() -> None:
    complete = libjpeg(file(WHOLE))
    assert all((libjpeg(data) != complete).any() for name, (data, _) in FILES.items() if "grey" not in name)

    # The same coefficients in a file that claims to be complete are not smoothed.
    planes = clear_dummy_blocks(smooth_planes(3, 75, 43, [(1, 1)]), 75, 43, [(1, 1)])
    planes[0][..., 1:21] = 0
    whole = encode(planes, 75, 43, [(1, 1)], GREY, dqts=(bytes([0] + [12] * 64),))
    assert (libjpeg(FILES["grey, low band"][0]) != libjpeg(whole)).any()


@pytest.mark.parametrize("policy", ["color", "strip"])
def test_metadata_of_an_incomplete_file_are_removed_nevertheless(policy: Any) -> None:
    data = FILES["last bits of luma"][0]
    comment = data[:2] + b"\xff\xfe\0\x08secret" + data[2:]

    assert compressor.compress(comment, metadata=policy).data == data


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_a_complete_file_is_compressed(settings: dict[str, Any]) -> None:
    for data in (file(WHOLE), file([*WHOLE[:2], *(((c,), 1, 63, 0, 0) for c in YCC)]), file(GREY, [(1, 1)])):
        report = compressor.compress(data, **settings).report
        assert report.outcome != "unchanged" or report.reason == "not smaller"
        assert report.path != "none"


@pytest.mark.parametrize("name", FILES)
def test_an_incomplete_file_without_eoi_is_taken_as_truncated(name: str) -> None:
    data, _ = FILES[name]
    choices: list[dict[str, Any]] = [{}, {"format": "png"}]
    for settings in choices:
        with pytest.raises(FormatError, match="the scans end before component"):
            compressor.compress(data[:-2], **settings)


def test_the_conversion_of_an_incomplete_file_reserves_memory_for_the_whole_image() -> None:
    data = file(without(8), width=400, height=800)
    reserved = compressor.inspect([data], compressor.Settings(format=compressor.Format.PNG)).reserved_bytes
    assert reserved > 400 * 800 * (4 + 2 * 1.5)  # pixels and coefficients, which libjpeg holds
