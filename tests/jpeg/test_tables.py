"""Quantization tables and Huffman codes (T.81 Annex K, C.2)."""

import io
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from compressor.jpeg import tables
from compressor.jpeg.frame import HuffmanSpec
from tests.reference.huffman_code import huffman_spec, least_total_bits

COUNTS = st.dictionaries(st.integers(0, 255), st.integers(1, 1 << 30), min_size=1, max_size=256)


def counts_of(chosen: Mapping[int, int]) -> list[int]:
    """Return the counts of 256 symbols."""
    counts = [0] * 256
    for symbol, count in chosen.items():
        counts[symbol] = count
    return counts


def lengths_of(spec: HuffmanSpec) -> dict[int, int]:
    """Return the code length of each symbol."""
    bits, huffval = spec
    lengths: dict[int, int] = {}
    k = 0
    for length, count in enumerate(bits, 1):
        for symbol in huffval[k : k + count]:
            lengths[symbol] = length
        k += count
    return lengths


@given(COUNTS | st.integers(0, 60).map(lambda steps: {symbol: 1 << symbol for symbol in range(steps)}))
def test_codes_are_those_of_the_figures(chosen: dict[int, int]) -> None:
    assert tables.huffman_spec(counts_of(chosen)) == huffman_spec(counts_of(chosen))


@given(COUNTS)
def test_codes_cover_every_symbol_and_keep_the_code_of_all_ones_free(chosen: dict[int, int]) -> None:
    lengths = lengths_of(tables.huffman_spec(counts_of(chosen)))

    assert set(lengths) == set(chosen)
    assert max(lengths.values()) <= 16
    assert sum(2.0**-n for n in lengths.values()) <= 1 - 2.0**-16


@given(st.dictionaries(st.integers(0, 40), st.integers(1, 1000), min_size=1))
def test_codes_that_need_no_limit_are_optimal(chosen: dict[int, int]) -> None:
    counts = counts_of(chosen)
    lengths = lengths_of(tables.huffman_spec(counts))

    total = sum(counts[symbol] * n for symbol, n in lengths.items())
    # Annex K.2 gives the reserved code a count of 1, which may cost the rarest symbol one bit.
    assert total <= least_total_bits(counts, 32) + max(lengths.values())


@given(COUNTS)
def test_codes_that_are_limited_to_16_bits_are_nearly_optimal(chosen: dict[int, int]) -> None:
    counts = counts_of(chosen)
    lengths = lengths_of(tables.huffman_spec(counts))

    assert sum(counts[s] * n for s, n in lengths.items()) <= 1.05 * least_total_bits(counts, 16) + 32


@pytest.mark.parametrize("quality", [1, 10, 49, 50, 51, 75, 80, 95, 100])
def test_quantization_tables_are_libjpegs(quality: int) -> None:
    sink = io.BytesIO()
    Image.new("RGB", (8, 8)).save(sink, "JPEG", quality=quality)
    theirs = getattr(Image.open(io.BytesIO(sink.getvalue())), "quantization")  # noqa: B009

    from compressor.t81 import ZIGZAG

    for tq, chroma in ((0, False), (1, True)):
        natural = np.empty(64, int)
        natural[ZIGZAG] = tables.quantization_table(quality, chroma)
        assert natural.tolist() == list(theirs[tq])
