"""Crops of two images at the same position, where there is most detail, for visual comparison."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from compressor.errors import LimitError, UnsupportedError
from compressor.humanize import human_format
from compressor.metadata import orientation
from compressor.raster import reader
from compressor.raster.reader import Raster

MEMORY_MAX = 256 << 20  # of a decoded image, by `Raster.reserved_bytes`; only one is decoded at a time
ICC_BYTES_MAX = 16 << 10  # of the profile in each crop
CELL = 16  # detail is summed over squares of this side
BAND = 4 * CELL

# How to make pixels upright, by Exif orientation (Exif 2.32, 4.6.5.1 A).
TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def crops(before: bytes, after: bytes, size: tuple[int, int] = (112, 112)) -> tuple[bytes, bytes]:
    """Return PNG files of the part of `before` with most detail and of the same part of `after`. Both are made upright
    by the orientation of `before` and have their own color spaces.

    before, after  whole files of any format that can be read
    size           maximum width and height

    Raises LimitError where an image takes more than MEMORY_MAX, UnsupportedError where the sizes differ.
    """
    first = _opened(before)
    try:
        oriented = orientation(first.metadata.exif)
        width, height = size if oriented < 5 else size[::-1]
        extent = first.width, first.height
        box = _busiest(first, min(width, first.width), min(height, first.height))
        png_before = _png(first, box, oriented)
    finally:
        first.close()
    second = _opened(after)
    try:
        if (second.width, second.height) != extent:
            was, now = " x ".join(map(str, extent)), f"{second.width} x {second.height}"
            raise UnsupportedError(f"{was} pixels became {now}: there is no common part")
        return png_before, _png(second, box, oriented)
    finally:
        second.close()


def _opened(data: bytes) -> Raster:
    raster = reader.open(io.BytesIO(data))
    if raster.reserved_bytes > MEMORY_MAX:
        raster.close()
        what = f"{human_format(raster.format)}: {raster.width} x {raster.height} pixels"
        raise LimitError(
            f"{what} take {raster.reserved_bytes >> 20} MiB to decode, at most {MEMORY_MAX >> 20} are allowed"
        )
    return raster


def _busiest(raster: Raster, width: int, height: int) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of the part with the largest sum of differences between neighbors."""
    rows = [_detail(band) for band in raster.bands(BAND)]
    sums = np.zeros((sum(map(len, rows)) + 1, rows[0].shape[1] + 1))
    np.cumsum(np.cumsum(np.concatenate(rows), axis=0), axis=1, out=sums[1:, 1:])
    down, across = max(1, height // CELL), max(1, width // CELL)
    parts = sums[down:, across:] - sums[:-down, across:] - sums[down:, :-across] + sums[:-down, :-across]
    row, column = divmod(int(np.argmax(parts)), parts.shape[1])
    left, top = min(column * CELL, raster.width - width), min(row * CELL, raster.height - height)
    return left, top, left + width, top + height


def _detail(band: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return for each cell of a band, (n, width, channels), the sum of absolute horizontal and vertical differences of
    brightness. Differences across two bands are left out."""
    colors = band[:, :, :1] if band.shape[2] < 3 else band[:, :, :3]
    luma = colors.mean(axis=2, dtype=np.float32)
    change = np.zeros((-len(luma) // CELL * -CELL, -luma.shape[1] // CELL * -CELL), np.float32)
    change[: len(luma), : luma.shape[1] - 1] += np.abs(np.diff(luma, axis=1))
    change[: len(luma) - 1, : luma.shape[1]] += np.abs(np.diff(luma, axis=0))
    cells = change.reshape(change.shape[0] // CELL, CELL, change.shape[1] // CELL, CELL)
    return np.asarray(cells.sum(axis=(1, 3)), np.float64)


def _png(raster: Raster, box: tuple[int, int, int, int], oriented: int) -> bytes:
    left, top, right, bottom = box
    parts, at = [], 0
    for band in raster.bands(BAND):
        if at < bottom and at + len(band) > top:
            parts.append(band[max(0, top - at) : bottom - at, left:right].copy())
        at += len(band)
        if at >= bottom:
            break
    pixels = np.concatenate(parts)
    image = Image.fromarray(pixels[:, :, 0] if raster.channels == 1 else pixels)
    if oriented in TRANSPOSITIONS:
        image = image.transpose(TRANSPOSITIONS[oriented])
    icc = raster.metadata.icc
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True, icc_profile=icc if icc and len(icc) <= ICC_BYTES_MAX else None)
    return file.getvalue()
