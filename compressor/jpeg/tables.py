"""Quantization and Huffman tables: those of Annex K, scaled by a quality, and optimal codes for one image."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray

from compressor.jpeg.frame import STANDARD_HUFFMAN, HuffmanSpec
from compressor.kernels.huffman_code import CODE_LENGTH_MAX, best_code
from compressor.kernels.huffman_encode import code_table, small_table
from compressor.t81 import K1_LUMINANCE, K2_CHROMINANCE, ZIGZAG

Table = NDArray[np.uint16]


def quantization_table(quality: int, chroma: bool) -> Table:
    """Return Annex K's table scaled as in libjpeg (jpeg_quality_scaling), (64,) uint16 in zig-zag order, 1 … 255."""
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    base = (K2_CHROMINANCE if chroma else K1_LUMINANCE).ravel()[ZIGZAG].astype(np.int64)
    table: Table = np.clip((base * scale + 50) // 100, 1, 255).astype(np.uint16)
    return table


@dataclass(frozen=True)
class Codes:
    """Huffman codes of a sequential scan.

    specs     (Tc, Th) → table
    selector  Th of each component, the same for DC and AC
    """

    specs: dict[tuple[int, int], HuffmanSpec]
    selector: tuple[int, ...]

    @cached_property
    def arrays(self) -> tuple[NDArray[np.uint32], NDArray[np.uint32], NDArray[np.uint32]]:
        """`dc`, `ac` (components, 256) and `small` (components, 65 * 64) uint32, as the encoding kernels require."""
        dc, ac = ([code_table(*self.specs[tc, th]) for th in range(max(self.selector) + 1)] for tc in (0, 1))
        of_component = list(self.selector)
        return np.array(dc)[of_component], np.array(ac)[of_component], np.array([*map(small_table, ac)])[of_component]


@cache  # their arrays are cached with them: a millisecond and 56 KiB for each image
def standard_codes(components: int) -> Codes:
    """Return Annex K's codes: the luminance tables for the first component, the chrominance tables for the others."""
    used = {key: spec for key, spec in STANDARD_HUFFMAN.items() if key[1] < components}
    return Codes(used, tuple(min(c, 1) for c in range(components)))


def append_symbol(spec: HuffmanSpec, symbol: int) -> HuffmanSpec:
    """Return a code with one more symbol: one bit longer than the longest, and after it, so that no other changes."""
    bits, huffval = spec
    longest = max(length for length in range(CODE_LENGTH_MAX) if bits[length])
    return bits[: longest + 1] + b"\1" + bits[longest + 2 :], huffval + bytes([symbol])


def optimal_codes(counts: NDArray[np.int64]) -> Codes:
    """Return optimal codes for counted symbols: one pair for the first component, one for all others together.

    counts  (components, 2, 256) int64 of `count_symbols`
    """
    groups = [counts[:1].sum(0)] + ([counts[1:].sum(0)] if len(counts) > 1 else [])
    specs = {(tc, th): huffman_spec(group[tc]) for th, group in enumerate(groups) for tc in (0, 1)}
    return Codes(specs, tuple(min(c, 1) for c in range(len(counts))))


def huffman_spec(counts: Sequence[int] | NDArray[np.int64]) -> HuffmanSpec:
    """Return the code of least total length that has no code over 16 bits and none of all ones (Annex K.2).

    counts  of each of 256 symbols
    """
    bits, huffval = np.empty(CODE_LENGTH_MAX, np.uint8), np.empty(256, np.uint8)
    count = best_code(np.ascontiguousarray(counts, np.int64), bits, huffval)
    return bits.tobytes(), huffval[:count].tobytes()
