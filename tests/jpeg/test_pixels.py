"""JPEG to pixels: byte for byte equal to libjpeg-turbo, as Pillow uses it."""

import io
import itertools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from compressor.bytestream import ByteStream
from compressor.errors import UnsupportedError
from compressor.jpeg import pixels
from compressor.jpeg.reader import read_header, read_slabs
from compressor.jpeg.scans import Scans
from compressor.spool import BytesSource
from tests.jpeg_files import jpeg, photo, pieces
from tests.reference import huffman as reference

LINES = (1, 3, 8, 16, 64)


def decoded(data: bytes, lines: int = 16, chunk: int | None = None) -> NDArray[np.uint8]:
    """Return the pixels of a file, decoded in bands of `lines`."""
    stream = ByteStream(pieces(data, chunk or len(data)))
    header = read_header(stream)
    rows = read_slabs(stream, header) if header.streams else Scans(BytesSource(data), header).slabs()
    bands = [band.copy() for band in pixels.bands(header, rows, lines)]
    assert all(len(band) == lines for band in bands[:-1])
    return np.concatenate(bands)


def by_pillow(data: bytes) -> NDArray[np.uint8]:
    """Return the pixels that Pillow decodes."""
    array = np.asarray(Image.open(io.BytesIO(data)))
    return array.reshape(*array.shape[:2], -1)


@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_all_small_sizes_decode_as_with_libjpeg(subsampling: int) -> None:
    for number, (width, height) in enumerate(itertools.product(range(1, 41), range(1, 41, 3))):
        data = jpeg(width, height, subsampling=subsampling, quality=70 + number % 30)

        np.testing.assert_array_equal(decoded(data, LINES[number % 5]), by_pillow(data), f"{width} x {height}")


@pytest.mark.parametrize("quality", [1, 10, 50, 75, 95, 100])
@pytest.mark.parametrize("options", [{"subsampling": 2}, {"subsampling": 1}, {"progressive": True}], ids=str)
def test_all_qualities_decode_as_with_libjpeg(quality: int, options: dict[str, Any]) -> None:
    data = jpeg(211, 139, quality=quality, **options)

    np.testing.assert_array_equal(decoded(data), by_pillow(data))


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_blocks": 2}], ids=str)
@pytest.mark.parametrize("width, height", [(1, 1), (7, 50), (64, 64), (133, 67)])
def test_grey_and_rgb_and_restarts_decode_as_with_libjpeg(width: int, height: int, options: dict[str, Any]) -> None:
    for data in (
        jpeg(width, height, "L", **options),
        jpeg(width, height, **options),
        jpeg(width, height, keep_rgb=True, **options),
    ):
        np.testing.assert_array_equal(decoded(data, 7), by_pillow(data))


SAMPLINGS = [
    [(1, 2), (1, 1), (1, 1)],
    [(4, 1), (1, 1), (1, 1)],
    [(4, 2), (1, 1), (1, 1)],
    [(1, 4), (1, 1), (1, 1)],
    [(1, 4), (1, 2), (1, 2)],
    [(2, 4), (1, 1), (1, 1)],
    [(3, 1), (1, 1), (1, 1)],
    [(2, 2), (2, 1), (1, 2)],
    [(1, 1), (2, 2), (1, 1)],
    [(2, 2), (1, 2), (2, 1)],
    [(2, 1), (2, 1), (2, 1)],
    [(1, 2), (1, 2), (1, 1)],
    [(2, 2)],
    [(4, 1)],
]


def smooth_planes(seed: int, width: int, height: int, sampling: reference.Sampling) -> list[reference.Plane]:
    """Return coefficients whose samples are inside 0 .. 255 and slightly beyond, as an encoder's are."""
    rng = np.random.default_rng(seed)
    planes = reference.random_planes(rng, width, height, sampling)
    for plane in planes:
        plane[:] = rng.normal(0, 12, plane.shape) * (rng.random(plane.shape) < 0.2)
        plane[..., 0] = rng.integers(-60, 60, plane.shape[:2])
    return planes


@pytest.mark.parametrize("sampling", SAMPLINGS, ids=str)
def test_all_sampling_factors_decode_as_with_libjpeg(sampling: reference.Sampling) -> None:
    inside = sampling if len(sampling) > 1 else [(1, 1)]
    for number, (width, height) in enumerate([(1, 1), (2, 3), (5, 4), (9, 33), (40, 17), (75, 70), (131, 41)]):
        planes = smooth_planes(number, width, height, inside)
        data = reference.encode(planes, width, height, sampling, dqt=DQT)

        np.testing.assert_array_equal(decoded(data, LINES[number % 5]), by_pillow(data), f"{width} x {height}")


DQT = bytes([0] + [10] * 64)


@pytest.mark.parametrize("sampling", [[(3, 1), (2, 1), (1, 1)], [(1, 3), (1, 2), (1, 1)]], ids=str)
def test_fractional_ratios_are_unsupported_as_in_libjpeg(sampling: reference.Sampling) -> None:
    data = reference.encode(smooth_planes(1, 40, 40, sampling), 40, 40, sampling, dqt=DQT)

    with pytest.raises(UnsupportedError, match="no whole ratio"):
        decoded(data)
    with pytest.raises(OSError):
        by_pillow(data)


@pytest.mark.parametrize("progressive", [False, True])
def test_pixels_depend_neither_on_chunks_nor_on_bands(progressive: bool) -> None:
    data = jpeg(150, 101, progressive=progressive)
    expected = decoded(data)

    for lines, chunk in itertools.product((1, 5, 32, 1000), (1, 97, 4096)):
        np.testing.assert_array_equal(decoded(data, lines, chunk), expected)


def test_a_wide_image_decodes_as_with_libjpeg() -> None:
    data = jpeg(65500, 3)

    np.testing.assert_array_equal(decoded(data), by_pillow(data))


def test_memory_does_not_grow_with_the_height() -> None:
    sizes = []
    for height in (160, 1600):
        header = read_header(ByteStream([jpeg(320, height)]))
        planes = pixels.Planes(header.frame)
        sizes.append(sum(array.nbytes for array in (*planes.arrays, planes.upsampled)))

    assert sizes[0] == sizes[1]


def test_extreme_coefficients_stay_inside_the_arrays() -> None:
    """No encoder writes these: sums exceed 16 bits. Any samples are accepted."""
    rng = np.random.default_rng(1)
    sampling = [(2, 2), (1, 1), (1, 1)]
    planes = reference.random_planes(rng, 64, 64, sampling, density=3)
    data = reference.encode(planes, 64, 64, sampling, dqt=bytes([0] + [255] * 64))

    assert decoded(data).shape == (64, 64, 3)


def test_the_photograph_is_one() -> None:
    """A check of the test data."""
    difference = decoded(jpeg(200, 150, quality=95, subsampling=0)).astype(int) - np.asarray(photo(200, 150))

    assert np.abs(difference).mean() < 4
