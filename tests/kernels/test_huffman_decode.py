"""Sequential Huffman decoding (T.81 F.2), compared with the twin that reads bit by bit."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from compressor.kernels import huffman_decode as kernel
from tests.reference import huffman as reference

ENTROPY = b"\x12\xff\x00\x34" + bytes(range(200)) + b"\xff\x00\xff\x00"


def destuff(source: bytes, marks: int = 0, start: int = 0, room: int = 4096) -> tuple[int, bytes, list[list[int]], int]:
    """Return the bytes used, the data, the restart markers, and CLOSED."""
    data = np.zeros(room + kernel.PAD, np.uint8)
    notes = np.zeros((marks, 2), np.int64)
    state = np.zeros(kernel.STATE, np.int64)
    state[kernel.END] = start
    used = kernel.destuff(np.frombuffer(source, np.uint8), data, notes, state)
    return used, bytes(data[start : state[kernel.END]]), notes[: state[kernel.MARKS]].tolist(), state[kernel.CLOSED]


@given(st.lists(st.sampled_from([b"\xff\x00", b"\x00", b"a", b"b" * 31, b"c" * 40]), max_size=60), st.integers(0, 40))
def test_destuff_removes_the_zero_after_each_ff(pieces: list[bytes], start: int) -> None:
    source = b"".join(pieces)

    assert destuff(source, start=start) == (len(source), source.replace(b"\xff\x00", b"\xff"), [], 0)


@pytest.mark.parametrize("length", [0, 1, 31, 32, 33, 100])
def test_destuff_stops_at_a_marker_and_leaves_it(length: int) -> None:
    source = b"x" * length

    assert destuff(source + b"\xff\xd9yz") == (length, source, [], 1)
    assert destuff(source + b"\xff\xd0yz") == (length, source, [], 1)


@pytest.mark.parametrize("length", [0, 1, 31, 32, 33, 100])
def test_destuff_leaves_a_last_ff_for_the_next_call(length: int) -> None:
    assert destuff(b"x" * length + b"\xff") == (length, b"x" * length, [], 0)


def test_destuff_records_restart_markers_as_far_as_there_is_room() -> None:
    source = b"abc\xff\xd3" + b"d" * 40 + b"\xff\xff\xd4\xff\x00\xff\xd9"

    assert destuff(source, marks=2) == (len(source) - 2, b"abc" + b"d" * 40 + b"\xff", [[3, 3], [43, 4]], 1)
    assert destuff(source, marks=1) == (source.index(b"\xff\xd4"), b"abc" + b"d" * 40, [[3, 3]], 0)


def test_destuff_takes_ff_before_ff_as_fill() -> None:
    assert destuff(b"a\xff\xff\xff\x00b\xff\xff\xd9") == (7, b"a\xffb", [], 1)


@pytest.mark.parametrize("room", [0, 1, 5, 32, 33, 64])
def test_destuff_fills_no_more_than_its_room(room: int) -> None:
    used, data, _, closed = destuff(ENTROPY, room=room)

    assert (len(data), closed) == (room, 0)
    assert data == ENTROPY[:used].replace(b"\xff\x00", b"\xff")


def tables(keys: Sequence[int]) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.uint8]]:
    """Return lookup, limits and huffval of tables of Annex K."""
    lookup = np.zeros((len(keys), 1 << kernel.BITS), np.int32)
    limits = np.zeros((len(keys), 2, 17), np.int32)
    huffval = np.zeros((len(keys), 256), np.uint8)
    for n, key in enumerate(keys):
        bits, symbols = reference.K_TABLES[key]
        huffval[n, : len(symbols)] = list(symbols)
        kernel.build_table(np.frombuffer(bits, np.uint8), key >= 16, n, huffval, lookup, limits)
    return lookup, limits, huffval


@pytest.mark.parametrize("key", reference.K_TABLES)
def test_every_short_code_is_in_the_lookup_with_its_additional_bits(key: int) -> None:
    lookup = tables([key])[0][0]
    for symbol, word in reference.code_words(*reference.K_TABLES[key]).items():
        run, ssss = (symbol >> 4, symbol & 15) if key >= 16 else (0, symbol)
        if symbol == 0 and key >= 16:
            run = kernel.RUN_EOB
        for appended in range(2**ssss):
            text = word + (format(appended, f"0{ssss}b") if ssss else "")
            if len(text) <= kernel.BITS:
                rest = kernel.BITS - len(text)
                value = appended - (2**ssss - 1) * (2 * appended < 2**ssss)  # EXTEND
                entries = lookup[int(text, 2) << rest : (int(text, 2) + 1) << rest]
                assert (entries == (value << 16 | run << 8 | len(text))).all()


class Row:
    """A grey row to be decoded."""

    def __init__(self, text: str, blocks: int) -> None:
        self.text, self.blocks = text, blocks
        self.data = np.zeros(1 << 16, np.uint8)
        raw = bytes(int(text[n : n + 8].ljust(8, "1"), 2) for n in range(0, len(text), 8))
        self.data[: len(raw)] = list(raw)
        self.bytes = len(raw)
        self.state = np.zeros(kernel.STATE, np.int64)
        self.state[[kernel.END, kernel.MCUS, kernel.LINES]] = self.bytes, blocks, 1
        self.out = np.full((blocks, 64), 99, np.int16)

    def decode(self) -> int:
        plan = np.array([[0, 1, 0, 0, 1]], np.int64)
        marks = np.zeros((0, 2), np.int64)
        lines = np.zeros(1, np.int64)
        return int(kernel.decode_mcus(self.data, marks, plan, lines, tables([0x00, 0x10]), self.state, self.out))


def coded(blocks: reference.Plane) -> str:
    """Return the bits of a row of blocks."""
    dc, ac = (reference.code_words(*reference.K_TABLES[key]) for key in (0x00, 0x10))
    preds = [0, *blocks[:-1, 0].tolist()]
    return "".join(reference.encode_block(block, pred, dc, ac) for block, pred in zip(blocks, preds, strict=True))


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.01, 0.1, 0.5, 1.0]))
def test_decode_mcus_restores_the_coefficients(seed: int, density: float) -> None:
    blocks = reference.random_planes(np.random.default_rng(seed), 80, 8, [(1, 1)], density)[0][0]
    row = Row(coded(blocks), len(blocks))

    assert row.decode() == kernel.DONE
    np.testing.assert_array_equal(row.out, blocks)
    assert row.state[kernel.POSITION] == len(row.text)


def test_decode_mcus_resumes_where_the_data_ended() -> None:
    blocks = reference.random_planes(np.random.default_rng(5), 80, 8, [(1, 1)])[0][0]
    row = Row(coded(blocks), len(blocks))
    for end in range(row.bytes):
        row.state[kernel.END] = end
        assert row.decode() == kernel.MORE
        assert row.state[kernel.POSITION] <= 8 * end
    row.state[kernel.END] = row.bytes

    assert row.decode() == kernel.DONE
    np.testing.assert_array_equal(row.out, blocks)


DC0 = "00"  # Table K.3
AC = reference.code_words(*reference.K_TABLES[0x10])
EOB, ZRL = AC[0x00], AC[0xF0]


@pytest.mark.parametrize(
    "text, status",
    [
        (DC0 + EOB, kernel.DONE),
        (DC0 + ZRL * 3 + AC[0xE1] + "1", kernel.DONE),  # ends at 63, without EOB
        (DC0 + ZRL * 3 + AC[0xF1] + "1", kernel.BAD_CODE),
        (DC0 + ZRL * 4, kernel.DONE),  # one zero more than fits, as in libjpeg
        ("1" * 16, kernel.BAD_CODE),
        (DC0 + "1" * 16, kernel.BAD_CODE),
        (DC0, kernel.TRUNCATED),
        ("", kernel.TRUNCATED),
    ],
)
def test_blocks_end_at_63_and_bad_codes_are_distinguished_from_missing_ones(text: str, status: int) -> None:
    row = Row(text + EOB * 20 if status == kernel.BAD_CODE else text, 1)
    row.state[kernel.CLOSED] = 1

    assert row.decode() == status
