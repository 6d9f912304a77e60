"""Sequential Huffman encoding (T.81 F.1.2) of slabs: code tables, statistics, entropy coding, stuffing.

Codes are passed as uint32 `code << 6 | length`. Bits are written without a branch: eight bytes are stored every second
symbol, and only the complete ones are kept. Byte stuffing (B.1.1.5) is a second pass over the bytes.
"""

import numpy as np

from compressor.kernels.declare import function, inlined, kernel
from compressor.kernels.lanes import (
    columns_and_mask,
    copy32_find_ff,
    leading_zeros,
    load_be64,
    local_array,
    nonzero_mask,
    store_be64,
    trailing_zeros,
)
from compressor.t81 import EOB, ZRL

U = np.uint64
SMALL = 32  # AC coefficients of -32..30 get their code and additional bits from one lookup
ESCAPE = 1 << 31  # the entry of all others
# The largest coded block: a DC code of 16 + 11 and 63 AC codes of 16 + 10 bits, in bytes, rounded up.
BLOCK_BYTES_MAX = 216

CODES = "(u4[:, ::1], u4[:, ::1], u4[:, ::1])"  # dc, ac, small

# state: int64 (STATE,), carried from call to call
PENDING = 0  # bits that do not fill a byte yet
HELD = 1  # how many they are, at most 7
PRED = 2  # .. 5: DC predictions
NEXT_MCU = 6  # of a slab, see kernels/mcu_row.py
NEXT_SEGMENT = 7  # of a band, see kernels/mcu_row.py
STATE = 8


def code_table(bits: bytes, huffval: bytes) -> np.ndarray:
    """Return `code << 6 | length` of each symbol (C.2), (256,) uint32, 0 if the symbol has no code."""
    table = np.empty(256, np.uint32)
    assign_codes(np.frombuffer(bits, np.uint8), np.frombuffer(huffval or b"\0", np.uint8), table)
    return table


def small_table(ac: np.ndarray) -> np.ndarray:
    """Return the bits of each step of coding a block, (65 * 64,) uint32: `bits << 6 | length`, or ESCAPE.

    Row `k - last` is for the coefficient at k after the one at `last`, column `value + 32` for its value; column 63 is
    for all that are not in -32..30. A value of 0 occurs only at k = 64, the end of the block: it is EOB, or nothing
    after a coefficient at 63 or an EOB.

    ac  (256,) uint32, a `code_table`
    """
    table = np.empty(65 * 64, np.uint32)
    assign_steps(ac, table)
    return table


@kernel("void(const u1[::1], const u1[::1], u4[::1])", releases_gil=False)
def assign_codes(bits, huffval, table):
    """Fill the table that `code_table` returns.

    bits     (16,) uint8
    huffval  (sum of bits,) uint8
    table    (256,) uint32: out
    """
    for symbol in range(256):
        table[symbol] = 0
    code = k = 0
    for length in range(1, 17):
        for _ in range(bits[length - 1]):
            table[huffval[k]] = code << 6 | length
            code, k = code + 1, k + 1
        code <<= 1


@kernel("void(u4[::1], u4[::1])", releases_gil=False)
def assign_steps(ac, table):
    """Fill the table that `small_table` returns, (65 * 64,) uint32."""
    for at in range(65 * 64):
        table[at] = ESCAPE
    for run in range(16):
        for column in range(2 * SMALL - 1):
            value = column - SMALL
            ssss = np.int64(U(64) - leading_zeros(U(abs(value))))
            entry = np.int64(ac[run << 4 | ssss])
            if entry != 0:
                appended = (value - (value < 0)) & ((1 << ssss) - 1)
                table[64 * (run + 1) + column] = (entry >> 6 << ssss | appended) << 6 | (entry & 63) + ssss
    for k in range(65):
        table[64 * k + SMALL] = ac[EOB] if k > 1 else 0


@function
def _size(value):
    """Return SSSS (Tables F.1, F.2): bits of the magnitude."""
    return U(64) - leading_zeros(U(abs(value)))


# These are inlined by Numba, not by LLVM: a call would pass every field of each array through memory. None that is used
# in a loop takes an array, since Numba would count that array's references in the loop: 0.9 ns a pixel.
@inlined
def _append(pending, held, entry):
    """Append the bits of `entry` to the `held` ones at the low end of `pending`. Only six bits of `held` count."""
    return pending << (entry & U(63)) | entry >> U(6), held + entry


@inlined
def _with_bits(entry, value, size):
    """Append to a code's entry the low `size` bits of value, or of value - 1 if negative (F.1.2.1.1)."""
    appended = U(value - (value < 0)) & ((U(1) << size) - U(1))
    return (entry >> U(6) << size | appended) << U(6) | (entry & U(63)) + size


@inlined
def _block(coefficients, block, diff, c, dc, ac, small, columns, raw, at, pending, held):
    """Encode one block (F.1.2.1, F.1.2.2). At most 7 bits are held on entry and on return.

    Each step codes two small coefficients, 2 * (16 + 5) bits, or one of any size, 16 + 10 bits, or the end, and then
    stores all held bits and counts the complete bytes. The end is a step like any other, so that leaving the loop is
    the only branch that the processor can't predict. Two stores in an iteration were not faster.
    """
    size = _size(diff)
    pending, held = _append(pending, held, _with_bits(U(dc[c, size]), diff, size))
    store_be64(raw, at, pending << (U(0) - held & U(63)))
    at, held = at + np.int64(held >> U(3) & U(7)), held & U(7)
    mask = columns_and_mask(coefficients, block, columns) & ~U(1)
    last = U(0)
    while last < U(64):
        k, left = trailing_zeros(mask), mask & (mask - U(1))
        after = trailing_zeros(left)
        entry = U(small[c, U(columns[k]) - (last << U(6))])
        entry_after = U(small[c, U(columns[after]) - (k << U(6))])
        if (entry | entry_after) & U(ESCAPE) == U(0):
            pending, held = _append(pending, held, entry)
            pending, held = _append(pending, held, entry_after)
            last, mask = after, left & (left - U(1))
        else:
            if entry & U(ESCAPE):
                run, value = k - last - U(1), np.int64(coefficients[block, k])
                while run >= U(16):
                    pending, held = _append(pending, held, U(ac[c, U(ZRL)]))
                    store_be64(raw, at, pending << (U(0) - held & U(63)))
                    at, held = at + np.int64(held >> U(3) & U(7)), held & U(7)
                    run -= U(16)
                size = _size(value)
                entry = _with_bits(U(ac[c, run << U(4) | size]), value, size)
            pending, held = _append(pending, held, entry)
            last, mask = k, left
        store_be64(raw, at, pending << (U(0) - held & U(63)))
        at, held = at + np.int64(held >> U(3) & U(7)), held & U(7)
    return at, pending, held


@kernel(f"i8(i2[:, ::1], i8[:, ::1], i8, i8, {CODES}, i8[::1], u1[::1])")
def encode_mcus(coefficients, layout, first, mcus, codes, state, raw):
    """Encode interleaved MCUs (A.2.3), without byte stuffing. Return the number of complete bytes written.

    coefficients  (n, 64) int16, zig-zag; DC differences of 12 bits at most, AC of SSSS_AC_MAX, or `raw` is too small
    layout        (components, 4) int64: first block, blocks a line, h, v
    first, mcus   first MCU of the row, and how many
    codes         dc and ac (components, 256) uint32: `code_table` of each component;
                  small (components, 65 * 64) uint32: `small_table` of each component
    state         (STATE,) int64: PENDING, HELD, PRED
    raw           uint8: out; at least 8 + BLOCK_BYTES_MAX for every block
    """
    dc, ac, small = codes
    pending, held, at = U(state[PENDING]), U(state[HELD]), np.int64(0)
    columns = local_array(65, np.uint16)
    columns[64] = 64 * 64 + SMALL  # the end: k = 64, value = 0
    for mcu in range(first, first + mcus):
        for c in range(U(layout.shape[0])):
            h, v = layout[c, 2], layout[c, 3]
            for y in range(v):
                for x in range(h):
                    block = U(layout[c, 0] + y * layout[c, 1] + mcu * h + x)
                    value = np.int64(coefficients[block, U(0)])
                    diff = value - state[U(PRED) + c]
                    state[U(PRED) + c] = value
                    at, pending, held = _block(
                        coefficients, block, diff, c, dc, ac, small, columns, raw, at, pending, held
                    )
    state[PENDING], state[HELD] = np.int64(pending & U(255)), np.int64(held)
    return at


@kernel("i8(u1[::1], i8, u1[::1])", releases_gil=False)
def stuff(raw, size, out):
    """Stuff a zero byte after every 0xFF (B.1.1.5). Return the number of bytes written.

    raw   uint8, `size` bytes, size + 32 readable
    out   uint8, 2 * size + 32: out
    """
    i = o = 0
    while i < size:
        step = min(32, size - i)
        found = copy32_find_ff(out, o, raw, i)
        if step < 32:
            found &= (U(1) << U(step)) - U(1)
        if found:
            step = np.int64(trailing_zeros(found)) + 1
            out[o + step] = 0
            o += 1
        i, o = i + step, o + step
    return o


@kernel("i8(u1[::1], i8, i8[::1], i8[::1], u1[::1])")
def join(raw, size, tail, state, out):
    """Append bits that were coded separately, from the beginning of a byte on, to those pending in `state`, and stuff
    them. Return the number of bytes written.

    raw    uint8, `size` bytes, size + 40 readable; shifted in place
    tail   (>= 2,) int64: PENDING and HELD, the bits that follow `raw`
    state  (>= 2,) int64: PENDING and HELD, carried from call to call
    out    uint8, 2 * size + 34: out
    """
    held, bits = U(state[HELD]), U(tail[HELD])
    raw[size] = np.uint8(U(tail[PENDING]) << (U(8) - bits) & U(255))
    if held:
        carry = U(state[PENDING])
        for i in range(0, size + 2, 8):
            word = load_be64(raw, i)
            store_be64(raw, i, carry << (U(64) - held) | word >> held)
            carry = word
    whole = size + np.int64(held + bits >> U(3))
    left = held + bits & U(7)
    state[PENDING], state[HELD] = np.int64(U(raw[whole]) >> (U(8) - left)), np.int64(left)
    return stuff(raw, whole, out)


@function
def blocks_of(layout):
    """Return the blocks of an MCU row."""
    total = np.int64(0)
    for c in range(layout.shape[0]):
        total += layout[c, 1] * layout[c, 3]
    return total


@kernel("void(i2[:, ::1], i8[:, ::1], i8, i8[::1], i8[:, :, ::1])")
def count_symbols(coefficients, layout, mcus, pred, counts):
    """Add the symbols that `encode_mcus` would code to counts[component, 0 DC | 1 AC, symbol].

    coefficients  (n, 64) int16, zig-zag: MCU rows, of each its first `mcus` MCUs
    pred          (components,) int64, carried from call to call
    counts        (components, 2, 256) int64
    """
    blocks = blocks_of(layout)
    for row in range(coefficients.shape[0] // blocks):
        for mcu in range(mcus):
            for c in range(layout.shape[0]):
                h, v = layout[c, 2], layout[c, 3]
                for y in range(v):
                    for x in range(h):
                        block = row * blocks + layout[c, 0] + y * layout[c, 1] + mcu * h + x
                        value = np.int64(coefficients[block, 0])
                        counts[c, 0, _size(value - pred[c])] += 1
                        pred[c] = value
                        mask = nonzero_mask(coefficients, block) & ~U(1)
                        last = U(0)
                        while mask:
                            k = trailing_zeros(mask)
                            mask &= mask - U(1)
                            run = k - last - U(1)
                            last = k
                            counts[c, 1, 0xF0] += np.int64(run >> U(4))
                            counts[c, 1, (run & U(15)) << U(4) | _size(np.int64(coefficients[block, k]))] += 1
                        if last != U(63):
                            counts[c, 1, 0] += 1
