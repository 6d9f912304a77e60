"""Requantization of a JPEG's coefficients: the tables, and whether it is worthwhile."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from compressor.jpeg import perceptual
from compressor.jpeg.adaptive_quantization import AdaptiveQuantizer
from compressor.jpeg.frame import Component, Frame, Header, Slab
from compressor.jpeg.tables import Table, quantization_table
from compressor.settings import Effort


@dataclass(frozen=True)
class Requantization:
    """A change from the tables of a source to coarser ones, one for each component.

    frame   of the result: the source's, with a table for every component
    chroma  whether the components are luma and two of chroma
    """

    frame: Frame
    source: list[Table]
    tables: list[Table]
    distance: float
    chroma: bool

    def slabs(self, slabs: Iterable[Slab], effort: Effort) -> Iterator[Slab]:
        """Yield the result's slabs from the source's; the array is reused for each."""
        quantizer = AdaptiveQuantizer(self.frame, self.tables, self.distance, effort, self.chroma)
        return quantizer.requantized(slabs, self.source)


def plan_requantization(header: Header, distance: float, effort: Effort) -> Requantization | None:
    """Plan how a source gets the tables at a distance; None if it is not fine enough to be worth requantizing."""
    frame, chroma = header.frame, header.color == "ycbcr"
    quality = round(perceptual.quality_for(distance, effort))
    source = [header.quantization[component.tq] for component in frame.components]
    tables = _tables(tuple([table.tobytes() for table in source]), quality, distance, effort, chroma)
    if not tables:
        return None
    components = tuple([Component(c.id, c.h, c.v, tq) for tq, c in enumerate(frame.components)])
    result = Frame(frame.width, frame.height, components, frame.precision, frame.sof)
    return Requantization(result, source, tables, distance, chroma)


@lru_cache(64)
def _tables(source: tuple[bytes, ...], quality: int, distance: float, effort: Effort, chroma: bool) -> list[Table]:
    """Return the table for each component; none if the source is not fine enough.

    source  each component's table, 64 uint16
    """
    count, old = len(source), [np.frombuffer(table, np.uint16) for table in source]
    present = perceptual.table_set_of(effort)
    wanted = perceptual.quantization_tables(distance, 3 if chroma else 1, present) * (1 if chroma else count)
    if not is_worth_requantizing(old[0], wanted[0], quality):
        return []
    return [on_lattice(before, after) for before, after in zip(old, wanted, strict=True)]


def on_lattice(source: Table, wanted: Table) -> Table:
    """Return the steps for a source's coefficients, where `wanted` would be right for samples.

    Coefficients lie on the lattice of multiples of `source`. With a step that is not a multiple, or an even one, many
    of them are far from the nearest multiple of the step. An increase below one half is therefore not made.
    """
    ratio = wanted / source
    return np.where(ratio < 1.5, source, wanted).astype(np.uint16)


WORTH = 0.4  # mean logarithm of the ratio: steps larger by a half


def is_worth_requantizing(source: Table, wanted: Table, quality: int) -> bool:
    """Return whether the luma of a source is so much finer than requested that a second loss is worthwhile.

    The criterion is the steps of AC coefficients 1 to 27, which take nearly all bits. There, `wanted` is coarser than
    libjpeg's table at equal visual quality. A file with that table, or a coarser one, would lose three to six points of
    SSIMULACRA2 for a fifth of its bytes. A file of a quality five higher ends within about a point of the request.
    """
    wide = slice(1, 28)
    libjpegs = np.log(wanted[wide] / quantization_table(quality, False)[wide]).mean() + 0.05
    return bool(np.log(wanted[wide] / source[wide]).mean() > max(WORTH, libjpegs))
