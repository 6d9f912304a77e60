"""Estimation of a JPEG's quality from its quantization tables."""

import math
from collections.abc import Sequence
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

from compressor.jpeg.frame import Header
from compressor.jpeg.perceptual import TABLE_SETS, distance_for, quality_for, quantization_tables, table_set_of
from compressor.jpeg.table_sets import TableSet
from compressor.jpeg.tables import Table, quantization_table
from compressor.settings import Effort
from compressor.t81 import ZIGZAG


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

    for table_set in TABLE_SETS:
        if len(known) == len(tables) and distance_of([known[0][0]], table_set, False) is not None:
            chroma = len(components) > 1 and components[1] != components[0]
            whole = [np.frombuffer(table or b"", np.uint16) for table in components]
            if (found := distance_of(whole, table_set, chroma)) is not None:
                effort = Effort.FAST if table_set is table_set_of(Effort.FAST) else Effort.BALANCED
                return round(quality_for(found, effort))
    distance = sum(np.abs(np.log(table / _tables(bool(chroma)))).sum(1) for table, chroma in known)
    return 100 - int(np.argmin(distance))


@cache
def _ours() -> dict[tuple[bytes, ...], int]:
    """Return the quality for each set of tables of all components; the default effort has precedence over others."""
    found = {}
    for effort in (Effort.BEST, Effort.FAST, Effort.BALANCED):
        for quality in range(1, 101):
            tables = quantization_tables(distance_for(quality, effort), 3, table_set_of(effort))
            for components in (1, 3):
                found[tuple(bytes(table) for table in tables[:components])] = quality
    return found


@cache
def _tables(chroma: bool) -> NDArray[np.uint16]:
    """Return libjpeg's tables of quality 100 to 1, (100, 64). Cached: they take longer than a photograph's header."""
    tables = np.stack([quantization_table(quality, chroma) for quality in range(100, 0, -1)])
    tables.flags.writeable = False
    return tables


FINEST, COARSEST = 0.03, 60.0  # distances of the qualities 100 and 1, for any effort
CLOSEST = 1e-6  # logarithms of distances that are told apart
MIRRORED = np.array([ZIGZAG.tolist().index(8 * (at % 8) + at // 8) for at in ZIGZAG.tolist()])  # v and u exchanged
STEPS = 2500  # of a quarter of a percent
EQUAL_SHARE = 0.5  # of the luma steps that requantization has increased
STEP_MAX = 255
TELLING_STEP = 8  # smaller ones are equal by chance


def is_made_before(header: Header) -> bool:
    """Return whether a file's tables are those of this package at any distance, or those that requantization makes of
    them: steps that would have increased by less than a half are kept (`requantize.on_lattice`)."""
    tables = [header.quantization.get(component.tq) for component in header.frame.components]
    if any(table is None for table in tables):
        return False
    return _is_ours(tuple([table.tobytes() for table in tables if table is not None]), header.color == "ycbcr")


@lru_cache(64)
def _is_ours(components: tuple[bytes, ...], chroma: bool) -> bool:
    tables = [np.frombuffer(table, np.uint16) for table in components]
    if is_finest(tables):
        return False
    return components in _ours() or any(
        distance_of(tables, table_set, chroma) is not None or _is_requantized(tables[0], number)
        for number, table_set in enumerate(TABLE_SETS)
    )


def is_finest(tables: Sequence[Table]) -> bool:
    """Return whether all steps are 1, which says nothing about the encoder."""
    return all(table.max() == 1 for table in tables)


def distance_of(tables: Sequence[Table], table_set: TableSet, chroma: bool) -> float | None:
    """Return a distance at which a set has exactly these tables; None if it has none, or if all steps are 1, as in
    other encoders' finest tables.

    Every step grows with the distance, so tables with an equal sum are equal. Those of luma are symmetric, which rules
    out most other encoders' at once.
    """
    if is_finest(tables) or not np.array_equal(tables[0], tables[0][MIRRORED]):
        return None
    wanted = int(sum(table.sum(dtype=np.int64) for table in tables))
    low, high = math.log(FINEST), math.log(COARSEST)
    while high - low > CLOSEST:
        middle = (low + high) / 2
        found = _tables_at(table_set, math.exp(middle), len(tables), chroma)
        total = int(sum(table.sum(dtype=np.int64) for table in found))
        if total == wanted:
            equal = all(np.array_equal(a, b) for a, b in zip(found, tables, strict=True))
            return math.exp(middle) if equal else None
        low, high = (middle, high) if total < wanted else (low, middle)
    return None


def _tables_at(table_set: TableSet, distance: float, components: int, chroma: bool) -> list[Table]:
    """Return the tables of a file: those of luma for all components unless two are of chroma."""
    return quantization_tables(distance, 3 if chroma else 1, table_set) * (1 if chroma else components)


@cache
def _luma_tables(number: int) -> NDArray[np.uint16]:
    """Return a set's tables of luma at STEPS distances, (STEPS, 64)."""
    distances = np.exp(np.linspace(math.log(FINEST), math.log(COARSEST), STEPS))
    return TABLE_SETS[number].tables(0, distances)


def _is_requantized(luma: Table, number: int) -> bool:
    """Return whether a table of luma is what requantization makes of another encoder's."""
    wanted = _luma_tables(number)
    telling, equal = (wanted >= TELLING_STEP) & (wanted < STEP_MAX), wanted == luma
    kept = (luma * 1.5 > wanted - 1).all(1)
    wide = slice(1, 28)
    count = telling[:, wide].sum(1)
    share = (equal & telling)[:, wide].sum(1) >= EQUAL_SHARE * count
    return bool((kept & share & (count >= 12)).any())
