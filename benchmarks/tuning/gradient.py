"""The gradient of SSIMULACRA2: how much the score changes with each sample of the result.

The score is that of `compressor/ssimulacra2.py`, with samples that need not be whole numbers. Every step of it is
linear or has a derivative, and the gradient passes them in reverse order: maps of errors, blurs, XYB, means of 2 x 2
between the scales, the transfer function of sRGB. Plain NumPy in float64: some 1.3 s of CPU time for a megapixel.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from compressor.kernels.ssimulacra2_lanes import BIAS, C2, MOVES, OPSIN, TAPS
from compressor.ssimulacra2 import HEIGHTS, SCALES_MAX, WEIGHT_MIN, WEIGHTS

Array = npt.NDArray[np.float64]

X, Y, B = range(3)
MATRIX = np.array(OPSIN)
BY_COMPONENT = np.array(WEIGHTS).reshape(3, SCALES_MAX, 2, 3)  # component, scale, norm, map
KERNEL = np.array([*TAPS[:0:-1], *TAPS])
# The polynomial and the power that make a score of the weighted sum of all norms (libjxl, tools/ssimulacra2.cc).
SUM, POWER = 0.9562382616834844, 0.6276336467831387
CUBIC = np.polynomial.Polynomial((0.0, 2.326765642916932, -0.020884521182843837, 6.248496625763138e-05))
SIDE = HEIGHTS[-1]  # pixels: all scales are there


@dataclass(frozen=True)
class _Moments:
    """A component of the source at one scale: its samples, their local mean and that of their squares, (h, w)."""

    samples: Array
    mean: Array
    square: Array


@dataclass(frozen=True)
class _Blurred:
    """A component of the result beside the source's: local means of it, of its square and of the product."""

    samples: Array
    mean: Array
    square: Array
    product: Array


def blur(plane: Array) -> Array:
    """Return the local means of a plane, with zeros outside. It is its own transpose."""
    from scipy.ndimage import correlate1d

    rows = correlate1d(plane, KERNEL, 0, mode="constant")
    return np.asarray(correlate1d(rows, KERNEL, 1, mode="constant"))


def linear_light(samples: Array) -> tuple[Array, Array]:
    """Return the linear light of samples of sRGB, 0 to 255, and its derivative, which is 0 where they are clamped."""
    x = np.clip(samples / 255, 0, 1)
    power = (x + 0.055) / 1.055
    low = x <= 0.04045
    slope = np.where(low, 1 / 12.92, 2.4 / 1.055 * power**1.4) / 255
    return np.where(low, x / 12.92, power**2.4), np.where((samples <= 0) | (samples >= 255), 0, slope)


def xyb(light: Array) -> tuple[Array, Array]:
    """Return X, Y and B - Y of linear light, and the cube roots that they are made of: each (3, h, w)."""
    roots = np.cbrt(np.tensordot(MATRIX, light, 1) + BIAS)
    luma = (roots[0] + roots[1]) / 2
    found = np.stack([7 * (roots[0] - roots[1]) + MOVES[1], luma + MOVES[0], roots[2] - luma + MOVES[2]])
    return found, roots


def xyb_transposed(gradient: Array, roots: Array) -> Array:
    """Return the gradient by linear light, given the one by X, Y and B - Y."""
    luma = (gradient[Y] - gradient[B]) / 2
    by_root = np.stack([7 * gradient[X] + luma, luma - 7 * gradient[X], gradient[B]])
    return np.tensordot(MATRIX.T, by_root / (3 * roots**2), 1)


def halved(planes: Array) -> Array:
    """Return the means of 2 x 2 samples of planes (3, h, w); the last row and column of an odd size are repeated."""
    even = np.pad(planes, ((0, 0), (0, planes.shape[1] % 2), (0, planes.shape[2] % 2)), mode="edge")
    return np.asarray((even[:, ::2, ::2] + even[:, 1::2, ::2] + even[:, ::2, 1::2] + even[:, 1::2, 1::2]) / 4)


def halved_transposed(gradient: Array, height: int, width: int) -> Array:
    """Return the gradient by planes of height x width, given the one by their means of 2 x 2."""
    found = np.repeat(np.repeat(gradient / 4, 2, 1), 2, 2)
    if height % 2:
        found[:, height - 1] += found[:, height]
    if width % 2:
        found[:, :, width - 1] += found[:, :, width]
    return found[:, :height, :width]


def error_maps(source: _Moments, result: _Blurred) -> Array:
    """Return the maps (3, h, w): structure, artifacts, lost detail."""
    structure = 1 - _similarity(source, result)[0]
    ratio = (1 + abs(result.samples - result.mean)) / (1 + abs(source.samples - source.mean)) - 1
    return np.maximum(np.stack([structure, ratio, -ratio]), 0)


def _similarity(source: _Moments, result: _Blurred) -> tuple[Array, Array, Array, Array]:
    """Return a b / d, and a, b and d: luminance, twice the covariance, the sum of the variances."""
    a = 1 - (source.mean - result.mean) ** 2
    b = 2 * (result.product - source.mean * result.mean) + C2
    d = source.square - source.mean**2 + result.square - result.mean**2 + C2
    return a * b / d, a, b, d


def error_maps_transposed(weights: Array, source: _Moments, result: _Blurred) -> Array:
    """Return the gradient by the result's samples, given the one by each map, (3, h, w)."""
    similarity, a, b, d = _similarity(source, result)
    by_similarity = np.where(similarity < 1, -weights[0], 0)
    by_a, by_b, by_d = by_similarity * b / d, by_similarity * a / d, -by_similarity * similarity / d
    detail = result.samples - result.mean
    by_ratio = np.where(abs(detail) > abs(source.samples - source.mean), weights[1], -weights[2])
    by_detail = by_ratio * np.sign(detail) / (1 + abs(source.samples - source.mean))
    by_mean = 2 * (source.mean - result.mean) * by_a - 2 * source.mean * by_b - 2 * result.mean * by_d - by_detail
    direct = by_detail + blur(by_mean) + 2 * result.samples * blur(by_d)
    return np.asarray(direct + source.samples * blur(2 * by_b))


def score_of(total: float) -> tuple[float, float]:
    """Return the score that belongs to the weighted sum of all norms, and its derivative by that sum."""
    x, slope = CUBIC(SUM * total), SUM * CUBIC.deriv()(SUM * total)
    if x <= 0:
        return 100.0, 0.0
    return float(100 - 10 * x**POWER), float(-10 * POWER * x ** (POWER - 1) * slope)


class Gradient:
    """SSIMULACRA2 of results against a source, and its gradient."""

    def __init__(self, source: npt.NDArray[np.uint8]) -> None:
        """Prepare for a source (height, width, 3) with at least SIDE pixels a side, else raise ValueError."""
        if min(source.shape[:2]) < SIDE:
            raise ValueError(f"{source.shape[1]} x {source.shape[0]} pixels: at least {SIDE} a side are needed")
        light = linear_light(np.moveaxis(source, 2, 0).astype(np.float64))[0]
        self._source: list[list[_Moments]] = []
        for scale in range(SCALES_MAX):
            planes = [plane if self._counts(scale, n) else np.zeros((0, 0)) for n, plane in enumerate(xyb(light)[0])]
            self._source.append([_Moments(plane, blur(plane), blur(plane**2)) for plane in planes])
            light = halved(light)

    @staticmethod
    def _counts(scale: int, component: int) -> bool:
        """Return whether a component counts at a scale; the weights of all others are at most 0.0021."""
        return bool(BY_COMPONENT[component, scale].max() >= WEIGHT_MIN)

    def __call__(self, result: Array) -> tuple[float, Array]:
        """Return the score of a result and the gradient by its samples: both (3, height, width), 0 to 255."""
        light, slope = linear_light(result)
        lights, blurred, norms = [], {}, {}
        total = 0.0
        for scale in range(SCALES_MAX):
            lights.append(light)
            for component, samples in enumerate(xyb(light)[0]):
                if self._counts(scale, component):
                    source = self._source[scale][component]
                    found = _Blurred(samples, blur(samples), blur(samples**2), blur(samples * source.samples))
                    maps = error_maps(source, found)
                    norm = np.stack([maps.mean((1, 2)), (maps**4).mean((1, 2)) ** 0.25])
                    total += float((BY_COMPONENT[component, scale] * norm).sum())
                    blurred[scale, component], norms[scale, component] = found, norm
            light = halved(light)
        score, by_total = score_of(total)
        gradient = np.zeros_like(light)
        for scale in reversed(range(SCALES_MAX)):
            _, height, width = lights[scale].shape
            by_component = np.zeros((3, height, width))
            for component in range(3):
                if self._counts(scale, component):
                    key = scale, component
                    by_component[component] = self._by_component(key, blurred[key], norms[key], by_total)
            gradient = halved_transposed(gradient, height, width)
            gradient += xyb_transposed(by_component, xyb(lights[scale])[1])
        return score, gradient * slope

    def _by_component(self, key: tuple[int, int], result: _Blurred, norms: Array, by_total: float) -> Array:
        """Return the gradient by a component at a scale."""
        scale, component = key
        weights = BY_COMPONENT[component, scale] * by_total
        return maps_gradient(weights, norms[1], self._source[scale][component], result)


def maps_gradient(weights: Array, fourth_norms: Array, source: _Moments, result: _Blurred) -> Array:
    """Return the gradient of weighted norms of the maps by the result's samples.

    weights       (2, 3): of the mean and of the 4-norm of each map
    fourth_norms  (3,): the 4-norms
    """
    first, fourth = weights[:, :, None, None] / result.samples.size
    cubes = (error_maps(source, result) / np.maximum(fourth_norms, 1e-12)[:, None, None]) ** 3
    return error_maps_transposed(first + fourth * cubes, source, result)


class FineLuma:
    """SSIMULACRA2's maps of Y at its finest scale, of Y' of JFIF instead: their weighted norms, and the gradient."""

    def __init__(self, source: Array) -> None:
        """Prepare for luma samples (height, width), 0 to 255."""
        plane = source / 255
        self._source = _Moments(plane, blur(plane), blur(plane**2))

    def __call__(self, result: Array) -> tuple[float, Array]:
        """Return the sum of a result's norms, which is 0 for the source, and the gradient by its samples."""
        plane, source = result / 255, self._source
        found = _Blurred(plane, blur(plane), blur(plane**2), blur(plane * source.samples))
        maps = error_maps(source, found)
        norms = np.stack([maps.mean((1, 2)), (maps**4).mean((1, 2)) ** 0.25])
        weights = BY_COMPONENT[Y, 0]
        return float((weights * norms).sum()), maps_gradient(weights, norms[1], source, found) / 255
