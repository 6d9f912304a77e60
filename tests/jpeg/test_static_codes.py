"""Static Huffman codes: complete, of valid lengths, and better than Annex K's."""

import numpy as np
import pytest

from compressor.jpeg import perceptual, static_codes, tables, writer
from compressor.jpeg.encoder import Statistics, Transform
from compressor.kernels.huffman_encode import code_table
from compressor.settings import Effort
from tests.pipeline.test_pipeline import cat

DC = set(range(13))  # Table F.1, and category 12, which coefficients of a file may have
AC = {0x00, 0xF0} | {run << 4 | ssss for run in range(16) for ssss in range(1, 11)}  # Table F.2


@pytest.mark.parametrize("components", [1, 3])
@pytest.mark.parametrize("distance", static_codes.DISTANCES)
def test_every_possible_symbol_has_one_code_and_none_is_all_ones(distance: float, components: int) -> None:
    codes = static_codes.codes_for(distance, components)

    assert set(codes.specs) == {(tc, th) for tc in (0, 1) for th in range(min(components, 2))}
    assert codes.selector == (0, 1, 1)[:components]
    for (tc, _), (bits, huffval) in codes.specs.items():
        assert len(bits) == 16 and sum(bits) == len(huffval)  # none over 16 bits
        assert set(huffval) == (AC if tc else DC) and len(huffval) == len(set(huffval))
        kraft = sum(count / 2.0**length for length, count in enumerate(bits, 1))
        assert kraft <= 1 - 2.0**-16
        longest = max(length for length, count in enumerate(bits, 1) if count)
        assert kraft == 1 - 2.0**-longest  # but for the code of ones nothing is left over


@pytest.mark.parametrize("distance", static_codes.DISTANCES)
def test_encoding_tables_have_all_of_them(distance: float) -> None:
    dc, ac, _ = static_codes.codes_for(distance, 3).arrays

    for c in range(3):
        assert (dc[c, sorted(DC)] > 0).all() and (ac[c, sorted(AC)] > 0).all()


def test_the_nearest_distance_is_chosen_by_ratio() -> None:
    for distance in static_codes.DISTANCES:
        assert static_codes.codes_for(distance * 1.4, 3) is static_codes.codes_for(distance, 3)
        assert static_codes.codes_for(distance / 1.4, 3) is static_codes.codes_for(distance, 3)
    assert static_codes.codes_for(1e-3, 1) is static_codes.codes_for(static_codes.DISTANCES[0], 1)
    assert static_codes.codes_for(1e3, 1) is static_codes.codes_for(static_codes.DISTANCES[-1], 1)


def bits_of(counts: np.ndarray, codes: tables.Codes) -> int:
    """Return the bits of codes only; additional bits are the same for all codes."""
    total = 0
    for c, th in enumerate(codes.selector):
        for tc in (0, 1):
            bits, huffval = codes.specs[tc, th]
            lengths = np.zeros(256, np.int64)
            lengths[list(huffval)] = np.repeat(np.arange(1, 17), list(bits))
            total += int(counts[c, tc] @ lengths)
    return total


@pytest.mark.parametrize("quality", [40, 75, 90])
def test_a_photograph_outside_the_training_set_takes_less_than_with_annex_k(quality: int) -> None:
    pixels, distance = cat(), perceptual.distance_for(quality, Effort.FAST)
    height, width, _ = pixels.shape
    frame = writer.frame_for(width, height, 3, "420")
    quantization = perceptual.quantization_tables(distance, 3, perceptual.table_set_of(Effort.FAST))
    made = Transform(frame, quantization, perceptual.dead_zones(distance, 3))
    found = Statistics(frame)
    for slab in made.slabs([pixels.reshape(height, -1)]):
        found.add(slab)

    ours = bits_of(found.counts, static_codes.codes_for(distance, 3))
    assert bits_of(found.counts, tables.optimal_codes(found.counts)) <= ours
    assert ours < bits_of(found.counts, tables.standard_codes(3))


def test_the_kernels_accept_these_codes() -> None:
    bits, huffval = static_codes.codes_for(1.6, 3).specs[1, 0]

    assert np.count_nonzero(code_table(bits, huffval)) == len(AC)
