"""Estimation of a JPEG's quality from its quantization tables."""

from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

from compressor.jpeg.frame import Header
from compressor.jpeg.perceptual import distance_for, quantization_tables
from compressor.jpeg.tables import quantization_table
from compressor.settings import Effort


def estimated_quality(header: Header) -> int | None:
    """Return the quality, 1..100, that a file was made with; None if it has no tables.

    For the output of this package, whose tables are known, it is exact, whatever the effort. Else it is the libjpeg
    quality with the nearest tables. The first component's table is compared with K.1's, the second's with K.2's. The
    distance is the sum of |log(file / libjpeg)|, so that small and large entries count equally. Of equals, the higher
    quality wins. It is exact for files of libjpeg. For files of other encoders it is only a measure of coarseness.
    """
    tables = [header.quantization.get(component.tq) for component in header.frame.components]
    return _estimated(tuple([None if table is None else table.tobytes() for table in tables]))


@lru_cache(64)
def _estimated(components: tuple[bytes | None, ...]) -> int | None:
    """Estimate the quality from the table of each component, 64 uint16, None if it is missing."""
    ours = _ours().get(tuple(table for table in components if table is not None))
    if ours is not None:
        return ours
    tables = [np.ones(0, np.uint16) if table is None else np.frombuffer(table, np.uint16) for table in components[:2]]
    known = [(table, chroma) for chroma, table in enumerate(tables) if len(table) and table.all()]
    if not known:
        return None

    distance = sum(np.abs(np.log(table / _tables(bool(chroma)))).sum(1) for table, chroma in known)
    return 100 - int(np.argmin(distance))


@cache
def _ours() -> dict[tuple[bytes, ...], int]:
    """Return the quality for each set of tables of all components; the default effort has precedence over others."""
    found = {}
    for effort in (Effort.BEST, Effort.FAST, Effort.BALANCED):
        for quality in range(1, 101):
            tables = quantization_tables(distance_for(quality, effort), 3)
            for components in (1, 3):
                found[tuple(bytes(table) for table in tables[:components])] = quality
    return found


@cache
def _tables(chroma: bool) -> NDArray[np.uint16]:
    """Return libjpeg's tables of quality 100 to 1, (100, 64). Cached: they take longer than a photograph's header."""
    tables = np.stack([quantization_table(quality, chroma) for quality in range(100, 0, -1)])
    tables.flags.writeable = False
    return tables
