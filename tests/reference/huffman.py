"""A decoder and encoder of sequential JPEG files, bit by bit, as in T.81: the twin of `kernels.huffman_decode`.

Slow and obvious; shares no code with the product. Marker segments are handled only as far as well-formed files need it.
Coefficients of a component are an int array (lines, blocks_per_line, 64) in zig-zag order, padded to whole MCUs.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from compressor.t81 import K3_DC_LUMINANCE, K4_DC_CHROMINANCE, K5_AC_LUMINANCE, K6_AC_CHROMINANCE

K_TABLES = {0x00: K3_DC_LUMINANCE, 0x01: K4_DC_CHROMINANCE, 0x10: K5_AC_LUMINANCE, 0x11: K6_AC_CHROMINANCE}

Plane = npt.NDArray[np.signedinteger[Any]]
Sampling = Sequence[tuple[int, int]]  # (h, v) of each component
Words = dict[int, str]  # symbol → code
Symbols = dict[str, int]  # code → symbol


def code_words(bits: Iterable[int], huffval: Iterable[int]) -> Words:
    """Return the code of each symbol, a string of "0" and "1" (Annex C)."""
    words, code, symbols = {}, 0, iter(huffval)
    for length, count in enumerate(bits, 1):
        for _ in range(count):
            words[next(symbols)] = format(code, f"0{length}b")
            code += 1
        code *= 2
    return words


def dimensions(width: int, height: int, sampling: Sampling) -> tuple[int, int]:
    """Return MCUs per row and MCU rows."""
    h_max, v_max = max(h for h, v in sampling), max(v for h, v in sampling)
    return -(-width // (8 * h_max)), -(-height // (8 * v_max))


# --- decoding


class Bits:
    """The bits of one entropy-coded segment, as NEXTBIT (Figure F.18) returns them."""

    def __init__(self, data: bytes) -> None:
        self.bits = "".join(format(byte, "08b") for byte in data.replace(b"\xff\x00", b"\xff"))
        self.at = 0

    def take(self, count: int) -> str:
        """Take `count` bits."""
        taken = self.bits[self.at : self.at + count]
        if len(taken) < count:
            raise ValueError("out of bits")
        self.at += count
        return taken

    def symbol(self, symbols: Symbols) -> int:
        """Decode a symbol (DECODE, Figure F.16)."""
        word = ""
        while word not in symbols:
            word += self.take(1)
        return symbols[word]

    def value(self, ssss: int) -> int:
        """Decode a value (RECEIVE and EXTEND, Figures F.17, F.12)."""
        if ssss == 0:
            return 0
        word = self.take(ssss)
        return int(word, 2) if word[0] == "1" else int(word, 2) - 2**ssss + 1


def decode_block(bits: Bits, dc: Symbols, ac: Symbols, pred: int) -> list[int]:
    """Decode a block (F.2.2.1, F.2.2.2)."""
    block = [0] * 64
    block[0] = pred + bits.value(bits.symbol(dc))
    k = 1
    while k < 64:
        rs = bits.symbol(ac)
        if rs & 15 == 0:
            if rs >> 4 < 15:
                break
            k += 16
            continue
        k += rs >> 4
        block[k] = bits.value(rs & 15)
        k += 1
    return block


def decode(file: bytes) -> list[Plane]:
    """Return the coefficients of all components of a sequential file with one scan."""
    symbols: dict[int, Symbols] = {}
    interval, at = 0, 2
    while True:
        marker, length = file[at + 1], int.from_bytes(file[at + 2 : at + 4])
        data = file[at + 4 : at + 2 + length]
        at += 2 + length
        if marker in (0xC0, 0xC1):
            height, width = int.from_bytes(data[1:3]), int.from_bytes(data[3:5])
            sampling = [(hv >> 4, hv & 15) for hv in data[7::3]]
        elif marker == 0xC4:
            while data:
                count = sum(data[1:17])
                words = code_words(data[1:17], data[17 : 17 + count])
                symbols[data[0]] = {word: symbol for symbol, word in words.items()}
                data = data[17 + count :]
        elif marker == 0xDD:
            interval = int.from_bytes(data)
        elif marker == 0xDA:
            tables = [(symbols[t >> 4], symbols[16 + (t & 15)]) for t in data[2:-3:2]]
            break
    if len(sampling) == 1:
        sampling = [(1, 1)]
    return decode_scan(file[at:], width, height, sampling, tables, interval)


def decode_scan(
    data: bytes,
    width: int,
    height: int,
    sampling: Sampling,
    tables: Sequence[tuple[Symbols, Symbols]],
    interval: int,
) -> list[Plane]:
    """Decode an interleaved scan."""
    across, down = dimensions(width, height, sampling)
    planes = [np.zeros((down * v, across * h, 64), int) for h, v in sampling]
    for mcu in range(across * down):
        if mcu == 0 or (interval and mcu % interval == 0):
            end = next(n for n in range(len(data)) if data[n] == 0xFF and data[n + 1] != 0)
            bits, data = Bits(data[:end]), data[end + 2 :]
            preds = [0] * len(sampling)
        for c, (h, v) in enumerate(sampling):
            for n in range(h * v):
                dc, ac = tables[c]
                block = decode_block(bits, dc, ac, preds[c])
                preds[c] = block[0]
                planes[c][mcu // across * v + n // h, mcu % across * h + n % h] = block
    return planes


# --- encoding


def value_bits(value: int) -> str:
    """Return the SSSS additional bits of a value (F.1.2.1.1)."""
    if value == 0:
        return ""
    size = abs(value).bit_length()
    return format(value if value > 0 else value + 2**size - 1, f"0{size}b")


def encode_block(block: Plane, pred: int, dc: Words, ac: Words) -> str:
    """Return the bits of a block (F.1.2.1, F.1.2.2)."""
    diff = value_bits(int(block[0]) - pred)
    text, run = dc[len(diff)] + diff, 0
    last = int(max(np.flatnonzero(block), default=0))
    for k in range(1, last + 1):
        if block[k] == 0:
            run += 1
            continue
        text += ac[0xF0] * (run // 16)
        extra = value_bits(int(block[k]))
        text += ac[run % 16 * 16 + len(extra)] + extra
        run = 0
    return text if last == 63 else text + ac[0x00]


def stuffed(text: str) -> bytes:
    """Pad bits with ones to bytes, and stuff these (F.1.2.3)."""
    text += "1" * (-len(text) % 8)
    return bytes(int(text[n : n + 8], 2) for n in range(0, len(text), 8)).replace(b"\xff", b"\xff\x00")


def encode_scan(
    planes: Sequence[Plane],
    width: int,
    height: int,
    sampling: Sampling,
    order: Iterable[int],
    tables: Sequence[tuple[Words, Words]],
    interval: int = 0,
) -> bytes:
    """Return entropy-coded data with restart markers.

    order   of the components
    tables  (dc, ac) code words of each component
    """
    across, down = dimensions(width, height, sampling)
    out, text, preds = b"", "", [0] * len(planes)
    for mcu in range(across * down):
        if interval and mcu and mcu % interval == 0:
            out += stuffed(text) + bytes([0xFF, 0xD0 + (mcu // interval - 1) % 8])
            text, preds = "", [0] * len(planes)
        for c in order:
            h, v = sampling[c]
            for n in range(h * v):
                block = planes[c][mcu // across * v + n // h, mcu % across * h + n % h]
                text += encode_block(block, preds[c], *tables[c])
                preds[c] = int(block[0])
    return out + stuffed(text)


def segment(marker: int, data: bytes) -> bytes:
    """Return a marker segment (B.1.1.4)."""
    return bytes([0xFF, marker]) + (len(data) + 2).to_bytes(2) + data


def random_planes(
    rng: np.random.Generator, width: int, height: int, sampling: Sampling, density: float = 0.1
) -> list[Plane]:
    """Return coefficients of every size that the tables can code. Some blocks end in a coefficient, some are long runs
    of zeros."""
    across, down = dimensions(width, height, sampling)
    planes = []
    for h, v in sampling:
        shape = down * v, across * h, 64
        size = rng.integers(1, 11, shape)
        ac = rng.integers(1, 2**size) * rng.choice([-1, 1], shape) * (rng.random(shape) < density * rng.random())
        ac[rng.random(shape[:2]) < 0.2, 63] = 1
        ac[..., 0] = rng.integers(-1023, 1024, shape[:2])
        planes.append(ac)
    return planes


def encode(
    planes: Sequence[Plane],
    width: int,
    height: int,
    sampling: Sampling,
    *,
    order: Sequence[int] | None = None,
    interval: int = 0,
    dqt: bytes | None = None,
    before: bytes = b"",
    sof: int = 0xC0,
    dht: bool = True,
) -> bytes:
    """Return a file with these coefficients, encoded with the tables of Annex K.3."""
    count = len(planes)
    order = order or range(count)
    frame = b"\x08" + height.to_bytes(2) + width.to_bytes(2) + bytes([count])
    frame += b"".join(bytes([c + 1, h * 16 + v, 0]) for c, (h, v) in enumerate(sampling))
    words = {key: code_words(*table) for key, table in K_TABLES.items()}
    tables = [(words[c > 0], words[16 + (c > 0)]) for c in range(count)]
    scan = bytes([count]) + b"".join(bytes([c + 1, 0x11 * (c > 0)]) for c in order) + bytes([0, 63, 0])
    out = b"\xff\xd8" + before + segment(0xDB, dqt or bytes([0]) + bytes([1] * 64)) + segment(sof, frame)
    if dht:
        out += segment(0xC4, b"".join(bytes([key]) + bits + huffval for key, (bits, huffval) in K_TABLES.items()))
    if interval:
        out += segment(0xDD, interval.to_bytes(2))
    inside = [(1, 1)] if count == 1 else sampling
    return out + segment(0xDA, scan) + encode_scan(planes, width, height, inside, order, tables, interval) + b"\xff\xd9"
