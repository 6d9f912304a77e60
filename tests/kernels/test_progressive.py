"""Progressive decoding (T.81 G.1.2, G.2), compared with the twin that reads bit by bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compressor.kernels import huffman_decode, progressive
from tests.reference import huffman
from tests.reference import progressive as reference

KINDS = {(True, 0): progressive.DC_FIRST, (True, 1): progressive.DC_REFINE}
KINDS |= {(False, 0): progressive.AC_FIRST, (False, 1): progressive.AC_REFINE}


class Line:
    """A line of grey blocks in one scan."""

    def __init__(
        self, blocks: huffman.Plane, band: tuple[int, int, int, int], table: reference.Table = reference.FLAT
    ) -> None:
        ss, se, ah, al = band
        self.kind = KINDS[ss == 0, min(ah, 1)]
        self.before = known(blocks, ss, se, ah) if ah else np.zeros_like(blocks)
        self.after = known(blocks, ss, se, al)
        order = [[(0, 0, n)] for n in range(len(blocks))]
        dc, ac = huffman.code_words(*reference.DC), huffman.code_words(*table)
        coded = reference.encode_interval([blocks[None]], order, ((0,), *band), dc, ac, True, 0x7FFF)
        raw = coded.replace(b"\xff\0", b"\xff")
        self.bytes = len(raw)
        self.data = np.full(len(raw) + huffman_decode.PAD, 0x5A, np.uint8)
        self.data[: len(raw)] = list(raw)
        self.lookup = np.zeros((1, 1 << progressive.BITS), np.int32)
        self.limits = np.zeros((1, 2, 17), np.int32)
        self.huffval = np.zeros((1, 256), np.uint8)
        bits, symbols = reference.DC if ss == 0 else table
        self.huffval[0, : len(symbols)] = list(symbols)
        counts = np.frombuffer(bits, np.uint8)
        progressive.build_progressive_table(counts, self.kind, al, 0, self.huffval, self.lookup, self.limits)
        self.state = np.zeros(progressive.STATE, np.int64)
        self.state[[huffman_decode.END, huffman_decode.MCUS, huffman_decode.CLOSED]] = self.bytes, len(blocks), 1
        self.state[huffman_decode.LINES] = 1
        self.state[progressive.KIND :] = self.kind, ss, se, al, 0
        self.out = self.before.astype(np.int16)

    def decode(self) -> int:
        plan, marks = np.array([[0, 1, 0, 0, 0]], np.int64), np.zeros((0, 2), np.int64)
        tables, lines = (self.lookup, self.limits, self.huffval), np.zeros(1, np.int64)
        return int(progressive.decode_units(self.data, marks, plan, lines, tables, self.state, self.out))


def known(blocks: huffman.Plane, ss: int, se: int, al: int) -> huffman.Plane:
    """Return a band down to bit Al: DC rounds down, AC towards zero (G.1.2.1, G.1.2.3)."""
    out = np.zeros_like(blocks)
    band = blocks[:, ss : se + 1]
    out[:, ss : se + 1] = band >> al << al if ss == 0 else np.sign(band) * (np.abs(band) >> al << al)
    return out


BANDS = [(0, 0, 0, 0), (0, 0, 0, 3), (0, 0, 3, 2), (0, 0, 1, 0), (1, 63, 0, 0), (1, 5, 0, 2), (6, 63, 0, 2)]
BANDS += [(1, 63, 2, 1), (1, 63, 1, 0), (63, 63, 1, 0), (20, 40, 5, 4)]


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.01, 0.1, 1.0, 3.0]))
@pytest.mark.parametrize("band", BANDS, ids=str)
@pytest.mark.parametrize("table", [reference.FLAT, reference.LONG], ids=["flat", "long"])
def test_every_kind_of_scan_decodes_to_what_was_encoded(
    band: tuple[int, int, int, int], table: reference.Table, seed: int, density: float
) -> None:
    blocks = huffman.random_planes(np.random.default_rng(seed), 80, 8, [(1, 1)], density)[0][0]
    line = Line(blocks, band, table)

    assert line.decode() == huffman_decode.DONE
    np.testing.assert_array_equal(line.out, line.after)
    assert -(-line.state[huffman_decode.POSITION] // 8) == line.bytes


@pytest.mark.parametrize("band", BANDS, ids=str)
def test_decoding_resumes_where_the_data_ended(band: tuple[int, int, int, int]) -> None:
    line = Line(huffman.random_planes(np.random.default_rng(5), 400, 8, [(1, 1)], 1.0)[0][0], band)
    line.state[huffman_decode.CLOSED] = 0
    for end in range(line.bytes):
        line.state[huffman_decode.END] = end
        assert line.decode() == huffman_decode.MORE
    line.state[[huffman_decode.END, huffman_decode.CLOSED]] = line.bytes, 1

    assert line.decode() == huffman_decode.DONE
    np.testing.assert_array_equal(line.out, line.after)


@pytest.mark.parametrize("band", BANDS, ids=str)
def test_data_that_ends_too_early_is_reported(band: tuple[int, int, int, int]) -> None:
    line = Line(huffman.random_planes(np.random.default_rng(6), 80, 8, [(1, 1)], 3.0)[0][0], band)
    line.state[huffman_decode.END] = line.bytes - 1

    assert line.decode() == huffman_decode.TRUNCATED


def test_symbols_that_would_make_a_coefficient_too_large_are_in_no_table() -> None:
    """With Al = 9 a coefficient of the band is ±512, with Al = 10 none of ten bits is left."""
    line = Line(np.zeros((1, 64), np.int64), (1, 63, 0, 9))
    sizes = {int(v) >> 16 for v in line.lookup[0] if int(v) >> 8 & 127 < 16}

    assert sizes <= {-512, 0, 512}
    line = Line(np.zeros((1, 64), np.int64), (1, 63, 0, 10))
    assert {int(v) >> 16 for v in line.lookup[0] if int(v) >> 8 & 127 < 16} <= {0}


def test_a_refinement_can_not_carry_a_coefficient_beyond_ten_bits() -> None:
    blocks = np.zeros((1, 64), np.int64)
    blocks[0, 1] = 3
    line = Line(blocks, (1, 63, 1, 0))
    line.out[0, 1] = -1024 + 2
    line.state[progressive.AL] = 9

    assert line.decode() == huffman_decode.BAD_CODE
