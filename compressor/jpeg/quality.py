"""What quality a JPEG was made with, as far as its quantization tables tell."""

import numpy as np
from numpy.typing import NDArray

from compressor.jpeg.frame import Header
from compressor.t81 import K1_LUMINANCE, K2_CHROMINANCE, ZIGZAG


def libjpeg_table(base: NDArray[np.uint16], quality: int) -> NDArray[np.uint16]:
    """A table of Annex K.1 scaled as libjpeg scales it (jpeg_quality_scaling, jpeg_add_quant_table), zig-zag order."""
    percent = 5000 // quality if quality < 50 else 200 - 2 * quality
    natural: NDArray[np.int64] = np.clip((base.astype(np.int64).ravel() * percent + 50) // 100, 1, 255)
    return natural[ZIGZAG.astype(np.int64)].astype(np.uint16)


def estimated_quality(header: Header) -> int | None:
    """libjpeg's quality, 1..100, whose tables are nearest to the file's; None where the file has none.

    The first component's table is compared with K.1's, the second's with K.2's. Near means: the smallest sum of
    |log(file / libjpeg)|, so that a step counts the same in small and in large entries; the higher quality of equals.
    Exact for files that libjpeg made. A file of another encoder gets a number that says how coarse it is, no more.
    """
    tables = [header.quantization.get(component.tq) for component in header.frame.components[:2]]
    known = [
        (table, base) for table, base in zip(tables, (K1_LUMINANCE, K2_CHROMINANCE), strict=False) if table is not None
    ]
    if not known:
        return None

    def distance(quality: int) -> float:
        return sum(float(np.abs(np.log(table / libjpeg_table(base, quality))).sum()) for table, base in known)

    return min(range(100, 0, -1), key=distance)
