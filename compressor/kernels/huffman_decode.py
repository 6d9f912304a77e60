"""Sequential Huffman decoding (T.81 F.2.2): entropy-coded bytes to coefficients, in two passes over a small buffer.

`destuff` removes the zero bytes after 0xFF and records the positions of restart markers, so that `decode_mcus` reads
bits with plain 64-bit loads. Both stop where the available bytes end and resume later: chunks may have any size.

Memory safety: a block takes at most 27 + 63 * 26 bits, an MCU at most ten blocks, so one that starts inside the data
ends less than PAD bytes after it. `decode_mcus` checks only when an MCU is decoded, and discards it if it went too far:
one comparison an MCU instead of one a symbol. `data` must always have PAD bytes more than `state[END]`.
"""

import numpy as np

from compressor.kernels.declare import inlined, kernel
from compressor.kernels.lanes import copy32_find_ff, load_be64, trailing_zeros
from compressor.t81 import RST0, RST7, SSSS_AC_MAX, SSSS_DC_MAX

BYTES = "const u1[::1]"
LINES_OF_BLOCKS = "const i8[::1]"
DECODING_TABLES = "(i4[:, ::1], i4[:, :, ::1], u1[:, ::1])"  # lookup, limits, huffval

BITS = 11  # of the first lookup
PAD = 2560

DC_MAX = 2047  # twice what 8-bit samples can make (A.3.3); more is damage, and could overflow

# An entry of a lookup table, int32: value << 16 | run << 8 | length. `length` counts the code and its additional bits.
# Runs that lead out of any block mark entries that are not coefficients:
RUN_EOB = 64
RUN_LONG = 127  # more than BITS bits: `length` is that of the code alone and `value` the symbol, or 0 if unknown

# state: int64 (STATE,)
POSITION = 0  # in bits, of the next code in `data`; after a failed call, of the faulty code
END = 1  # in bytes, of the data
CLOSED = 2  # 1: no data will follow `END`
MCU = 3  # index of the next MCU in its line
MCUS = 4  # MCUs in a line
INTERVAL = 5  # restart interval Ri in MCUs; 0: none
UNTIL_RESTART = 6  # MCUs until the next restart marker
RESTART = 7  # number of the next restart marker, 0..7
MARK = 8  # index in `marks` of the next restart marker
MARKS = 9  # number of restart markers in `marks`
SURPLUS = 10  # bytes that were skipped because they belonged to no MCU
PRED = 11  # .. 14: DC predictions
KEPT = 15  # .. 18: DC predictions at the start of the MCU
LINE = 19  # index of the next line of MCUs in the slab
LINES = 20  # lines to decode
STATE = 21

# plan: int64 (blocks of an MCU, PLAN)
FIRST_BLOCK = 0  # block of a line's first MCU, from the first block of the line on
BLOCK_STEP = 1  # blocks from one MCU to the next
COMPONENT = 2
DC_TABLE, AC_TABLE = 3, 4
PLAN = 5

# Results of decode_mcus
DONE, MORE, TRUNCATED, BAD_CODE, BAD_RESTART, NO_RESTART = 0, 1, -1, -2, -3, -4


@inlined
def lookup_entry(symbol, length, rest, ac):
    """Return the lookup entry of a code of `length` bits whose additional bits are the first of `rest`.

    It is -1 if the symbol has no meaning with 8-bit samples (Tables F.1, F.2). DC may have one category more: a
    difference can span its whole range if blocks come in an order that the encoder did not see. A run without a
    coefficient ends the block, as in libjpeg.
    """
    run, ssss = (symbol >> 4, symbol & 15) if ac else (np.int64(0), symbol)
    if ssss == 0:
        return (RUN_EOB if ac and run != 15 else run) << 8 | length
    if ssss > (SSSS_AC_MAX if ac else SSSS_DC_MAX + 1):
        return np.int64(-1)
    value = np.int64(rest >> np.uint64(64 - ssss))
    if value < 1 << (ssss - 1):  # EXTEND, Figure F.12
        value += 1 - (1 << ssss)
    return (value << 16) | run << 8 | (length + ssss)


@inlined
def find_code(word, limits, t):
    """Return the length of the code of table `t` at the top of `word`, 17 for none (Figure F.16, left-aligned)."""
    top = np.int64(word >> np.uint64(48))
    length = 1
    while length <= 16 and top >= limits[t, 0, length]:
        length += 1
    return length


@inlined
def symbol_of(word, length, limits, huffval, t):
    """Return the symbol of the code of `length` bits at the top of `word` (Figure F.16)."""
    return np.int64(huffval[t, np.int64(word >> np.uint64(64 - length)) + limits[t, 1, length]])


@kernel(f"void({BYTES}, b1, i8, u1[:, ::1], i4[:, ::1], i4[:, :, ::1])", releases_gil=False)
def build_table(bits, ac, t, huffval, lookup, limits):
    """Fill row `t` of the decoding tables from one Huffman table (Annex C, F.2.2.3).

    bits     (16,) uint8           number of codes of each length; their Kraft sum must be at most 1
    ac                             True for an AC table, False for a DC table
    huffval  (n, 256) uint8        symbols in order of their codes; the rest is ignored
    lookup   (n, 1 << BITS) int32  out: entry for each value of the next BITS bits, additional bits decoded as well
    limits   (n, 2, 17) int32      out: [0, l] is (MAXCODE + 1) << (16 - l), [1, l] is VALPTR - MINCODE, of length l
    """
    code = first = 0
    for length in range(1, 17):
        limits[t, 1, length] = first - code
        code += bits[length - 1]
        first += bits[length - 1]
        limits[t, 0, length] = code << (16 - length)
        code <<= 1
    for index in range(1 << BITS):
        word = np.uint64(index) << np.uint64(64 - BITS)
        length = find_code(word, limits, t)
        lookup[t, index] = RUN_LONG << 8
        if length <= BITS:
            symbol = symbol_of(word, length, limits, huffval, t)
            entry = lookup_entry(symbol, length, word << np.uint64(length), ac)
            if entry != -1:
                fits = entry & 255 <= BITS
                lookup[t, index] = entry if fits else symbol << 16 | RUN_LONG << 8 | length


@inlined
def long_entry(entry, word, limits, huffval, t, ac):
    """Return the entry of a code that the first lookup did not resolve; -1 if it is in no table."""
    length = entry & 255
    symbol = entry >> 16
    if length == 0:
        length = find_code(word, limits, t)
        if length > 16:
            return np.int64(-1)
        symbol = symbol_of(word, length, limits, huffval, t)
    return lookup_entry(symbol, length, word << np.uint64(length), ac)


@inlined
def decode_block(data, position, tables, lookup, limits, huffval, out, n):
    """Decode one block from bit `position` on (F.2.2.1, F.2.2.2). Return the end position, or ~position of a bad code.

    tables  (dc, ac) rows of lookup, limits and huffval
    out[n]  (64,) int16  out: coefficients in zig-zag order, the first is DIFF
    """
    dc, ac = tables
    at = position >> 3
    have = 64 - (position & 7)
    word = load_be64(data, at) << np.uint64(position & 7)
    at += 8
    for k in range(64):
        out[n, k] = 0
    entry = np.int64(lookup[dc, word >> np.uint64(64 - BITS)])
    if entry >> 8 & 127 == RUN_LONG:
        entry = long_entry(entry, word, limits, huffval, dc, False)
        if entry == -1:
            return ~position
    out[n, 0] = entry >> 16
    word <<= np.uint64(entry & 255)
    have -= entry & 255
    k = 1
    while True:
        if have < 32:
            word |= load_be64(data, at) >> np.uint64(have)
            at += (63 - have) >> 3
            have |= 56
        entry = np.int64(lookup[ac, word >> np.uint64(64 - BITS)])
        k += entry >> 8 & 127
        if k > 63:  # all rare cases lead here, so that a coefficient costs one branch
            k -= entry >> 8 & 127
            if k > 63:
                return 8 * at - have
            if entry >> 8 & 127 == RUN_LONG:
                entry = long_entry(entry, word, limits, huffval, ac, True)
                if entry == -1:
                    return ~(8 * at - have)
            k += entry >> 8 & 127
            if k > 63:  # EOB, or sixteen zeros with room for fewer: libjpeg takes these as the end, too
                position = 8 * at - have
                return position + (entry & 255) if entry >> 16 == 0 else ~position
        out[n, np.uint64(k)] = entry >> 16
        word <<= np.uint64(entry & 255)
        have -= entry & 255
        k += 1


@inlined
def start_interval(marks, state):
    """Go to the data after the restart marker that is due (F.2.1.3.1). Return DONE, MORE, or a failure.

    The number must be the expected one. libjpeg guesses how much was lost and fills it with grey; this decoder does
    not.
    """
    mark = state[MARK]
    known = mark < state[MARKS]
    start = marks[mark, 0] if known else state[END]
    # Any bytes left before the marker belong to no MCU: libjpeg skips them, too (next_marker in jdmarker.c).
    state[SURPLUS] += start - (state[POSITION] + 7 >> 3)
    state[POSITION] = 8 * start
    if not known:
        return NO_RESTART if state[CLOSED] == 1 else MORE
    if marks[mark, 1] != state[RESTART]:
        return BAD_RESTART
    state[MARK] += 1
    state[RESTART] = (state[RESTART] + 1) & 7
    state[UNTIL_RESTART] = state[INTERVAL]
    state[PRED : PRED + 4] = 0
    return DONE


@inlined
def decode_mcu(data, plan, first, lookup, limits, huffval, state, out):
    """Decode the MCU at POSITION and undo the DC prediction (F.2.1.3.1). Return the end position, or ~position of a bad
    code. Of the state, only the predictions change.

    first  block of `out` at which the line begins
    """
    position = state[POSITION]
    for i in range(plan.shape[0]):
        n = first + plan[i, FIRST_BLOCK] + state[MCU] * plan[i, BLOCK_STEP]
        start = position
        tables = (plan[i, DC_TABLE], plan[i, AC_TABLE])
        position = decode_block(data, position, tables, lookup, limits, huffval, out, n)
        if position < 0:
            break
        pred = state[PRED + plan[i, COMPONENT]] + out[n, 0]
        state[PRED + plan[i, COMPONENT]] = pred
        out[n, 0] = pred
        if abs(pred) > DC_MAX:
            return ~start
    return position


@inlined
def decode_line(data, marks, plan, first, lookup, limits, huffval, state, out):
    """Decode the MCUs of a line that are left. Return as `decode_mcus` does."""
    while state[MCU] < state[MCUS]:
        if state[INTERVAL] > 0 and state[UNTIL_RESTART] == 0:
            status = start_interval(marks, state)
            if status != DONE:
                return status
        for c in range(4):
            state[KEPT + c] = state[PRED + c]
        position = decode_mcu(data, plan, first, lookup, limits, huffval, state, out)
        closed = state[MARK] < state[MARKS]
        end = 8 * (marks[state[MARK], 0] if closed else state[END])
        # A code may seem bad only because it is truncated: 32 bits hold any, and less than a byte is padding.
        if (position if position >= 0 else ~position + 32) > end:
            for c in range(4):
                state[PRED + c] = state[KEPT + c]
            if not closed and state[CLOSED] == 0:
                return MORE
            if (position if position >= 0 else ~position + 8) > end:
                state[POSITION] = end
                return TRUNCATED
        if position < 0:
            state[POSITION] = ~position
            return BAD_CODE
        state[POSITION] = position
        state[MCU] += 1
        state[UNTIL_RESTART] -= 1
    return DONE


@kernel(f"i8({BYTES}, i8[:, ::1], i8[:, ::1], {LINES_OF_BLOCKS}, {DECODING_TABLES}, i8[::1], i2[:, ::1])")
def decode_mcus(data, marks, plan, lines, tables, state, out):
    """Decode MCUs until a slab is full or the data ends, and resume there at the next call.

    data     (>= state[END] + PAD,) uint8  destuffed entropy-coded data
    marks    (n, 2) int64                  see `destuff`
    plan     (blocks of an MCU, PLAN) int64
    lines    (>= state[LINES],) int64      for each line of MCUs in the slab, the block at which it begins
    tables   lookup, limits and huffval, with a row for each table, see `build_table`
    state    (STATE,) int64                LINE is 0 when a slab is begun
    out      (blocks, 64) int16            out: a slab, as jpeg.frame describes it

    Return DONE if all lines are full, MORE if the next MCU is not complete (it will be decoded again), or a failure.
    """
    lookup, limits, huffval = tables
    while state[LINE] < state[LINES]:
        status = decode_line(data, marks, plan, lines[state[LINE]], lookup, limits, huffval, state, out)
        if status != DONE:
            return status
        state[MCU] = 0
        state[LINE] += 1
    return DONE


@kernel(f"i8({BYTES}, u1[::1], i8[:, ::1], i8[::1])", releases_gil=False)
def destuff(source, data, marks, state):
    """Append entropy-coded bytes to `data` without the zero byte that follows each 0xFF (B.1.1.5).

    source  (n,) uint8               bytes of the file
    data    (m,) uint8               out: filled from state[END] on, up to m - PAD
    marks   (k, 2) int64             out: for each restart marker, the index of the data after it and its number 0..7;
                                     filled from state[MARKS] on. k = 0: restart markers end the data, as others do

    Return how many bytes of `source` were used. state[CLOSED] is 1 if the next two are the marker that ends the data.
    0xFF before 0xFF is a fill byte (B.1.1.2), also before a stuffed zero, as in libjpeg.
    """
    at, to = 0, state[END]
    n, room = source.size, data.size - PAD
    while at < n and to < room:
        if at + 32 <= n and to + 32 <= data.size:
            found = copy32_find_ff(data, to, source, at)
            step = 32 if found == 0 else np.int64(trailing_zeros(found))
            step = min(step, room - to)
            at += step
            to += step
            if found == 0:
                continue
        if to == room:
            break
        if source[at] != 255:
            data[to] = source[at]
            at += 1
            to += 1
            continue
        if at + 1 == n:
            break
        code = source[at + 1]
        if code == 0:
            data[to] = 255
            at += 2
            to += 1
        elif code == 255:
            at += 1
        elif RST0 <= code <= RST7 and marks.shape[0] > 0:
            if state[MARKS] == marks.shape[0]:
                break
            marks[state[MARKS], 0] = to
            marks[state[MARKS], 1] = code - RST0
            state[MARKS] += 1
            at += 2
        else:
            state[CLOSED] = 1
            break
    state[END] = to
    return at
