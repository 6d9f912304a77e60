"""The benchmark of palettes: curves, pictures, and one comparison with a program that stands for pngquant."""

import io
import stat
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.palettes import pictures, run
from benchmarks.palettes.curves import Point, difference, front


def points(*pairs: tuple[float, int]) -> list[Point]:
    return [Point(0, score, score / 4, size, 2 * size, 1.0) for score, size in pairs]


def test_equal_bytes_at_equal_scores_are_no_difference_and_half_of_them_are_half() -> None:
    ours, peer = points((50, 500), (70, 1000), (90, 2000)), points((60, 1000), (80, 2000))

    assert difference(ours, ours, "size") == 0
    found = difference(points((50, 500), (90, 500 * 2**4)), points((50, 1000), (90, 1000 * 2**4)), "recoded")
    assert found == pytest.approx(-0.5)
    assert difference(ours, peer, "size") == pytest.approx(2**-0.5 - 1, abs=0.01)
    assert difference(ours, points((95, 1), (96, 2)), "size") is None
    assert difference(ours, peer, "size", "ms_ssim") == pytest.approx(2**-0.5 - 1, abs=0.01)


def test_results_that_others_beat_in_bytes_and_score_do_not_count() -> None:
    scores, logs = front(points((40, 3000), (60, 900), (80, 1000)), "size", "score")

    assert scores.tolist() == [60, 80]
    np.testing.assert_allclose(np.exp(logs), [900, 1000])


def test_pictures_have_many_colors_and_are_the_same_each_time() -> None:
    made = pictures.drawn()

    assert len(made) == 9
    assert {image.mode for image in made.values()} == {"RGB", "RGBA"}
    assert all(run.has_many_colors(pictures.encoded(image)) for image in made.values())
    assert made["icon"].tobytes() == pictures.icon(256, 3).tobytes()


def test_a_picture_is_compared_by_bytes_score_and_time(tmp_path: Path) -> None:
    program = tmp_path / "pngquant"
    program.write_text(
        f"#!{sys.executable}\nimport sys, io\nfrom PIL import Image\n"
        "image = Image.open(io.BytesIO(sys.stdin.buffer.read())).convert('RGB')\n"
        "image.quantize(int(sys.argv[-2])).save(sys.stdout.buffer, 'PNG')\n"
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    source = pictures.encoded(pictures.banner(240, 60))

    found = run.compare(str(program), "banner", source, (64, 256), "fast", lambda text: None)

    assert [point.colors for point in found.ours] == [64, 256]
    for own, other in zip(found.ours, found.peer, strict=True):
        assert own.cpu_seconds > 0 < other.cpu_seconds
        assert own.score > other.score
        assert other.recoded <= other.size
    assert found.undithered == pytest.approx(found.sizes)  # the program has no such option
    assert run.table([found], "fast").row_count == 2


def test_scores_are_those_over_the_worse_background() -> None:
    clear = pictures.encoded(Image.new("RGBA", (40, 40), (230, 230, 230, 0)))
    grey = io.BytesIO()
    Image.new("RGB", (40, 40), (230, 230, 230)).save(grey, "PNG")

    assert run.scores(clear, clear) == (100, 70)
    assert run.scores(clear, grey.getvalue())[0] < 50
