"""Sequential Huffman coding (T.81 F.1.2) bit by bit; a bit is a character, "0" or "1"."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Codes = dict[int, str]
Coded = tuple[int, int, int, str]


def codes(bits: bytes, huffval: bytes) -> Codes:
    """Return the code of each symbol (C.2): sizes by Figure C.1, codes by Figure C.2, ordered as in Figure C.3."""
    huffsize = [length for length in range(1, 17) for _ in range(bits[length - 1])]
    huffcode = []
    code, k = 0, 0
    si = huffsize[0]
    while True:
        while k < len(huffsize) and huffsize[k] == si:
            huffcode.append(code)
            code, k = code + 1, k + 1
        if k == len(huffsize):
            break
        while huffsize[k] != si:
            code, si = code * 2, si + 1
    return {symbol: f"{c:0{s}b}" for symbol, c, s in zip(huffval, huffcode, huffsize, strict=True)}


def ssss(value: int) -> int:
    """Return the category of a value: s has the magnitudes 2^(s-1) .. 2^s - 1 (Tables F.1 and F.2)."""
    return next(s for s in range(18) if abs(value) <= 2**s - 1)


def appended(value: int) -> str:
    """Return the additional bits (F.1.2.1.1): the magnitude's binary digits, inverted for a negative value."""
    if value == 0:
        return ""
    digits = f"{abs(value):b}"
    return digits if value > 0 else "".join("1" if digit == "0" else "0" for digit in digits)


def block_symbols(zz: list[int], pred: int) -> Iterator[tuple[int, int, str]]:
    """Yield (0 for DC or 1 for AC, symbol, additional bits) of a block (F.1.2.1, Figure F.2)."""
    diff = zz[0] - pred
    yield 0, ssss(diff), appended(diff)
    k, r = 0, 0
    while k < 63:
        k += 1
        if zz[k] == 0:
            if k == 63:
                yield 1, 0x00, ""
            r += 1
            continue
        while r > 15:
            yield 1, 0xF0, ""
            r -= 16
        yield 1, 16 * r + ssss(zz[k]), appended(zz[k])
        r = 0


def symbols(coefficients: NDArray[np.int16], layout: NDArray[np.int64], mcus: int, pred: list[int]) -> Iterator[Coded]:
    """Yield (component, 0 or 1, symbol, additional bits) of interleaved MCUs (A.2.3); `pred` is updated."""
    for mcu in range(mcus):
        for c, (first, per_line, h, v) in enumerate(layout.tolist()):
            for y in range(v):
                for x in range(h):
                    zz = coefficients[first + y * per_line + mcu * h + x].tolist()
                    for kind, symbol, extra in block_symbols(zz, pred[c]):
                        yield c, kind, symbol, extra
                    pred[c] = zz[0]


def encode(
    coefficients: NDArray[np.int16],
    layout: NDArray[np.int64],
    mcus: int,
    tables: list[tuple[Codes, Codes]],
    pred: list[int],
) -> str:
    """Return the bits of `mcus` MCUs; tables[component] = codes of DC, codes of AC."""
    return "".join(
        tables[c][kind][symbol] + extra for c, kind, symbol, extra in symbols(coefficients, layout, mcus, pred)
    )


def whole_bytes(bits: str) -> bytes:
    """Pack bits to bytes, the first bit highest. Bits of an incomplete byte are omitted."""
    return bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits) - 7, 8))


def stuff(data: bytes) -> bytes:
    """Stuff bytes (B.1.1.5)."""
    return data.replace(b"\xff", b"\xff\x00")


def count(coefficients: NDArray[np.int16], layout: NDArray[np.int64], mcus: int, pred: list[int]) -> NDArray[np.int64]:
    """Return the count of each symbol: (components, 2, 256)."""
    counts = np.zeros((len(layout), 2, 256), np.int64)
    for c, kind, symbol, _ in symbols(coefficients, layout, mcus, pred):
        counts[c, kind, symbol] += 1
    return counts
