"""`subsampling = auto`: 4:4:4 where 4:2:0 can't have the target score or, in AVIF, that of the quality, and no other
setting is changed.
"""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from compressor import compress, pipeline
from compressor.bytestream import ByteStream
from compressor.errors import LimitError
from compressor.jpeg.reader import read_header
from compressor.pipeline import full_chroma, target
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


def silk(width: int = 160, height: int = 120) -> np.ndarray:
    """Return shades of pure red, (height, width, 3) uint8: with 4:2:0 WebP and AVIF have low scores, JPEG has not."""
    rng = np.random.default_rng(4)
    y, x = np.mgrid[:height, :width]
    shade = 0.6 + 0.4 * np.sin(x / 2.1 + y / 5) * np.sin(y / 1.7) + rng.normal(0, 0.02, (height, width))
    is_other = (x // 20 + y // 20) % 2 == 0
    colors = np.where(is_other[..., None], (255, 60, 90), (255, 0, 0))
    pixels: np.ndarray = (shade[..., None] * colors).clip(0, 255).astype(np.uint8)
    return pixels


def sampling(data: bytes) -> str:
    """Return the subsampling of a JPEG or an AVIF such as "4:2:0"."""
    at = data.find(b"av1C")
    if at < 0:
        return read_header(ByteStream([data])).frame.subsampling
    halved = data[at + 6] >> 2 & 3  # chroma_subsampling_x and _y (AV1 in ISOBMFF 2.3.3)
    return {0: "4:4:4", 2: "4:2:2", 3: "4:2:0"}[halved]


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
def test_a_subsampling_that_is_given_is_kept(requested: Any, effort: Any) -> None:
    with pytest.raises(LimitError, match=r"no result has a score of 99, .*; subsampling 444 may have a higher one$"):
        compress(stripes(), effort=effort, target_score=99, subsampling=requested)


@pytest.mark.parametrize("effort", EFFORTS)
def test_pictures_that_reach_the_score_with_4_2_0_keep_it(effort: Any) -> None:
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
def test_within_a_maximum_size_the_better_subsampling_is_chosen(effort: Any) -> None:
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


@pytest.mark.parametrize(
    "pixels, quality, effort",
    [(stripes(), 60, "balanced"), (stripes(), 80, "best"), (silk(), 80, "balanced"), (silk(), 90, "balanced")],
    ids=["stripes, 60", "stripes, 80, best", "silk, 80", "silk, 90"],
)
def test_avif_falls_back_where_4_2_0_falls_short_of_a_quality(pixels: np.ndarray, quality: int, effort: Any) -> None:
    result = compress(pixels, format="avif", quality=quality, effort=effort)
    coarse = compress(pixels, format="avif", quality=quality, effort=effort, subsampling="420")
    wanted = target.score_of_quality(quality)

    assert (sampling(result.data), sampling(coarse.data)) == ("4:4:4", "4:2:0")
    assert result.report.score is not None and not full_chroma.is_short(result.report.score, wanted)
    assert coarse.report.score is not None and full_chroma.is_short(coarse.report.score, wanted)
    [notice] = result.report.notices
    made = coarse.report.encodings
    assert notice == f"subsampling is 4:4:4: with 4:2:0 the best of {made} results has {coarse.report.score:.1f}"
    assert not coarse.report.notices and result.report.encodings <= 5


@pytest.mark.parametrize("effort", ["fast", "balanced"])
def test_avif_falls_back_where_4_2_0_can_not_have_the_score(effort: Any) -> None:
    result = compress(stripes(), format="avif", effort=effort, target_score=75)

    assert sampling(result.data) == "4:4:4"
    assert result.report.score is not None and result.report.score >= 75
    assert result.report.notices[0].startswith("subsampling is 4:4:4: with 4:2:0 the best of ")
    limited = compress(stripes(), format="avif", effort=effort, target_score=75, max_bytes=len(result.data) - 100)
    assert len(limited.data) < len(result.data) and sampling(limited.data) == "4:4:4"
    with pytest.raises(LimitError, match="; subsampling 444 may have a higher one$"):
        compress(stripes(), format="avif", effort=effort, target_score=75, subsampling="420")


def test_avif_of_a_jpeg_falls_back_too() -> None:
    source = file_of(Image.fromarray(silk()), "JPEG", quality=98, subsampling=0)
    assert sampling(compress(source, format="avif").data) == "4:4:4"


def test_avif_that_has_the_score_with_4_2_0_keeps_it() -> None:
    options: list[dict[str, Any]] = [{"quality": 60}, {"quality": 90}, {"target_score": 70}]
    for settings in options:
        result = compress(SOURCES["PNG"], format="avif", **settings)
        assert sampling(result.data) == "4:2:0" and not result.report.notices
    assert sampling(compress(silk(), format="avif", effort="fast").data) == "4:2:0"  # it measures no score


def test_avif_of_a_drawing_is_not_made_again_with_4_4_4(monkeypatch: pytest.MonkeyPatch) -> None:
    """However short it falls: it has 4:4:4 already."""
    monkeypatch.setattr(full_chroma, "is_short", lambda *_: True)
    boxes = np.full((96, 128, 3), (200, 30, 40), np.uint8)
    boxes[:48, :80] = np.random.default_rng(5).integers(0, 256, (48, 80, 3))
    drawing, photograph = (compress(pixels, format="avif").report for pixels in (boxes, stripes()))

    assert drawing.encodings <= 2 and not drawing.notices
    assert photograph.encodings > 2 and photograph.notices


def test_webp_has_no_other_subsampling_to_fall_back_to() -> None:
    report = compress(silk(), format="webp").report
    assert report.score is not None and full_chroma.is_short(report.score, target.score_of_quality(80))
    assert report.encodings <= 2 and not report.notices
    with pytest.raises(LimitError, match="the finest one has [0-9.]+$"):
        compress(silk(), format="webp", target_score=95, subsampling="420")
