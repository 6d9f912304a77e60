"""`subsampling = auto` with a target score: 4:4:4 where 4:2:0 can't have it, and no other setting is changed."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from compressor import compress, pipeline
from compressor.bytestream import ByteStream
from compressor.errors import LimitError
from compressor.jpeg.reader import read_header
from compressor.settings import Raw, Settings
from tests.pipeline.test_scores import SOURCES, file_of, streamed, tiles_of

EFFORTS = ["fast", "balanced", "best"]


def stripes(width: int = 96, height: int = 80) -> np.ndarray:
    """Return columns of red and blue, (height, width, 3) uint8: 4:2:0 leaves nothing of them."""
    rng = np.random.default_rng(2)
    y, x = np.mgrid[:height, :width]
    is_red = ((x + y // 3) % 2)[..., None]
    colors = np.where(is_red, (220, 60, 60), (60, 60, 220))
    return (colors + rng.normal(0, 3, (height, width, 1))).clip(0, 255).astype(np.uint8)


def sampling(data: bytes) -> str:
    """Return the subsampling of a JPEG such as "4:2:0"."""
    return read_header(ByteStream([data])).frame.subsampling


@pytest.mark.parametrize("effort", EFFORTS)
@pytest.mark.parametrize("kind", ["array", "PNG", "WebP", "BMP", "tiles", "alpha"])
def test_auto_falls_back_where_4_2_0_can_not_have_the_score(kind: str, effort: str) -> None:
    pixels = stripes()
    options: dict[str, Any] = {"format": "jpeg", "effort": effort, "target_score": 75, "background": (0, 0, 0)}
    image = Image.fromarray(pixels)
    if kind == "alpha":
        image.putalpha(255)
        kind = "PNG"
    if kind == "tiles":
        raw, tiles = tiles_of(pixels)
        data, report = streamed(tiles, raw, **options)
    else:
        lossless = {"lossless": True} if kind == "WebP" else {}
        result = compress(pixels if kind == "array" else file_of(image, kind, **lossless), **options)
        data, report = result.data, result.report

    assert sampling(data) == "4:4:4"
    assert report.score is not None and report.score >= 75
    assert any(notice.startswith("subsampling is 4:4:4: with 4:2:0 the best of ") for notice in report.notices)
    assert Image.open(io.BytesIO(data)).size == (96, 80)


@pytest.mark.parametrize("effort", EFFORTS)
@pytest.mark.parametrize("requested", ["420", "422"])
def test_a_subsampling_that_is_given_is_kept(requested: str, effort: str) -> None:
    with pytest.raises(LimitError, match=r"no result has a score of 99, .*; subsampling 444 may have a higher one$"):
        compress(stripes(), effort=effort, target_score=99, subsampling=requested)


@pytest.mark.parametrize("effort", EFFORTS)
def test_pictures_that_reach_the_score_with_4_2_0_keep_it(effort: str) -> None:
    for wanted in (50, 70, 80):
        result = compress(SOURCES["PNG"], format="jpeg", effort=effort, target_score=wanted)
        assert sampling(result.data) == "4:2:0"
        assert not result.report.notices


def test_a_jpeg_keeps_its_subsampling() -> None:
    source = file_of(Image.fromarray(stripes()), "JPEG", quality=98, subsampling=2)
    assert sampling(compress(source, target_score=60).data) == "4:2:0"


def test_grey_has_nothing_to_fall_back_to() -> None:
    with pytest.raises(LimitError, match="the finest one has [0-9.]+$"):
        compress(SOURCES["grey PNG"], format="jpeg", target_score=100)


@pytest.mark.parametrize("effort", EFFORTS)
def test_within_a_maximum_size_the_better_subsampling_is_chosen(effort: str) -> None:
    free = compress(stripes(), effort=effort, target_score=75)
    scores = []
    for share in (0.1, 0.8):
        limit = int(share * len(free.data))
        result = compress(stripes(), effort=effort, target_score=75, max_bytes=limit)
        assert len(result.data) <= limit
        scores.append(result.report.score)
    assert sampling(result.data) == "4:4:4"  # no result with 4:2:0 has more than 0
    assert scores[1] is not None and scores[1] > 30


def test_a_fallen_back_result_is_recognized() -> None:
    once = compress(stripes(), target_score=75)
    twice = compress(once.data, target_score=75)

    assert (twice.report.outcome, twice.report.reason) == ("unchanged", "made by compressor before")


@pytest.mark.parametrize("effort", EFFORTS)
@pytest.mark.parametrize("width", [640, 20_000])
def test_the_memory_of_both_is_reserved(width: int, effort: str) -> None:
    raw = Raw(width=width, height=64, channels=3, tile_width=64, tile_height=64)

    def reserved(**settings: Any) -> int:
        with pipeline.stream(iter(()), Settings(effort=effort, **settings), raw=raw) as job:  # type: ignore[arg-type]
            return job.source.reserved_bytes

    both = reserved(target_score=70)
    each = [reserved(target_score=70, subsampling=requested) for requested in ("420", "444")]
    assert both == max(each)
    assert reserved(score=True) == reserved(score=True, subsampling="420")
