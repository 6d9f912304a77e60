"""Deflate streams that are compressed in pieces and joined (RFC 1950, RFC 1951)."""

import zlib
from typing import Any

import numpy as np
import pytest

from compressor.kernels.png.deflate import WORK_WORDS, last_block
from compressor.png.deflate import LEVELS, Deflater, deflater, make_continuable
from compressor.settings import Effort
from tests.reference import deflate as reference

RNG = np.random.default_rng(11)
DATA = {
    "noise": RNG.integers(0, 256, 40_000, np.uint8).tobytes(),
    "few values": RNG.geometric(0.3, 40_000).astype(np.uint8).tobytes(),
    "nothing new": bytes(40_000),
    "words": b" ".join(RNG.choice([b"the", b"spool", b"holds", b"what", b"waits"], 8000)),
    "changing": b"".join(RNG.geometric(p, 9000).astype(np.uint8).tobytes() for p in (0.9, 0.1, 0.5, 0.02)),
    "little": b"ab",
    "empty": b"",
}


def raw(data: bytes, level: int = 6, strategy: int = zlib.Z_DEFAULT_STRATEGY) -> bytes:
    made = zlib.compressobj(level, zlib.DEFLATED, -15, 8, strategy)
    return made.compress(data) + made.flush()


def found(stream: bytes) -> tuple[int, int, int]:
    place = np.zeros(2, np.int64)
    blocks = last_block(np.frombuffer(stream, np.uint8), np.zeros(WORK_WORDS, np.int64), place)
    return int(blocks), int(place[0]), int(place[1])


@pytest.mark.parametrize("name", DATA)
@pytest.mark.parametrize("level, strategy", [(0, 0), (1, 0), (9, 0), (6, zlib.Z_FIXED), (6, zlib.Z_HUFFMAN_ONLY)])
def test_last_block_agrees_with_the_reference(name: Any, level: int, strategy: Any) -> None:
    stream = raw(DATA[name], level, strategy)
    blocks = reference.blocks(stream)

    assert found(stream) == (len(blocks), *blocks[-1])


@pytest.mark.parametrize("level", [0, 1, 6])
def test_a_truncated_or_damaged_stream_has_no_last_block_outside_of_it(level: int) -> None:
    stream = bytearray(raw(DATA["changing"][:3000], level))

    assert all(found(bytes(stream[:size]))[0] == -1 for size in range(len(stream) - 1))
    for _ in range(300):
        at = RNG.integers(len(stream))
        stream[at] ^= 1 << RNG.integers(8)
        blocks, flag, end = found(bytes(stream))
        assert blocks == -1 or 0 <= flag < end <= 8 * len(stream)


def test_a_scratch_array_that_is_too_small_is_rejected() -> None:
    stream = np.frombuffer(raw(b"abc"), np.uint8)

    assert last_block(stream, np.zeros(WORK_WORDS - 1, np.int64), np.zeros(2, np.int64)) == -1
    assert last_block(stream, np.zeros(WORK_WORDS, np.int64), np.zeros(1, np.int64)) == -1


@pytest.mark.parametrize("name", DATA)
@pytest.mark.parametrize("level", [0, 1, 6, 9])
def test_streams_can_be_concatenated(name: Any, level: int) -> None:
    first = bytearray(raw(DATA[name], level))
    make_continuable(first)

    assert zlib.decompress(bytes(first) + raw(DATA["words"]), -15) == DATA[name] + DATA["words"]


def test_invalid_streams_are_not_made_continuable() -> None:
    with pytest.raises(RuntimeError, match="defect"):
        make_continuable(bytearray(b"\xff\xff"))


@pytest.mark.parametrize("size", [0, 1, 999, 1000, 1001, 2000, 5003])
@pytest.mark.parametrize("step", [1, 7, 1000, 1 << 20])
@pytest.mark.parametrize("level", LEVELS.values())
def test_pieces_of_any_size_make_one_zlib_stream(size: int, step: Any, level: int) -> None:
    data = DATA["changing"][:size]
    made = Deflater(level, 1000)

    stream = b"".join(made.compress(data[at : at + step]) for at in range(0, size, step)) + made.flush()

    assert zlib.decompress(stream) == data


@pytest.mark.parametrize("effort", Effort)
def test_more_effort_takes_fewer_bytes(effort: Any) -> None:
    data = DATA["words"]
    sizes = []
    for tried in (effort, Effort.BEST):
        stream = deflater(tried, LEVELS[tried])
        sizes.append(len(stream.compress(data)) + len(stream.flush()))

    assert sizes[1] <= sizes[0]
