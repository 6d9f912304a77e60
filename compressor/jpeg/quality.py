"""What quality a JPEG was made with, as far as its quantization tables tell."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from compressor.jpeg.frame import Header
from compressor.jpeg.perceptual import distance_for, quantization_tables
from compressor.jpeg.tables import quantization_table
from compressor.settings import Effort


def estimated_quality(header: Header) -> int | None:
    """The quality, 1..100, that a file was made with; None where the file has no tables.

    That of our own output, whose tables are known, whatever the effort. Else libjpeg's whose tables are nearest: the
    first component's table is compared with K.1's, the second's with K.2's. Near means: the smallest sum of
    |log(file / libjpeg)|, so that a step counts the same in small and in large entries. Of equals the higher quality.
    Exact for files that libjpeg made. A file of another encoder gets a number that says how coarse it is, no more.
    """
    tables = [header.quantization.get(component.tq) for component in header.frame.components]
    ours = _ours().get(tuple(bytes(table.astype(np.uint16)) for table in tables if table is not None))
    if ours is not None:
        return ours
    known = [(table, chroma) for chroma, table in enumerate(tables[:2]) if table is not None and table.all()]
    if not known:
        return None

    distance = sum(np.abs(np.log(table / _tables(bool(chroma)))).sum(1) for table, chroma in known)
    return 100 - int(np.argmin(distance))


@cache
def _ours() -> dict[tuple[bytes, ...], int]:
    """Tables of all components → the quality that has them; the default effort's where it is another's too."""
    found = {}
    for effort in (Effort.BEST, Effort.FAST, Effort.BALANCED):
        for quality in range(1, 101):
            tables = quantization_tables(distance_for(quality, effort), 3)
            for components in (1, 3):
                found[tuple(bytes(table) for table in tables[:components])] = quality
    return found


@cache
def _tables(chroma: bool) -> NDArray[np.uint16]:
    """libjpeg's of quality 100 to 1, (100, 64): making them takes longer than reading the header of a photograph."""
    tables = np.stack([quantization_table(quality, chroma) for quality in range(100, 0, -1)])
    tables.flags.writeable = False
    return tables
