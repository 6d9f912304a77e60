"""The benchmark of peak memory: its source images, its checks of results and its plot."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.harness import fidelity, record
from benchmarks.memory import measure, plot, table, tiled_images


@pytest.mark.parametrize("size", [(203, 150), (64, 64), (1, 700), (3, 65)])
@pytest.mark.parametrize("kind", ["png", "interlaced"])
def test_tiled_png_contains_the_generated_image(tmp_path: Path, kind: str, size: tuple[int, int]) -> None:
    files = tiled_images.Files(tmp_path, *size)

    with Image.open(files[kind]) as image:
        assert bool(image.info.get("interlace")) == (kind == "interlaced")
        np.testing.assert_array_equal(np.asarray(image), np.concatenate(list(files.picture.bands())))


@pytest.mark.parametrize("size", [(203, 150), (64, 64), (17, 1200)])
def test_tiled_jpegs_are_identical_and_similar_to_the_generated_image(tmp_path: Path, size: tuple[int, int]) -> None:
    files = tiled_images.Files(tmp_path, *size)

    baseline, progressive = (fidelity.decoded(files[kind].read_bytes()) for kind in ("baseline", "progressive"))

    np.testing.assert_array_equal(baseline, progressive)
    assert fidelity.psnr(baseline, np.concatenate(list(files.picture.bands()))) > 30
    assert files.picture.eighths().psnr(files["progressive"]) > 40


def test_eighths_of_a_tiled_image_are_those_of_its_bands() -> None:
    picture = tiled_images.Picture(203, 1210)
    eighths = fidelity.Eighths(203, 1210)
    for band in picture.bands():
        eighths.add(band)

    np.testing.assert_array_equal(picture.eighths().means, eighths.means)


def conversion(
    megapixels: float, peak_bytes: int | None, effort: str = "fast", problem: str = ""
) -> measure.ConversionResult:
    return measure.ConversionResult(
        name="PNG → JPEG",
        runner="service",
        effort=effort,
        megapixels=megapixels,
        peak_bytes=peak_bytes,
        reserved_bytes=1 << 20,
        seconds=1.0,
        bytes_in=9,
        bytes_out=5,
        psnr_db=40.0,
        problem=problem,
    )


def test_memory_above_its_target_or_growth_limit_is_a_problem() -> None:
    assert measure.problems_of([conversion(100, 5 << 20), conversion(400, 6 << 20)]) == []
    assert (
        "1.3 MiB per additional 100 MP" in measure.problems_of([conversion(100, 5 << 20), conversion(400, 9 << 20)])[0]
    )
    assert "more memory than the target" in measure.problems_of([conversion(16, 49 << 20)])[0]
    assert measure.problems_of([conversion(16, 49 << 20, "balanced")]) == []
    assert measure.problems_of([conversion(16, None, problem="it was refused")])[0].endswith("it was refused")


def test_memory_is_plotted(tmp_path: Path) -> None:
    path = plot.draw([conversion(1, 1 << 20), conversion(400, 2 << 20)], tmp_path / "plot.png")

    with Image.open(path) as image:
        assert image.size == (1600, 862)


def test_a_result_with_other_rows_or_pixels_is_detected(tmp_path: Path) -> None:
    picture, path = tiled_images.Picture(64, 128), tmp_path / "result.png"
    right = np.concatenate(list(picture.bands()))
    for pixels, found in (
        (right, None),
        (right[:-1], "a band of"),
        (np.concatenate([right, right]), "more rows"),
    ):
        Image.fromarray(pixels).save(path)
        if found is None:
            assert measure.psnr_of(path, "png", picture) == float("inf")
        else:
            with pytest.raises(ValueError, match=found):
                measure.psnr_of(path, "png", picture)
    assert measure.problem_of(45.0, "png", "png", 1)
    assert not measure.problem_of(45.0, "baseline", "png", 1)


def test_memory_is_printed_by_size(capsys: pytest.CaptureFixture[str]) -> None:
    results = [conversion(100, 5 << 20), conversion(400, 8 << 20), conversion(400, 49 << 20, "balanced")]

    record.console().print(table.conversion_table(results))

    lines = [line.split() for line in capsys.readouterr().out.splitlines() if "service" in line]
    assert lines == [
        ["PNG", "→", "JPEG", "service", "fast", "5.0", "8.0", "0.12", "+1.00", "400"],
        ["service", "balanced", "-", "49.0", "0.02", "-", "400"],
    ]
