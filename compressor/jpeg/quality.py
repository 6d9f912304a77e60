"""What quality a JPEG was made with, as far as its quantization tables tell."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from compressor.jpeg.frame import Header
from compressor.jpeg.tables import quantization_table


def estimated_quality(header: Header) -> int | None:
    """libjpeg's quality, 1..100, whose tables are nearest to the file's; None where the file has none.

    The first component's table is compared with K.1's, the second's with K.2's. Near means: the smallest sum of
    |log(file / libjpeg)|, so that a step counts the same in small and in large entries; the higher quality of equals.
    Exact for files that libjpeg made. A file of another encoder gets a number that says how coarse it is, no more.
    """
    tables = [header.quantization.get(component.tq) for component in header.frame.components[:2]]
    known = [(table, chroma) for chroma, table in enumerate(tables) if table is not None and table.all()]
    if not known:
        return None

    distance = sum(np.abs(np.log(table / _tables(bool(chroma)))).sum(1) for table, chroma in known)
    return 100 - int(np.argmin(distance))


@cache
def _tables(chroma: bool) -> NDArray[np.uint16]:
    """libjpeg's of quality 100 to 1, (100, 64): making them takes longer than reading the header of a photograph."""
    tables = np.stack([quantization_table(quality, chroma) for quality in range(100, 0, -1)])
    tables.flags.writeable = False
    return tables
