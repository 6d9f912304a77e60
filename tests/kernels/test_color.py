"""Color conversion, downsampling and padding, compared with JFIF in float64."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from compressor.kernels import color
from tests.reference import color as reference

# In units of Q4, 1/16 of a sample: 1/2 for the rounding to Q4, and 0.15 for three products floored to 1/256 of a
# sample and weights rounded to 16 bits. Measured over all 2^24 colors: -0.512 .. 0.640 (Y), -0.504 .. 0.569 (Cb, Cr).
TOLERANCE_Q4 = 0.65
SAMPLINGS = [(1, 1), (2, 1), (2, 2)]
WIDTHS = [*range(1, 71), 511, 512, 513, 1023, 1024, 1025]
UNTOUCHED = -32768


def image(height: int, width: int, channels: int, seed: int = 0) -> NDArray[np.uint8]:
    """Return noise with many extreme samples."""
    rng = np.random.default_rng([height, width, channels, seed])
    return np.clip(rng.integers(-128, 384, (height, width, channels)), 0, 255).astype(np.uint8)


def run(pixels: NDArray[np.uint8], row: int, h: int, v: int, segment: int = 1 << 30) -> list[NDArray[np.int16]]:
    """Return the planes of a whole MCU row, made in segments of `segment` pixels, and check that nothing else is
    written."""
    height, width, channels = pixels.shape
    padded = -(-width // (8 * h)) * 8 * h
    parts: list[list[NDArray[np.int16]]] = []
    for x in range(0, padded, segment):
        count = min(segment, padded - x)
        stride = -(-count // 32) * 32
        y, cb, cr = (np.full((lines + 1, stride), UNTOUCHED, np.int16) for lines in (8 * v, 8, 8))
        tail = np.empty((1, 192), np.uint8)
        color.planes(pixels.reshape(height, -1), row, x, count, channels, h, v, (y, cb, cr), tail)
        assert (y[-1] == UNTOUCHED).all() and (cb[-1] == UNTOUCHED).all() and (cr[-1] == UNTOUCHED).all()
        parts.append([y[:-1, :count], cb[:-1, : count // h], cr[:-1, : count // h]][:channels])
    return [np.hstack(part) for part in zip(*parts, strict=True)]


def check(pixels: NDArray[np.uint8], row: int, h: int, v: int, segment: int = 1 << 30) -> None:
    found, expected = run(pixels, row, h, v, segment), reference.planes(pixels, row, h, v)
    tolerance = TOLERANCE_Q4 if pixels.shape[2] == 3 else 0
    for plane, exact in zip(found, expected, strict=True):
        np.testing.assert_allclose(plane, 16 * exact, rtol=0, atol=tolerance)


@pytest.mark.parametrize("h, v", SAMPLINGS)
def test_planes_agree_with_jfif_for_every_width(h: int, v: int) -> None:
    for width in WIDTHS:
        check(image(8 * v, width, 3), 0, h, v)


def test_grey_is_the_sample_itself_for_every_width() -> None:
    for width in WIDTHS:
        check(image(8, width, 1), 0, 1, 1)


@pytest.mark.parametrize("channels, h, v", [(1, 1, 1), *((3, *sampling) for sampling in SAMPLINGS)])
def test_rows_below_the_last_one_repeat_it(channels: int, h: int, v: int) -> None:
    for height in range(1, 41):
        for row in range(0, height, 8 * v):
            check(image(height, 37, channels), row, h, v)


@pytest.mark.parametrize("channels, h, v", [(1, 1, 1), *((3, *sampling) for sampling in SAMPLINGS)])
@pytest.mark.parametrize("width", [31, 32, 33, 64, 65, 95, 96, 97, 129])
def test_segments_join_without_a_seam(width: int, channels: int, h: int, v: int) -> None:
    for segment in (32, 64, 96):
        check(image(11, width, channels), 0, h, v, segment)


@given(st.integers(1, 40), st.integers(1, 140), st.sampled_from(SAMPLINGS), st.integers(0, 2**32))
@settings(max_examples=60)
def test_planes_agree_with_jfif_for_any_image(height: int, width: int, sampling: tuple[int, int], seed: int) -> None:
    h, v = sampling
    for row in range(0, height, 8 * v):
        check(image(height, width, 3, seed), row, h, v)


def test_every_color_of_a_fine_grid_is_within_the_tolerance() -> None:
    """Every third value of each channel, including 0 and 255: 86 cubed."""
    axis = np.arange(0, 256, 3, dtype=np.uint8)
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(8, -1, 3)

    check(np.ascontiguousarray(grid), 0, 1, 1)


def test_rounding_shifts_no_mean() -> None:
    """A bias of 1/16 of a unit of Q4 is left (Y): 2 for 1.5 units of Q8, and halves of Q4 that are rounded up."""
    pixels = np.random.default_rng(1).integers(0, 256, (8, 1 << 14, 3), dtype=np.uint8)

    for plane, exact in zip(run(pixels, 0, 1, 1), reference.planes(pixels, 0, 1, 1), strict=True):
        assert abs((plane - 16 * exact).mean()) < 0.07


@pytest.mark.parametrize("h, v", SAMPLINGS)
@pytest.mark.parametrize("level", [0, 1, 127, 128, 254, 255])
def test_grey_pixels_have_almost_no_color(level: int, h: int, v: int) -> None:
    y, cb, cr = run(np.full((16, 32, 3), level, np.uint8), 0, h, v)

    assert (y == 16 * (level - 128)).all()
    assert abs(cb).max() <= 1 and abs(cr).max() <= 1


@pytest.mark.parametrize("rgb", [(r, g, b) for r in (0, 255) for g in (0, 255) for b in (0, 255)])
def test_the_corners_of_the_cube_do_not_wrap_around(rgb: tuple[int, int, int]) -> None:
    """The 16-bit sums come within 256 of their limits there."""
    for h, v in SAMPLINGS:
        check(np.full((16, 32, 3), rgb, np.uint8), 0, h, v)


def test_chroma_is_the_mean_of_its_pixels() -> None:
    """A column of red in black: at 4:2:0 and 4:2:2 each sample sees one half of red."""
    pixels = np.zeros((16, 32, 3), np.uint8)
    pixels[:, ::2, 0] = 255

    for h, v in ((2, 1), (2, 2)):
        assert abs(run(pixels, 0, h, v)[2] - 16 * 255 * 0.25).max() <= TOLERANCE_Q4
