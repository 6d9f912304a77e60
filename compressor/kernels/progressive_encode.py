"""Encoding progressive scans (T.81 G.1.2): the same walk counts a scan's symbols, or writes its bits.

Rows may come in any number of calls; `state` carries what spans them. Codes are uint32 `code << 6 | length` as in
huffman_encode, and bits are written as there, stuffed behind each call.

A run of blocks that end early takes 15 bits at most (Table G.1), and correction bits wait for the end of a run: both
are bounded as in libjpeg (jcphuff.c), whose decoders others have modelled theirs on.
"""

from numba import njit, types

from compressor.kernels.huffman_decode import INLINED
from compressor.kernels.huffman_encode import BLOCK_BYTES_MAX, stuff
from compressor.kernels.lanes import leading_zeros, magnitude_mask, store_be64, trailing_zeros
from compressor.t81 import ZRL

EOBRUN_MAX = 0x7FFF
WAITING_MAX = 1000 - 63  # MAX_CORR_BITS in jcphuff.c, less what one block may add

# state: int64 (STATE,)
PENDING = 0  # bits that fill no byte yet
HELD = 1  # how many they are
EOBRUN = 2  # blocks that the next EOBn stands for
WAITING = 3  # correction bits of these blocks
WORDS = 4  # .. 19: them, 64 a word, the first one highest
PRED = 20  # .. 23: DC predictions
STATE = 24

LOOSE = 256  # in counts: bits that no symbol stands for, corrections and DC refinements
COUNTS = 257

ROOM_BYTES = 256  # of `raw` beyond its blocks: what waited, and the 40 bytes that are stored and read too far

U = types.uint64
COEFFICIENTS = types.int16[:, ::1]
STATE_ARRAY = types.int64[::1]
OUT = types.uint8[::1]


def coded_bytes(blocks: int) -> int:
    """Room for so many coded blocks before byte stuffing; twice that after it."""
    return ROOM_BYTES + BLOCK_BYTES_MAX * blocks


@njit(**INLINED)
def put_bits(raw, bits, size, at, pending, held):
    """Write up to 57 bits; at most 7 are held on entry and on return."""
    pending, held = pending << U(size) | bits, held + U(size)
    store_be64(raw, at, pending << (U(0) - held & U(63)))
    return at + types.int64(held >> U(3)), pending, held & U(7)


@njit(**INLINED)
def put_corrections(raw, bits, size, at, pending, held):
    """The low `size` bits, 63 at most."""
    if size > 32:
        at, pending, held = put_bits(raw, bits >> U(32), size - 32, at, pending, held)
        bits, size = bits & U(0xFFFFFFFF), types.int64(32)
    return put_bits(raw, bits, size, at, pending, held)


@njit(**INLINED)
def put(emit, codes, counts, t, raw, symbol, bits, size, at, pending, held):
    """A symbol and the low `size` bits after it, or its count."""
    if emit:
        entry = U(codes[t, symbol])
        code = entry >> U(6) << U(size) | bits
        return put_bits(raw, code, types.int64(entry & U(63)) + size, at, pending, held)
    counts[t, symbol] += 1
    return at, pending, held


@njit(**INLINED)
def bit_size(value):
    """SSSS of Tables F.1 and F.2."""
    return 64 - types.int64(leading_zeros(U(value)))


@njit(**INLINED)
def wait(state, bits, size):
    """Keep correction bits, 1 to 63 of them, until the run ends."""
    at = state[WAITING]
    word, room = WORDS + (at >> 6), 64 - (at & 63)
    if room == 64:
        state[word] = 0
    if size <= room:
        state[word] |= types.int64(bits << U(room - size))
    else:
        state[word] |= types.int64(bits >> U(size - room))
        state[word + 1] = types.int64(bits << U(64 - (size - room)))
    state[WAITING] = at + size


@njit(**INLINED)
def end_run(emit, codes, counts, raw, state, at, pending, held):
    """EOBn for the blocks that ended early, and the correction bits that waited for it (G.1.2.2, G.1.2.3)."""
    run = state[EOBRUN]
    if run > 0:
        n = bit_size(run) - 1
        at, pending, held = put(emit, codes, counts, 0, raw, n << 4, U(run - (1 << n)), n, at, pending, held)
        if emit:
            for done in range(0, state[WAITING], 32):
                count = min(types.int64(32), state[WAITING] - done)
                half = U(state[WORDS + (done >> 6)]) << U(done & 32) >> U(32)
                at, pending, held = put_bits(raw, half >> U(32 - count), count, at, pending, held)
        state[EOBRUN] = state[WAITING] = 0
    return at, pending, held


@njit(**INLINED)
def first_block(emit, coefficients, block, ss, se, al, codes, counts, state, raw, at, pending, held):
    """The first bits of a band of a block (Figures G.3 to G.5)."""
    band = U(0xFFFFFFFFFFFFFFFF) >> U(63 - se) & ~((U(1) << U(ss)) - U(1))
    mask = magnitude_mask(coefficients, block, types.int64(1) << al) & band
    last = ss - 1
    if mask:
        at, pending, held = end_run(emit, codes, counts, raw, state, at, pending, held)
    while mask:
        k = types.int64(trailing_zeros(mask))
        mask &= mask - U(1)
        run, last = k - last - 1, k
        while run > 15:
            at, pending, held = put(emit, codes, counts, 0, raw, ZRL, U(0), 0, at, pending, held)
            run -= 16
        value = types.int64(coefficients[block, U(k)])
        magnitude = abs(value) >> al  # the point transform divides (G.1.2.2)
        size = bit_size(magnitude)
        bits = U(magnitude if value > 0 else magnitude ^ ((1 << size) - 1))
        at, pending, held = put(emit, codes, counts, 0, raw, run << 4 | size, bits, size, at, pending, held)
    if last < se:
        state[EOBRUN] += 1
        if state[EOBRUN] == EOBRUN_MAX:
            at, pending, held = end_run(emit, codes, counts, raw, state, at, pending, held)
    return at, pending, held


@njit(**INLINED)
def refine_block(emit, coefficients, block, ss, se, al, codes, counts, state, raw, at, pending, held):
    """One bit more of a band of a block (Figures G.7 to G.9)."""
    band = U(0xFFFFFFFFFFFFFFFF) >> U(63 - se) & ~((U(1) << U(ss)) - U(1))
    mask = magnitude_mask(coefficients, block, types.int64(1) << al) & band
    known = magnitude_mask(coefficients, block, types.int64(2) << al) & band
    end = 63 - types.int64(leading_zeros(mask & ~known))  # the last one that becomes non-zero, or -1
    run, last, bits, size = types.int64(0), ss - 1, U(0), types.int64(0)
    while mask:
        k = types.int64(trailing_zeros(mask))
        mask &= mask - U(1)
        run, last = run + k - last - 1, k
        while run > 15 and k <= end:
            at, pending, held = end_run(emit, codes, counts, raw, state, at, pending, held)
            at, pending, held = put(emit, codes, counts, 0, raw, ZRL, U(0), 0, at, pending, held)
            if emit:
                at, pending, held = put_corrections(raw, bits, size, at, pending, held)
            run, bits, size = run - 16, U(0), types.int64(0)
        value = types.int64(coefficients[block, U(k)])
        if known >> U(k) & U(1):
            bits, size = bits << U(1) | U(abs(value) >> al & 1), size + 1
            if not emit:
                counts[0, LOOSE] += 1
        else:
            at, pending, held = end_run(emit, codes, counts, raw, state, at, pending, held)
            at, pending, held = put(
                emit, codes, counts, 0, raw, run << 4 | 1, U(value > 0), types.int64(1), at, pending, held
            )
            if emit:
                at, pending, held = put_corrections(raw, bits, size, at, pending, held)
            run, bits, size = types.int64(0), U(0), types.int64(0)
    if last < se or run > 0 or size > 0:
        state[EOBRUN] += 1
        if size > 0:
            wait(state, bits, size)
        if state[EOBRUN] == EOBRUN_MAX or state[WAITING] > WAITING_MAX:
            at, pending, held = end_run(emit, codes, counts, raw, state, at, pending, held)
    return at, pending, held


@njit(**INLINED)
def walk_ac(emit, coefficients, first, blocks, ss, se, ah, al, codes, counts, state, raw):
    """Blocks of one component. Returns the bytes written."""
    at, pending, held = types.int64(0), U(state[PENDING]), U(state[HELD])
    for block in range(first, first + blocks):
        if ah == 0:
            at, pending, held = first_block(
                emit, coefficients, block, ss, se, al, codes, counts, state, raw, at, pending, held
            )
        else:
            at, pending, held = refine_block(
                emit, coefficients, block, ss, se, al, codes, counts, state, raw, at, pending, held
            )
    state[PENDING], state[HELD] = types.int64(pending & U(255)), types.int64(held)
    return at


@njit(**INLINED)
def walk_dc(emit, coefficients, layout, first, mcus, ah, al, codes, counts, state, raw):
    """DC coefficients of interleaved MCUs (G.1.2.1). Returns the bytes written."""
    at, pending, held = types.int64(0), U(state[PENDING]), U(state[HELD])
    for mcu in range(first, first + mcus):
        for c in range(layout.shape[0]):
            h = layout[c, 2]
            for y in range(layout[c, 3]):
                for x in range(h):
                    block = layout[c, 0] + y * layout[c, 1] + mcu * h + x
                    value = types.int64(coefficients[block, 0]) >> al
                    if ah == 0:
                        diff = value - state[PRED + c]
                        state[PRED + c] = value
                        size = bit_size(abs(diff))
                        bits = U(diff if diff >= 0 else diff + (1 << size) - 1)
                        at, pending, held = put(emit, codes, counts, c, raw, size, bits, size, at, pending, held)
                    elif emit:
                        at, pending, held = put_bits(raw, U(value & 1), types.int64(1), at, pending, held)
                    else:
                        counts[c, LOOSE] += 1
    state[PENDING], state[HELD] = types.int64(pending & U(255)), types.int64(held)
    return at


SCAN = (types.int64,) * 4
CODES, COUNTS_ARRAY = types.uint32[:, ::1], types.int64[:, ::1]


@njit(types.void(COEFFICIENTS, types.int64, types.int64, *SCAN, COUNTS_ARRAY, STATE_ARRAY), nogil=True, cache=True)
def count_ac(coefficients, first, blocks, ss, se, ah, al, counts, state):
    """Count what `encode_ac` would write.

    counts  (1, COUNTS) int64: of each symbol, then of loose bits

    The others as there.
    """
    walk_ac(False, coefficients, first, blocks, ss, se, ah, al, counts, counts, state, counts)


@njit(types.int64(COEFFICIENTS, types.int64, types.int64, *SCAN, CODES, STATE_ARRAY, OUT, OUT), nogil=True, cache=True)
def encode_ac(coefficients, first, blocks, ss, se, ah, al, codes, state, raw, out):
    """A band of one component's blocks → entropy-coded, stuffed bytes. Returns how many.

    coefficients    (n, 64) int16, zig-zag; AC of SSSS_AC_MAX, or `raw` is too small
    first, blocks   which, and how many from there on
    ss, se, ah, al  of the scan header, 1 <= ss <= se; ah is 0 or al + 1
    codes           (1, 256) uint32: its code table, with a code for all that `count_ac` counted
    state           (STATE,) int64, zeros before the first row
    raw             uint8, at least `coded_bytes(blocks)`
    out             uint8, twice that
    """
    return stuff(raw, walk_ac(True, coefficients, first, blocks, ss, se, ah, al, codes, codes, state, raw), out)


@njit(types.void(COEFFICIENTS, types.int64[:, ::1], *SCAN, COUNTS_ARRAY, STATE_ARRAY), nogil=True, cache=True)
def count_dc(coefficients, layout, first, mcus, ah, al, counts, state):
    """Count what `encode_dc` would write: counts (components, COUNTS) int64."""
    walk_dc(False, coefficients, layout, first, mcus, ah, al, counts, counts, state, counts)


@njit(types.int64(COEFFICIENTS, types.int64[:, ::1], *SCAN, CODES, STATE_ARRAY, OUT, OUT), nogil=True, cache=True)
def encode_dc(coefficients, layout, first, mcus, ah, al, codes, state, raw, out):
    """The DC coefficients of interleaved MCUs → entropy-coded, stuffed bytes. Returns how many.

    layout       (components, 4) int64 as in `Frame.layout`
    first, mcus  of the row: which, and how many from there on
    codes        (components, 256) uint32

    The others as in `encode_ac`, of the blocks of all these MCUs.
    """
    return stuff(raw, walk_dc(True, coefficients, layout, first, mcus, ah, al, codes, codes, state, raw), out)


@njit(types.void(COUNTS_ARRAY, STATE_ARRAY), nogil=True, cache=True)
def count_end(counts, state):
    """Count what `encode_end` would write."""
    end_run(False, counts, counts, counts, state, types.int64(0), U(0), U(0))


@njit(types.int64(CODES, STATE_ARRAY, OUT, OUT), nogil=True, cache=True)
def encode_end(codes, state, raw, out):
    """The run that the scan ends with, if there is one. Returns the bytes written; bits may still be PENDING.

    raw  uint8, at least `coded_bytes(0)`
    out  uint8, twice that
    """
    at, pending, held = end_run(True, codes, codes, raw, state, types.int64(0), U(state[PENDING]), U(state[HELD]))
    state[PENDING], state[HELD] = types.int64(pending & U(255)), types.int64(held)
    return stuff(raw, at, out)
