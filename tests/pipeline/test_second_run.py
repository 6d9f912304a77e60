"""A second run with the same settings changes nothing: f(f(x)) = f(x), byte for byte."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from compressor import Result, compress
from tests.corpus import CORPUS
from tests.jpeg_files import jpeg, photo

EFFORTS = ("fast", "balanced", "best")
# Sizes of less than a block, of whole MCUs, of padded MCUs, and large enough to be sampled.
SIZES = [(1, 1), (7, 9), (32, 48), (97, 75), (501, 333)]
KINDS: dict[str, dict[str, Any]] = {
    "baseline": {},
    "progressive": {"progressive": True},
    "restarts": {"restart_marker_blocks": 5},
    "4:4:4": {"subsampling": "4:4:4"},
    "4:2:2": {"subsampling": "4:2:2"},
    "RGB": {"keep_rgb": True},
    "comment": {"comment": b"a comment", "dpi": (300, 300)},
}


def rerun(source: Any, **settings: Any) -> tuple[Result, Result]:
    """Return the results of both runs."""
    once = compress(source, format="jpeg", **settings)
    return once, compress(once.data, format="jpeg", **settings)


def assert_the_second_changes_nothing(source: Any, **settings: Any) -> Result:
    once, twice = rerun(source, **settings)
    assert twice.report.outcome == "unchanged"
    assert twice.data == once.data
    return once


def line_art(width: int, height: int) -> Image.Image:
    lines = np.full((height, width, 3), 255, np.uint8)
    lines[::7] = lines[:, ::5] = 0
    return Image.fromarray(lines)


@pytest.mark.parametrize("effort", EFFORTS)
@pytest.mark.parametrize("quality", [30, 80, 95])
@pytest.mark.parametrize("width, height", SIZES)
def test_a_jpeg_made_from_pixels_is_returned_unchanged(width: int, height: int, quality: int, effort: str) -> None:
    for image in (photo(width, height), photo(width, height, "L"), line_art(width, height)):
        assert_the_second_changes_nothing(image, quality=quality, effort=effort)


@pytest.mark.parametrize("effort", EFFORTS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_jpeg_made_from_a_jpeg_is_returned_unchanged(kind: str, effort: str) -> None:
    paths = set()
    for width, height in SIZES:
        for was, quality in ((97, 75), (97, 20), (60, 85)):
            data = jpeg(width, height, quality=was, **KINDS[kind])
            paths.add(assert_the_second_changes_nothing(data, quality=quality, effort=effort).report.path)
    assert paths == {"coefficients", "lossless"}


@pytest.mark.parametrize("effort", EFFORTS)
def test_grey_and_cmyk_are_returned_unchanged_too(effort: str) -> None:
    for mode in ("L", "CMYK"):
        out = io.BytesIO()
        photo(97, 75, "L" if mode == "L" else "RGB").convert(mode).save(out, "JPEG", quality=95)
        for quality in (40, 90):
            assert_the_second_changes_nothing(out.getvalue(), quality=quality, effort=effort)


@pytest.mark.parametrize("settings", [{"lossless": True}, {"metadata": "strip"}, {"metadata": "color"}], ids=str)
@pytest.mark.parametrize("effort", EFFORTS)
def test_results_of_every_policy_and_of_lossless_are_returned_unchanged(settings: dict[str, Any], effort: str) -> None:
    for options in KINDS.values():
        assert_the_second_changes_nothing(jpeg(97, 75, quality=90, **options), effort=effort, **settings)


def test_another_effort_may_still_find_more() -> None:
    once = compress(photo(501, 333), format="jpeg", quality=80)
    for settings in ({"lossless": True}, {"quality": 80, "effort": "best"}):
        again = compress(once.data, **settings)
        assert len(again.data) < len(once.data)
        assert_the_second_changes_nothing(again.data, **settings)


def test_sources_of_other_encoders_get_the_long_search() -> None:
    """The short search is for its own results: if coefficients are kept, `balanced` gives the same bytes as `best`."""
    data = jpeg(501, 333, quality=50)
    results = [compress(data, quality=80, effort=effort) for effort in ("balanced", "best")]
    assert results[0].report.path == "lossless"
    assert results[0].data == results[1].data


@pytest.mark.heavy
@pytest.mark.parametrize("effort", EFFORTS)
def test_results_of_photographs_are_returned_unchanged(effort: str) -> None:
    for file in sorted([*CORPUS.glob("kodak/*.png"), *CORPUS.glob("camera/*.jpg")]):
        for quality in (60, 80, 90):
            if file.suffix == ".png":
                with Image.open(file) as image:
                    assert_the_second_changes_nothing(image, quality=quality, effort=effort)
            else:
                assert_the_second_changes_nothing(file, quality=quality, effort=effort)


@pytest.mark.parametrize("format", ["webp", "avif"])
@pytest.mark.parametrize("policy", ["keep", "color", "strip"])
@pytest.mark.parametrize(
    "settings", [{}, {"quality": 30}, {"quality": 95, "effort": "fast"}, {"lossless": True}], ids=str
)
def test_webp_and_avif_results_are_returned_unchanged(format: Any, policy: Any, settings: dict[str, Any]) -> None:
    if format == "avif" and "lossless" in settings:
        settings = {"effort": "best"}  # AVIF is never lossless here
    noise = np.random.default_rng(1).normal(0, 20, (48, 64, 3))
    y, x = np.mgrid[:48, :64]
    for pixels in (np.stack([x * 3, y * 4, x + y], 2) + noise, np.stack([x // 16 * 60, y // 12 * 60, x * 0], 2)):
        source = np.clip(pixels, 0, 255).astype(np.uint8)
        once = compress(source, format=format, metadata=policy, **settings).data
        twice = compress(once, format=format, metadata=policy, **settings)

        assert twice.data == once
        assert twice.report.outcome.value == "unchanged"
