"""Progressive encoding (T.81 G.1.2), compared with the twin that writes tokens."""

from collections.abc import Iterable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from compressor.jpeg.tables import huffman_spec
from compressor.kernels import progressive_count as count
from compressor.kernels import progressive_encode as kernel
from compressor.kernels.huffman_encode import code_table
from compressor.kernels.packing import LEVELS
from compressor.kernels.progressive_scans import LAST, PART_FIELDS
from tests.reference import huffman_encode
from tests.reference import progressive_encode as reference

BANDS = [(1, 63, 0, 0), (1, 63, 0, 3), (1, 5, 0, 2), (6, 63, 0, 1), (63, 63, 0, 0), (1, 1, 0, 0)]
BANDS += [(1, 63, 1, 0), (1, 63, 2, 1), (1, 63, 3, 2), (20, 40, 1, 0), (63, 63, 1, 0), (6, 63, 2, 1)]
DC = [(0, 0), (0, 1), (1, 0), (0, 13), (3, 2)]


def random_blocks(rng: np.random.Generator, number: int, density: float, largest: int) -> NDArray[np.int16]:
    """Return coefficients, a share of which is non-zero, most of them small."""
    size = np.exp(rng.uniform(0, np.log(largest + 1), (number, 64))).astype(np.int64)
    values = size * rng.choice([-1, 1], (number, 64)) * (rng.random((number, 64)) < density)
    blocks: NDArray[np.int16] = np.clip(values, -largest, largest).astype(np.int16)
    return blocks


def specs_for(counts: NDArray[np.int64]) -> tuple[NDArray[np.uint32], list[dict[int, str]]]:
    """Return the best codes, for the kernel and for the reference."""
    specs = [huffman_spec(line[:256]) for line in counts]
    return np.array([code_table(*spec) for spec in specs]), [huffman_encode.codes(*s) if s[1] else {} for s in specs]


def masks_of(blocks: NDArray[np.int16]) -> NDArray[np.uint64]:
    """Return (LEVELS, n) masks: bit k is set if |blocks[n, k]| >> level is not 0."""
    found = np.abs(blocks.astype(np.int64))[None] >> np.arange(LEVELS)[:, None, None]
    masks: NDArray[np.uint64] = ((found != 0) * np.uint64(1) << np.arange(64, dtype=np.uint64)).sum(2, dtype=np.uint64)
    return masks


class Coded:
    """One scan of all `slabs`, counted and encoded in parts. Its area is emptied when it is full.

    plan        of the scan, without TABLE
    tables      number of tables
    last_lines  of blocks in the last row of the last slab; None if it is not the image's last
    """

    def __init__(
        self,
        slabs: Sequence[NDArray[np.int16]],
        layout: Sequence[Sequence[int]],
        plan: Sequence[int],
        parts: Sequence[Sequence[int]],
        tables: int,
        room: int = 100,
        last_lines: int | None = None,
    ) -> None:
        plans = np.array([[*plan, 0, last_lines or 0]])
        calls = []
        for slab in slabs:
            for part in parts:
                fields = np.zeros(PART_FIELDS, np.int64)
                fields[:4], fields[LAST] = part, last_lines is not None and slab is slabs[-1]
                calls.append((slab, masks_of(slab), np.array(layout), plans, fields))
        self.counts = np.zeros((tables, count.COUNTS), np.int64)
        state = np.zeros((1, count.STATE), np.int64)
        for call in calls:
            count.count_scans(*call, self.counts, state)
        count.count_ends(plans, self.counts, state)
        self.codes, self.words = specs_for(self.counts)
        self.state = np.zeros((1, kernel.STATE), np.int64)
        self.areas, data = np.zeros((1, kernel.ROOM_BYTES + room), np.uint8), b""
        for call in calls:
            while kernel.encode_scans(*call, self.codes, self.state, self.areas, 0) == 0:
                data += self.emptied()
        data += self.emptied()
        kernel.encode_ends(plans, self.codes, self.state, self.areas)
        self.data = data + self.emptied()
        held = int(self.state[0, kernel.HELD])
        self.rest = f"{int(self.state[0, kernel.PENDING]) & (1 << held) - 1:0{held}b}" if held else ""

    def emptied(self) -> bytes:
        """Empty the area."""
        size = int(self.state[0, kernel.FILLED])
        self.state[0, kernel.FILLED] = 0
        return self.areas[0, :size].tobytes()

    def check(self, tokens: Iterable[reference.Token]) -> None:
        """Compare with the reference."""
        tokens = list(tokens)
        np.testing.assert_array_equal(self.counts, reference.count(tokens, len(self.counts)))
        bits = reference.text(tokens, self.words)
        assert self.data == huffman_encode.whole_bytes(bits)
        assert self.rest == bits[len(bits) // 8 * 8 :]


def coded_ac(blocks: NDArray[np.int16], band: Sequence[int], step: int, room: int = 100) -> Coded:
    """Encode a band of one component, all blocks in one line."""
    across = len(blocks)
    parts = [(0, 1, first, min(first + step, across)) for first in range(0, across, step)]
    return Coded([blocks], [[0, across, 1, 1]], (0, 0, across, 1, across, 1, *band), parts, 1, room)


@settings(max_examples=15)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.005, 0.1, 0.5, 1.0]), st.sampled_from([1, 3, 40, 1023]))
@pytest.mark.parametrize("band", BANDS, ids=str)
def test_a_band_is_counted_and_encoded_as_by_the_reference(
    band: tuple[int, int, int, int], seed: int, density: float, largest: int
) -> None:
    rng = np.random.default_rng(seed)
    blocks = random_blocks(rng, 30, density, largest)
    blocks[rng.random(30) < 0.3] = 0

    coded_ac(blocks, band, int(rng.integers(1, 31))).check(reference.ac_tokens(blocks, *band))


@pytest.mark.parametrize("band", [(1, 63, 0, 0), (1, 63, 1, 0)], ids=str)
@pytest.mark.parametrize("length", [1, 2, 3, 0x7FFE, 0x7FFF, 0x8000, 2 * 0x7FFF + 1])
def test_runs_of_empty_bands_span_calls_and_end_where_eob14_does(band: tuple[int, int, int, int], length: int) -> None:
    blocks = np.zeros((length + 1, 64), np.int16)
    blocks[:, 0] = 7
    blocks[length, 63] = -1

    coded_ac(blocks, band, 20_000).check(reference.ac_tokens(blocks, *band))


@pytest.mark.parametrize("known", [1, 7, 62, 63])
@pytest.mark.parametrize("step", [1, 5, 64])
def test_correction_bits_wait_for_their_run_up_to_a_limit(known: int, step: int) -> None:
    rng = np.random.default_rng(known)
    blocks = np.zeros((64, 64), np.int16)
    blocks[:, 1 : 1 + known] = rng.integers(2, 4, (64, known)) * rng.choice([-1, 1], (64, known))
    blocks[40, 63] = 1 if known < 63 else 2
    coded = coded_ac(blocks, (1, 63, 1, 0), step)

    coded.check(reference.ac_tokens(blocks, 1, 63, 1, 0))


@pytest.mark.parametrize("band, value", [((1, 63, 0, 0), 1023), ((1, 63, 1, 0), 1)], ids=str)
def test_the_largest_blocks_take_less_than_is_reserved_for_them(band: tuple[int, int, int, int], value: int) -> None:
    """Codes of 16 bits before every coefficient, after a run with the largest number of correction bits."""
    codes = np.full((1, 256), 0xFFFF << 6 | 16, np.uint32)
    blocks = np.zeros((16, 64), np.int16)
    blocks[:15, 1:63] = 3
    blocks[15, 1:] = value
    layout, plan = np.array([[0, 16, 1, 1]]), np.array([(0, 0, 16, 1, 16, 1, *band, 0, 1)])
    state, areas = np.zeros((1, kernel.STATE), np.int64), np.zeros((1, 4 * kernel.ROOM_BYTES), np.uint8)
    for first, last in ((0, 15), (15, 16)):
        state[0, kernel.FILLED] = 0
        part = np.array([0, 1, first, last] + [0] * (PART_FIELDS - 4))
        while kernel.encode_scans(blocks, masks_of(blocks), layout, plan, part, codes, state, areas, 0) == 0:
            state[0, kernel.FILLED] = 0
        assert state[0, kernel.FILLED] + 40 < (4 if first == 0 else 1) * kernel.ROOM_BYTES
    assert state[0, kernel.WAITING] == 0


@pytest.mark.parametrize("band", [(1, 63, 0, 0), (0, 0, 0, 0), (1, 63, 1, 0)], ids=str)
def test_lines_are_encoded_in_order_without_padding(band: tuple[int, int, int, int]) -> None:
    """Three lines of a component with 2 x 3 blocks an MCU in rows of 4 MCUs; only 7 blocks by 2 lines of the last."""
    rng = np.random.default_rng(5)
    rows = [random_blocks(rng, 28, 0.2, 9) for _ in range(2)]
    layout = [[0, 4, 1, 1], [4, 8, 2, 3]]
    together = [np.concatenate(rows)]
    whole, pieces = [(0, 3, 0, 4)], [(y, y + 1, x, x + 1) for y in range(3) for x in range(4)]
    for slabs, parts in ((rows, whole), (rows, pieces), (together, whole)):
        for last_lines in (None, 1, 0):
            coded = Coded(slabs, layout, (1, 4, 8, 2, 7, 2, *band), parts, 1, last_lines=last_lines)
            lines = (2, 2 if last_lines is None else last_lines)
            used = [row[4 + 8 * y + x] for row, n in zip(rows, lines, strict=True) for y in range(n) for x in range(7)]
            if band[0]:
                coded.check(reference.ac_tokens(used, *band))
            else:
                coded.check(reference.dc_tokens([np.array(used)], [(0, len(used), 1, 1)], len(used), 0, 0))


@settings(max_examples=15)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 100, 2047]))
@pytest.mark.parametrize("bits", DC, ids=str)
@pytest.mark.parametrize("sampling", [[(1, 1)], [(2, 2), (1, 1), (1, 1)], [(1, 2), (3, 1)], [(1, 1)] * 4], ids=str)
def test_dc_is_interleaved_counted_and_encoded_as_by_the_reference(
    bits: tuple[int, int], sampling: list[tuple[int, int]], seed: int, largest: int
) -> None:
    rng = np.random.default_rng(seed)
    mcus, first, layout = 5, 0, []
    for h, v in sampling:
        layout.append((first, mcus * h, h, v))
        first += mcus * h * v
    rows = [random_blocks(rng, first, 1.0, largest) for _ in range(3)]
    step, v_max = int(rng.integers(1, 6)), max(v for _, v in sampling)
    whole = [(0, v_max, mcu, min(mcu + step, mcus)) for mcu in range(0, mcus, step)]
    lines = [(y, y + 1, *part[2:]) for y in range(v_max) for part in whole]

    for slabs, parts in ((rows, whole), (rows, lines), ([np.concatenate(rows)], [(0, v_max, 0, mcus)])):
        coded = Coded(slabs, layout, (-1, 0, 0, 0, 0, 0, 0, 0, *bits), parts, min(len(layout), 2))
        tokens = reference.dc_tokens(rows, layout, mcus, *bits)
        coded.check((min(c, 1), symbol, text) for c, symbol, text in tokens)


@given(st.dictionaries(st.integers(0, 255), st.integers(1, 1 << 40)))
def test_the_bits_of_symbols_are_those_of_the_best_code(occurring: dict[int, int]) -> None:
    counts, bits = np.zeros((1, count.COUNTS), np.int64), np.zeros(1, np.int64)
    counts[0, list(occurring)] = list(occurring.values())

    count.code_bits(counts, np.empty(257, np.int64), bits)

    assert bits[0] == merged(sorted([1, *occurring.values()]))


def merged(trees: list[int]) -> int:
    """Return the sum of all trees of Figure K.1."""
    total = 0
    while len(trees) > 1:
        total += trees[0] + trees[1]
        trees = sorted([trees[0] + trees[1], *trees[2:]])
    return total
