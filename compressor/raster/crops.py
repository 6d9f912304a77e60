"""The same small part of two pictures, as a person compares them: where there is most to see."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from compressor.errors import LimitError, UnsupportedError
from compressor.metadata import orientation
from compressor.raster import reader
from compressor.raster.reader import Raster, title

MEMORY_MAX = 256 << 20  # of one decoded picture, by `Raster.reserved_bytes`; two are never there at a time
ICC_BYTES_MAX = 16 << 10  # a profile goes into each crop
CELL = 16  # detail is summed up over squares of this side
BAND = 4 * CELL

# How pixels are turned that a viewer would turn (Exif 2.32, 4.6.5.1 A).
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def crops(before: bytes, after: bytes, size: tuple[int, int] = (112, 112)) -> tuple[bytes, bytes]:
    """PNG files of the part of `before` with most detail and of the same part of `after`, both upright as `before` is
    shown, in their own colour spaces.

    before, after  whole files of any format that can be read
    size           width and height at most

    LimitError where a picture takes more than MEMORY_MAX, UnsupportedError where they have not the same size.
    """
    first = _opened(before)
    try:
        turn = orientation(first.metadata.exif)
        width, height = size if turn < 5 else size[::-1]
        extent = first.width, first.height
        box = _busiest(first, min(width, first.width), min(height, first.height))
        png_before = _png(first, box, turn)
    finally:
        first.close()
    second = _opened(after)
    try:
        if (second.width, second.height) != extent:
            was, now = " x ".join(map(str, extent)), f"{second.width} x {second.height}"
            raise UnsupportedError(f"{was} pixels became {now}: no part is the same")
        return png_before, _png(second, box, turn)
    finally:
        second.close()


def _opened(data: bytes) -> Raster:
    raster = reader.open(io.BytesIO(data))
    if raster.reserved_bytes > MEMORY_MAX:
        raster.close()
        what = f"{title(raster.format)}: {raster.width} x {raster.height} pixels"
        raise LimitError(f"{what} take {raster.reserved_bytes >> 20} MiB to show, at most {MEMORY_MAX >> 20} are used")
    return raster


def _busiest(raster: Raster, width: int, height: int) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the part with the largest sum of differences between neighbours."""
    rows = [_detail(band) for band in raster.bands(BAND)]
    sums = np.zeros((sum(map(len, rows)) + 1, rows[0].shape[1] + 1))
    np.cumsum(np.cumsum(np.concatenate(rows), axis=0), axis=1, out=sums[1:, 1:])
    down, across = max(1, height // CELL), max(1, width // CELL)
    parts = sums[down:, across:] - sums[:-down, across:] - sums[down:, :-across] + sums[:-down, :-across]
    row, column = divmod(int(np.argmax(parts)), parts.shape[1])
    left, top = min(column * CELL, raster.width - width), min(row * CELL, raster.height - height)
    return left, top, left + width, top + height


def _detail(band: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Of each cell of a band, (n, width, channels): the sum of absolute differences of the brightness, across and down.
    What differs between two bands is left out."""
    colors = band[:, :, :1] if band.shape[2] < 3 else band[:, :, :3]
    luma = colors.mean(axis=2, dtype=np.float32)
    change = np.zeros((-len(luma) // CELL * -CELL, -luma.shape[1] // CELL * -CELL), np.float32)
    change[: len(luma), : luma.shape[1] - 1] += np.abs(np.diff(luma, axis=1))
    change[: len(luma) - 1, : luma.shape[1]] += np.abs(np.diff(luma, axis=0))
    cells = change.reshape(change.shape[0] // CELL, CELL, change.shape[1] // CELL, CELL)
    return np.asarray(cells.sum(axis=(1, 3)), np.float64)


def _png(raster: Raster, box: tuple[int, int, int, int], turn: int) -> bytes:
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
    if turn in TURNS:
        image = image.transpose(TURNS[turn])
    icc = raster.metadata.icc
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True, icc_profile=icc if icc and len(icc) <= ICC_BYTES_MAX else None)
    return file.getvalue()
