"""Decoding of progressive scans (T.81 G.1.2, G.2): each scan adds its bits to the blocks of earlier ones.

The input is that of `huffman_decode.destuff`, with the same state, `plan` and `marks`. Decoding resumes where it
stopped.

Memory safety: a block takes at most 63 * 26 + 30 bits, an MCU of DC coefficients at most 10 * 28. An MCU is begun only
if UNIT_BITS of data are available, or if no more will come. In the latter case it ends less than `huffman_decode.PAD`
bytes after the data, and is refused. So no MCU is ever decoded twice, which matters because a refinement changes
coefficients in place.
"""

import numpy as np

from compressor.kernels.declare import inlined, kernel
from compressor.kernels.huffman_decode import (
    AC_TABLE,
    BAD_CODE,
    BLOCK_STEP,
    BYTES,
    COMPONENT,
    DC_TABLE,
    DECODING_TABLES,
    DONE,
    END,
    FIRST_BLOCK,
    INTERVAL,
    LINE,
    LINES,
    LINES_OF_BLOCKS,
    MARK,
    MARKS,
    MCU,
    MCUS,
    MORE,
    POSITION,
    PRED,
    RUN_EOB,
    RUN_LONG,
    TRUNCATED,
    UNTIL_RESTART,
    find_code,
    start_interval,
    symbol_of,
)
from compressor.kernels.huffman_decode import CLOSED as CLOSED
from compressor.kernels.huffman_decode import STATE as SEQUENTIAL_STATE
from compressor.kernels.lanes import load_be64, nonzero_mask, trailing_zeros
from compressor.t81 import SSSS_AC_MAX, SSSS_DC_MAX

BITS = 9  # of the first lookup: one table a scan, many scans
UNIT_BITS = 8 * 216
AC_MAX = (1 << SSSS_AC_MAX) - 1
# DC before its last bits: the point transform rounds down (G.1.2.1), so -2047 may begin as -2048.
DC_MIN, DC_MAX = -2048, 2047

# Kind of scan (G.1.2): the first bits of DC or AC, or one more bit of coefficients from earlier scans.
DC_FIRST, DC_REFINE, AC_FIRST, AC_REFINE = 0, 1, 2, 3

# state: as in huffman_decode, followed by
KIND = SEQUENTIAL_STATE
SS = KIND + 1
SE = KIND + 2
AL = KIND + 3
EOBRUN = KIND + 4  # blocks that the last EOBn still covers, including the current one
STATE = KIND + 5

U = np.uint64


@inlined
def progressive_entry(symbol, length, rest, kind, al):
    """Return the lookup entry of a code of `length` bits whose additional bits are the first of `rest`, or -1 for a
    symbol that has no meaning in this kind of scan: value << 16 | run << 8 | length.

    AC values are shifted by Al, and at most AC_MAX; DC differences are not shifted. A run of RUN_EOB means EOBn
    (Table G.1): n is the value, and `length` does not include its additional bits.
    """
    run, ssss = (symbol >> 4, symbol & 15) if kind >= AC_FIRST else (np.int64(0), symbol)
    if ssss == 0:
        if kind >= AC_FIRST and run < 15:
            return run << 16 | RUN_EOB << 8 | length
        return run << 8 | length
    if kind == DC_FIRST:
        largest = np.int64(SSSS_DC_MAX + 1)
    else:
        largest = min(np.int64(1), SSSS_AC_MAX - al) if kind == AC_REFINE else SSSS_AC_MAX - al
    if ssss > largest:
        return np.int64(-1)
    value = np.int64(rest >> U(64 - ssss))
    if value < 1 << (ssss - 1):  # EXTEND, Figure F.12
        value += 1 - (1 << ssss)
    if kind >= AC_FIRST:
        value <<= al
    return (value << 16) | run << 8 | (length + ssss)


@kernel(f"void({BYTES}, i8, i8, i8, u1[:, ::1], i4[:, ::1], i4[:, :, ::1])", releases_gil=False)
def build_progressive_table(bits, kind, al, t, huffval, lookup, limits):
    """Fill row `t` of the decoding tables from one Huffman table (Annex C, F.2.2.3).

    bits     (16,) uint8           number of codes of each length; their Kraft sum must be at most 1
    kind     DC_FIRST, AC_FIRST or AC_REFINE
    al       Al of the scan
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
        word = U(index) << U(64 - BITS)
        length = find_code(word, limits, t)
        lookup[t, index] = RUN_LONG << 8
        if length <= BITS:
            symbol = symbol_of(word, length, limits, huffval, t)
            entry = progressive_entry(symbol, length, word << U(length), kind, al)
            fits = entry != -1 and entry & 255 <= BITS
            lookup[t, index] = entry if fits else symbol << 16 | RUN_LONG << 8 | length


@inlined
def next_entry(word, lookup, limits, huffval, t, kind, al):
    """Return the entry of the code at the top of `word`; -1 if it is in no table."""
    entry = np.int64(lookup[t, word >> U(64 - BITS)])
    if entry >> 8 & 127 == RUN_LONG:
        length, symbol = entry & 255, entry >> 16
        if length == 0:
            length = find_code(word, limits, t)
            if length > 16:
                return np.int64(-1)
            symbol = symbol_of(word, length, limits, huffval, t)
        entry = progressive_entry(symbol, length, word << U(length), kind, al)
    return entry


@inlined
def more_bits(data, at, word, have):
    """Fill `word` up to at least 56 bits. Return the offset of the next ones, the word, and its number of bits."""
    return at + ((63 - have) >> 3), word | load_be64(data, at) >> U(have), have | 56


@inlined
def dc_mcu(data, plan, line, lookup, limits, huffval, state, out):
    """Decode the DC coefficients of an MCU (G.1.2.1). Return the end position, or ~position of a failure."""
    position, al, first = state[POSITION], state[AL], state[KIND] == DC_FIRST
    for i in range(plan.shape[0]):
        n = line + plan[i, FIRST_BLOCK] + state[MCU] * plan[i, BLOCK_STEP]
        word = load_be64(data, position >> 3) << U(position & 7)
        if first:
            entry = next_entry(word, lookup, limits, huffval, plan[i, DC_TABLE], DC_FIRST, al)
            if entry == -1:
                return ~position
            pred = state[PRED + plan[i, COMPONENT]] + (entry >> 16)
            state[PRED + plan[i, COMPONENT]] = pred
            value, length = pred << al, entry & 255
        else:
            value, length = np.int64(out[n, 0]) | np.int64(word >> U(63)) << al, np.int64(1)
        if value < DC_MIN or value > DC_MAX:
            return ~position
        out[n, 0] = value
        position += length
    return position


@inlined
def ac_first(data, table, lookup, limits, huffval, state, out, n):
    """Decode the first bits of the band Ss..Se of a block that no EOBRUN covers (Figures G.3, G.4; decoding is G.2).
    Return the end position, or ~position of a failure."""
    position, se, al = state[POSITION], state[SE], state[AL]
    at = (position >> 3) + 8
    have = 64 - (position & 7)
    word = load_be64(data, position >> 3) << U(position & 7)
    k = state[SS]
    while k <= se:
        if have < 32:
            at, word, have = more_bits(data, at, word, have)
        entry = next_entry(word, lookup, limits, huffval, table, AC_FIRST, al)
        if entry == -1:
            return ~(8 * at - have)
        run = entry >> 8 & 127
        word <<= U(entry & 255)
        have -= entry & 255
        if run == RUN_EOB:
            r = entry >> 16
            state[EOBRUN] = (1 << r) + (np.int64(word >> U(1) >> U(63 - r)))
            have -= r
            break
        k += run
        if k > se:
            if entry >> 16 == 0:  # sixteen zeros with room for fewer, as in huffman_decode
                break
            return ~(8 * at - have)
        if entry >> 16 != 0:
            out[n, U(k)] = entry >> 16
        k += 1
    return 8 * at - have


@inlined
def correct(data, places, al, out, n, at, word, have):
    """Add a correction bit to each coefficient at `places` (G.1.2.3), unless it is set already, as in libjpeg. Return
    whether one has become too large, and the state of the bit reader. No branch depends on the bits."""
    largest = np.int64(0)
    while places:
        k = trailing_zeros(places)
        places &= places - U(1)
        if have < 1:
            at, word, have = more_bits(data, at, word, have)
        value = np.int64(out[n, k])
        sign = value >> 63
        added = np.int64(word >> U(63)) << al & ~value
        value += (added ^ sign) - sign
        out[n, k] = value
        largest |= (value ^ sign) - sign
        word <<= U(1)
        have -= 1
    return largest > AC_MAX, at, word, have


@inlined
def ac_refine(data, table, lookup, limits, huffval, state, out, n):
    """Decode one more bit of the band Ss..Se of a block (Figures G.7, G.8, G.9). Return the end position, or ~position
    of a failure."""
    position, se, al = state[POSITION], state[SE], state[AL]
    at = (position >> 3) + 8
    have = 64 - (position & 7)
    word = load_be64(data, position >> 3) << U(position & 7)
    band = (U(0xFFFFFFFFFFFFFFFF) >> U(63 - se)) & ~((U(1) << U(state[SS])) - U(1))
    known = nonzero_mask(out, n) & band
    left = band & ~known  # zeros that no code has passed yet; `known` will lose those that have been corrected
    more = state[EOBRUN] == 0
    bad = False
    while more:
        if have < 32:
            at, word, have = more_bits(data, at, word, have)
        entry = next_entry(word, lookup, limits, huffval, table, AC_REFINE, al)
        if entry == -1:
            return ~(8 * at - have)
        run = entry >> 8 & 127
        word <<= U(entry & 255)
        have -= entry & 255
        if run == RUN_EOB:
            r = entry >> 16
            state[EOBRUN] = (1 << r) + (np.int64(word >> U(1) >> U(63 - r)))
            word <<= U(r)
            have -= r
            break
        for _ in range(run):
            left &= left - U(1)
        place = left & (U(0) - left)  # none if the run leads out of the band, which ends it
        bad, at, word, have = correct(data, known & (place - U(1)), al, out, n, at, word, have)
        known &= ~(place - U(1))
        left ^= place
        if entry >> 16 != 0:
            if not place:
                return ~(8 * at - have)
            out[n, trailing_zeros(place)] = entry >> 16
        more = not bad and (left | known) != U(0)
    if state[EOBRUN] > 0:
        bad, at, word, have = correct(data, known, al, out, n, at, word, have)
    # A bad code may be a truncated one, unless 8 bits follow its start; these bits were available.
    return ~(8 * at - have - 8) if bad else 8 * at - have


@inlined
def blocks_without_bits(plan, line, state, out):
    """Return how many blocks from MCU on are covered by EOBRUN without any bits of their own: all of a first scan, and
    those of a refinement whose bands are still zero. A file of 560 kB can hold 400 million: 3 ns each, not 8."""
    count = min(state[EOBRUN], state[MCUS] - state[MCU])
    if state[INTERVAL] > 0:
        count = min(count, state[UNTIL_RESTART])
    if state[KIND] == AC_REFINE:
        n, step = line + plan[0, FIRST_BLOCK] + state[MCU] * plan[0, BLOCK_STEP], plan[0, BLOCK_STEP]
        band = (U(0xFFFFFFFFFFFFFFFF) >> U(63 - state[SE])) & ~((U(1) << U(state[SS])) - U(1))
        for i in range(count):
            if nonzero_mask(out, n + i * step) & band:
                return i
    return count


@inlined
def decode_unit(data, plan, line, lookup, limits, huffval, state, out):
    """Decode the MCU at POSITION. Return the end position, or ~position of a failure."""
    if state[KIND] <= DC_REFINE:
        return dc_mcu(data, plan, line, lookup, limits, huffval, state, out)
    n, table = line + plan[0, FIRST_BLOCK] + state[MCU] * plan[0, BLOCK_STEP], plan[0, AC_TABLE]
    if state[KIND] == AC_FIRST:
        position = ac_first(data, table, lookup, limits, huffval, state, out, n)
    else:
        position = ac_refine(data, table, lookup, limits, huffval, state, out, n)
    if state[EOBRUN] > 0:
        state[EOBRUN] -= 1
    return position


@inlined
def decode_units_of_line(data, marks, plan, line, lookup, limits, huffval, state, out):
    """Decode the MCUs of a line that are left; the line begins at block `line`. Return as `decode_units` does."""
    while state[MCU] < state[MCUS]:
        if state[INTERVAL] > 0 and state[UNTIL_RESTART] == 0:
            status = start_interval(marks, state)
            if status != DONE:
                return status
            state[EOBRUN] = 0
        if state[EOBRUN] > 0:
            step = blocks_without_bits(plan, line, state, out)
            state[EOBRUN] -= step
            state[MCU] += step
            state[UNTIL_RESTART] -= step
            if step > 0:
                continue
        closed = state[MARK] < state[MARKS]
        end = 8 * (marks[state[MARK], 0] if closed else state[END])
        if not closed and state[CLOSED] == 0 and state[POSITION] + UNIT_BITS > end:
            return MORE
        position = decode_unit(data, plan, line, lookup, limits, huffval, state, out)
        # A code may seem bad only because it is truncated; less than a byte is padding.
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
def decode_units(data, marks, plan, lines, tables, state, out):
    """Decode a progressive scan's part of a slab: MCUs of all lines, or until the data ends.

    data     (>= state[END] + PAD,) uint8  destuffed entropy-coded data
    marks    (n, 2) int64                  see `huffman_decode.destuff`
    plan, lines                            see `huffman_decode.decode_mcus`
    tables   lookup, limits and huffval, with a row for each table, see `build_progressive_table`
    state    (STATE,) int64
    out      (blocks, 64) int16            in and out: coefficients of earlier scans, zero before the first

    Return DONE if all lines are full, MORE if the next MCU may be incomplete, or a failure, and then `out` is useless.
    """
    lookup, limits, huffval = tables
    while state[LINE] < state[LINES]:
        line = lines[state[LINE]]
        status = decode_units_of_line(data, marks, plan, line, lookup, limits, huffval, state, out)
        if status != DONE:
            return status
        state[MCU] = 0
        state[LINE] += 1
    return DONE
