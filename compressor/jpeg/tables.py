"""Quantization and Huffman tables: those of Annex K scaled by a quality, and codes made for one image."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray

from compressor.kernels.huffman_code import CODE_LENGTH_MAX, best_code
from compressor.kernels.huffman_encode import code_table, small_table
from compressor.t81 import (
    K1_LUMINANCE,
    K2_CHROMINANCE,
    K3_DC_LUMINANCE,
    K4_DC_CHROMINANCE,
    K5_AC_LUMINANCE,
    K6_AC_CHROMINANCE,
    ZIGZAG,
)

Table = NDArray[np.uint16]
HuffmanSpec = tuple[bytes, bytes]  # BITS, HUFFVAL as DHT carries them (B.2.4.2)


def quantization_table(quality: int, chroma: bool) -> Table:
    """Annex K's table scaled as libjpeg does (jpeg_quality_scaling), (64,) uint16 in zig-zag order, 1 … 255."""
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    base = (K2_CHROMINANCE if chroma else K1_LUMINANCE).ravel()[ZIGZAG].astype(np.int64)
    table: Table = np.clip((base * scale + 50) // 100, 1, 255).astype(np.uint16)
    return table


@dataclass(frozen=True)
class Codes:
    """Huffman codes of a sequential scan.

    specs     what DHT says: (Tc, Th) → BITS, HUFFVAL
    selector  for each component its Th, the same for DC and AC
    """

    specs: dict[tuple[int, int], HuffmanSpec]
    selector: tuple[int, ...]

    @cached_property
    def arrays(self) -> tuple[NDArray[np.uint32], NDArray[np.uint32], NDArray[np.uint32]]:
        """`dc`, `ac` (components, 256) and `small` (components, 1024) as the encoding kernels take them."""
        dc = np.array([code_table(*self.specs[0, t]) for t in self.selector])
        ac = np.array([code_table(*self.specs[1, t]) for t in self.selector])
        return dc, ac, np.array([small_table(table) for table in ac])


STANDARD = {
    (0, 0): K3_DC_LUMINANCE,
    (1, 0): K5_AC_LUMINANCE,
    (0, 1): K4_DC_CHROMINANCE,
    (1, 1): K6_AC_CHROMINANCE,
}


@cache  # as are their arrays: a millisecond and 56 KiB for each image
def standard_codes(components: int) -> Codes:
    """Annex K's: the first table for the first component, the second for the others."""
    used = {key: spec for key, spec in STANDARD.items() if key[1] < components}
    return Codes(used, tuple(min(c, 1) for c in range(components)))


def with_one_more(spec: HuffmanSpec, symbol: int) -> HuffmanSpec:
    """The same code and one more symbol: one bit longer than the longest and after it, so that all others stay as they
    are."""
    bits, huffval = spec
    longest = max(length for length in range(CODE_LENGTH_MAX) if bits[length])
    return bits[: longest + 1] + b"\1" + bits[longest + 2 :], huffval + bytes([symbol])


def optimal_codes(counts: NDArray[np.int64]) -> Codes:
    """Codes made for what `count_symbols` saw: one pair for the first component, one for all the others together.

    counts  (components, 2, 256) int64
    """
    groups = [counts[:1].sum(0)] + ([counts[1:].sum(0)] if len(counts) > 1 else [])
    specs = {(tc, th): huffman_spec(group[tc]) for th, group in enumerate(groups) for tc in (0, 1)}
    return Codes(specs, tuple(min(c, 1) for c in range(len(counts))))


def huffman_spec(counts: Sequence[int] | NDArray[np.int64]) -> HuffmanSpec:
    """Annex K.2: the code of least total length that has no code over 16 bits and none of ones only.

    counts  how often each of 256 symbols occurs
    """
    bits, huffval = np.empty(CODE_LENGTH_MAX, np.uint8), np.empty(256, np.uint8)
    count = best_code(np.ascontiguousarray(counts, np.int64), bits, huffval)
    return bits.tobytes(), huffval[:count].tobytes()
