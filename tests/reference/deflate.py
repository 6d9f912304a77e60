"""A deflate decoder that reads bit by bit, with codes as strings (RFC 1951)."""

from collections.abc import Sequence


def codes(lengths: Sequence[int]) -> dict[str, int]:
    """Return the symbol of each code, a string of 0 and 1 (3.2.2)."""
    made: dict[str, int] = {}
    code = 0
    for bits in range(1, 16):
        code <<= 1
        for symbol, length in enumerate(lengths):
            if length == bits:
                made[f"{code:0{bits}b}"] = symbol
                code += 1
    return made


class Bits:
    """The bits of bytes, lowest first (3.1.1)."""

    def __init__(self, data: bytes) -> None:
        self.text = "".join(f"{byte:08b}"[::-1] for byte in data)
        self.at = 0

    def number(self, count: int) -> int:
        """Read a number of `count` bits."""
        taken = self.text[self.at : self.at + count]
        self.at += count
        return int(taken[::-1], 2) if taken else 0

    def symbol(self, table: dict[str, int]) -> int:
        """Read a symbol."""
        code = ""
        while code not in table:
            code += self.text[self.at]
            self.at += 1
        return table[code]


def dynamic(bits: Bits) -> tuple[dict[str, int], dict[str, int]]:
    """Read the literal and distance codes of a block with dynamic codes (3.2.7)."""
    literals, distances, n = bits.number(5) + 257, bits.number(5) + 1, bits.number(4) + 4
    order = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15]
    first = dict.fromkeys(range(19), 0)
    for k in order[:n]:
        first[k] = bits.number(3)
    table = codes([first[k] for k in range(19)])
    lengths: list[int] = []
    while len(lengths) < literals + distances:
        symbol = bits.symbol(table)
        if symbol < 16:
            lengths.append(symbol)
        elif symbol == 16:
            lengths += [lengths[-1]] * (3 + bits.number(2))
        elif symbol == 17:
            lengths += [0] * (3 + bits.number(3))
        else:
            lengths += [0] * (11 + bits.number(7))
    return codes(lengths[:literals]), codes(lengths[literals:])


def blocks(data: bytes) -> list[tuple[int, int]]:
    """Return the first bit of each block, and the bit after it."""
    bits, last = Bits(data), 0
    found: list[tuple[int, int]] = []
    while not last:
        begin = bits.at
        last, kind = bits.number(1), bits.number(2)
        if kind == 0:
            bits.at += -bits.at % 8
            size = bits.number(16)
            bits.at += 16 + 8 * size
        else:
            fixed = codes([8] * 144 + [9] * 112 + [7] * 24 + [8] * 8), codes([5] * 32)
            literals, distances = fixed if kind == 1 else dynamic(bits)
            while (symbol := bits.symbol(literals)) != 256:
                if symbol > 256:
                    bits.number(0 if symbol < 265 or symbol == 285 else (symbol - 261) // 4)
                    distance = bits.symbol(distances)
                    bits.number(0 if distance < 4 else distance // 2 - 1)
        found.append((begin, bits.at))
    return found
