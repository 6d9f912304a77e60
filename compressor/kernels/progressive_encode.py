"""Encoding of progressive scans (T.81 G.1.2): all scans of a slab in one call, each to an area of its own.

Codes are uint32 `code << 6 | length` and bits are written as in huffman_encode. `huffman_encode.stuff` is applied when
an area is emptied. `state` carries over from part to part and from slab to slab.
"""

import numpy as np

from compressor.kernels.declare import inlined, kernel
from compressor.kernels.huffman_encode import BLOCK_BYTES_MAX
from compressor.kernels.lanes import count_ones, leading_zeros, magnitude_bits, store_be64, trailing_zeros
from compressor.kernels.progressive_scans import (
    AH,
    AL,
    BLOCKS,
    COMPONENT,
    END_MCU,
    EOBRUN_MAX,
    FIRST_LINE,
    FIRST_MCU,
    MASKS,
    PART,
    PER_LINE,
    ROW,
    ROWS,
    SE,
    SLAB,
    SS,
    STATES,
    TABLE,
    TABLES,
    WAITING_MAX,
    U,
    band_of,
    begin,
    bit_size,
    window,
)
from compressor.t81 import ZRL

# state: int64 (scans, STATE)
PENDING = 0  # bits that do not fill a byte yet
HELD = 1  # how many they are, at most 7
EOBRUN = 2  # blocks that the next EOBn will cover
WAITING = 3  # number of correction bits of these blocks
WORDS = 4  # .. 19: these bits, 64 a word, the first one highest
PRED = 20  # .. 23: DC predictions
FILLED = 24  # bytes of the scan's area
NEXT = 25  # block, or MCU, of the part that is encoded next
STATE = 26

# The most that a block or an MCU adds to an area: its own bits, a run with its waiting bits, and the excess of stores.
ROOM_BYTES = BLOCK_BYTES_MAX + 256

CODES = "u4[:, ::1]"
AREAS = "u1[:, ::1]"


@inlined
def put_bits(areas, bits, size, at, pending, held):
    """Write up to 57 bits at flat index `at`. At most 7 are held on entry and on return."""
    pending, held = pending << U(size) | bits, held + U(size)
    store_be64(areas, at, pending << (U(0) - held & U(63)))
    return at + np.int64(held >> U(3)), pending, held & U(7)


@inlined
def put_symbol(areas, codes, t, symbol, bits, size, at, pending, held):
    """Write a symbol and the low `size` bits after it."""
    entry = U(codes[t, U(symbol)])
    code = entry >> U(6) << U(size) | bits
    return put_bits(areas, code, np.int64(entry & U(63)) + size, at, pending, held)


@inlined
def put_long(areas, bits, size, at, pending, held):
    """Write the low `size` bits, 63 at most."""
    if size > 32:
        at, pending, held = put_bits(areas, bits >> U(32), size - 32, at, pending, held)
        bits, size = bits & U(0xFFFFFFFF), np.int64(32)
    return put_bits(areas, bits, size, at, pending, held)


@inlined
def put_run(areas, codes, t, run, at, pending, held):
    """Write the EOBn of a run, if it is not empty (G.1.2.2)."""
    if run > 0:
        n = bit_size(run) - 1
        at, pending, held = put_symbol(areas, codes, t, n << 4, U(run - (1 << n)), n, at, pending, held)
    return at, pending, held


@inlined
def defer_bits(state, s, bits, size):
    """Keep correction bits, 1 to 63 of them, until the run ends."""
    at = state[s, WAITING]
    word, room = WORDS + (at >> 6), 64 - (at & 63)
    if room == 64:
        state[s, word] = 0
    if size <= room:
        state[s, word] |= np.int64(bits << U(room - size))
    else:
        state[s, word] |= np.int64(bits >> U(size - room))
        state[s, word + 1] = np.int64(bits << U(64 - (size - room)))
    state[s, WAITING] = at + size


@inlined
def end_run(areas, codes, t, state, s, at, pending, held):
    """Write EOBn for the blocks that ended early, then their correction bits (G.1.2.3)."""
    at, pending, held = put_run(areas, codes, t, state[s, EOBRUN], at, pending, held)
    for done in range(0, state[s, WAITING], 32):
        count = min(np.int64(32), state[s, WAITING] - done)
        half = U(state[s, WORDS + (done >> 6)]) << U(done & 32) >> U(32)
        at, pending, held = put_bits(areas, half >> U(32 - count), count, at, pending, held)
    state[s, EOBRUN] = state[s, WAITING] = 0
    return at, pending, held


@inlined
def resume(areas, state, s):
    """Return where in `areas` a scan continues, its pending bits, and where the last block may begin."""
    start = s * areas.shape[1]
    at, end = start + state[s, FILLED], start + areas.shape[1] - ROOM_BYTES
    return at, U(state[s, PENDING]), U(state[s, HELD]), end


@inlined
def suspend(areas, state, s, at, pending, held, done):
    """Save where the scan stopped. Return whether the part is done."""
    state[s, FILLED] = at - s * areas.shape[1]
    state[s, PENDING], state[s, HELD] = np.int64(pending & U(255)), np.int64(held)
    return done


@inlined
def encode_first(slab, masks, plan, s, part, codes, state, areas):
    """Encode the first bits of a band (Figures G.3 to G.5). Return whether the part is done."""
    at, pending, held, end = resume(areas, state, s)
    band, last_of_band, before, al, t = band_of(plan, s), plan[s, SE], plan[s, SS] - 1, plan[s, AL], plan[s, TABLE]
    first, width, count = window(plan, s, part)
    run, number = state[s, EOBRUN], state[s, NEXT]
    while number < count and at <= end:
        line, x = number // width, number % width
        start = first + line * plan[s, PER_LINE]
        for block in range(U(start + x), U(start + width)):
            if at > end:
                break
            number += 1
            mask = masks[U(al), block] & band
            if mask == U(0):
                run += 1
                if run == EOBRUN_MAX:
                    at, pending, held = put_run(areas, codes, t, run, at, pending, held)
                    run = 0
                continue
            at, pending, held = put_run(areas, codes, t, run, at, pending, held)
            last = before
            while mask:
                k = np.int64(trailing_zeros(mask))
                mask &= mask - U(1)
                zeros, last = k - last - 1, k
                while zeros > 15:
                    at, pending, held = put_symbol(areas, codes, t, ZRL, U(0), 0, at, pending, held)
                    zeros -= 16
                value = np.int64(slab[block, U(k)])
                sign = value >> 63
                magnitude = ((value ^ sign) - sign) >> al  # the point transform divides (G.1.2.2)
                size = bit_size(magnitude)
                bits = U(magnitude ^ sign) & ((U(1) << U(size)) - U(1))
                at, pending, held = put_symbol(areas, codes, t, zeros << 4 | size, bits, size, at, pending, held)
            run = np.int64(last < last_of_band)
    state[s, EOBRUN], state[s, NEXT] = run, number
    return suspend(areas, state, s, at, pending, held, number >= count)


@inlined
def gather_bits(values, places):
    """Return the bits of `values` at `places`, the lowest place in the highest bit, and their count."""
    bits, left = U(0), places
    while left:
        bits = bits << U(1) | (values >> trailing_zeros(left) & U(1))
        left &= left - U(1)
    return bits, np.int64(count_ones(places))


@inlined
def put_zeros(areas, codes, t, zeros, known, values, at, pending, held):
    """Write ZRL for every 16 of more than 15 zeros, each followed by the corrections of coefficients before the
    sixteenth zero. Return the zeros and the coefficients to correct that are left."""
    while np.int64(count_ones(zeros)) > 15:
        for _ in range(15):
            zeros &= zeros - U(1)
        below = (zeros & (U(0) - zeros)) - U(1)
        zeros &= zeros - U(1)
        bits, size = gather_bits(values, known & below)
        known &= ~below
        at, pending, held = put_symbol(areas, codes, t, ZRL, U(0), np.int64(0), at, pending, held)
        at, pending, held = put_long(areas, bits, size, at, pending, held)
    return zeros, known, at, pending, held


@inlined
def encode_refinement(slab, masks, plan, s, part, codes, state, areas):
    """Encode one more bit of a band (Figures G.7 to G.9). Return whether the part is done."""
    at, pending, held, end = resume(areas, state, s)
    band, al, t = band_of(plan, s), U(plan[s, AL]), plan[s, TABLE]
    first, width, count = window(plan, s, part)
    number = state[s, NEXT]
    while number < count and at <= end:
        line, x = number // width, number % width
        start = first + line * plan[s, PER_LINE]
        for block in range(U(start + x), U(start + width)):
            if at > end:
                break
            number += 1
            mask, known = masks[al, block] & band, masks[al + U(1), block] & band
            if mask == U(0):
                state[s, EOBRUN] += 1
                if state[s, EOBRUN] == EOBRUN_MAX:
                    at, pending, held = end_run(areas, codes, t, state, s, at, pending, held)
                continue
            values = magnitude_bits(slab, block, np.int64(al))
            new, zeros = mask & ~known, band & ~mask
            if new and state[s, EOBRUN] > 0:
                at, pending, held = end_run(areas, codes, t, state, s, at, pending, held)
            while new:
                k = trailing_zeros(new)
                below = (U(1) << k) - U(1)
                new &= new - U(1)
                passed, corrected = zeros & below, known & below
                zeros, known = zeros & ~below, known & ~below
                if count_ones(passed) > U(15):
                    passed, corrected, at, pending, held = put_zeros(
                        areas, codes, t, passed, corrected, values, at, pending, held
                    )
                bits, size = gather_bits(values, corrected)
                symbol, sign = np.int64(count_ones(passed)) << 4 | 1, U(slab[block, k] > 0)
                if size > 40:
                    at, pending, held = put_symbol(areas, codes, t, symbol, sign, np.int64(1), at, pending, held)
                    at, pending, held = put_long(areas, bits, size, at, pending, held)
                else:
                    bits |= sign << U(size)
                    at, pending, held = put_symbol(areas, codes, t, symbol, bits, size + 1, at, pending, held)
            if zeros | known:
                state[s, EOBRUN] += 1
                if known:
                    bits, size = gather_bits(values, known)
                    defer_bits(state, s, bits, size)
                if state[s, EOBRUN] == EOBRUN_MAX or state[s, WAITING] > WAITING_MAX:
                    at, pending, held = end_run(areas, codes, t, state, s, at, pending, held)
    state[s, NEXT] = number
    return suspend(areas, state, s, at, pending, held, number >= count)


@inlined
def put_value(slab, block, c, s, ah, al, codes, t, state, areas, at, pending, held):
    """Encode a DC coefficient (G.1.2.1)."""
    value = np.int64(slab[U(block), U(0)]) >> al
    if ah != 0:
        return put_bits(areas, U(value & 1), np.int64(1), at, pending, held)
    diff = value - state[s, PRED + c]
    state[s, PRED + c] = value
    size = 64 - np.int64(leading_zeros(U(abs(diff))))
    bits = U(diff + (diff >> 63)) & ((U(1) << U(size)) - U(1))
    return put_symbol(areas, codes, t, size, bits, size, at, pending, held)


@inlined
def encode_dc(slab, layout, plan, s, part, codes, state, areas):
    """Encode DC coefficients, of one component or of all, interleaved. Return whether the part is done."""
    at, pending, held, end = resume(areas, state, s)
    t, ah, al = plan[s, TABLE], plan[s, AH], plan[s, AL]
    first, width, count = window(plan, s, part)
    number = state[s, NEXT]
    if plan[s, COMPONENT] < 0:
        count = part[END_MCU] - part[FIRST_MCU] if part[FIRST_LINE] == 0 else np.int64(0)
    while number < count and at <= end:
        if plan[s, COMPONENT] >= 0:
            block = first + number // width * plan[s, PER_LINE] + number % width
            at, pending, held = put_value(
                slab, block, np.int64(0), s, ah, al, codes, t, state, areas, at, pending, held
            )
        else:
            for c in range(layout.shape[0]):
                h = layout[c, 2]
                for y in range(layout[c, 3]):
                    for x in range(h):
                        block = (
                            part[ROW] * part[BLOCKS]
                            + layout[c, 0]
                            + y * layout[c, 1]
                            + (part[FIRST_MCU] + number) * h
                            + x
                        )
                        at, pending, held = put_value(
                            slab, block, c, s, ah, al, codes, t + min(c, 1), state, areas, at, pending, held
                        )
        number += 1
    state[s, NEXT] = number
    return suspend(areas, state, s, at, pending, held, number >= count)


@kernel(f"i8({SLAB}, {MASKS}, {TABLES}, {TABLES}, {PART}, {CODES}, {STATES}, {AREAS}, i8)")
def encode_scans(slab, masks, layout, plan, part, codes, state, areas, first):
    """Encode a part of a slab, without byte stuffing, to the first state[s, FILLED] bytes of each scan's area.

    slab, masks, layout, plan, part   as for `count_scans`; AC of SSSS_AC_MAX, or ROOM_BYTES are not enough
    codes  (tables, 256) uint32: with a code for each symbol that `count_scans` counted
    state  (scans, STATE) int64, zeros before the first row
    areas  (scans, n) uint8, n at least ROOM_BYTES
    first  scan to begin with: 0, or the one whose area was full

    Return the index of the scan whose area is full, to be emptied before the part is continued, or the number of scans.
    """
    begin(slab, layout, part)
    for row in range(part[ROW], part[ROWS]):
        part[ROW] = row
        for s in range(first, plan.shape[0]):
            if plan[s, SS] == 0:
                done = encode_dc(slab, layout, plan, s, part, codes, state, areas)
            elif plan[s, AH] == 0:
                done = encode_first(slab, masks, plan, s, part, codes, state, areas)
            else:
                done = encode_refinement(slab, masks, plan, s, part, codes, state, areas)
            if not done:
                return s
            state[s, NEXT] = 0
        first = 0
    part[ROW] = 0
    return plan.shape[0]


@kernel(f"void({TABLES}, {CODES}, {STATES}, {AREAS})", releases_gil=False)
def encode_ends(plan, codes, state, areas):
    """Encode the runs at the ends of scans. All areas must have room. Bits may still be PENDING afterwards."""
    for s in range(plan.shape[0]):
        at, pending, held, _ = resume(areas, state, s)
        at, pending, held = end_run(areas, codes, plan[s, TABLE], state, s, at, pending, held)
        suspend(areas, state, s, at, pending, held, True)
