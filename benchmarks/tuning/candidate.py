"""Candidates: tables and constants to try, set in `compressor.jpeg.perceptual` while an image is encoded."""

import contextlib
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from benchmarks.tuning.following import following
from compressor.jpeg import adaptive_quantization, perceptual, table_sets
from compressor.jpeg.tables import Table
from compressor.settings import Effort


@dataclass(frozen=True)
class Candidate:
    """Factors of what `perceptual` has, and the tables.

    luma, chroma  weights of Robidoux's table (`table_sets.blend`); None: the effort's present tables
    dc            factor of the steps of DC
    color         factor of all steps of chroma
    cb            another factor of the steps of Cb
    dead_zone     factor of the dead zones' slopes
    trellis       factor of the weight of a bit
    gradients     how often `best` follows the gradient of SSIMULACRA2 (`following.py`)
    fine          1: luma follows another one, that of the finest scale of Y'
    """

    luma: float | None = None
    chroma: float | None = None
    dc: float = 1.0
    color: float = 1.0
    cb: float = 1.0
    dead_zone: float = 1.0
    trellis: float = 1.0
    gradients: int = 0
    fine: int = 0

    def tables(self, present: table_sets.TableSet) -> table_sets.TableSet:
        """Return its tables, where those of an effort are `present`."""
        tables = present
        if self.luma is not None:
            chroma = self.luma if self.chroma is None else self.chroma
            tables = table_sets.blend(table_sets.SSIMULACRA2, self.luma, chroma)
        return tables.scaled(self.dc, self.color, self.cb)

    @contextlib.contextmanager
    def at(self, distance: float) -> Iterator[None]:
        """Let every encoding use this candidate at a distance, whatever the quality."""
        dead_zones, weights = perceptual.dead_zones, perceptual.trellis_weights
        made = functools.cache(self.tables)

        def distance_for(quality: int, effort: Effort) -> float:
            return distance

        def quantization_tables(
            distance: float, components: int, tables: table_sets.TableSet = perceptual.PRESENT
        ) -> list[Table]:
            return [made(tables).table(component, distance) for component in range(components)]

        def scaled_dead_zones(distance: float, components: int) -> NDArray[np.float32]:
            return dead_zones(distance, components) * np.float32(self.dead_zone)

        def scaled_weights(distance: float, components: int) -> NDArray[np.float32]:
            return weights(distance, components) * np.float32(self.trellis)

        with mock.patch.multiple(
            perceptual,
            distance_for=distance_for,
            quantization_tables=quantization_tables,
            dead_zones=scaled_dead_zones,
            trellis_weights=scaled_weights,
        ):
            self._forget()
            with following(distance, self.gradients, self.fine > 0) if self.gradients else contextlib.nullcontext():
                yield
        self._forget()

    @staticmethod
    def _forget() -> None:
        """Clear caches that do not know the constants."""
        adaptive_quantization.dead_zone.cache_clear()
        adaptive_quantization.trellis.cache_clear()
