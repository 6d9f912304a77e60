"""A target score together with a maximum size: from every kind of source, where results have the score, and where not.

The finest JPEG made of pixels has less than 100, so that this target is out of reach unless a source may come back.
"""

from typing import Any

import numpy as np
import pytest

from compressor import compress
from compressor.errors import LimitError
from compressor.settings import Report
from tests.pipeline.test_scores import SOURCES, picture, streamed, tiles_of

LARGE, SMALL, TOO_SMALL = 1 << 20, 1500, 50
# Kind of the source, format that is asked for.
PIXELS = [
    ("PNG", "jpeg"),
    ("WebP", "jpeg"),
    ("alpha", "jpeg"),
    ("array", "keep"),
    ("tiles", "keep"),
    ("grey PNG", "jpeg"),
]
JPEGS = [("JPEG", "keep"), ("progressive", "keep"), ("grey JPEG", "jpeg"), ("CMYK", "keep")]
RETURNABLE = [("BMP", "keep"), *JPEGS]


def run(kind: str, format: str, **settings: Any) -> tuple[bytes, Report]:
    """Compress a source of a kind."""
    options = {"format": format, "background": (9, 200, 90), **settings}
    if kind == "tiles":
        raw, tiles = tiles_of(np.asarray(picture()))
        return streamed(tiles, raw, **options)
    result = compress(SOURCES[kind], **options)
    return result.data, result.report


@pytest.mark.parametrize("limit", [None, LARGE])
@pytest.mark.parametrize("kind, format", [*PIXELS, *RETURNABLE])
def test_a_target_within_reach_and_within_the_size_is_met(kind: str, format: str, limit: int | None) -> None:
    free = run(kind, format, target_score=80)
    data, report = run(kind, format, target_score=80, max_bytes=limit)

    assert report.score is not None and 80 <= report.score < 100
    assert data == free[0]
    assert not any("max_bytes" in notice for notice in report.notices)


@pytest.mark.parametrize("kind, format", [*PIXELS, *RETURNABLE])
def test_where_the_target_takes_too_many_bytes_the_size_wins(kind: str, format: str) -> None:
    free, best = run(kind, format, target_score=80)
    needed = len(free)
    limit = needed * 2 // 3
    data, report = run(kind, format, target_score=80, max_bytes=limit)

    assert 0.8 * limit < len(data) <= limit
    assert report.score is not None and best.score is not None and report.score < best.score
    said = f"max_bytes is {limit}, and a score of 80 would take {needed}: the result has a score of {report.score:.1f}"
    assert said in report.notices


@pytest.mark.parametrize("kind, format", PIXELS)
def test_a_target_out_of_reach_is_an_error_without_a_size(kind: str, format: str) -> None:
    with pytest.raises(LimitError, match="target_score: no result has a score of 100, the finest one has [0-9.]+$"):
        run(kind, format, target_score=100)


@pytest.mark.parametrize("kind, format", PIXELS)
def test_where_the_target_is_out_of_reach_the_finest_result_within_the_size_is_given(kind: str, format: str) -> None:
    scores = []
    for limit in (LARGE, SMALL):
        data, report = run(kind, format, target_score=100, max_bytes=limit)
        assert len(data) <= limit
        assert report.score is not None
        assert f"within max_bytes, {limit}, the result has {report.score:.1f}" in report.notices[-1]
        assert report.notices[-1].startswith("no result has a score of 100, the finest one has ")
        scores.append(report.score)
    assert 90 < scores[0] < 100
    assert scores[1] < scores[0] - 3


@pytest.mark.parametrize("limit", [None, LARGE])
@pytest.mark.parametrize("kind, format", RETURNABLE)
def test_a_source_that_may_come_back_has_every_score(kind: str, format: str, limit: int | None) -> None:
    _, report = run(kind, format, target_score=100, max_bytes=limit)

    assert report.score == 100
    assert report.path == "lossless" or report.outcome == "unchanged"
    if kind == "BMP":
        assert report.reason.startswith("no result has a score of 100, the finest one has ")


@pytest.mark.parametrize("kind, format", RETURNABLE)
def test_a_source_that_is_too_large_to_come_back_is_made_smaller(kind: str, format: str) -> None:
    data, report = run(kind, format, target_score=100, max_bytes=SMALL)

    assert len(data) <= SMALL
    assert report.score is not None and report.score < 97
    said = "no result has a score of 100" if kind == "BMP" else f"max_bytes is {SMALL}, and a score of 100 would take "
    assert any(notice.startswith(said) for notice in report.notices)


@pytest.mark.parametrize("target", [30, 80, 100])
@pytest.mark.parametrize("kind, format", [*PIXELS, *RETURNABLE])
def test_a_size_that_no_result_has_is_an_error(kind: str, format: str, target: int) -> None:
    with pytest.raises(
        LimitError, match=f"max_bytes is {TOO_SMALL}, and even at quality 1 the result has [0-9]+ bytes"
    ):
        run(kind, format, target_score=target, max_bytes=TOO_SMALL)


@pytest.mark.parametrize("settings", [{}, {"max_bytes": LARGE}, {"quality": 50}])
def test_a_png_keeps_its_samples_whatever_the_target(settings: dict[str, Any]) -> None:
    wanted: dict[str, Any] = {} if "quality" in settings else {"target_score": 80}
    report = compress(SOURCES["PNG"], score=True, **wanted, **settings).report

    assert (report.format, report.score) == ("png", 100)
    with pytest.raises(LimitError, match="the result, which is lossless, has"):
        compress(SOURCES["PNG"], max_bytes=SMALL, **wanted)
