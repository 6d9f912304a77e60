"""A decoder and encoder of JPEG in several scans, progressive or not, as in T.81 Annex G: the twin of
`kernels.progressive` and `jpeg.scans`. The whole image is in memory; scan by scan, bit by bit.

Coefficients of a component are an int array (lines, blocks_per_line, 64) in zig-zag order, padded to whole MCUs.
A script is a list of scans (components, ss, se, ah, al).
"""

import math
from collections.abc import Sequence

import numpy as np

from tests.reference.huffman import (
    Bits,
    Plane,
    Sampling,
    Symbols,
    Words,
    code_words,
    decode_block,
    dimensions,
    encode_block,
    segment,
    stuffed,
    value_bits,
)

Scan = tuple[Sequence[int], int, int, int, int]  # components, ss, se, ah, al
Mcu = list[tuple[int, int, int]]  # component, line, column of each block
Table = tuple[bytes, bytes]  # BITS, HUFFVAL

DC = bytes([0] * 4 + [16] + [0] * 11), bytes(range(16))
# Codes of all AC symbols: of nearly the same length, or most of them 16 bits long.
FLAT = bytes([0] * 7 + [254, 2] + [0] * 7), bytes(range(256))
LONG = bytes([0, 1, 1, 1, 1, 1] + [0] * 9 + [251]), bytes((n * 77 + 5) % 256 for n in range(256))


def mcus(width: int, height: int, sampling: Sampling, components: Sequence[int]) -> list[Mcu]:
    """Return the blocks of each MCU of a scan (A.2.2, A.2.3)."""
    across, down = dimensions(width, height, sampling)
    h_max, v_max = max(h for h, v in sampling), max(v for h, v in sampling)
    if len(components) == 1:
        h, v = sampling[components[0]]
        columns, lines = math.ceil(math.ceil(width * h / h_max) / 8), math.ceil(math.ceil(height * v / v_max) / 8)
        return [[(components[0], y, x)] for y in range(lines) for x in range(columns)]
    return [
        [(c, my * sampling[c][1] + y, mx * sampling[c][0] + x)
         for c in components for y in range(sampling[c][1]) for x in range(sampling[c][0])]
        for my in range(down) for mx in range(across)
    ]  # fmt: skip


# --- decoding


def decode(file: bytes) -> list[Plane]:
    """Return the coefficients of all components."""
    symbols: dict[int, Symbols] = {}
    planes: list[Plane] = []
    interval, at, progressive = 0, 2, False
    while True:
        marker, length = file[at + 1], int.from_bytes(file[at + 2 : at + 4])
        data = file[at + 4 : at + 2 + length]
        if marker == 0xD9:
            return planes
        at += 2 + length
        if marker in (0xC0, 0xC1, 0xC2):
            progressive = marker == 0xC2
            height, width = int.from_bytes(data[1:3]), int.from_bytes(data[3:5])
            ids, sampling = data[6::3], [(hv >> 4, hv & 15) for hv in data[7::3]]
            sampling = sampling if len(sampling) > 1 else [(1, 1)]
            across, down = dimensions(width, height, sampling)
            planes = [np.zeros((down * v, across * h, 64), int) for h, v in sampling]
        elif marker == 0xC4:
            while data:
                count = sum(data[1:17])
                words = code_words(data[1:17], data[17 : 17 + count])
                symbols[data[0]] = {word: symbol for symbol, word in words.items()}
                data = data[17 + count :]
        elif marker == 0xDD:
            interval = int.from_bytes(data)
        elif marker == 0xDA:
            components = [ids.index(id) for id in data[1:-3:2]]
            selected = [(symbols.get(t >> 4, {}), symbols.get(16 + (t & 15), {})) for t in data[2:-3:2]]
            tables = dict(zip(components, selected, strict=True))
            band = data[-3], data[-2], data[-1] >> 4, data[-1] & 15
            segments = []
            while True:
                end = next(n for n in range(at, len(file)) if file[n] == 0xFF and file[n + 1] != 0)
                segments.append(Bits(file[at:end]))
                at = end
                if not 0xD0 <= file[end + 1] <= 0xD7:
                    break
                at += 2
            order = mcus(width, height, sampling, components)
            step = interval or len(order)
            for n, bits in enumerate(segments):
                decode_interval(planes, order[n * step : (n + 1) * step], bits, tables, band if progressive else None)


def decode_interval(
    planes: list[Plane],
    order: Sequence[Mcu],
    bits: Bits,
    tables: dict[int, tuple[Symbols, Symbols]],
    band: tuple[int, int, int, int] | None,
) -> None:
    """Decode the MCUs between two restart markers."""
    preds, eobrun = [0] * len(planes), 0
    for mcu in order:
        for c, y, x in mcu:
            block = planes[c][y, x]
            if band is None:
                dc, ac = tables[c]
                block[:] = decode_block(bits, dc, ac, preds[c])
                preds[c] = int(block[0])
                continue
            ss, se, ah, al = band
            if ss == 0 and ah == 0:
                preds[c] += bits.value(bits.symbol(tables[c][0]))
                block[0] = preds[c] * 2**al
            elif ss == 0:
                block[0] += int(bits.take(1)) * 2**al
            elif ah == 0:
                eobrun = decode_ac_first(block, ss, se, al, bits, tables[c][1], eobrun)
            else:
                eobrun = decode_ac_refine(block, ss, se, al, bits, tables[c][1], eobrun)


def eobrun_of(bits: Bits, r: int) -> int:
    """Read the length of a run of blocks that end early."""
    return (1 << r) + (int(bits.take(r), 2) if r else 0)


def decode_ac_first(block: Plane, ss: int, se: int, al: int, bits: Bits, symbols: Symbols, eobrun: int) -> int:
    """Decode the first bits of a band (G.1.2.2). Return the new EOBRUN."""
    k = ss
    while eobrun == 0 and k <= se:
        r, s = divmod(bits.symbol(symbols), 16)
        if s == 0 and r < 15:
            eobrun = eobrun_of(bits, r)
        elif s == 0:
            k += 16
        else:
            k += r
            block[k] = bits.value(s) * 2**al
            k += 1
    return max(eobrun - 1, 0)


def decode_ac_refine(block: Plane, ss: int, se: int, al: int, bits: Bits, symbols: Symbols, eobrun: int) -> int:
    """Decode one more bit of a band (G.1.2.3). Return the new EOBRUN."""

    def correct(k: int) -> None:
        if bits.take(1) == "1":
            block[k] += 2**al if block[k] > 0 else -(2**al)

    k = ss
    while eobrun == 0 and k <= se:
        r, s = divmod(bits.symbol(symbols), 16)
        if s == 0 and r < 15:
            eobrun = eobrun_of(bits, r)
            break
        new = 0 if s == 0 else 2**al if bits.take(1) == "1" else -(2**al)
        while block[k] != 0 or r > 0:
            if block[k] != 0:
                correct(k)
            else:
                r -= 1
            k += 1
        block[k] = new
        k += 1
    if eobrun:
        for rest in range(k, se + 1):
            if block[rest] != 0:
                correct(rest)
    return max(eobrun - 1, 0)


# --- encoding


class AcScan:
    """The bits of one component's band, with end-of-band runs (G.1.2.2, G.1.2.3)."""

    def __init__(self, words: Words, eobrun_max: int = 0x7FFF) -> None:
        self.words, self.eobrun_max = words, eobrun_max
        self.text = self.waiting = ""
        self.eobrun = 0

    def flush(self) -> None:
        """Write EOBn and the correction bits that wait for it."""
        if self.eobrun:
            r = self.eobrun.bit_length() - 1
            self.text += self.words[r * 16] + (format(self.eobrun - 2**r, f"0{r}b") if r else "") + self.waiting
            self.eobrun, self.waiting = 0, ""

    def end_of_band(self, waiting: str = "") -> None:
        """Extend the run by a block that ends early."""
        self.eobrun += 1
        self.waiting += waiting
        if self.eobrun == self.eobrun_max:
            self.flush()

    def first(self, values: Plane, al: int) -> None:
        """Write the first bits of a block."""
        run = 0
        for value in values:
            value = int(np.sign(value)) * (abs(int(value)) >> al)
            if value == 0:
                run += 1
                continue
            self.flush()
            extra = value_bits(value)
            self.text += self.words[0xF0] * (run // 16) + self.words[run % 16 * 16 + len(extra)] + extra
            run = 0
        if run:
            self.end_of_band()

    def refine(self, values: Plane, al: int) -> None:
        """Write one more bit of a block."""
        sizes = [abs(int(value)) >> al for value in values]
        last = max((k for k, size in enumerate(sizes) if size == 1), default=-1)
        run, corrections = 0, ""
        for k, size in enumerate(sizes):
            if size == 0:
                run += 1
                continue
            while run > 15 and k <= last:
                self.flush()
                self.text += self.words[0xF0] + corrections
                run, corrections = run - 16, ""
            if size > 1:
                corrections += str(size & 1)
                continue
            self.flush()
            self.text += self.words[run * 16 + 1] + ("1" if values[k] > 0 else "0") + corrections
            run, corrections = 0, ""
        if run or corrections:
            self.end_of_band(corrections)


def encode_interval(
    planes: Sequence[Plane], order: Sequence[Mcu], scan: Scan, dc: Words, ac: Words, progressive: bool, eobrun_max: int
) -> bytes:
    """Encode the MCUs between two restart markers."""
    _, ss, se, ah, al = scan
    preds, text, band = [0] * len(planes), "", AcScan(ac, eobrun_max)
    for mcu in order:
        for c, y, x in mcu:
            block = planes[c][y, x]
            if not progressive:
                text += encode_block(block, preds[c], dc, ac)
                preds[c] = int(block[0])
            elif ss == 0 and ah == 0:
                value = int(block[0]) >> al
                diff = value_bits(value - preds[c])
                text += dc[len(diff)] + diff
                preds[c] = value
            elif ss == 0:
                text += str(int(block[0]) >> al & 1)
            elif not block[ss : se + 1].any():
                band.end_of_band()
            elif ah == 0:
                band.first(block[ss : se + 1], al)
            else:
                band.refine(block[ss : se + 1], al)
    band.flush()
    return stuffed(text + band.text)


def encode(
    planes: Sequence[Plane],
    width: int,
    height: int,
    sampling: Sampling,
    script: Sequence[Scan],
    *,
    sof: int = 0xC2,
    intervals: Sequence[int] = (0,),
    tables: Sequence[Table] = (FLAT,),
    eobrun_max: int = 0x7FFF,
    dqts: Sequence[bytes] = (bytes([0]) + bytes([1] * 64),),
    between: bytes = b"",
    sof_tq: Sequence[int] = (0, 0, 0, 0),
) -> bytes:
    """Return a file with these coefficients in the scans of `script`. Scan n has intervals[n], tables[n] and dqts[n],
    cyclically."""
    frame = b"\x08" + height.to_bytes(2) + width.to_bytes(2) + bytes([len(planes)])
    frame += b"".join(bytes([c + 1, h * 16 + v, sof_tq[c]]) for c, (h, v) in enumerate(sampling))
    out = b"\xff\xd8" + segment(sof, frame)
    inside = sampling if len(planes) > 1 else [(1, 1)]
    for n, scan in enumerate(script):
        components, ss, se, ah, al = scan
        bits, huffval = tables[n % len(tables)]
        interval = intervals[n % len(intervals)]
        out += segment(0xDB, dqts[n % len(dqts)])
        out += segment(0xC4, b"\x00" + DC[0] + DC[1] + b"\x10" + bits + huffval)
        out += segment(0xDD, interval.to_bytes(2)) + between
        out += segment(0xDA, bytes([len(components)]) + b"".join(bytes([c + 1, 0]) for c in components)
                       + bytes([ss, se, ah * 16 + al]))  # fmt: skip
        order, dc, ac = mcus(width, height, inside, components), code_words(*DC), code_words(bits, huffval)
        step = interval or len(order)
        for number, start in enumerate(range(0, len(order), step)):
            out += bytes([0xFF, 0xD0 + (number - 1) % 8]) if number else b""
            out += encode_interval(planes, order[start : start + step], scan, dc, ac, sof == 0xC2, eobrun_max)
    return out + b"\xff\xd9"


def clear_dummy_blocks(
    planes: Sequence[Plane], width: int, height: int, sampling: Sampling, *, dc: bool = False
) -> list[Plane]:
    """Return planes with zeros in blocks that only pad MCUs: in AC, and in DC if `dc`."""
    sampling = sampling if len(planes) > 1 else [(1, 1)]
    out = [np.zeros_like(plane) for plane in planes]
    for c, plane in enumerate(planes):
        if not dc:
            out[c][..., 0] = plane[..., 0]
        for ((_, y, x),) in mcus(width, height, sampling, [c]):
            out[c][y, x] = plane[y, x]
    return out
