"""The inverse DCT, upsampling and color conversion, compared with their formulas."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from compressor.kernels import idct, rgb, upsample
from compressor.kernels.idct import LEFT, RIGHT
from tests.reference import idct as reference

Bytes = NDArray[np.uint8]


def inverted(blocks: NDArray[Any], table: NDArray[Any]) -> tuple[Bytes, Bytes]:
    """Return the samples (n, 8, 8) of blocks (n, 64), and their plane."""
    count = len(blocks)
    plane = np.full((8, LEFT + 8 * count + RIGHT), 77, np.uint8)
    idct.inverse(blocks.astype(np.int16), 0, count, np.array([table], np.uint16), 0, plane, 0, 8 * count)
    return plane[:, LEFT : LEFT + 8 * count].reshape(8, count, 8).swapaxes(0, 1), plane


@pytest.mark.parametrize("size, q", [(3, 16), (20, 3), (300, 1), (1, 99)])
@pytest.mark.parametrize("density", [0.05, 0.3, 1.0])
def test_samples_are_within_one_of_exact_arithmetic(size: int, q: int, density: float) -> None:
    rng = np.random.default_rng(size)
    blocks = rng.integers(-size, size + 1, (500, 64)) * (rng.random((500, 64)) < density)
    got, _ = inverted(blocks, np.full(64, q))

    for samples, block in zip(got, blocks, strict=True):
        expected = np.clip(reference.exact(block * q) + 128, 0, 255)
        assert np.abs(samples - expected).max() < 0.5 + 0.05 + 0.1


def test_each_coefficient_has_its_place_and_its_divisor() -> None:
    for k in range(64):
        block, table = np.zeros((1, 64), int), np.arange(1, 65)
        block[0, k] = 500 // (k + 1)
        got, _ = inverted(block, table)

        assert np.abs(got[0] - reference.exact(block[0] * table) - 128).max() < 0.65


def test_blocks_of_dc_alone_get_the_same_samples_by_a_shortcut() -> None:
    """Samples of DC alone are (DC + 4 >> 3) + 128."""
    for dc in range(-1100, 1100, 7):
        alone, _ = inverted(np.array([[dc] + [0] * 63]), np.ones(64))
        value = min(max((dc + 4 >> 3) + 128, 0), 255)

        assert (alone == value).all()


def test_edge_samples_are_repeated_on_both_sides() -> None:
    plane = np.zeros((16, LEFT + 24 + RIGHT), np.uint8)
    blocks = np.random.default_rng(1).integers(-50, 50, (4, 64)).astype(np.int16)
    idct.inverse(blocks, 1, 3, np.full((2, 64), 2, np.uint16), 1, plane, 8, 19)

    np.testing.assert_array_equal(plane[8:, LEFT - 1], plane[8:, LEFT])
    np.testing.assert_array_equal(plane[8:, LEFT + 19], plane[8:, LEFT + 18])
    assert not plane[:8].any() and not plane[:, : LEFT - 1].any() and not plane[:, LEFT + 24 :].any()


def plane_of(lines: Bytes) -> Bytes:
    """Return a plane with edge samples repeated, as `idct.inverse` fills it."""
    plane = np.zeros((len(lines), LEFT + len(lines[0]) + RIGHT), np.uint8)
    plane[:, LEFT : LEFT + len(lines[0])] = lines
    plane[:, LEFT - 1], plane[:, LEFT + len(lines[0])] = lines[:, 0], lines[:, -1]
    return plane


def upsampled(lines: Bytes, kind: int, near: int, far: int, bias: int, ratio: int) -> list[int]:
    """Return an upsampled line."""
    samples = lines.shape[1]
    out = np.zeros((2, LEFT + samples * ratio + RIGHT), np.uint8)
    upsample.upsample(plane_of(lines), kind, near, far, bias, samples, ratio, out, 1)
    line: list[int] = out[1, LEFT : LEFT + samples * ratio].tolist()
    return line


@pytest.mark.parametrize("samples", [3, 4, 31, 32, 33, 64, 70])
def test_the_triangle_filter_is_linear_interpolation_with_alternating_ties(samples: int) -> None:
    lines = np.random.default_rng(samples).integers(0, 256, (2, samples)).astype(np.uint8)
    near, far = ([Fraction(int(s)) for s in line] for line in lines)
    between = [(3 * a + b) / 4 for a, b in zip(near, far, strict=True)]

    def rounded(values: Sequence[Fraction], even: Fraction, odd: Fraction) -> list[int]:
        return [int(value + (odd if n % 2 else even)) for n, value in enumerate(values)]

    quarter, sixteenth = Fraction(1, 4), Fraction(1, 16)
    expected = rounded(reference.doubled(near), quarter, 2 * quarter)
    assert upsampled(lines, upsample.H2V1, 0, 0, 0, 2) == expected
    for bias in (1, 2):
        expected = rounded(between, bias * quarter, bias * quarter)
        assert upsampled(lines, upsample.H1V2, 0, 1, bias, 1) == expected
    expected = rounded(reference.doubled(between), 8 * sixteenth, 7 * sixteenth)
    assert upsampled(lines, upsample.H2V2, 0, 1, 1, 2) == expected


@pytest.mark.parametrize("ratio", [1, 2, 3, 4])
def test_other_ratios_replicate(ratio: int) -> None:
    lines = np.arange(10, dtype=np.uint8).reshape(2, 5)

    assert upsampled(lines, upsample.BOX, 1, 1, 1, ratio) == np.repeat(lines[1], ratio).tolist()


def pixels(components: Bytes, ycc: bool) -> Bytes:
    """Return pixels (width, 3) from samples (3, width)."""
    width = components.shape[1]
    planes = tuple(plane_of(line[None]) for line in components)
    plan = np.array([(upsample.FULL, 1, 1, 1, width, 1, 0)] * 3, np.int64)
    out = np.full(3 * width + 96, 99, np.uint8)
    scratch = np.zeros((3, LEFT + width + RIGHT), np.uint8)
    rgb.pixel_lines(planes, plan, ycc, 0, 1, width, scratch, out, 0)
    return out[: 3 * width].reshape(width, 3)


def test_all_chroma_is_converted_by_the_formula() -> None:
    """Each pair of Cb and Cr is tested with one Y, which differs from pair to pair."""
    cb, cr = (values.ravel().astype(np.uint8) for values in np.mgrid[:256, :256])
    y = ((cb.astype(int) * 7 + cr * 13) % 256).astype(np.uint8)
    got = pixels(np.stack([y, cb, cr]), True)

    one = 1 << 16
    luma, blue, red = y.astype(int), cb.astype(int) - 128, cr.astype(int) - 128
    parts = (
        round(1.402 * one) * red,
        -round(0.34414 * one) * blue - round(0.71414 * one) * red,
        round(1.772 * one) * blue,
    )
    expected = np.stack([np.clip(luma + (part + one // 2 >> 16), 0, 255) for part in parts], -1)
    np.testing.assert_array_equal(got, expected)
    for at in range(0, 65536, 997):
        assert tuple(got[at]) == reference.rgb(int(y[at]), int(cb[at]), int(cr[at]))


@pytest.mark.parametrize("width", [1, 31, 32, 33, 95])
def test_rgb_components_are_copied(width: int) -> None:
    components = np.random.default_rng(width).integers(0, 256, (3, width)).astype(np.uint8)

    np.testing.assert_array_equal(pixels(components, False), components.T)
