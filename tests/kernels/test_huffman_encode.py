"""Huffman encoding, stuffing and statistics, compared with the twin that encodes bit by bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from compressor.kernels import huffman_encode as kernel
from compressor.t81 import K3_DC_LUMINANCE, K4_DC_CHROMINANCE, K5_AC_LUMINANCE, K6_AC_CHROMINANCE
from tests.reference import huffman_encode as reference

Table = tuple[bytes, bytes]
LUMINANCE = (K3_DC_LUMINANCE, K5_AC_LUMINANCE)
CHROMINANCE = (K4_DC_CHROMINANCE, K6_AC_CHROMINANCE)
# The longest codes there can be: 16 bits for every symbol, so that every bound on held bits is met.
LONGEST = ((bytes(15) + bytes([12]), bytes(range(12))), (bytes(15) + bytes([162]), K5_AC_LUMINANCE[1]))
GREY = np.array([[0, 1, 1, 1]])
SUBSAMPLED = np.array([[0, 4, 2, 2], [8, 2, 1, 1], [10, 2, 1, 1]])

AC = st.one_of(st.integers(-1, 1), st.integers(-40, 40), st.integers(-1023, 1023))
DC = st.integers(-1023, 1024)
BLOCK = st.builds(lambda dc, ac: {0: dc} | ac, DC, st.dictionaries(st.integers(1, 63), AC))
SEEDS = st.integers(0, 2**32)
TABLES = st.sampled_from([LUMINANCE, CHROMINANCE, LONGEST])


def array(blocks: list[dict[int, int]]) -> NDArray[np.int16]:
    """Return (n, 64) from {k: value} of each block."""
    out = np.zeros((len(blocks), 64), np.int16)
    for row, block in zip(out, blocks, strict=True):
        row[list(block)] = list(block.values())
    return out


def noise(seed: int, blocks: int) -> NDArray[np.int16]:
    """Return blocks of every density and size of values."""
    rng = np.random.default_rng(seed)
    values = rng.integers(-1023, 1024, (blocks, 64)) >> rng.integers(0, 11, (blocks, 1))
    return (values * (rng.random((blocks, 64)) < rng.random((blocks, 1)))).astype(np.int16)


class Encoder:
    """`encode_mcus` with its arrays, none larger than required. `bits` are all so far, as characters."""

    def __init__(self, tables: list[tuple[Table, Table]]) -> None:
        self.dc = np.array([kernel.code_table(*dc) for dc, _ in tables])
        self.ac = np.array([kernel.code_table(*ac) for _, ac in tables])
        self.small = np.array([kernel.small_table(ac) for ac in self.ac])
        self.state = np.zeros(kernel.STATE, np.int64)
        self.whole = b""

    def encode(self, coefficients: NDArray[np.int16], layout: NDArray[np.int64], mcus: int) -> None:
        blocks = mcus * int((layout[:, 2] * layout[:, 3]).sum())
        raw = np.empty(8 + kernel.BLOCK_BYTES_MAX * blocks, np.uint8)
        codes = self.dc, self.ac, self.small
        size = kernel.encode_mcus(coefficients, layout, 0, mcus, codes, self.state, raw)
        self.whole += raw[:size].tobytes()

    @property
    def bits(self) -> str:
        pending, held = int(self.state[kernel.PENDING]), int(self.state[kernel.HELD])
        assert 0 <= held < 8
        return "".join(f"{byte:08b}" for byte in self.whole) + f"{pending & 255:08b}"[8 - held :]


def twin_tables(tables: list[tuple[Table, Table]]) -> list[tuple[reference.Codes, reference.Codes]]:
    return [(reference.codes(*dc), reference.codes(*ac)) for dc, ac in tables]


def check(blocks: list[dict[int, int]], tables: tuple[Table, Table] = LUMINANCE) -> None:
    """Check the bits of grey blocks."""
    layout = np.array([[0, len(blocks), 1, 1]])
    encoder = Encoder([tables])
    encoder.encode(array(blocks), layout, len(blocks))
    assert encoder.bits == reference.encode(array(blocks), layout, len(blocks), twin_tables([tables]), [0])


@pytest.mark.parametrize("bits, huffval", [*LUMINANCE, *CHROMINANCE, *LONGEST])
def test_code_tables_are_those_of_annex_c(bits: bytes, huffval: bytes) -> None:
    table, codes = kernel.code_table(bits, huffval), reference.codes(bits, huffval)

    assert {s: f"{entry >> 6:0{entry & 63}b}" for s, entry in enumerate(table.tolist()) if entry} == codes


@pytest.mark.parametrize("_, ac", [LUMINANCE, CHROMINANCE, LONGEST])
def test_small_values_have_their_code_and_bits_in_one_entry(_: Table, ac: Table) -> None:
    small, codes = kernel.small_table(kernel.code_table(*ac)).reshape(65, 64).tolist(), reference.codes(*ac)
    for run in range(16):
        for value in [*range(-32, 0), *range(1, 31)]:
            entry = small[run + 1][value + 32]
            expected = codes[16 * run + reference.ssss(value)] + reference.appended(value)
            assert f"{entry >> 6:0{entry & 63}b}" == expected


@pytest.mark.parametrize("_, ac", [LUMINANCE, CHROMINANCE])
def test_all_other_entries_except_the_end_escape(_: Table, ac: Table) -> None:
    small, codes = kernel.small_table(kernel.code_table(*ac)).reshape(65, 64), reference.codes(*ac)

    assert (small[17:, :32] == kernel.ESCAPE).all() and (small[17:, 33:] == kernel.ESCAPE).all()
    assert (small[:, 63] == kernel.ESCAPE).all()
    assert small[:2, 32].tolist() == [0, 0]
    assert {f"{entry >> 6:0{entry & 63}b}" for entry in small[2:, 32].tolist()} == {codes[0x00]}


def test_small_values_without_a_code_escape() -> None:
    small = kernel.small_table(kernel.code_table(bytes([1]) + bytes(15), b"\x01")).reshape(65, 64)

    small[:, 32] = kernel.ESCAPE
    assert np.argwhere(small != kernel.ESCAPE).tolist() == [[1, 31], [1, 33]]


@given(st.lists(BLOCK, min_size=1, max_size=3), TABLES)
def test_blocks_are_coded_bit_for_bit(blocks: list[dict[int, int]], tables: tuple[Table, Table]) -> None:
    check(blocks, tables)


@given(SEEDS, TABLES, TABLES, st.integers(0, 2))
@settings(max_examples=40)
def test_mcus_interleave_their_components(
    seed: int, luma: tuple[Table, Table], chroma: tuple[Table, Table], mcus: int
) -> None:
    tables, row = [luma, chroma, chroma], noise(seed, 12)
    encoder = Encoder(tables)
    encoder.encode(row, SUBSAMPLED, mcus)

    assert encoder.bits == reference.encode(row, SUBSAMPLED, mcus, twin_tables(tables), [0, 0, 0])


@given(st.lists(SEEDS, min_size=1, max_size=6))
@settings(max_examples=25)
def test_bits_and_predictions_are_carried_from_call_to_call(seeds: list[int]) -> None:
    tables = [LUMINANCE, CHROMINANCE, CHROMINANCE]
    encoder, pred, expected = Encoder(tables), [0, 0, 0], ""
    for seed in seeds:
        encoder.encode(noise(seed, 12), SUBSAMPLED, 2)
        expected += reference.encode(noise(seed, 12), SUBSAMPLED, 2, twin_tables(tables), pred)

    assert encoder.bits == expected
    assert encoder.state[kernel.PRED : kernel.PRED + 3].tolist() == pred


@pytest.mark.parametrize("tables", [LUMINANCE, CHROMINANCE, LONGEST])
@pytest.mark.parametrize("value", [1, -1, 30, 31, 32, -32, -33, 1023, -1023])
def test_full_blocks_are_coded_bit_for_bit(tables: tuple[Table, Table], value: int) -> None:
    """63 non-zero coefficients, and 62: with and without EOB, an odd and an even number."""
    for last in (63, 62, 61):
        check([dict.fromkeys(range(last + 1), value)] * 3, tables)


@pytest.mark.parametrize("tables", [LUMINANCE, CHROMINANCE, LONGEST])
@pytest.mark.parametrize("run", [0, 1, 14, 15, 16, 17, 31, 32, 46, 47, 48, 61, 62])
def test_runs_of_every_length_are_coded_bit_for_bit(tables: tuple[Table, Table], run: int) -> None:
    for value in (1, -1023):
        check([{1 + run: value}, {0: 5, 1: value, min(2 + run, 63): value}, {63 - run: value, 63: value}], tables)


@pytest.mark.parametrize("tables", [LUMINANCE, CHROMINANCE, LONGEST])
def test_blocks_of_zeros_are_coded_bit_for_bit(tables: tuple[Table, Table]) -> None:
    for count in range(1, 12):
        check([{}] * count, tables)


@pytest.mark.parametrize("tables", [LUMINANCE, CHROMINANCE, LONGEST])
def test_every_difference_of_dc_is_coded_bit_for_bit(tables: tuple[Table, Table]) -> None:
    """Differences 0 .. 2047 upwards, 0 .. -2047 downwards."""
    check([{0: dc} for diff in range(2048) for dc in (-1023, diff - 1023)], tables)


@pytest.mark.parametrize("tables", [LUMINANCE, CHROMINANCE, LONGEST])
def test_every_value_of_ac_is_coded_bit_for_bit(tables: tuple[Table, Table]) -> None:
    values = [value for value in range(-1023, 1024) if value]
    check([dict(enumerate(values[i : i + 60], 1)) for i in range(0, len(values), 60)], tables)


def test_the_largest_block_takes_less_than_is_reserved_for_it() -> None:
    encoder = Encoder([LONGEST])
    encoder.encode(array([dict.fromkeys(range(64), 1023)]), GREY, 1)

    assert len(encoder.bits) == 16 + 10 + 63 * 26
    assert len(encoder.bits) + 1 <= 8 * kernel.BLOCK_BYTES_MAX


def stuff(data: bytes, next_byte: int = 0xFF) -> bytes:
    """Stuff into an array no larger than required. Bytes after the data must not matter."""
    raw = np.frombuffer(data + bytes([next_byte]) * 32, np.uint8).copy()
    out = np.empty(2 * len(data) + 32, np.uint8)
    return out[: kernel.stuff(raw, len(data), out)].tobytes()


@given(
    st.lists(st.sampled_from([b"\xff", b"\x00", b"\xfe", b"a" * 31, b"b" * 32]), max_size=80), st.sampled_from([0, 255])
)
def test_a_zero_follows_every_ff(pieces: list[bytes], next_byte: int) -> None:
    data = b"".join(pieces)

    assert stuff(data, next_byte) == reference.stuff(data)


@pytest.mark.parametrize("size", [0, 1, 2, 30, 31, 32, 33, 63, 64, 65, 96, 1000])
def test_bytes_that_are_all_ff_double(size: int) -> None:
    assert stuff(b"\xff" * size) == b"\xff\x00" * size


def test_an_ff_in_any_place_is_stuffed() -> None:
    """Chunks of 32 bytes begin after the last 0xFF: two of them reach every edge."""
    for size in (31, 32, 33, 64, 65):
        for first in range(size):
            for second in range(size):
                data = bytearray(size)
                data[first] = data[second] = 0xFF
                assert stuff(bytes(data)) == reference.stuff(bytes(data))


@given(st.lists(SEEDS, min_size=1, max_size=3), st.integers(0, 2))
@settings(max_examples=40)
def test_symbols_are_counted_and_added_up(seeds: list[int], mcus: int) -> None:
    counts, pred = np.zeros((3, 2, 256), np.int64), np.zeros(3, np.int64)
    expected, expected_pred = np.zeros((3, 2, 256), np.int64), [0, 0, 0]
    for seed in seeds:
        kernel.count_symbols(noise(seed, 12), SUBSAMPLED, mcus, pred, counts)
        expected += reference.count(noise(seed, 12), SUBSAMPLED, mcus, expected_pred)

    np.testing.assert_array_equal(counts, expected)
    assert pred.tolist() == expected_pred


@given(st.lists(BLOCK, min_size=1, max_size=3))
@settings(max_examples=40)
def test_counted_symbols_predict_the_size_of_the_code(blocks: list[dict[int, int]]) -> None:
    layout = np.array([[0, len(blocks), 1, 1]])
    counts = np.zeros((1, 2, 256), np.int64)
    kernel.count_symbols(array(blocks), layout, len(blocks), np.zeros(1, np.int64), counts)
    encoder = Encoder([LUMINANCE])
    encoder.encode(array(blocks), layout, len(blocks))

    lengths = np.array([table[0] & 63 for table in (encoder.dc, encoder.ac)], np.int64)
    assert len(encoder.bits) == (counts[0] * (lengths + np.arange(256) % 16 * (lengths > 0))).sum()
