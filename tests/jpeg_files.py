"""JPEG files made for tests, and what the reader makes of them."""

import io

import numpy as np
import pytest
from PIL import Image

from compressor.bytestream import ByteStream
from compressor.errors import FormatError
from compressor.jpeg.reader import read_header, read_rows


def photo(width, height, mode="RGB"):
    """Smooth shapes and some noise: all kinds of blocks."""
    rng = np.random.default_rng(width * 1000 + height)
    y, x = np.mgrid[:height, :width]
    waves = [127 + 120 * np.sin(x / (7 + 5 * c) + y / (11 + 3 * c)) for c in range(len(mode))]
    noise = rng.normal(0, 20, (height, width, len(mode))) * (x > width / 2)[..., None]
    pixels = np.clip(np.stack(waves, -1) + noise, 0, 255).astype(np.uint8)
    return Image.fromarray(pixels[..., 0] if mode == "L" else pixels, mode)


def jpeg(width=40, height=24, mode="RGB", **options):
    out = io.BytesIO()
    photo(width, height, mode).save(out, "JPEG", **options)
    return out.getvalue()


def pieces(data, size):
    return (data[n : n + size] for n in range(0, len(data), size or 1))


def header_of(data):
    return read_header(ByteStream([data]))


def planes_of(rows, frame):
    """Coefficients of each component (lines, blocks_per_line, 64) from coefficient rows."""
    planes = [[] for _ in frame.components]
    for row in rows:
        for plane, (first, per_line, _, v) in zip(planes, frame.layout, strict=True):
            plane.append(row[first : first + v * per_line].reshape(v, per_line, 64).copy())
    return [np.concatenate(plane) for plane in planes]


def read(data, chunk=None):
    """Coefficients, header and what is left in the stream."""
    stream = ByteStream(pieces(data, chunk or len(data)))
    header = read_header(stream)
    planes = planes_of(read_rows(stream, header), header.frame)
    return planes, header, b"".join(stream.drain())


def assert_same(planes, expected):
    for plane, want in zip(planes, expected, strict=True):
        np.testing.assert_array_equal(plane, want)


def fault(data):
    with pytest.raises(FormatError) as caught:
        read(data)
    return caught.value
