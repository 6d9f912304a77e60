"""JPEG files for tests, and their reading."""

import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from compressor.bytestream import ByteStream
from compressor.errors import FormatError
from compressor.jpeg.frame import Frame, Header, Slab
from compressor.jpeg.reader import read_header, read_slabs

Plane = npt.NDArray[np.int16]


def photo(width: int, height: int, mode: str = "RGB") -> Image.Image:
    """Return smooth shapes and some noise: all kinds of blocks."""
    rng = np.random.default_rng(width * 1000 + height)
    y, x = np.mgrid[:height, :width]
    waves = [127 + 120 * np.sin(x / (7 + 5 * c) + y / (11 + 3 * c)) for c in range(len(mode))]
    noise = rng.normal(0, 20, (height, width, len(mode))) * (x > width / 2)[..., None]
    pixels = np.clip(np.stack(waves, -1) + noise, 0, 255).astype(np.uint8)
    return Image.fromarray(pixels[..., 0] if mode == "L" else pixels, mode)


def jpeg(width: int = 40, height: int = 24, mode: str = "RGB", **options: Any) -> bytes:
    """Return a photo encoded by Pillow."""
    out = io.BytesIO()
    photo(width, height, mode).save(out, "JPEG", **options)
    return out.getvalue()


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    """Yield the data in chunks of a size."""
    return (data[n : n + size] for n in range(0, len(data), size or 1))


def header_of(data: bytes) -> Header:
    """Read the header of a file."""
    return read_header(ByteStream([data]))


def planes_of(slabs: Iterable[Slab], frame: Frame) -> list[Plane]:
    """Return the coefficients of each component (lines, blocks_per_line, 64) from slabs."""
    planes: list[list[Plane]] = [[] for _ in frame.components]
    for row in (row for slab in slabs for row in slab.reshape(-1, frame.blocks_per_row, 64)):
        for plane, (first, per_line, _, v) in zip(planes, frame.layout, strict=True):
            plane.append(row[first : first + v * per_line].reshape(v, per_line, 64).copy())
    return [np.concatenate(plane) for plane in planes]


def read(data: bytes, chunk: int | None = None) -> tuple[list[Plane], Header, bytes]:
    """Return coefficients, header and the rest of the stream."""
    stream = ByteStream(pieces(data, chunk or len(data)))
    header = read_header(stream)
    planes = planes_of(read_slabs(stream, header), header.frame)
    return planes, header, b"".join(stream.drain())


def assert_same(planes: Sequence[npt.NDArray[Any]], expected: Sequence[npt.NDArray[Any]]) -> None:
    """Assert that all planes are equal."""
    for plane, want in zip(planes, expected, strict=True):
        np.testing.assert_array_equal(plane, want)


def fault(data: bytes) -> FormatError:
    """Return the error of reading a file."""
    with pytest.raises(FormatError) as caught:
        read(data)
    return caught.value
