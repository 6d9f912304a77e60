"""Scores, target scores and maximum sizes: from every kind of source, by both deliveries, and what they refuse."""

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

from compressor import compress, pipeline
from compressor.cores import Demand
from compressor.errors import DeadlineError, LimitError
from compressor.pipeline import scoring, target
from compressor.settings import Format, Raw, Report, Settings, Tile
from compressor.ssimulacra2 import Ssimulacra2
from tests.jpeg_files import jpeg

TARGET = 65


def picture(width: int = 96, height: int = 80, mode: str = "RGB") -> Image.Image:
    """Return a picture with smooth parts, edges, and a little noise."""
    rng = np.random.default_rng(width * height)
    y, x = np.mgrid[:height, :width]
    planes = [128 + 90 * np.sin(x / 9 + c) * np.cos(y / 13 - c) + 30 * ((x // 17 + y // 11) % 2) for c in range(3)]
    noisy = np.stack(planes, 2) + rng.normal(0, 4, (height, width, 1))
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).convert(mode)


def score_of(source: np.ndarray, result: np.ndarray) -> float:
    """Return the score of an array (height, width, 3)."""
    scorer = Ssimulacra2(source.shape[1], source.shape[0], 3)
    scorer.add(np.ascontiguousarray(source), np.ascontiguousarray(result))
    return scorer.score()


def file_of(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def with_alpha(mode: str = "RGBA") -> Image.Image:
    image = picture(mode=mode[:-1])
    ramp = np.linspace(0, 255, image.width).astype(np.uint8)[None].repeat(image.height, 0)
    image.putalpha(Image.fromarray(ramp))
    return image


def tiles_of(pixels: np.ndarray, side: int = 32) -> tuple[Raw, Iterator[Tile]]:
    height, width, channels = pixels.shape
    raw = Raw(width=width, height=height, channels=channels, tile_width=side, tile_height=side)
    tiles = (
        Tile(x, y, pixels[y : y + side, x : x + side].tobytes())
        for y in range(0, height, side)
        for x in range(0, width, side)
    )
    return raw, tiles


def streamed(source: Any, raw: Raw | None = None, **settings: Any) -> tuple[bytes, Report]:
    with pipeline.stream(source, Settings(**settings), raw=raw) as job:
        data = b"".join(job)
        return data, job.report


def decoded(data: bytes, mode: str = "RGB") -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert(mode))


SOURCES: dict[str, Any] = {
    "JPEG": file_of(picture(), "JPEG", quality=98),
    "progressive": file_of(picture(), "JPEG", quality=98, progressive=True),
    "grey JPEG": file_of(picture(mode="L"), "JPEG", quality=98),
    "CMYK": file_of(picture(mode="CMYK"), "JPEG", quality=98),
    "PNG": file_of(picture(), "PNG"),
    "grey PNG": file_of(picture(mode="L"), "PNG"),
    "WebP": file_of(picture(), "WEBP", lossless=True),
    "BMP": file_of(picture(), "BMP"),
    "array": np.asarray(picture()),
    "picture": picture(),
    "alpha": file_of(with_alpha(), "PNG"),
    "grey alpha": file_of(with_alpha("LA"), "PNG"),
}


@pytest.mark.parametrize("effort", ["fast", "balanced", "best"])
@pytest.mark.parametrize("kind", SOURCES)
def test_a_target_score_is_reached_from_every_kind_of_source(kind: str, effort: Any) -> None:
    made = compress(SOURCES[kind], format="jpeg", effort=effort, target_score=TARGET, background=(9, 200, 90))
    report = made.report

    assert report.score is not None and report.score >= TARGET
    assert 1 <= report.encodings <= 4
    assert report.bytes_out == len(made.data)
    assert report.stage_seconds["score"] > 0
    if kind in ("PNG", "array", "picture", "BMP"):
        found = score_of(np.asarray(picture()), decoded(made.data))
        assert report.score == pytest.approx(found, abs=0.01)


@pytest.mark.parametrize("effort", ["fast", "balanced", "best"])
def test_raw_tiles_are_spooled_for_a_search(effort: Any) -> None:
    pixels = np.asarray(picture())
    raw, tiles = tiles_of(pixels)
    data, report = streamed(tiles, raw, effort=effort, target_score=TARGET)
    whole = compress(pixels, effort=effort, target_score=TARGET)

    assert report.encodings > 1
    assert (data, report.score) == (whole.data, whole.report.score)


@pytest.mark.parametrize("effort", ["fast", "balanced"])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WebP", "array", "tiles", "CMYK", "alpha"])
def test_immediate_delivery_reports_the_score_that_safe_delivery_does(kind: str, effort: str) -> None:
    def run(delivery: str) -> tuple[bytes, Report]:
        raw, source = tiles_of(np.asarray(picture())) if kind == "tiles" else (None, SOURCES[kind])
        options = {"effort": effort, "format": "jpeg", "background": (1, 2, 3)}
        return streamed(source, raw, delivery=delivery, score=True, **options)

    (now, one), (later, other) = run("immediate"), run("safe")
    assert one.score == other.score and one.score is not None and one.score < 100
    assert now == later
    assert one.encodings == other.encodings == 1


def test_the_score_does_not_change_the_result() -> None:
    for kind, source in SOURCES.items():
        options: dict[str, Any] = {"format": "jpeg", "background": (1, 2, 3)}
        assert compress(source, **options).data == compress(source, score=True, **options).data, kind


@pytest.mark.parametrize(
    "settings, kind",
    [
        ({"lossless": True}, "JPEG"),
        ({"format": "png"}, "JPEG"),
        ({"format": "png", "effort": "fast", "delivery": "immediate"}, "PNG"),
        ({}, "WebP"),
        ({"target_score": 99}, "JPEG"),
        ({"target_score": 90}, "PNG"),
    ],
)
def test_the_own_samples_of_a_source_score_100(settings: dict[str, Any], kind: str) -> None:
    report = compress(SOURCES[kind], score=True, **settings).report

    assert report.score == 100
    assert report.stage_seconds["score"] == 0


@pytest.mark.parametrize("kind", ["webp", "avif"])
def test_other_formats_are_scored_by_what_pillow_shows(kind: Any) -> None:
    made = compress(SOURCES["PNG"], format=kind, score=True)
    assert made.report.score == pytest.approx(score_of(decoded(SOURCES["PNG"]), decoded(made.data)), abs=0.01)

    grey = compress(SOURCES["grey PNG"], format=kind, score=True).report.score
    assert grey is not None and 30 < grey < 100


def test_alpha_is_scored_over_the_worse_of_two_backgrounds() -> None:
    made = compress(SOURCES["alpha"], format="webp", score=True)
    source, result = (decoded(data, "RGBA").astype(float) for data in (SOURCES["alpha"], made.data))
    found = []
    for color in (26, 230):
        over = [np.rint(p[..., :3] * p[..., 3:] / 255 + color * (1 - p[..., 3:] / 255)) for p in (source, result)]
        found.append(score_of(*(one.astype(np.uint8) for one in over)))

    assert made.report.score == pytest.approx(min(found), abs=0.3)


@pytest.mark.parametrize("kind", ["webp", "avif"])
def test_alpha_that_is_opaque_may_be_dropped_by_the_encoder(kind: Any) -> None:
    opaque = np.dstack([np.asarray(picture()), np.full((80, 96), 255, np.uint8)])
    report = compress(opaque, format=kind, score=True, effort="fast").report

    assert report.score is not None and 40 < report.score < 100


def test_lines_are_compared_in_lockstep_whatever_the_bands() -> None:
    lines = np.arange(35, dtype=np.uint8).reshape(-1, 1)
    one, other = (iter(np.split(lines, cuts)) for cuts in ([16, 32], [7, 9, 30]))
    pairs = list(scoring.in_lockstep(one, other))

    assert all(np.array_equal(a, b) for a, b in pairs)
    assert np.array_equal(np.concatenate([a for a, _ in pairs]), lines)


@pytest.mark.parametrize("side", [(1, 1), (1, 40), (7, 9)])
def test_tiny_pictures_have_scores(side: tuple[int, int]) -> None:
    made = compress(picture(*side), format="jpeg", target_score=60)
    assert made.report.score is not None and made.report.score >= 60


@pytest.mark.parametrize("effort", ["fast", "balanced", "best"])
@pytest.mark.parametrize("wanted", [50, 65, 75])
@pytest.mark.parametrize("kind", ["JPEG", "progressive", "PNG", "grey JPEG"])
def test_a_second_run_with_the_same_target_changes_nothing(kind: str, wanted: int, effort: Any) -> None:
    once = compress(SOURCES[kind], format="jpeg", target_score=wanted, effort=effort)
    twice = compress(once.data, format="jpeg", target_score=wanted, effort=effort)

    assert twice.report.outcome == "unchanged"
    assert twice.data == once.data
    assert twice.report.score == 100
    if once.report.path != "lossless":
        assert twice.report.reason == "made by compressor before"
        assert twice.report.encodings == 0


@pytest.mark.parametrize("options", [{"quality": 40}, {"quality": 40, "max_bytes": 1 << 20}, {"max_bytes": 1500}])
def test_a_file_made_before_is_made_coarser_if_a_quality_or_a_size_asks_for_it(options: dict[str, Any]) -> None:
    once = compress(SOURCES["PNG"], format="jpeg", target_score=85)
    coarser = compress(once.data, **options)

    assert coarser.report.path == "coefficients"
    assert len(coarser.data) < 0.9 * len(once.data)


@pytest.mark.parametrize("limit", [1500, 2500, 4000])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WebP", "array", "alpha"])
def test_a_maximum_size_is_met(kind: str, limit: int) -> None:
    made = compress(SOURCES[kind], format="jpeg", max_bytes=limit, background=(0, 0, 0))

    assert 0.75 * limit < len(made.data) <= limit
    assert made.report.encodings <= 5
    assert made.report.score is not None


def test_a_jpeg_within_the_maximum_is_compressed_losslessly_or_returned() -> None:
    size = len(SOURCES["JPEG"])
    made = compress(SOURCES["JPEG"], max_bytes=size)
    assert (made.report.path, made.report.score) == ("lossless", 100)

    again = compress(made.data, max_bytes=len(made.data))
    assert (again.report.outcome, again.data) == ("unchanged", made.data)


def test_a_result_is_compressed_again_only_for_fewer_bytes() -> None:
    once = compress(SOURCES["PNG"], format="jpeg", target_score=75).data
    assert compress(once, max_bytes=len(once)).data == once

    smaller = compress(once, max_bytes=len(once) * 4 // 5)
    assert len(smaller.data) <= len(once) * 4 // 5


def test_a_maximum_size_is_a_ceiling_of_quality_and_target() -> None:
    each: list[dict[str, Any]] = [{"quality": 90}, {"target_score": 80}]
    for settings in each:
        free = compress(SOURCES["PNG"], format="jpeg", **settings)
        same = compress(SOURCES["PNG"], format="jpeg", max_bytes=len(free.data), **settings)
        assert same.data == free.data and not same.report.notices

        limit = len(free.data) * 2 // 3
        made = compress(SOURCES["PNG"], format="jpeg", max_bytes=limit, **settings)
        assert len(made.data) <= limit
        assert made.report.score is not None
        [notice] = made.report.notices
        assert notice.startswith(f"max_bytes is {limit}, and ")
        assert notice.endswith(f"the result has a score of {made.report.score:.1f}")


def test_sizes_that_no_quality_has_are_refused_with_the_smallest() -> None:
    for kind in ("JPEG", "PNG", "array"):
        with pytest.raises(LimitError, match="max_bytes is 100, and even at quality 1 the result has [0-9]+ bytes"):
            compress(SOURCES[kind], format="jpeg", max_bytes=100)
    with pytest.raises(LimitError, match="max_bytes is 100, and the result, which is lossless, has [0-9]+ bytes"):
        compress(SOURCES["PNG"], max_bytes=100)
    with pytest.raises(LimitError, match="max_bytes is 100, and the result, which is lossless, has [0-9]+ bytes"):
        compress(SOURCES["WebP"], max_bytes=100)


def test_a_score_that_no_result_has_is_refused_unless_the_source_may_be_returned() -> None:
    with pytest.raises(LimitError, match="target_score: no result has a score of 100, the finest one has [0-9.]+"):
        compress(SOURCES["PNG"], format="jpeg", target_score=100)
    report = compress(SOURCES["JPEG"], target_score=100).report
    assert report.score == 100
    assert report.notices == ("the source is no finer than a score of 100: coefficients kept",)


def test_a_source_that_can_not_get_smaller_says_why() -> None:
    once = compress(jpeg(96, 80, quality=60), lossless=True, effort="best").data
    report = compress(once, target_score=95, effort="best").report

    assert report.outcome == "unchanged"
    assert report.reason == "the source is no finer than a score of 95, and its lossless recompression is not smaller"


@pytest.mark.parametrize("kind", ["webp", "avif"])
@pytest.mark.parametrize("effort", ["fast", "balanced"])
def test_webp_and_avif_reach_a_target_in_the_fewest_bytes(kind: Any, effort: Any) -> None:
    low, high = (compress(SOURCES["PNG"], format=kind, target_score=score, effort=effort).report for score in (55, 70))

    assert low.score is not None and high.score is not None
    assert low.score >= 55 and high.score >= 70 and high.score < 80
    assert low.bytes_out < high.bytes_out
    assert max(low.encodings, high.encodings) <= 5


@pytest.mark.parametrize("kind", ["webp", "avif"])
def test_webp_and_avif_fill_a_maximum_size(kind: Any) -> None:
    limit = compress(SOURCES["PNG"], format=kind, target_score=60).report.bytes_out + 100
    result = compress(SOURCES["PNG"], format=kind, max_bytes=limit)

    assert 0.85 * limit < len(result.data) <= limit
    assert result.report.score is not None and result.report.score >= 58
    with pytest.raises(LimitError, match="max_bytes is 100, and even at quality 1"):
        compress(SOURCES["PNG"], format=kind, max_bytes=100)
    both = compress(SOURCES["PNG"], format=kind, quality=95, max_bytes=limit)
    assert len(both.data) <= limit and "quality 95 would take" in both.report.notices[-1]


@pytest.mark.parametrize("kind", ["webp", "avif"])
def test_the_quality_of_webp_and_avif_is_corrected_by_its_score_but_not_with_fast(kind: Any) -> None:
    wanted = target.score_of_quality(60)
    corrected = compress(SOURCES["PNG"], format=kind, quality=60)
    first = compress(SOURCES["PNG"], format=kind, quality=60, effort="fast")

    assert (
        corrected.report.score is not None and abs(corrected.report.score - wanted) < 9
    )  # so small a picture has few sizes
    assert 1 <= corrected.report.encodings <= 2
    assert first.report.score is None and first.report.encodings == 1


@pytest.mark.parametrize("kind", ["webp", "avif"])
def test_a_target_that_no_webp_or_avif_reaches_is_an_error_that_names_the_finest(kind: Any) -> None:
    with pytest.raises(LimitError, match="target_score: no result has a score of 99.9, the finest one has [0-9.]+"):
        compress(SOURCES["PNG"], format=kind, target_score=99.9, subsampling="420")


def test_a_search_ends_with_its_deadline_and_its_call() -> None:
    settings, calls = Settings(target_score=70, format=Format.JPEG), 0
    with pytest.raises(DeadlineError), pipeline.stream([SOURCES["PNG"]], settings, demand=Demand(0)) as job:
        b"".join(job)

    def unwanted() -> None:
        nonlocal calls
        calls += 1
        if calls > 20:
            raise InterruptedError

    with pytest.raises(InterruptedError), pipeline.stream([SOURCES["PNG"]], settings, still_wanted=unwanted) as job:
        b"".join(job)
