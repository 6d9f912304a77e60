"""Encoding of progressive scans (T.81 G.1.2) as tokens: (table, symbol, bits as text), the symbol None for bits
alone."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy.typing as npt

from tests.reference.huffman_encode import appended, ssss

Token = tuple[int, int | None, str]
Blocks = Iterable[Sequence[int] | npt.NDArray[Any]]

EOBRUN_MAX = 0x7FFF
WAITING_MAX = 937  # 1000 correction bits, less the 63 that one block may add


def dc_tokens(
    rows: Iterable[npt.NDArray[Any]], layout: Sequence[Sequence[int]] | npt.NDArray[Any], mcus: int, ah: int, al: int
) -> Iterator[Token]:
    """Yield the tokens of interleaved DC of MCU rows (G.1.2.1)."""
    pred = [0] * len(layout)
    for row in rows:
        for mcu in range(mcus):
            for c, (first, per_line, h, v) in enumerate(layout):
                for n in [first + y * per_line + mcu * h + x for y in range(v) for x in range(h)]:
                    value = int(row[n][0]) // 2**al  # rounds down, for negative values too
                    if ah:
                        yield c, None, str(value % 2)
                    else:
                        yield c, ssss(value - pred[c]), appended(value - pred[c])
                        pred[c] = value


class Band:
    """A band Ss..Se of a component's blocks, with the run of blocks that ended early and its correction bits."""

    def __init__(self, ss: int, se: int, ah: int, al: int) -> None:
        self.ss, self.se, self.ah, self.al = ss, se, ah, al
        self.tokens: list[Token] = []
        self.eobrun, self.waiting = 0, ""

    def encode_eobrun(self) -> None:
        """Add EOBn (Figure G.4), and the correction bits of Figure G.7."""
        if self.eobrun:
            n = next(n for n in range(14, -1, -1) if 2**n <= self.eobrun)
            self.tokens.append((0, 16 * n, f"{self.eobrun - 2**n:b}".zfill(n) if n else ""))
            self.tokens.append((0, None, self.waiting))
        self.eobrun, self.waiting = 0, ""

    def block(self, zz: Sequence[int] | npt.NDArray[Any]) -> None:
        """Add a block."""
        values = [int(v) for v in zz[self.ss : self.se + 1]]
        values = [abs(v) // 2**self.al * (1 if v > 0 else -1) for v in values]
        corrections = self.refine(values) if self.ah else self.first(values)
        if corrections is not None:
            self.eobrun += 1
            self.waiting += corrections
            if self.eobrun == EOBRUN_MAX or len(self.waiting) > WAITING_MAX:
                self.encode_eobrun()

    def first(self, values: Sequence[int]) -> str | None:
        """Add the first bits of a block (Figure G.3). Return None if the band's last coefficient was coded, else "": no
        corrections."""
        zeros = 0
        for value in values:
            if value == 0:
                zeros += 1
                continue
            self.encode_eobrun()
            for _ in range(zeros // 16):
                self.tokens.append((0, 0xF0, ""))
            self.tokens.append((0, zeros % 16 * 16 + ssss(value), appended(value)))
            zeros = 0
        return "" if zeros else None

    def refine(self, values: Sequence[int]) -> str | None:
        """Add one more bit of a block (Figure G.7). Return None if a new coefficient ended the band, else the
        correction bits that are left."""
        last_new = max([k for k, value in enumerate(values) if abs(value) == 1], default=-1)
        zeros, corrections = 0, ""
        for k, value in enumerate(values):
            if value == 0:
                zeros += 1
                continue
            while zeros > 15 and k <= last_new:
                self.encode_eobrun()
                self.tokens += [(0, 0xF0, ""), (0, None, corrections)]
                zeros, corrections = zeros - 16, ""
            if abs(value) > 1:
                corrections += str(abs(value) % 2)
            else:
                self.encode_eobrun()
                self.tokens += [(0, 16 * zeros + 1, "1" if value > 0 else "0"), (0, None, corrections)]
                zeros, corrections = 0, ""
        return corrections if zeros or corrections else None


def ac_tokens(blocks: Blocks, ss: int, se: int, ah: int, al: int) -> list[Token]:
    """Return the tokens of a band of blocks."""
    band = Band(ss, se, ah, al)
    for zz in blocks:
        band.block(zz)
    band.encode_eobrun()
    return band.tokens


def count(tokens: Iterable[Token], tables: int) -> list[list[int]]:
    """Return (tables, 257): the count of each symbol, and of bits without one."""
    counts = [[0] * 257 for _ in range(tables)]
    for t, symbol, bits in tokens:
        if symbol is None:
            counts[t][256] += len(bits)
        else:
            counts[t][symbol] += 1
    return counts


def text(tokens: Iterable[Token], codes: Sequence[dict[int, str]]) -> str:
    """Return the bits, with codes[table][symbol]."""
    return "".join((codes[t][symbol] if symbol is not None else "") + bits for t, symbol, bits in tokens)
