"""Sharp chroma and luminance-preserving luma, compared with their twin in float64."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from compressor.kernels import sharp
from tests.reference import color
from tests.reference import sharp as reference

# In units of Q4, 1/16 of a sample. Chroma: rounding, and what floats lose of exact sums. Luma has the rounding and
# what polynomials lose. In noise, where the one step of Newton's method may end far from the solution, a channel that
# is or is not at its limit makes a difference of a sample or more: measured, one pixel in 16 off by more than 0.75, in
# 4000 by more than 16.
CHROMA_TOLERANCE_Q4 = 0.501
LUMA_TOLERANCE_Q4 = 0.75
NOISE_TOLERANCE_Q4 = 16
PLAIN_TOLERANCE_Q4 = 0.65  # without halved chroma the planes are those of kernels/color.py
HALVED = [(2, 1), (2, 2)]
KINDS = [(1, 1, 1), (3, 1, 1), (3, 2, 1), (3, 2, 2)]
UNTOUCHED = -32768


def noise(height: int, width: int, channels: int, seed: int = 0) -> NDArray[np.uint8]:
    """Return noise with many extreme samples."""
    rng = np.random.default_rng([height, width, channels, seed])
    return np.clip(rng.integers(-128, 384, (height, width, channels)), 0, 255).astype(np.uint8)


def waves(height: int, width: int) -> NDArray[np.uint8]:
    """Return colors that change within a few pixels, over the whole range 0 to 255."""
    y, x = np.mgrid[:height, :width]
    phases = [x / 5 + y / 9, x / 7 - y / 4 + 1, x / 11 + y / 6 + 2]
    return np.stack([127.5 + 127.5 * np.sin(phase) for phase in phases], -1).round().astype(np.uint8)


def run_row(window: NDArray[np.uint8], row: int, h: int, v: int) -> list[NDArray[np.int16]]:
    """Return the planes of one MCU row, and check that nothing else is written."""
    height, width, channels = window.shape
    padded = -(-width // (8 * h)) * 8 * h
    stride = padded if h == 2 else -(-padded // 32) * 32
    blocks = [(padded // 8, h, v), *[(padded // 8 // h, 1, 1)] * (channels - 1)]
    layout = np.array([(0, *block) for block in blocks], np.int64)
    y = np.full((8 * v + 1, stride), UNTOUCHED, np.int16)
    cb, cr = (np.full((9, stride // h), UNTOUCHED, np.int16) for _ in range(2))
    scratch = sharp.sharp_scratch()
    assert sum(array.nbytes for array in scratch) == sharp.SCRATCH_BYTES
    for array in scratch:
        array[:] = 85
    sharp.sharp_planes(window.reshape(height, -1), row, layout, y, cb, cr, *scratch)
    assert (y[-1] == UNTOUCHED).all() and (cb[-1] == UNTOUCHED).all() and (cr[-1] == UNTOUCHED).all()
    assert channels == 3 or ((cb == UNTOUCHED).all() and (cr == UNTOUCHED).all())
    return [y[:-1, :padded], cb[:-1, : padded // h], cr[:-1, : padded // h]][:channels]


def run(pixels: NDArray[np.uint8], h: int, v: int, above: int = 0, below: int = 0) -> list[NDArray[np.int16]]:
    """Return the planes of an image, from a window for each MCU row with more lines than it needs."""
    height = pixels.shape[0]
    rows = []
    for row in range(0, height, 8 * v):
        first = max(row - sharp.MARGIN - above, 0)
        window = pixels[first : min(row + 8 * v + sharp.MARGIN + below, height)]
        rows.append(run_row(np.ascontiguousarray(window), row - first, h, v))
    return [np.vstack(plane) for plane in zip(*rows, strict=True)]


def check(pixels: NDArray[np.uint8], h: int, v: int, luma_tolerance: float = NOISE_TOLERANCE_Q4) -> None:
    found, expected = run(pixels, h, v), reference.planes(pixels, h, v)
    plain = PLAIN_TOLERANCE_Q4 if h == 1 else 0
    tolerances = [plain or luma_tolerance] + [plain or CHROMA_TOLERANCE_Q4] * 2
    for plane, exact, tolerance in zip(found, expected, tolerances, strict=False):
        own = plane[: exact.shape[0], : exact.shape[1]]
        np.testing.assert_array_equal(plane, reference.padded(own.astype(np.float64), *plane.shape))
        outliers = math.ceil({LUMA_TOLERANCE_Q4: 0.002, NOISE_TOLERANCE_Q4: 0.01}.get(tolerance, 0) * own.size)
        assert np.count_nonzero(np.abs(own - exact) > tolerance) <= outliers


@pytest.mark.parametrize("channels, h, v", KINDS)
def test_planes_agree_with_the_reference_for_every_width(channels: int, h: int, v: int) -> None:
    for width in [*range(1, 41), 63, 64, 65, 511, 512, 513, 527, 528, 529, 543, 544, 545, 1023, 1025]:
        check(noise(11, width, channels), h, v)


@pytest.mark.parametrize("channels, h, v", KINDS)
def test_planes_agree_with_the_reference_for_every_height(channels: int, h: int, v: int) -> None:
    for height in range(1, 41):
        check(noise(height, 37, channels), h, v)


@given(st.integers(1, 60), st.integers(1, 600), st.sampled_from(KINDS), st.integers(0, 2**32))
@settings(max_examples=60, derandomize=True)
def test_planes_agree_with_the_reference_for_any_image(
    height: int, width: int, kind: tuple[int, int, int], seed: int
) -> None:
    channels, h, v = kind
    check(noise(height, width, channels, seed), h, v)


@pytest.mark.parametrize("h, v", HALVED)
def test_luma_is_a_sixteenth_from_the_reference(h: int, v: int) -> None:
    check(waves(150, 700), h, v, LUMA_TOLERANCE_Q4)
    pixels = noise(150, 700, 3)
    off = np.abs(run(pixels, h, v)[0][:150, :700] - reference.planes(pixels, h, v)[0])
    assert np.mean(off > LUMA_TOLERANCE_Q4) < 0.08


@pytest.mark.parametrize("channels, h, v", KINDS)
@pytest.mark.parametrize("height", [1, 8, 16, 17, 50])
def test_lines_around_a_window_do_not_matter(height: int, channels: int, h: int, v: int) -> None:
    pixels = noise(height, 77, channels)
    least = run(pixels, h, v)
    for above, below in ((1, 0), (0, 1), (16, 16), (100, 100)):
        for plane, same in zip(least, run(pixels, h, v, above, below), strict=True):
            np.testing.assert_array_equal(plane, same)


@pytest.mark.parametrize("h, v", HALVED)
def test_grey_pixels_keep_their_luma(h: int, v: int) -> None:
    grey = noise(40, 100, 1)
    y, cb, cr = run(np.repeat(grey, 3, axis=2), h, v)
    np.testing.assert_array_equal(y[:40, :100], 16 * (grey[..., 0].astype(np.int16) - 128))
    assert not cb.any() and not cr.any()


@pytest.mark.parametrize("h, v", HALVED)
def test_one_color_keeps_its_luma(h: int, v: int) -> None:
    corners = np.array(np.meshgrid([0, 255], [0, 255], [0, 255])).T.reshape(-1, 3)
    for rgb in [*corners, *np.random.default_rng(0).integers(0, 256, (300, 3))]:
        pixels = np.broadcast_to(rgb.astype(np.uint8), (3, 5, 3)).copy()
        for plane, exact in zip(run(pixels, h, v), np.round(16 * color.ycc(rgb)), strict=True):
            np.testing.assert_array_equal(plane, np.clip(exact, -2048, 2047))


@pytest.mark.parametrize("h, v", HALVED)
def test_pixels_get_their_luminance_back(h: int, v: int) -> None:
    """The range 0 .. 255 limits this: the error is not zero, but larger with plain luma."""
    pixels = waves(160, 320)
    y, cb, cr = (plane / 16 for plane in run(pixels, h, v))
    for n, plane in enumerate((cb, cr)):
        wide = reference.doubled(plane, 1, 320)
        cb, cr = (wide if n == 0 else cb), (wide if n == 1 else cr)
    if v == 2:
        cb, cr = reference.doubled(cb, 0, 160), reference.doubled(cr, 0, 160)
    plain = color.ycc(pixels)[..., 0]
    target = reference.luminance(pixels.astype(np.float64))
    before, after = (
        np.mean(np.abs(reference.luminance(reference.shown(luma, cb, cr)) - target)) for luma in (plain, y)
    )
    assert after < before / 4


def test_linear_light_is_srgb() -> None:
    """The polynomial of kernels/luminance.py, at every code and between."""
    from compressor.kernels.luminance import KNEE, LIN

    x = np.linspace(0, 1, 2551)
    found = np.where(x > KNEE, np.polynomial.polynomial.polyval(x, LIN), x / 12.92)
    off = np.abs(found - reference.to_linear(255 * x))
    assert off.max() < 1.2e-4
    assert (off / np.maximum(reference.slope(255 * x), 1e-9)).max() < 0.0125
