"""Progressive encoding (T.81 G.1.2) against the twin that writes tokens."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compressor.jpeg.tables import huffman_spec
from compressor.kernels import progressive_encode as kernel
from compressor.kernels.huffman_encode import code_table
from tests.reference import huffman_encode
from tests.reference import progressive_encode as reference

BANDS = [(1, 63, 0, 0), (1, 63, 0, 3), (1, 5, 0, 2), (6, 63, 0, 1), (63, 63, 0, 0), (1, 1, 0, 0)]
BANDS += [(1, 63, 1, 0), (1, 63, 2, 1), (1, 63, 9, 8), (20, 40, 1, 0), (63, 63, 1, 0), (1, 63, 13, 12)]
DC = [(0, 0), (0, 1), (1, 0), (0, 13), (3, 2)]


def random_blocks(rng, count, density, largest):
    """Coefficients of which a share is non-zero, most of them small."""
    size = np.exp(rng.uniform(0, np.log(largest + 1), (count, 64))).astype(np.int64)
    values = size * rng.choice([-1, 1], (count, 64)) * (rng.random((count, 64)) < density)
    return np.clip(values, -largest, largest).astype(np.int16)


def specs_for(counts):
    specs = [huffman_spec(line[:256]) for line in counts]
    return np.array([code_table(*spec) for spec in specs]), [huffman_encode.codes(*s) if s[1] else {} for s in specs]


class Coded:
    """Calls of `steps` blocks each, counted and coded."""

    def __init__(self, tables, calls):
        self.counts = np.zeros((tables, kernel.COUNTS), np.int64)
        state = np.zeros(kernel.STATE, np.int64)
        for count, _, arguments, _ in calls:
            count(*arguments, self.counts, state)
        kernel.count_end(self.counts, state)
        self.codes, self.words = specs_for(self.counts)
        state, data = np.zeros(kernel.STATE, np.int64), b""
        for _, encode, arguments, blocks in calls:
            raw = np.empty(kernel.coded_bytes(blocks), np.uint8)
            out = np.empty(2 * len(raw), np.uint8)
            data += out[: encode(*arguments, self.codes, state, raw, out)].tobytes()
        raw = np.empty(kernel.coded_bytes(0), np.uint8)
        out = np.empty(2 * len(raw), np.uint8)
        self.data = data + out[: kernel.encode_end(self.codes, state, raw, out)].tobytes()
        held = int(state[kernel.HELD])
        self.rest = f"{int(state[kernel.PENDING]) & (1 << held) - 1:0{held}b}" if held else ""

    def check(self, tokens):
        tokens = list(tokens)
        np.testing.assert_array_equal(self.counts, reference.count(tokens, len(self.counts)))
        bits = reference.text(tokens, self.words)
        assert self.data == huffman_encode.stuff(huffman_encode.whole_bytes(bits))
        assert self.rest == bits[len(bits) // 8 * 8 :]


def coded_ac(blocks, band, step):
    calls = [
        (kernel.count_ac, kernel.encode_ac, (blocks, first, min(step, len(blocks) - first), *band), step)
        for first in range(0, len(blocks), step)
    ]
    return Coded(1, calls)


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.005, 0.1, 0.5, 1.0]), st.sampled_from([1, 3, 40, 1023]))
@pytest.mark.parametrize("band", BANDS, ids=str)
def test_a_band_is_counted_and_coded_as_the_reference_says(band, seed, density, largest):
    rng = np.random.default_rng(seed)
    blocks = random_blocks(rng, 30, density, largest)
    blocks[rng.random(30) < 0.3] = 0

    coded_ac(blocks, band, int(rng.integers(1, 31))).check(reference.ac_tokens(blocks, *band))


@pytest.mark.parametrize("band", [(1, 63, 0, 0), (1, 63, 1, 0)], ids=str)
@pytest.mark.parametrize("length", [1, 2, 3, 0x7FFE, 0x7FFF, 0x8000, 2 * 0x7FFF + 1])
def test_runs_of_empty_bands_span_calls_and_end_where_eob14_does(band, length):
    blocks = np.zeros((length + 1, 64), np.int16)
    blocks[:, 0] = 7
    blocks[length, 63] = -1

    coded_ac(blocks, band, 20_000).check(reference.ac_tokens(blocks, *band))


@pytest.mark.parametrize("known", [1, 7, 62, 63])
@pytest.mark.parametrize("step", [1, 5, 64])
def test_correction_bits_wait_for_their_run_up_to_a_limit(known, step):
    rng = np.random.default_rng(known)
    blocks = np.zeros((64, 64), np.int16)
    blocks[:, 1 : 1 + known] = rng.integers(2, 4, (64, known)) * rng.choice([-1, 1], (64, known))
    blocks[40, 63] = 1 if known < 63 else 2
    coded = coded_ac(blocks, (1, 63, 1, 0), step)

    coded.check(reference.ac_tokens(blocks, 1, 63, 1, 0))


def test_the_largest_blocks_take_less_than_is_reserved_for_them():
    """Codes of 16 bits before every coefficient, after a run with as many correction bits as may wait."""
    codes = np.full((1, 256), 0xFFFF << 6 | 16, np.uint32)
    for band, value in (((1, 63, 0, 0), 1023), ((1, 63, 1, 0), 1)):
        blocks = np.zeros((16, 64), np.int16)
        blocks[:15, 1:63] = 3
        blocks[15, 1:] = value
        state, written = np.zeros(kernel.STATE, np.int64), []
        for first, count in ((0, 15), (15, 1)):
            raw = np.zeros(kernel.coded_bytes(count), np.uint8)
            out = np.empty(2 * len(raw), np.uint8)
            written.append(kernel.encode_ac(blocks, first, count, *band, codes, state, raw, out))
            assert not raw[-32:].any()
    assert state[kernel.WAITING] == 0


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 100, 2047]))
@pytest.mark.parametrize("bits", DC, ids=str)
@pytest.mark.parametrize("sampling", [[(1, 1)], [(2, 2), (1, 1), (1, 1)], [(1, 2), (3, 1)], [(1, 1)] * 4], ids=str)
def test_dc_is_interleaved_counted_and_coded_as_the_reference_says(bits, sampling, seed, largest):
    rng = np.random.default_rng(seed)
    mcus, first, layout = 5, 0, []
    for h, v in sampling:
        layout.append((first, mcus * h, h, v))
        first += mcus * h * v
    rows = [random_blocks(rng, first, 1.0, largest) for _ in range(3)]
    step, calls = int(rng.integers(1, 6)), []
    for row in rows:
        for mcu in range(0, mcus, step):
            arguments = (row, np.array(layout), mcu, min(step, mcus - mcu), *bits)
            calls.append((kernel.count_dc, kernel.encode_dc, arguments, first))

    Coded(len(layout), calls).check(reference.dc_tokens(rows, layout, mcus, *bits))
