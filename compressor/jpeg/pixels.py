"""Decoding of slabs to pixels: dequantization, inverse DCT, upsampling, color.

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
from compressor.kernels import reconstruct
from compressor.kernels.idct import LEFT, RIGHT
from compressor.kernels.rgb import LANES
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
                (kind, frame.h_max // h, v, frame.v_max, *samples_of(frame, index), -kept, kept)
                for index, (kind, kept, (h, v)) in enumerate(zip(kinds, self.kept, frame.sampling, strict=True))
            ],
            np.int64,
        )
        self.upsampled = np.empty((3, LEFT + 8 * frame.mcus_per_row * frame.h_max + RIGHT), np.uint8)

    @property
    def triple(self) -> tuple[NDArray[np.uint8], ...]:
        """Three arrays, as the kernel requires."""
        return self.arrays if len(self.arrays) == 3 else self.arrays[:1] * 3


def bands(header: Header, slabs: Iterable[Slab], lines: int) -> Iterator[Band]:
    """Yield pixels (n, width, channels) uint8, n = `lines` except for the last band; the array is reused.

    header  of a JPEG that is grey, YCbCr or RGB (`COLORS`); its tables are read after the first slab
    slabs   from top to bottom, of `reader.read_slabs` or `scans.Scans`
    """
    frame = header.frame
    planes, channels = Planes(frame), COLORS[header.color]
    lines = min(lines, frame.height)
    # A vector may end after the last line, and each line is written before the one below it.
    out = np.empty(lines * frame.width * channels + LANES * 3, np.uint8)
    state = np.zeros(reconstruct.STATE, np.int64)
    state[[reconstruct.MCU_ROWS, reconstruct.DELAY, reconstruct.LINES]] = frame.mcu_rows, planes.delay, lines
    state[[reconstruct.WIDTH, reconstruct.HEIGHT]] = frame.width, frame.height
    state[reconstruct.YCC] = header.color == "ycbcr"
    tables = None
    for slab in slabs:
        if tables is None:
            tables = np.array([header.quantization[c.tq] for c in header.frame.components])
        while reconstruct.reconstruct(
            slab, frame.layout, tables, planes.triple, planes.plan, state, planes.upsampled, out
        ):
            filled = int(state[reconstruct.FILLED])
            state[reconstruct.FILLED] = 0
            yield out[: filled * frame.width * channels].reshape(filled, frame.width, channels)
