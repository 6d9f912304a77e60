"""Decompression bombs: files under 1 MB end in a clear error or a result within 2 s, in lossless mode, which decodes
them twice.

Each is the worst known case of its kind. CPU time counts, so that the load of other processes does not.
"""

import time
from collections.abc import Sequence

import pytest

from compressor import pipeline
from compressor.errors import CompressorError, LimitError
from tests.jpeg_files import jpeg
from tests.reference.huffman import segment

SECONDS_MAX = 2.0
FILE_BYTES_MAX = 1 << 20
DQT = segment(0xDB, b"\0" + b"\1" * 64)
COLOR = ((1, 0x22), (2, 0x11), (3, 0x11))

Components = Sequence[tuple[int, int]]  # identifier, H << 4 | V


def dht(key: int, *symbols: int) -> bytes:
    """Return a table of one code, "0", or of two, "0" and "10"."""
    bits = bytes([1, len(symbols) - 1] + [0] * 14)
    return segment(0xC4, bytes([key]) + bits + bytes(symbols))


# DC: category 0 in one bit. AC: EOB in one bit, or, in progressive scans, EOB14 in one bit and 14 more.
SEQUENTIAL, PROGRESSIVE = dht(0, 0) + dht(0x10, 0), dht(0, 0) + dht(0x10, 0xE0)


def sof(code: int, width: int, height: int, components: Components = ((1, 0x11),)) -> bytes:
    """Return a frame header."""
    each = b"".join(bytes([id, hv, 0]) for id, hv in components)
    return segment(code, b"\x08" + height.to_bytes(2) + width.to_bytes(2) + bytes([len(components)]) + each)


def sos(ids: Sequence[int] = (1,), ss: int = 0, se: int = 63, ah_al: int = 0) -> bytes:
    """Return a scan header."""
    return segment(0xDA, bytes([len(ids)]) + b"".join(bytes([id, 0]) for id in ids) + bytes([ss, se, ah_al]))


def sequential(
    width: int,
    height: int,
    components: Components = ((1, 0x11),),
    interval: int = 0,
    scans: Sequence[Sequence[int]] | None = None,
) -> bytes:
    """Return a uniform grey image, two bits a block."""
    scans = scans or [[id for id, _ in components]]
    data = b"\xff\xd8" + DQT + sof(0xC1, width, height, components) + SEQUENTIAL
    if interval:
        data += segment(0xDD, interval.to_bytes(2))
    h_max, v_max = (max(hv >> 4 for _, hv in components), max(hv & 15 for _, hv in components))
    if len(components) == 1:
        h_max = v_max = 1
    mcus = -(-width // (8 * h_max)) * -(-height // (8 * v_max))
    for ids in scans:
        blocks = sum((hv >> 4) * (hv & 15) for id, hv in components if id in ids) if len(ids) > 1 else 1
        data += sos(ids)
        if interval:
            data += b"".join(bytes([0, 0xFF, 0xD0 + n % 8]) for n in range(-(-mcus // interval) - 1)) + b"\0"
        else:
            data += bytes(-(-2 * mcus * blocks // 8))
    return data + b"\xff\xd9"


def progressive(
    width: int, height: int, bands: Sequence[int], ah_al: int = 0, dc: Sequence[tuple[int, int]] = ((0, 0),)
) -> bytes:
    """Return a uniform grey image: DC in one bit a block, each band of AC in fifteen bits for 32767 blocks."""
    blocks = -(-width // 8) * -(-height // 8)
    data = b"\xff\xd8" + DQT + sof(0xC2, width, height) + PROGRESSIVE
    for ah, al in dc:
        data += sos(ss=0, se=0, ah_al=ah << 4 | al) + bytes(-(-blocks // 8))
    text = ("0" + "1" * 14) * (blocks // 32767 + 1)
    text += "1" * (-len(text) % 8)
    run = int(text, 2).to_bytes(len(text) // 8).replace(b"\xff", b"\xff\0")
    for k in bands:
        data += sos(ss=k, se=k, ah_al=ah_al) + run
    return data + b"\xff\xd9"


EACH = [*range(1, 64), *range(1, 36)]  # 98 bands: with DC, the largest number of scans that is accepted
WHOLE = jpeg(64, 64, progressive=True)
HEAD = WHOLE[: WHOLE.index(b"\xff\xc2")]
INDEX = b"MPF\0II*\0\x08\0\0\0\xff\xff" + b"\1\xb0" * 99

BOMBS = {
    "4 million blocks in two bits each": sequential(65500, 4000),
    "the same in 4:2:0": sequential(65500, 2600, COLOR),
    "the same in three scans": sequential(65500, 1300, ((1, 0x11), (2, 0x11), (3, 0x11)), scans=[[1], [2], [3]]),
    "8 pixels wide, 65500 high": sequential(8, 65500),
    "65500 wide, 8 high": sequential(65500, 8),
    "a restart marker after each block": sequential(8 * 330, 8 * 1000, interval=1),
    "the same, 8 pixels wide": sequential(8, 65500, interval=1),
    "8 million blocks in one bit each": progressive(65500, 7600, EACH[:1]),
    "the same, and 98 empty scans": progressive(65500, 7600, EACH),
    "the same, refining": progressive(65500, 7600, EACH, 0x10),
    "as many such scans as are accepted": progressive(16000, 4000, EACH[:80], 0x10),
    "DC bit by bit": progressive(16000, 2000, EACH[:1], dc=[(0, 13), *((n + 1, n) for n in range(12, -1, -1))]),
    "8 pixels wide in 99 scans": progressive(8, 65500, EACH),
    "the same in as many as are accepted": progressive(8, 65500, EACH[:17], 0x10),
    "65535 x 65535 without data": WHOLE.replace(b"\0\x40\0\x40", b"\xff\xff\xff\xff", 1),
    "the same, sequential": jpeg(64, 64).replace(b"\0\x40\0\x40", b"\xff\xff\xff\xff", 1),
    "the same, its height in a DNL segment": b"\xff\xd8" + DQT + sof(0xC0, 65535, 0) + SEQUENTIAL + sos() + b"\0"
    + segment(0xDC, b"\xff\xff") + b"\xff\xd9",
    "comments only": b"\xff\xd8" + segment(0xFE, b"x" * 65533) * 15,
    "4000 comments between scans": WHOLE.replace(b"\xff\xda", segment(0xFE, b"") * 4000 + b"\xff\xda", 3),
    "tables between scans": WHOLE.replace(b"\xff\xda", segment(0xC4, (b"\x03" + b"\0" * 16) * 3850) + b"\xff\xda"),
    "a table repeated many times": WHOLE.replace(b"\xff\xda", segment(0xDB, (b"\3" + b"\1" * 64) * 1000) + b"\xff\xda"),
    "pieces of a profile": HEAD + segment(0xE2, b"ICC_PROFILE\0\1\1") * 3000 + WHOLE[len(HEAD) :],
    "an index of pictures in every segment": HEAD + segment(0xE2, INDEX) * 3000 + WHOLE[len(HEAD) :],
    "stuffed zeros after the scan": jpeg(64, 64)[:-2] + b"\xff\0" * 500_000 + b"\xff\xd9",
    "fill bytes everywhere": WHOLE.replace(b"\xff\xda", b"\xff" * 90_000 + b"\xff\xda"),
    "restart markers everywhere": jpeg(64, 64)[:-2] + b"\xff\xd0" * 500_000,
    "zeros between segments": HEAD + b"\0" * 65_000 + b"\xff\0" * 200 + WHOLE[len(HEAD) :] + b"\0" * 900_000,
}  # fmt: skip


def seconds(data: bytes) -> float:
    """Return the CPU time of compressing a file."""
    start = time.process_time()
    try:
        pipeline.compress(data, lossless=True)
    except CompressorError as error:
        assert str(error).startswith("JPEG")
    return time.process_time() - start


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_handled_quickly(name: str) -> None:
    data = BOMBS[name]
    assert len(data) <= FILE_BYTES_MAX
    # A second try if the first was slow: on a busy machine, CPU time grows as well.
    assert seconds(data) < SECONDS_MAX or seconds(data) < SECONDS_MAX


def test_work_out_of_proportion_is_over_a_limit_and_that_of_encoders_files_is_not() -> None:
    for data in (BOMBS["the same, and 98 empty scans"], BOMBS["8 pixels wide in 99 scans"]):
        with pytest.raises(LimitError, match="visit too many blocks"):
            pipeline.compress(data)
    white = progressive(32000, 4000, EACH[:20])
    narrow = progressive(8, 65500, EACH[:10])
    for data in (white, narrow):
        assert pipeline.compress(data, effort="fast").report.bytes_in == len(data)
