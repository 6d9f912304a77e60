"""Quantization tables with zeros, which Table B.4 forbids. libjpeg multiplies by them, so the coefficients count as 0.

In the output, each zero is replaced by a step and its coefficients by 0: a valid file with the same pixels.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from compressor.jpeg.frame import Header, Slab


def without_zero_steps(slabs: Iterator[Slab], header: Header) -> Iterator[Slab]:
    """Return the slabs with coefficients of zero steps cleared, and replace the zeros in the header's tables.

    The new steps are equal to the largest of their table, so that the source is not taken for a finer one.
    """
    zeros = {tq: table == 0 for tq, table in header.quantization.items() if np.count_nonzero(table) < len(table)}
    masks = [(index, zeros[c.tq]) for index, c in enumerate(header.frame.components) if c.tq in zeros]
    if not masks:
        return slabs
    used = {component.tq for component in header.frame.components}
    for tq in sorted(used & zeros.keys()):
        table = header.quantization[tq]
        header.quantization[tq] = np.where(zeros[tq], int(table.max()) or 255, table).astype(np.uint16)
        problem = f"quantization table {tq} has {np.count_nonzero(zeros[tq])} zeros"
        header.notices.append(f"{problem}: the coefficients that they multiply count as 0")
    return _cleared(slabs, header, masks)


def _cleared(slabs: Iterator[Slab], header: Header, masks: list[tuple[int, NDArray[np.bool_]]]) -> Iterator[Slab]:
    """Yield the slabs with the coefficients of each (component, mask) cleared, in place."""
    layout = header.frame.layout.tolist()
    for slab in slabs:
        rows = slab.reshape(-1, header.frame.blocks_per_row, 64)
        for index, mask in masks:
            first, per_line, _, v = layout[index]
            rows[:, first : first + v * per_line, mask] = 0
        yield slab
