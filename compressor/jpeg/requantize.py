"""A JPEG's coefficients anew: by which tables, and whether that pays."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from compressor.jpeg import perceptual
from compressor.jpeg.adaptive_quantization import CoefficientSpectra, Shaper
from compressor.jpeg.encoder import Row
from compressor.jpeg.frame import Frame, Header
from compressor.jpeg.tables import Table, quantization_table
from compressor.settings import Effort


@dataclass(frozen=True)
class Requantization:
    """From the tables of a source to coarser ones, each for one component.

    frame   of the result: the source's, with a table for every component
    chroma  whether the components are luma and two of chroma
    """

    frame: Frame
    source: list[Table]
    tables: list[Table]
    distance: float
    chroma: bool

    def rows(self, rows: Iterable[Row], effort: Effort) -> Iterator[Row]:
        """The source's rows → the result's, the array reused for each."""
        spectra = CoefficientSpectra(self.frame, rows, self.source, self.chroma)
        return Shaper(self.frame, self.tables, self.distance, effort, self.chroma).rows(spectra)


def planned(header: Header, quality: int, effort: Effort) -> Requantization | None:
    """How a source comes to look like `quality`; None where it is not so much finer that this pays."""
    frame, distance = header.frame, perceptual.distance_for(quality, effort)
    chroma, count = header.color == "ycbcr", len(header.frame.components)
    wanted = (
        perceptual.quantization_tables(distance, 3) if chroma else perceptual.quantization_tables(distance, 1) * count
    )
    source = [header.quantization[component.tq] for component in frame.components]
    if not worth_it(source[0], wanted[0], quality):
        return None
    components = tuple(replace(component, tq=tq) for tq, component in enumerate(frame.components))
    tables = [on_lattice(old, new) for old, new in zip(source, wanted, strict=True)]
    return Requantization(replace(frame, components=components), source, tables, distance, chroma)


def on_lattice(source: Table, wanted: Table) -> Table:
    """What a source's coefficients are quantized to anew, where `wanted` would be right for samples.

    They lie on the lattice of multiples of `source`. A step that is no multiple, or an even one, puts many of them far
    from the nearest of its own multiples, so that less than half as much again is not worth it.
    """
    ratio = wanted / source
    return np.where(ratio < 1.5, source, wanted).astype(np.uint16)


WORTH = 0.4  # of the mean logarithm: steps half as large again


def worth_it(source: Table, wanted: Table, quality: int) -> bool:
    """Whether the luma of a source is so much finer than what was asked for that a second loss pays.

    Judged by the steps that nearly all bits are spent with, of AC coefficients 1 to 27. `wanted` is coarser there than
    libjpeg's table of the same look; a file that has that table, or one coarser, would lose three to six points of
    SSIMULACRA2 for a fifth of its bytes. One of a quality five higher ends within a point or so of what was asked for.
    """
    wide = slice(1, 28)
    libjpegs = np.log(wanted[wide] / quantization_table(quality, False)[wide]).mean() + 0.05
    return bool(np.log(wanted[wide] / source[wide]).mean() > max(WORTH, libjpegs))
