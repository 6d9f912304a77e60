"""Decoding of slabs to pixels: dequantization, inverse DCT, upsampling, color, one MCU row at a time.

The result is that of libjpeg-turbo with default settings (accurate inverse DCT, "fancy" upsampling), byte for byte, as
long as dequantized coefficients have the size that an encoder gives them. One exception: libjpeg smooths the blocks of
a progressive file whose scans omit coefficients (`Scans.lacking`).

A component whose lines are interpolated needs the line above and the line below, so the last lines of an MCU row wait
for the next one. Memory grows with the width, not with the height.
"""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from compressor.errors import UnsupportedError
from compressor.jpeg.frame import Frame, Header, Slab
from compressor.kernels.idct import LEFT, RIGHT, inverse
from compressor.kernels.rgb import BASE, LANES, pixel_lines
from compressor.kernels.upsample import BOX, FULL, H1V2, H2V1, H2V2
from compressor.tiles import Band

COLORS = {"grey": 1, "ycbcr": 3, "rgb": 3}  # Header.color → channels of the pixels


def kind_of(frame: Frame, index: int) -> int:
    """Return how libjpeg upsamples a component (jinit_upsampler in jdsample.c). Raise UnsupportedError, as it does, if
    the largest sampling factor is not a multiple of the component's."""
    h, v = frame.sampling[index]
    if frame.h_max % h or frame.v_max % v:
        raise UnsupportedError(f"JPEG with sampling factors {frame.subsampling}: no whole ratio, not decoded to pixels")
    match frame.h_max // h, frame.v_max // v:
        case 1, 1:
            return FULL
        case 1, 2:
            return H1V2
        case 2, (1 | 2) as down if samples_of(frame, index)[0] > 2:
            return H2V1 if down == 1 else H2V2
    return BOX


def samples_of(frame: Frame, index: int) -> tuple[int, int]:
    """Return the samples across and down of a component (A.1.1)."""
    h, v = frame.sampling[index]
    return -(-frame.width * h // frame.h_max), -(-frame.height * v // frame.v_max)


class Planes:
    """The samples of one MCU row of each component, and the lines before it that interpolation still needs.

    kept   lines of each component from the previous MCU row
    delay  lines of the image that wait for the next MCU row
    """

    def __init__(self, frame: Frame) -> None:
        kinds = [kind_of(frame, index) for index in range(len(frame.components))]
        waits = any(kind in (H1V2, H2V2) for kind in kinds)
        self.delay = frame.v_max if waits else 0
        self.kept = [v + 1 if waits else 0 for _, v in frame.sampling]
        self.arrays = tuple(
            np.empty((kept + 8 * v, LEFT + 8 * frame.mcus_per_row * h + RIGHT), np.uint8)
            for kept, (h, v) in zip(self.kept, frame.sampling, strict=True)
        )
        self.plan = np.array(
            [
                (kind, frame.h_max // h, v, frame.v_max, *samples_of(frame, index), -kept)
                for index, (kind, kept, (h, v)) in enumerate(zip(kinds, self.kept, frame.sampling, strict=True))
            ],
            np.int64,
        )
        self._advance = np.array([8 * v for _, v in frame.sampling], np.int64)
        self.upsampled = np.empty((3, LEFT + 8 * frame.mcus_per_row * frame.h_max + RIGHT), np.uint8)

    @property
    def triple(self) -> tuple[NDArray[np.uint8], ...]:
        """Three arrays, as the kernel requires."""
        return self.arrays if len(self.arrays) == 3 else self.arrays[:1] * 3

    def keep(self) -> None:
        """Move the lines that are still needed, to make room for the next MCU row."""
        for array, kept in zip(self.arrays, self.kept, strict=True):
            if kept:
                array[:kept] = array[len(array) - kept :]
        self.plan[:, BASE] += self._advance


def bands(header: Header, slabs: Iterable[Slab], lines: int) -> Iterator[Band]:
    """Yield pixels (n, width, channels) uint8, n = `lines` except for the last band; the array is reused.

    header  of a JPEG that is grey, YCbCr or RGB (`COLORS`); its tables are read after the first slab
    slabs   from top to bottom, of `reader.read_slabs` or `scans.Scans`
    """
    frame = header.frame
    planes, channels = Planes(frame), COLORS[header.color]
    ycc = header.color == "ycbcr"
    line_bytes = frame.width * channels
    lines = min(lines, frame.height)
    # A vector may end after the last line, and each line is written before the one below it.
    out = np.empty(lines * line_bytes + LANES * 3, np.uint8)
    filled = done = 0
    tables = None
    rows = (row for slab in slabs for row in slab.reshape(-1, frame.blocks_per_row, 64))
    for number, row in enumerate(rows, 1):
        if tables is None:
            tables = np.array([header.quantization[c.tq] for c in header.frame.components])
        if number > 1:
            planes.keep()
        _invert(planes, frame, row, tables)
        ready = frame.height if number == frame.mcu_rows else 8 * number * frame.v_max - planes.delay
        while done < ready:
            count = min(lines - filled, ready - done)
            pixel_lines(
                planes.triple,
                planes.plan,
                ycc,
                done,
                count,
                frame.width,
                planes.upsampled,
                out,
                filled * line_bytes,
            )
            filled, done = filled + count, done + count
            if filled == lines or done == frame.height:
                yield out[: filled * line_bytes].reshape(filled, frame.width, channels)
                filled = 0


def _invert(planes: Planes, frame: Frame, row: Slab, tables: NDArray[np.uint16]) -> None:
    """Transform one MCU row to samples, after the lines that were kept."""
    layout = frame.layout.tolist()
    for n, (array, kept, (first, across, _, v)) in enumerate(zip(planes.arrays, planes.kept, layout, strict=True)):
        samples = int(samples_of(frame, n)[0])
        for line in range(v):
            inverse(row, first + line * across, across, tables, n, array, kept + 8 * line, samples)
