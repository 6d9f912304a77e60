"""Sharp chroma and luminance-preserving luma in float64, for a whole image at once."""

import numpy as np
from numpy.typing import NDArray

from tests.reference.color import ycc

Plane = NDArray[np.float64]
WEIGHTS = np.array([0.30, 0.6222, 0.0778])


def halved(plane: Plane, axis: int) -> Plane:
    """Downsample by [-0.2, 1, 1, -0.2] / 1.6 at every second sample, the edge repeated."""
    size = plane.shape[axis]
    first = np.arange(0, size, 2)
    taps = [plane.take(np.clip(first + n, 0, size - 1), axis) for n in (-1, 0, 1, 2)]
    return np.asarray((taps[1] + taps[2] - 0.2 * (taps[0] + taps[3])) / 1.6)


def doubled(plane: Plane, axis: int, size: int) -> Plane:
    """Upsample by libjpeg's triangle filter: 3/4 of the nearest sample, 1/4 of the next nearest, the edge repeated."""
    at = np.arange(size)
    near = at // 2
    far = np.clip(near + np.where(at % 2 == 0, -1, 1), 0, plane.shape[axis] - 1)
    return np.asarray(0.75 * plane.take(near, axis) + 0.25 * plane.take(far, axis))


def to_linear(code: Plane) -> Plane:
    """Return the transfer function of sRGB (IEC 61966-2-1)."""
    x = code / 255
    return np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)


def steepness(code: Plane) -> Plane:
    """Return the derivative of `to_linear`."""
    x = code / 255
    return np.where(x <= 0.04045, 1 / 12.92, 2.4 / 1.055 * ((np.maximum(x, 0) + 0.055) / 1.055) ** 1.4) / 255


def slope(code: Plane) -> Plane:
    """Return `steepness`, but zero outside 0 .. 255, where a decoder clamps."""
    return np.where((code < 0) | (code > 255), 0, steepness(code))


def luminance(rgb: Plane) -> Plane:
    """Return the luminance of (..., 3) red, green, blue."""
    return np.asarray(to_linear(np.clip(rgb, 0, 255)) @ WEIGHTS)


def shown(y: Plane, cb: Plane, cr: Plane) -> Plane:
    """Convert Y, Cb and Cr, centered on 0, to (..., 3) red, green, blue, not limited (JFIF 1.02)."""
    return np.stack([y + 1.402 * cr, y - (0.114 * 1.772 * cb + 0.299 * 1.402 * cr) / 0.587, y + 1.772 * cb], -1) + 128


def initial_step(y: Plane, cb: Plane, cr: Plane, rgb: Plane) -> Plane:
    """Return the luma after a step by slopes at half way."""
    change = shown(y, cb, cr) - rgb
    weights = WEIGHTS * steepness(np.maximum(rgb + change / 2, 0.04045 * 255))
    return np.asarray(y - np.clip((weights * change).sum(-1) / weights.sum(-1), -12, 12))


def newton(y: Plane, cb: Plane, cr: Plane, target: Plane) -> Plane:
    """Take a step of Newton's method towards the luma with luminance `target` under the given chroma."""
    rgb = shown(y, cb, cr)
    steep = np.maximum(slope(rgb) @ WEIGHTS, 2e-4)
    return np.asarray(y + np.clip((target - luminance(rgb)) / steep, -12, 12))


def preserving(y: Plane, cb: Plane, cr: Plane, pixels: Plane) -> Plane:
    """Return luma that has nearly the luminance of `pixels` under the given chroma."""
    return newton(initial_step(y, cb, cr, pixels), cb, cr, luminance(pixels))


def planes(pixels: NDArray[np.uint8], h: int, v: int) -> list[Plane]:
    """Return the planes of an image, not padded, in units of 1/16, not rounded.

    pixels  (height, width, 1 or 3) uint8
    h, v    luma sampling factors
    """
    height, width, channels = pixels.shape
    if channels == 1:
        return [16 * (pixels[..., 0].astype(np.float64) - 128)]
    y, cb, cr = np.moveaxis(ycc(pixels), -1, 0)
    if (h, v) == (1, 1):
        return [16 * y, 16 * cb, 16 * cr]
    chroma = []
    for plane in (cb, cr):
        plane = halved(plane, 1)
        plane = halved(plane, 0) if v == 2 else plane
        chroma.append(np.clip(16 * plane, -2048, 2047))
    upsampled = []
    for plane in chroma:
        plane = doubled(plane / 16, 1, width)
        upsampled.append(doubled(plane, 0, height) if v == 2 else plane)
    luma = preserving(y, upsampled[0], upsampled[1], pixels.astype(np.float64))
    return [np.clip(16 * luma, -2048, 16 * 127), *chroma]


def padded(plane: NDArray[np.float64], rows: int, columns: int) -> NDArray[np.float64]:
    """Repeat the last row and column."""
    return np.pad(plane, ((0, rows - plane.shape[0]), (0, columns - plane.shape[1])), "edge")
