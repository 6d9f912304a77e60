"""Encoding progressive scans (T.81 G.1.2) as tokens: (table, symbol, bits as text), the symbol None for bits alone."""

from tests.reference.huffman_encode import appended, ssss

EOBRUN_MAX = 0x7FFF
WAITING_MAX = 937  # 1000 correction bits, less the 63 that one block may add


def dc_tokens(rows, layout, mcus, ah, al):
    """Interleaved DC of coefficient rows (G.1.2.1)."""
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
    """A band Ss..Se of a component's blocks, with the run of blocks that ended early and what waits for its end."""

    def __init__(self, ss, se, ah, al):
        self.ss, self.se, self.ah, self.al = ss, se, ah, al
        self.tokens = []
        self.eobrun, self.waiting = 0, ""

    def encode_eobrun(self):
        """Figure G.4, and the correction bits of Figure G.7."""
        if self.eobrun:
            n = next(n for n in range(14, -1, -1) if 2**n <= self.eobrun)
            self.tokens.append((0, 16 * n, f"{self.eobrun - 2**n:b}".zfill(n) if n else ""))
            self.tokens.append((0, None, self.waiting))
        self.eobrun, self.waiting = 0, ""

    def block(self, zz):
        values = [int(v) for v in zz[self.ss : self.se + 1]]
        values = [abs(v) // 2**self.al * (1 if v > 0 else -1) for v in values]
        corrections = self.refine(values) if self.ah else self.first(values)
        if corrections is not None:
            self.eobrun += 1
            self.waiting += corrections
            if self.eobrun == EOBRUN_MAX or len(self.waiting) > WAITING_MAX:
                self.encode_eobrun()

    def first(self, values):
        """Figure G.3; None where the band's last coefficient was coded, else what waits: nothing."""
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

    def refine(self, values):
        """Figure G.7; None where a new coefficient ended the band, else the correction bits that are left."""
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


def ac_tokens(blocks, ss, se, ah, al):
    band = Band(ss, se, ah, al)
    for zz in blocks:
        band.block(zz)
    band.encode_eobrun()
    return band.tokens


def count(tokens, tables):
    """(tables, 257): how often each symbol is there, and bits without one."""
    counts = [[0] * 257 for _ in range(tables)]
    for t, symbol, bits in tokens:
        if symbol is None:
            counts[t][256] += len(bits)
        else:
            counts[t][symbol] += 1
    return counts


def text(tokens, codes):
    """The bits; codes[table][symbol]."""
    return "".join((codes[t][symbol] if symbol is not None else "") + bits for t, symbol, bits in tokens)
