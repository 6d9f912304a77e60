"""A second run with the same settings changes nothing: it returns a result byte for byte."""

import io
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

from compressor import pipeline
from compressor.errors import FormatError, LimitError, UnsupportedError
from tests.corpus import CORPUS

EFFORTS = ["fast", "balanced", "best"]
SIZES = [(31, 50), (200, 330), (640, 300)]


def pictures(height: int, width: int, colors: int, seed: int) -> Iterator[np.ndarray | Image.Image]:
    """Yield images of each kind: flat, with alpha, partly noise, with a palette, grey, like a photograph."""
    rng = np.random.default_rng((height, width, colors, seed))
    palette = rng.integers(0, 256, (colors, 3), dtype=np.uint8)
    parts = rng.integers(0, colors, (height // 20 + 1, width // 20 + 1)).repeat(20, 0).repeat(20, 1)[:height, :width]
    flat = palette[parts]
    yield flat
    yield np.dstack([flat, np.array([0, 128, 255], np.uint8)[parts % 3]])
    noisy = flat.copy()
    noisy[height // 2 :, width // 2 :] = rng.integers(0, 256, noisy[height // 2 :, width // 2 :].shape)
    yield noisy
    yield Image.fromarray(flat).quantize(colors)
    slope = np.add.outer(np.linspace(0, 150, height), np.linspace(0, 80, width))
    yield slope.astype(np.uint8)
    yield np.dstack([slope.astype(np.uint8)] * 3)
    yield (slope[:, :, None] + rng.normal(0, 3, (height, width, 3))).clip(0, 255).astype(np.uint8)
    yield Image.fromarray((slope * 256).astype(np.uint16))


def encoded(picture: np.ndarray | Image.Image, **options: Any) -> bytes:
    out = io.BytesIO()
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    image.save(out, "PNG", **options)
    return out.getvalue()


def check(data: bytes, effort: Any) -> bool:
    once = pipeline.compress(data, effort=effort).data
    again = pipeline.compress(once, effort=effort)
    assert len(once) <= len(data)
    assert again.data == once
    return once != data


@pytest.mark.parametrize("effort", EFFORTS)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_compressing_a_result_again_returns_it_unchanged(size: tuple[int, int], effort: str) -> None:
    height, width = size
    made = [pictures(height, width, colors, 1) for colors in ((2, 17, 200) if effort != "best" else (17,))]

    changed = [check(encoded(picture, compress_level=0), effort) for picture in itertools.chain(*made)]

    assert sum(changed) > len(changed) // 2


@pytest.mark.parametrize("format", ["BMP", "GIF", "TIFF"])
@pytest.mark.parametrize("effort", ["balanced", "best"])
def test_compressing_a_converted_file_again_returns_it_unchanged(format: str, effort: Any) -> None:
    for picture in itertools.islice(pictures(200, 330, 17, 2), 1):
        source = io.BytesIO()
        assert isinstance(picture, np.ndarray)
        Image.fromarray(picture).save(source, format)
        once = pipeline.compress(source.getvalue(), format="png", effort=effort).data
        assert pipeline.compress(once, effort=effort).data == once


@pytest.mark.heavy
@pytest.mark.parametrize("effort", EFFORTS)
def test_compressing_many_results_again_returns_them_unchanged(effort: Any) -> None:
    files = [
        path.read_bytes() for path in sorted(CORPUS.glob("pngsuite/*.png")) + sorted(CORPUS.glob("graphics/*.png"))
    ]
    for size, colors, seed in itertools.product(SIZES, (2, 5, 17, 60, 200), (1,)):
        files += map(encoded, pictures(*size, colors, seed))
    changed = 0
    for data in files:
        try:
            changed += check(data, effort)
        except (FormatError, LimitError, UnsupportedError):
            continue  # the suite has broken files too
    assert changed > 50  # or nothing would have been compressed again
