"""Symbol statistics of progressive scans (T.81 G.1.2): all scans of a slab in one call."""

import numpy as np

from compressor.kernels.declare import inlined, kernel
from compressor.kernels.lanes import count_ones, leading_zeros, trailing_zeros
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
EOBRUN = 0  # blocks that the next EOBn will cover
WAITING = 1  # number of correction bits of these blocks
PRED = 2  # .. 5: DC predictions
STATE = 6

LOOSE = 256  # in counts: bits without a symbol, which are corrections and DC refinements
COUNTS = 257


@inlined
def count_run(counts, t, run):
    """Count the EOBn of a run, if it is not empty (G.1.2.2)."""
    if run > 0:
        counts[t, U((bit_size(run) - 1) << 4)] += 1


@inlined
def count_first(slab, masks, plan, s, part, counts, state):
    """Count the symbols of the first bits of a band (Figures G.3 to G.5)."""
    band, last_of_band, before, al, t = band_of(plan, s), plan[s, SE], plan[s, SS] - 1, plan[s, AL], plan[s, TABLE]
    first, width, count = window(plan, s, part)
    run = state[s, EOBRUN]
    for line in range(count // max(width, 1)):
        start = first + line * plan[s, PER_LINE]
        for block in range(U(start), U(start + width)):
            mask = masks[U(al), block] & band
            if mask == U(0):
                run += 1
                if run == EOBRUN_MAX:
                    count_run(counts, t, run)
                    run = 0
                continue
            count_run(counts, t, run)
            last = before
            while mask:
                k = np.int64(trailing_zeros(mask))
                mask &= mask - U(1)
                zeros, last = k - last - 1, k
                if zeros > 15:
                    counts[t, ZRL] += zeros >> 4
                    zeros &= 15
                counts[t, U(zeros << 4 | bit_size(abs(np.int64(slab[block, U(k)])) >> al))] += 1
            run = np.int64(last < last_of_band)
    state[s, EOBRUN] = run


@inlined
def count_refinement(masks, plan, s, part, counts, state):
    """Count the symbols of one more bit of a band (Figures G.7 to G.9). Masks count runs of zeros without a loop."""
    band, al, t = band_of(plan, s), U(plan[s, AL]), plan[s, TABLE]
    first, width, count = window(plan, s, part)
    run, waiting, loose = state[s, EOBRUN], state[s, WAITING], np.int64(0)
    for line in range(count // max(width, 1)):
        start = first + line * plan[s, PER_LINE]
        for block in range(U(start), U(start + width)):
            mask, known = masks[al, block] & band, masks[al + U(1), block] & band
            loose += np.int64(count_ones(known))
            new, zeros = mask & ~known, band & ~mask
            if new:
                count_run(counts, t, run)
                run = waiting = np.int64(0)
            while new:
                below = (new & (U(0) - new)) - U(1)
                new &= new - U(1)
                length = np.int64(count_ones(zeros & below))
                zeros &= ~below
                known &= ~below
                if length > 15:
                    counts[t, ZRL] += length >> 4
                    length &= 15
                counts[t, U(length << 4 | 1)] += 1
            if zeros | known:
                run += 1
                waiting += np.int64(count_ones(known))
                if run == EOBRUN_MAX or waiting > WAITING_MAX:
                    count_run(counts, t, run)
                    run = waiting = np.int64(0)
    state[s, EOBRUN], state[s, WAITING] = run, waiting
    counts[t, LOOSE] += loose


@inlined
def count_value(slab, block, t, c, s, ah, al, counts, state):
    """Count the symbol of a DC coefficient (G.1.2.1)."""
    if ah != 0:
        counts[t, LOOSE] += 1
        return
    value = np.int64(slab[U(block), U(0)]) >> al
    diff = value - state[s, PRED + c]
    state[s, PRED + c] = value
    counts[t, U(64 - np.int64(leading_zeros(U(abs(diff)))))] += 1


@inlined
def count_dc(slab, layout, plan, s, part, counts, state):
    """Count the symbols of DC coefficients, of one component or of all, interleaved."""
    t, ah, al = plan[s, TABLE], plan[s, AH], plan[s, AL]
    if plan[s, COMPONENT] >= 0:
        first, width, count = window(plan, s, part)
        for line in range(count // max(width, 1)):
            start = first + line * plan[s, PER_LINE]
            for block in range(start, start + width):
                count_value(slab, block, t, np.int64(0), s, ah, al, counts, state)
    elif part[FIRST_LINE] == 0:
        for mcu in range(part[FIRST_MCU], part[END_MCU]):
            for c in range(layout.shape[0]):
                h = layout[c, 2]
                for y in range(layout[c, 3]):
                    for x in range(h):
                        block = part[ROW] * part[BLOCKS] + layout[c, 0] + y * layout[c, 1] + mcu * h + x
                        count_value(slab, block, t + min(c, 1), c, s, ah, al, counts, state)


@kernel(f"void({SLAB}, {MASKS}, {TABLES}, {TABLES}, {PART}, {TABLES}, {STATES})")
def count_scans(slab, masks, layout, plan, part, counts, state):
    """Count the symbols that `encode_scans` would write.

    slab    (n, 64) int16, zig-zag: whole MCU rows
    masks   (LEVELS, n) uint64 of these blocks
    layout  (components, 4) int64 as in `Frame.layout`
    plan    (scans, PLAN) int64
    part    (PART_FIELDS,) int64
    counts  (tables, COUNTS) int64: of each symbol, then of bits without a symbol
    state   (scans, STATE) int64, zeros before the first row
    """
    begin(slab, layout, part)
    for row in range(part[ROWS]):
        part[ROW] = row
        for s in range(plan.shape[0]):
            if plan[s, SS] == 0:
                count_dc(slab, layout, plan, s, part, counts, state)
            elif plan[s, AH] == 0:
                count_first(slab, masks, plan, s, part, counts, state)
            else:
                count_refinement(masks, plan, s, part, counts, state)
    part[ROW] = 0


@kernel(f"void({TABLES}, {TABLES}, {STATES})", releases_gil=False)
def count_ends(plan, counts, state):
    """Count the EOBn of the runs at the ends of scans."""
    for s in range(plan.shape[0]):
        count_run(counts, plan[s, TABLE], state[s, EOBRUN])
        state[s, EOBRUN] = state[s, WAITING] = 0


@kernel(f"void({TABLES}, i8[::1], i8[::1])", releases_gil=False)
def code_bits(counts, trees, bits):
    """Compute the bits of all symbols in the best code for them (Figure K.1): the sum of all trees that are merged. The
    reserved code is included; the limit of 16 bits is not.

    counts  (tables, COUNTS) int64
    trees   (257,) int64, scratch
    bits    (tables,) int64: out
    """
    for t in range(counts.shape[0]):
        trees[0] = 1
        left = 1
        for symbol in range(256):
            if counts[t, symbol] > 0:
                trees[left] = counts[t, symbol]
                left += 1
        total = np.int64(0)
        while left > 1:
            for to in range(2):  # the two rarest to the end
                best = 0
                for at in range(left - to):
                    if trees[at] < trees[best]:
                        best = at
                end = left - 1 - to
                trees[best], trees[end] = trees[end], trees[best]
            trees[left - 2] += trees[left - 1]
            total += trees[left - 2]
            left -= 1
        bits[t] = total
