"""The benchmark of PNG to PNG: its checks and sums."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from benchmarks import png
from benchmarks.harness import record
from tests.reference.pngfilter import chunk


def saved(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    return file.getvalue()


@pytest.fixture
def drawing(tmp_path: Path) -> Path:
    path = tmp_path / "drawing.png"
    path.write_bytes(saved(np.kron(np.eye(9, dtype=np.uint8) * 200, np.ones((11, 7), np.uint8))))
    return path


def test_a_result_is_counted_and_one_that_is_larger_is_not_kept(drawing: Path) -> None:
    data = drawing.read_bytes()
    recode = {
        "smaller": png.pillow,
        "larger": lambda given: given[:33] + chunk(b"prVt", bytes(8)) + given[33:],
    }

    smaller, larger = png.measure([drawing], recode, 2, lambda _: None)

    assert smaller.bytes < smaller.bytes_in == larger.bytes == len(data)
    assert smaller.problem == ""
    assert png.totals([smaller, larger])["smaller"]["smaller"] == 1
    assert png.totals([smaller, larger])["larger"]["smaller"] == 0


def test_a_result_with_other_pixels_is_a_problem(drawing: Path) -> None:
    wrong = saved(np.zeros((99, 63), np.uint8))

    (found,) = png.measure([drawing], {"wrong": lambda _: wrong}, 1, lambda _: None)

    assert found.problem == "the pixels differ"


def test_grey_of_16_bits_is_compared_in_all_of_them() -> None:
    deep = np.arange(4096, dtype=np.uint16).reshape(64, 64)

    assert not np.array_equal(png.pixels(saved(deep)), png.pixels(saved(deep ^ 1)))


def test_a_run_saves_what_it_measured(drawing: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(png, "sources", lambda _: [drawing])
    monkeypatch.setattr(png, "tools", lambda: {"balanced": png.ours("balanced"), "oxipng 2": png.pillow})
    monkeypatch.setattr(record, "console", lambda: Console(file=io.StringIO(), width=100))

    assert png.run(tmp_path, ["--rounds", "1"])

    (saved_to,) = tmp_path.glob("png-*.json")
    content = json.loads(saved_to.read_text())["results"]
    assert content["totals"]["balanced"]["bytes"] <= drawing.stat().st_size
    assert {one["tool"] for one in content["files"]} == {"balanced", "oxipng 2"}
