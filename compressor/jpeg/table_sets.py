"""Sets of perceptual quantization tables: each that files were ever made with, as numbers.

They are kept so that a file of an earlier set is recognized (`jpeg/quality.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from compressor.jpeg.tables import Table
from compressor.t81 import ZIGZAG

Curve = Sequence[NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class TableSet:
    """Curves of tables over the distance.

    distances  of the nodes
    curves     Y, Cb, Cr: the logarithms of the steps at each node, (64,) zig-zag
    exponents  of the distance above the last node, for Y, Cb, Cr, (64,) zig-zag; below the first they are 1
    """

    distances: tuple[float, ...]
    curves: tuple[Curve, Curve, Curve]
    exponents: tuple[NDArray[np.float64], ...]

    def table(self, component: int, distance: float) -> Table:
        """Return the steps of a component: (64,) uint16 in zig-zag order, 1 … 255."""
        table: Table = np.clip(np.rint(np.exp(self.logarithms(component, distance))), 1, 255).astype(np.uint16)
        return table

    def logarithms(self, component: int, distance: float) -> NDArray[np.float64]:
        """Interpolate the curve of a component: the logarithms of its steps before they are rounded, (64,) zig-zag."""
        curve, x, nodes = self.curves[component], np.log(distance), np.log(self.distances)
        found: NDArray[np.float64]
        if x <= nodes[0]:
            found = curve[0] + (x - nodes[0])
        elif x >= nodes[-1]:
            found = curve[-1] + self.exponents[component] * (x - nodes[-1])
        else:
            upper = int(np.searchsorted(nodes, x))
            share = (x - nodes[upper - 1]) / (nodes[upper] - nodes[upper - 1])
            found = (1 - share) * curve[upper - 1] + share * curve[upper]
        return found

    def tables(self, component: int, distances: NDArray[np.float64]) -> NDArray[np.uint16]:
        """Return `table` at several distances, (n, 64), in less time than one by one."""
        curve, x, nodes = np.stack(self.curves[component]), np.log(distances)[:, None], np.log(self.distances)
        upper = np.clip(np.searchsorted(nodes, x[:, 0]), 1, len(nodes) - 1)
        share = (x - nodes[upper - 1, None]) / (nodes[upper] - nodes[upper - 1])[:, None]
        found = (1 - share) * curve[upper - 1] + share * curve[upper]
        found = np.where(x <= nodes[0], curve[0] + (x - nodes[0]), found)
        found = np.where(x >= nodes[-1], curve[-1] + self.exponents[component] * (x - nodes[-1]), found)
        tables: NDArray[np.uint16] = np.clip(np.rint(np.exp(found)), 1, 255).astype(np.uint16)
        return tables

    def scaled(self, dc: float, color: float, cb: float = 1.0) -> "TableSet":
        """Return a set whose steps of DC, all of chroma, and those of Cb once more, are multiplied by factors."""
        factors = np.zeros((3, 64))
        factors[:, 0] = np.log(dc)
        factors[1:] += np.log(color)
        factors[1] += np.log(cb)
        first, second, third = (
            tuple(node + factor for node in curve) for curve, factor in zip(self.curves, factors, strict=True)
        )
        return TableSet(self.distances, (first, second, third), self.exponents)


def _symmetric(lower: str) -> NDArray[np.float64]:
    """Return the logarithm of a symmetric table, given its lower triangle: (64,) zig-zag."""
    table = np.empty((8, 8))
    table[np.tril_indices(8)] = lower.split()
    table.T[np.tril_indices(8)] = lower.split()
    curve: NDArray[np.float64] = np.log(table.ravel()[ZIGZAG])
    return curve


# Found by coordinate search on six photographs by SSIMULACRA2, one group of frequencies at a time, starting from
# jpegli's tables (its base matrix of YCbCr and its scaling by distance), and checked on others. Symmetric, real
# numbers. The irregular values at high frequencies of chroma do not matter: these coefficients are zero.
_Y = (
    _symmetric(
        """
          1.7
          3.3   4.3
          6.0   7.0   7.7
          6.9   7.0   8.1   8.8
          8.7   8.2   9.4   9.6  10.5
          8.2   8.2   9.0  11.0  11.1  12.3
         10.0   9.3   8.6  10.8  12.6  12.5  13.3
          8.9   9.2   9.6  10.4  13.4  14.9  13.2  10.7
        """
    ),
    _symmetric(
        """
          3.8
          6.3   8.9
         12.5  13.3  14.8
         13.4  13.7  15.2  18.2
         18.0  16.7  19.1  21.2  23.2
         16.8  17.0  19.9  23.3  26.5  29.3
         20.7  20.5  19.0  24.7  30.0  27.2  29.1
         19.7  20.4  22.8  24.8  29.3  32.6  28.9  23.4
        """
    ),
    _symmetric(
        """
          7.9
         10.2  16.1
         22.8  22.2  25.9
         23.3  24.5  26.1  35.8
         35.4  32.6  36.6  44.6  49.0
         32.8  33.6  41.8  46.2  60.1  66.4
         40.7  43.1  40.2  52.4  68.0  56.8  60.6
         41.4  43.2  51.7  56.2  61.1  67.8  60.2  48.8
        """
    ),
)
_CB = (
    _symmetric(
        """
          1.1
          2.5   4.7
          5.5   6.4   8.1
          7.2   7.8  10.6  10.0
          7.1   9.0   9.6  10.1  15.3
          8.6   9.3  16.1  21.8  12.7  25.7
         10.6  19.8  88.2  25.3  13.8  37.9  12.5
         17.4  18.7  21.7  35.1  50.0  12.5  12.5  96.4
        """
    ),
    _symmetric(
        """
          2.1
          5.3   9.7
         11.4  12.1  16.4
         14.0  16.0  24.2  24.8
         15.5  22.4  23.3  24.9  33.5
         21.4  22.9  39.8  45.6  27.7  56.0
         26.2  48.9 192.4  53.0  30.1  82.6  27.2
         43.1  40.9  47.4  76.5 109.1  27.3  27.2 210.2
        """
    ),
    _symmetric(
        """
          4.1
          9.4  17.3
         20.5  20.0  30.4
         24.1  30.4  50.4  58.7
         32.3  52.8  53.6  58.8  69.7
         50.5  54.1  94.0  88.9  57.8 116.6
         61.9 115.5 400.9 103.3  62.8 172.1  56.7
        101.8  85.2  98.8 159.3 227.2  56.8  56.6 438.0
        """
    ),
)
_CR = (
    _symmetric(
        """
          2.4
          3.8   4.9
          6.4   6.6   6.7
          5.9   5.4   7.4   7.0
          7.2   8.1   7.9   8.9   6.9
          8.2   7.2   8.5   8.9  10.6   9.1
          9.7   9.1   8.8   9.8   8.1  10.5  16.6
         10.5   9.5  10.0  10.6  10.2  15.4  15.2 127.4
        """
    ),
    _symmetric(
        """
          5.5
          7.1   9.4
         12.3  12.6  13.6
         11.5  11.2  14.9  15.2
         16.0  17.7  16.9  19.5  15.1
         17.9  15.7  18.6  18.7  23.2  19.9
         21.2  19.9  19.1  20.4  17.7  22.8  36.2
         22.9  20.7  21.7  23.1  22.2  33.5  33.1 278.1
        """
    ),
    _symmetric(
        """
         11.8
         11.2  15.6
         20.6  21.1  25.5
         20.1  21.5  27.3  31.7
         33.6  36.9  34.2  40.6  31.5
         37.2  32.7  38.7  36.4  48.2  41.4
         44.2  41.5  39.8  39.9  36.8  47.6  75.5
         47.6  43.2  45.3  48.1  46.2  69.8  69.0 579.3
        """
    ),
)
# As in jpegli, steps are proportional to the distance beyond the nodes, except that the lowest frequencies have a
# smaller exponent above the last node.
_EXPONENTS = np.ones(64)
_EXPONENTS[[1, 2]], _EXPONENTS[[3, 5]], _EXPONENTS[4], _EXPONENTS[[6, 9]], _EXPONENTS[[7, 8]] = (
    0.51,
    0.67,
    0.66,
    0.74,
    0.69,
)
SSIMULACRA2 = TableSet((1.1, 2.4, 5.0), (_Y, _CB, _CR), (_EXPONENTS,) * 3)

# Nicolas Robidoux's table for luma and chroma, published for ImageMagick and known as mozjpeg's table 3: coarser than
# others at high frequencies, and finer at low ones.
ROBIDOUX = _symmetric(
    """
     16
     16  17
     16  20  24
     18  27  31  40
     25  34  43  53  69
     37  40  62  74  94 124
     56  53  91 106 131 169 226
     85  75 135 156 189 238 311 418
    """
)
SCALED = slice(28)  # the frequencies, zig-zag, by which Robidoux's table is scaled to the distance


def blend(tables: TableSet, luma: float, chroma: float) -> TableSet:
    """Return geometric means of tables and Robidoux's, for each frequency.

    luma, chroma  weights of Robidoux's table, which is scaled such that its first 28 steps have the geometric mean of
                  those of luma at the same distance
    """
    weights = (luma, chroma, chroma)
    scales = [(y - ROBIDOUX)[SCALED].mean() for y in tables.curves[0]]
    y, cb, cr = (
        tuple((1 - weight) * node + weight * (ROBIDOUX + scale) for node, scale in zip(curve, scales, strict=True))
        for weight, curve in zip(weights, tables.curves, strict=True)
    )
    mean = tables.exponents[0][SCALED].mean()
    exponents = [(1 - weight) * own + weight * mean for weight, own in zip(weights, tables.exponents, strict=True)]
    return TableSet(tables.distances, (y, cb, cr), tuple(exponents))


# Chosen by four judges on eight photographs, with `python -m benchmarks tuning`: MS-SSIM, butteraugli, SSIMULACRA2 and
# ColorVideoVDP. Robidoux's shape suits the first and the last; coarser chroma suits all but SSIMULACRA2.
FOUR_JUDGES = blend(SSIMULACRA2, luma=0.6, chroma=0.3).scaled(dc=1.1, color=1.4)

# Of `fast`. Chosen in the same way, on the middle of twelve photographs: less of Robidoux's shape, coarser Cb. Against
# the set above that saves 0.6, 1.2, 0.8 and 0.1 points of BD-rate by these judges. With 0.4 for luma it saves 1.3 by
# butteraugli, and 0.7 less by ColorVideoVDP.
ONE_PASS = blend(SSIMULACRA2, luma=0.5, chroma=0.3).scaled(dc=1.1, color=1.4, cb=1.2)
