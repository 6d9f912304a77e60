"""Decoding of coefficients to RGB as libjpeg does, 4:2:0, but in floats, and its transpose.

Nothing is rounded, so that every pixel has a derivative by every coefficient that it depends on. A component is an
array (rows, columns, 64) of blocks, coefficients in zig-zag order.
"""

import numpy as np

from benchmarks.tuning.gradient import Array
from compressor.kernels.dering import DCT
from compressor.t81 import ZIGZAG

Components = list[Array]

BASIS = np.einsum("vy,ux->vuyx", DCT, DCT).reshape(64, 64)[ZIGZAG]  # of each coefficient: its 64 samples (A.3.3)
# Of JFIF: R, G and B of Y, Cb and Cr.
RGB = np.array([[1, 0, 1.402], [1, -0.344136286, -0.714136286], [1, 1.772, 0]])


def samples(component: Array) -> Array:
    """Return the samples of blocks, level-shifted: (8 rows, 8 columns)."""
    rows, columns, _ = component.shape
    blocks = (component @ BASIS).reshape(rows, columns, 8, 8)
    return np.asarray(blocks.swapaxes(1, 2).reshape(8 * rows, 8 * columns))


def samples_transposed(plane: Array) -> Array:
    """Return the gradient by coefficients, given the one by samples."""
    rows, columns = plane.shape[0] // 8, plane.shape[1] // 8
    blocks = plane.reshape(rows, 8, columns, 8).swapaxes(1, 2).reshape(rows, columns, 64)
    return np.asarray(blocks @ BASIS.T)


def upsampled(plane: Array) -> Array:
    """Return twice as many columns: three quarters of the nearest sample, one of the next ("fancy upsampling")."""
    padded = np.pad(plane, ((0, 0), (1, 1)), mode="edge")
    left, right = (0.75 * plane + 0.25 * other for other in (padded[:, :-2], padded[:, 2:]))
    return np.asarray(np.stack([left, right], 2).reshape(len(plane), -1))


def upsampled_transposed(gradient: Array) -> Array:
    """Return the gradient by a plane, given the one by its upsampled columns."""
    left, right = gradient[:, ::2], gradient[:, 1::2]
    found = 0.75 * (left + right)
    found[:, :-1] += 0.25 * left[:, 1:]
    found[:, 1:] += 0.25 * right[:, :-1]
    found[:, 0] += 0.25 * left[:, 0]
    found[:, -1] += 0.25 * right[:, -1]
    return found


class Decoder:
    """A decoder of pictures of a size from Y, Cb and Cr, 4:2:0."""

    def __init__(self, width: int, height: int) -> None:
        self._width, self._height = width, height
        self._chroma = -(-height // 2), -(-width // 2)

    def decoded(self, components: Components) -> Array:
        """Return R, G and B, (3, height, width), nominally 0 to 255; only luma is clamped."""
        planes = [np.clip(samples(components[0]) + 128, 0, 255)[: self._height, : self._width]]
        height, width = self._chroma
        for component in components[1:]:
            plane = upsampled(np.clip(samples(component), -128, 127)[:height, :width])
            planes.append(upsampled(plane.T).T[: self._height, : self._width])
        return np.tensordot(RGB, np.stack(planes), 1)

    def transposed(self, gradient: Array, components: Components) -> Components:
        """Return the gradient by each coefficient, given the one by R, G and B: zero where samples are clamped."""
        planes, found = np.tensordot(RGB.T, gradient, 1), []
        limits = (-128, 127)
        for number, component in enumerate(components):
            plane = planes[number]
            if number:
                even = np.zeros((2 * self._chroma[0], 2 * self._chroma[1]))
                even[: self._height, : self._width] = plane
                plane = upsampled_transposed(upsampled_transposed(even.T).T)
            shown = samples(component)
            whole = np.zeros_like(shown)
            whole[: plane.shape[0], : plane.shape[1]] = plane
            whole[(shown < limits[0]) | (shown > limits[1])] = 0
            found.append(samples_transposed(whole))
        return found
