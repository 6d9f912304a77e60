"""JPEG whose scans leave coefficients out: decoders smooth it, so it comes back unchanged or as they show it."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

import compressor
from compressor.errors import FormatError
from tests.jpeg.test_pixels import smooth_planes
from tests.reference.progressive import encode, without_padding

YCC = (0, 1, 2)
SAMPLING = [(2, 2), (1, 1), (1, 1)]
# Every component in three scans of AC: a low band, a high band, the last bits of both.
WHOLE = [(YCC, 0, 0, 0, 1), (YCC, 0, 0, 1, 0)]
WHOLE += [((c,), ss, se, 0, 1) for ss, se in ((1, 9), (10, 63)) for c in YCC] + [((c,), 1, 63, 1, 0) for c in YCC]
GREY = [((0,), 0, 0, 0, 0), ((0,), 1, 20, 0, 0), ((0,), 21, 63, 0, 0)]


def file(script, sampling=SAMPLING, width=75, height=43, **options):
    """A photograph-like file that has these scans only."""
    planes = without_padding(smooth_planes(3, width, height, sampling), width, height, sampling)
    return encode(planes, width, height, sampling, script, dqts=(bytes([0] + [12] * 64),), **options)


def but(*left_out):
    return [scan for number, scan in enumerate(WHOLE) if number not in left_out]


LACKING = {
    "last bit of DC": (but(1), "the last bits of 1 coefficients of component 1"),
    "low band of luma": (but(2, 8), "63 coefficients of component 1"),
    "low band of Cb": ([*but(3, 9), ((1,), 10, 63, 1, 0)], "9 coefficients of component 2"),
    "high band of luma": ([*but(5, 8), ((0,), 1, 9, 1, 0)], "54 coefficients of component 1"),
    "last bits of luma": (but(8), "the last bits of 63 coefficients of component 1"),
    "last bits of Cr": (but(10), "the last bits of 63 coefficients of component 3"),
    "last bit of one coefficient": ([*but(10), ((2,), 1, 62, 1, 0)], "the last bits of 1 coefficients of component 3"),
    "all AC": (but(*range(2, 11)), "63 coefficients of component 2"),
    "all but the first scan": (WHOLE[:1], "the last bits of 1 coefficients of component 1"),
    "a component": ([(c[:1] if c == YCC else c, *rest) for c, *rest in WHOLE if c in (YCC, (0,))], "of component 2"),
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


def libjpeg(data):
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("name", FILES)
def test_a_file_that_lacks_coefficients_comes_back_with_the_reason(name: Any, settings: Any) -> None:
    data, reason = FILES[name]
    result = compressor.compress(data, **settings)

    assert result.data == data
    assert (result.report.outcome, result.report.path, result.report.bytes_out) == ("unchanged", "none", len(data))
    assert reason in result.report.reason


@pytest.mark.parametrize("name", FILES)
def test_other_formats_get_the_pixels_that_libjpeg_shows(name: Any) -> None:
    data, reason = FILES[name]
    for settings in ({"format": "png", "effort": "fast"}, {"format": "webp", "lossless": True}):
        result = compressor.compress(data, **settings)

        np.testing.assert_array_equal(libjpeg(result.data), libjpeg(data))
        assert [reason in notice and "smoothed" in notice for notice in result.report.notices] == [True]


def test_the_files_here_include_some_that_libjpeg_smooths_and_some_that_it_does_not() -> None:
    complete = libjpeg(file(WHOLE))
    assert all((libjpeg(data) != complete).any() for name, (data, _) in FILES.items() if "grey" not in name)

    # The same coefficients in a file that claims to be complete are not smoothed.
    planes = without_padding(smooth_planes(3, 75, 43, [(1, 1)]), 75, 43, [(1, 1)])
    planes[0][..., 1:21] = 0
    whole = encode(planes, 75, 43, [(1, 1)], GREY, dqts=(bytes([0] + [12] * 64),))
    assert (libjpeg(FILES["grey, low band"][0]) != libjpeg(whole)).any()


@pytest.mark.parametrize("policy", ["color", "strip"])
def test_metadata_of_an_incomplete_file_go_all_the_same(policy: str) -> None:
    data = FILES["last bits of luma"][0]
    comment = data[:2] + b"\xff\xfe\0\x08secret" + data[2:]

    assert compressor.compress(comment, metadata=policy).data == data


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_a_complete_file_is_compressed(settings: Any) -> None:
    for data in (file(WHOLE), file(WHOLE[:2] + [((c,), 1, 63, 0, 0) for c in YCC]), file(GREY, [(1, 1)])):
        report = compressor.compress(data, **settings).report
        assert report.outcome != "unchanged" or report.reason == "not smaller"
        assert report.path != "none"


@pytest.mark.parametrize("name", FILES)
def test_without_its_end_marker_such_a_file_counts_as_cut_off(name: Any) -> None:
    data, _ = FILES[name]
    for settings in ({}, {"format": "png"}):
        with pytest.raises(FormatError, match="the scans end before component"):
            compressor.compress(data[:-2], **settings)


def test_what_an_incomplete_file_is_converted_to_is_charged_as_a_whole_image() -> None:
    data = file(but(8), width=400, height=800)
    reserved = compressor.inspect([data], compressor.Settings(format="png")).reserved_bytes
    assert reserved > 400 * 800 * (4 + 2 * 1.5)  # pixels and coefficients, as libjpeg holds them
