"""Quantization tables with zeros, against Table B.4: libjpeg multiplies by them, so the coefficients count as 0.

What is written has a step in their place, and coefficients of 0 under it: a legal file with the same pixels.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from compressor.jpeg.frame import Header

Row = NDArray[np.int16]


def without_zero_steps(rows: Iterator[Row], header: Header) -> Iterator[Row]:
    """Return rows in which what a zero multiplies is 0, and give the header's tables steps in place of zeros.

    The new steps are as large as the largest of their table, so that the source does not pass for a finer one.
    """
    zeros = {tq: table == 0 for tq, table in header.quantization.items()}
    used = {component.tq for component in header.frame.components}
    for tq in sorted(used & zeros.keys()):
        if zeros[tq].any():
            table = header.quantization[tq]
            header.quantization[tq] = np.where(zeros[tq], int(table.max()) or 255, table).astype(np.uint16)
            problem = f"quantization table {tq} has {np.count_nonzero(zeros[tq])} zeros"
            header.notices.append(f"{problem}: what they multiply does not show and counts as 0")
        else:
            used.remove(tq)
    masks = [(index, zeros[c.tq]) for index, c in enumerate(header.frame.components) if c.tq in used & zeros.keys()]
    return _cleared(rows, header, masks) if masks else rows


def _cleared(rows: Iterator[Row], header: Header, masks: list[tuple[int, NDArray[np.bool_]]]) -> Iterator[Row]:
    layout = header.frame.layout.tolist()
    for row in rows:
        for index, mask in masks:
            first, per_line, _, v = layout[index]
            row[first : first + v * per_line, mask] = 0
        yield row
