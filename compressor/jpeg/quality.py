"""What quality a JPEG was made with, as far as its quantization tables tell."""

import numpy as np

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

    def distance(quality: int) -> float:
        return sum(
            float(np.abs(np.log(table / quantization_table(quality, bool(chroma)))).sum()) for table, chroma in known
        )

    return min(range(100, 0, -1), key=distance)
