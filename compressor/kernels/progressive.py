"""Progressive scans to coefficients (T.81 G.1.2, G.2): each scan adds its bits to the blocks that earlier ones began.

Works on what `huffman_decode.destuff` leaves, with the same state, `plan` and `marks`, and goes on where it stopped.

Memory safety: a block takes at most 63 * 26 + 30 bits, an MCU of DC coefficients at most 10 * 28. An MCU is begun only
where UNIT_BITS of data are there, or where none will come; then it ends less than `huffman_decode.PAD` bytes behind
them, and is refused. So nothing is ever taken back, which matters: a refinement changes coefficients in place.
"""

import numpy as np
from numba import njit, types

from compressor.kernels.huffman_decode import (
    BAD_CODE,
    BYTES,
    DONE,
    END,
    INLINED,
    INTERVAL,
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

BITS = 9  # of the first look-up: one table a scan, many scans
UNIT_BITS = 8 * 216
AC_MAX = (1 << SSSS_AC_MAX) - 1
# Of DC while bits are missing: the point transform rounds down (G.1.2.1), so -2047 may begin as -2048.
DC_MIN, DC_MAX = -2048, 2047

# What is coded (G.1.2): the first bits of DC or AC, or one bit more of what earlier scans have sent.
DC_FIRST, DC_REFINE, AC_FIRST, AC_REFINE = 0, 1, 2, 3

# state: as in huffman_decode, and then
KIND = SEQUENTIAL_STATE
SS = KIND + 1
SE = KIND + 2
AL = KIND + 3
EOBRUN = KIND + 4  # blocks that the last EOBn still stands for, the present one included
STATE = KIND + 5

U = np.uint64


@njit(**INLINED)
def entry_of(symbol, length, rest, kind, al):
    """The look-up entry of a code of `length` bits whose appended bits are the first of `rest`, or -1 for a symbol
    that has no meaning here: value << 16 | run << 8 | length.

    AC values are at their place, shifted by Al, and at most AC_MAX; DC differences are not shifted. A run of RUN_EOB
    stands for EOBn (Table G.1): n is the value, and `length` is without its appended bits.
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


@njit(
    types.void(
        BYTES, types.int64, types.int64, types.int64, types.uint8[:, ::1], types.int32[:, ::1], types.int32[:, :, ::1]
    ),
    nogil=True,
    cache=True,
)
def build_table(bits, kind, al, t, huffval, lookup, limits):
    """Row `t` of the tables for decoding, from one Huffman table (Annex C, F.2.2.3).

    bits     (16,) uint8           number of codes of each length; their Kraft sum must be at most 1
    kind     DC_FIRST, AC_FIRST or AC_REFINE, and Al of the scan
    huffval  (n, 256) uint8        symbols in order of their codes, then anything
    lookup   (n, 1 << BITS) int32  out: entry for each value of the next BITS bits, its appended bits decoded as well
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
            entry = entry_of(symbol, length, word << U(length), kind, al)
            fits = entry != -1 and entry & 255 <= BITS
            lookup[t, index] = entry if fits else symbol << 16 | RUN_LONG << 8 | length


@njit(**INLINED)
def next_entry(word, lookup, limits, huffval, t, kind, al):
    """The entry of the code at the top of `word`; -1 where it is in no table."""
    entry = np.int64(lookup[t, word >> U(64 - BITS)])
    if entry >> 8 & 127 == RUN_LONG:
        length, symbol = entry & 255, entry >> 16
        if length == 0:
            length = find_code(word, limits, t)
            if length > 16:
                return np.int64(-1)
            symbol = symbol_of(word, length, limits, huffval, t)
        entry = entry_of(symbol, length, word << U(length), kind, al)
    return entry


@njit(**INLINED)
def more_bits(data, at, word, have):
    """`word` with at least 56 bits at its top, and where the next come from."""
    return at + ((63 - have) >> 3), word | load_be64(data, at) >> U(have), have | 56


@njit(**INLINED)
def dc_mcu(data, plan, lookup, limits, huffval, state, out):
    """The DC coefficients of an MCU (G.1.2.1): the position behind it, or ~position of what is wrong."""
    position, al, first = state[POSITION], state[AL], state[KIND] == DC_FIRST
    for i in range(plan.shape[0]):
        n = plan[i, 0] + state[MCU] * plan[i, 1]
        word = load_be64(data, position >> 3) << U(position & 7)
        if first:
            entry = next_entry(word, lookup, limits, huffval, plan[i, 3], DC_FIRST, al)
            if entry == -1:
                return ~position
            pred = state[PRED + plan[i, 2]] + (entry >> 16)
            state[PRED + plan[i, 2]] = pred
            value, length = pred << al, entry & 255
        else:
            value, length = np.int64(out[n, 0]) | np.int64(word >> U(63)) << al, np.int64(1)
        if value < DC_MIN or value > DC_MAX:
            return ~position
        out[n, 0] = value
        position += length
    return position


@njit(**INLINED)
def ac_first(data, table, lookup, limits, huffval, state, out, n):
    """The first bits of the band Ss..Se of a block that no EOBRUN covers (Figures G.3, G.4; decoding is G.2)."""
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
            if entry >> 16 == 0:  # sixteen zeros where fewer have room, as in huffman_decode
                break
            return ~(8 * at - have)
        if entry >> 16 != 0:
            out[n, U(k)] = entry >> 16
        k += 1
    return 8 * at - have


@njit(**INLINED)
def correct(data, places, al, out, n, at, word, have):
    """A bit more for each coefficient at `places` (G.1.2.3); as in libjpeg, one that is set already is not added again.
    Returns what is wrong as well: whether one has become too large. No branch depends on the bits."""
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


@njit(**INLINED)
def ac_refine(data, table, lookup, limits, huffval, state, out, n):
    """One bit more for the band Ss..Se of a block (Figures G.7, G.8, G.9)."""
    position, se, al = state[POSITION], state[SE], state[AL]
    at = (position >> 3) + 8
    have = 64 - (position & 7)
    word = load_be64(data, position >> 3) << U(position & 7)
    band = (U(0xFFFFFFFFFFFFFFFF) >> U(63 - se)) & ~((U(1) << U(state[SS])) - U(1))
    known = nonzero_mask(out, n) & band
    left = band & ~known  # zeros that no code has passed yet; of `known` those that are not corrected yet
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
        place = left & (U(0) - left)  # none where the run leads out of the band: then it is over
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
    # A bad code may be one that is cut off, unless 8 bits follow where it begins; these bits were there.
    return ~(8 * at - have - 8) if bad else 8 * at - have


@njit(**INLINED)
def blocks_without_bits(plan, state, out):
    """How many blocks from MCU on an EOBRUN covers with nothing coded for them: all of a first scan, and those of a
    refinement whose bands are still zero. A file of 560 kB can hold 400 million of these: 3 ns each, not 8."""
    count = min(state[EOBRUN], state[MCUS] - state[MCU])
    if state[INTERVAL] > 0:
        count = min(count, state[UNTIL_RESTART])
    if state[KIND] == AC_REFINE:
        n, step = plan[0, 0] + state[MCU] * plan[0, 1], plan[0, 1]
        band = (U(0xFFFFFFFFFFFFFFFF) >> U(63 - state[SE])) & ~((U(1) << U(state[SS])) - U(1))
        for i in range(count):
            if nonzero_mask(out, n + i * step) & band:
                return i
    return count


@njit(**INLINED)
def decode_unit(data, plan, lookup, limits, huffval, state, out):
    """The MCU at POSITION: the position behind it, or ~position of what is wrong."""
    if state[KIND] <= DC_REFINE:
        return dc_mcu(data, plan, lookup, limits, huffval, state, out)
    n, table = plan[0, 0] + state[MCU] * plan[0, 1], plan[0, 4]
    if state[KIND] == AC_FIRST:
        position = ac_first(data, table, lookup, limits, huffval, state, out, n)
    else:
        position = ac_refine(data, table, lookup, limits, huffval, state, out, n)
    if state[EOBRUN] > 0:
        state[EOBRUN] -= 1
    return position


@njit(
    types.int64(
        BYTES,
        types.int64[:, ::1],
        types.int64[:, ::1],
        types.int32[:, ::1],
        types.int32[:, :, ::1],
        types.uint8[:, ::1],
        types.int64[::1],
        types.int16[:, ::1],
    ),
    nogil=True,
    cache=True,
)
def decode_units(data, marks, plan, lookup, limits, huffval, state, out):
    """Decode a progressive scan's part of a coefficient row: MCUs from MCU to MCUS, or until the data ends.

    data     (>= state[END] + PAD,) uint8  destuffed entropy-coded data
    marks    (n, 2) int64                  see `huffman_decode.destuff`
    plan     (blocks of an MCU, 5) int64   [block in `out` for MCU 0, step per MCU, component, DC table, AC table]
    lookup, limits, huffval                a row for each table, see `build_table`
    state    (STATE,) int64                see above; goes on where it stopped
    out      (blocks, 64) int16            in and out: what earlier scans left, zero before the first

    DONE: the line is full. MORE: the next MCU may not be whole. Otherwise what is wrong, and `out` is of no use.
    """
    while state[MCU] < state[MCUS]:
        if state[INTERVAL] > 0 and state[UNTIL_RESTART] == 0:
            status = start_interval(marks, state)
            if status != DONE:
                return status
            state[EOBRUN] = 0
        if state[EOBRUN] > 0:
            step = blocks_without_bits(plan, state, out)
            state[EOBRUN] -= step
            state[MCU] += step
            state[UNTIL_RESTART] -= step
            if step > 0:
                continue
        closed = state[MARK] < state[MARKS]
        end = 8 * (marks[state[MARK], 0] if closed else state[END])
        if not closed and state[CLOSED] == 0 and state[POSITION] + UNIT_BITS > end:
            return MORE
        position = decode_unit(data, plan, lookup, limits, huffval, state, out)
        # A code may look bad only because it is cut off; less than a byte is padding.
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
