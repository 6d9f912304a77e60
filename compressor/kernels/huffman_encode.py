"""Sequential Huffman encoding (T.81 F.1.2) of coefficient rows, and what it needs: code tables, statistics, stuffing.

Codes travel as uint32 `code << 5 | length`. Bits are written without a branch: eight bytes are stored at every
symbol, of which only the whole ones count. Byte stuffing (B.1.1.5) is a second pass over the bytes.
"""

import numpy as np
from numba import njit

from compressor.kernels.lanes import copy32_find_ff, leading_zeros, nonzero_mask, store_be64, trailing_zeros
from compressor.t81 import EOB, ZRL

U = np.uint64
SMALL = 32  # AC coefficients of -32..31 find code and appended bits in one look-up
# Bits that one coded block can take: a DC code of 16 + 11 and 63 AC codes of 16 + 10 bits, in bytes, rounded up.
BLOCK_BYTES_MAX = 216


def code_table(bits: bytes, huffval: bytes) -> np.ndarray:
    """C.2: symbol → `code << 5 | length`, (256,) uint32, 0 where the symbol has no code."""
    table, code, k = np.zeros(256, np.uint32), 0, 0
    for length, count in enumerate(bits, 1):
        for _ in range(count):
            table[huffval[k]] = code << 5 | length
            code, k = code + 1, k + 1
        code <<= 1
    return table


def small_table(ac: np.ndarray) -> np.ndarray:
    """`code and appended bits << 5 | length` at [run << 6 | value & 63] for small values, (1024,) uint32.

    ac  (256,) uint32, a `code_table`
    """
    run, value = np.divmod(np.arange(1024, dtype=np.int64), 64)
    value = np.where(value >= SMALL, value - 64, value)
    ssss = np.ceil(np.log2(np.abs(value) + 1)).astype(np.int64)
    entry = ac[run << 4 | ssss].astype(np.int64)
    appended = np.where(value < 0, value - 1, value) & ((1 << ssss) - 1)
    known = (value != 0) & (entry != 0)
    return np.where(known, (entry >> 5 << ssss | appended) << 5 | (entry & 31) + ssss, 0).astype(np.uint32)


@njit(nogil=True)
def _size(value):
    """SSSS (Tables F.1, F.2): bits of the magnitude."""
    return U(64) - leading_zeros(U(abs(value)))


@njit(nogil=True)
def _appended(value, size):
    """The low `size` bits of value, or of value - 1 where it is negative (F.1.2.1.1)."""
    return U(value - (value < 0)) & ((U(1) << size) - U(1))


@njit(nogil=True, inline="always")
def _append(pending, held, code, length):
    """Put `length` bits behind the `held` ones at the low end of `pending`."""
    return pending << length | code, held + length


@njit(nogil=True, inline="always")
def _flush(raw, at, pending, held):
    """Store all held bits, count the whole bytes as written; fewer than 8 bits stay held."""
    store_be64(raw, at, pending << (U(64) - held))
    return at + np.int64(held >> U(3)), held & U(7)


@njit(nogil=True, inline="always")
def _coefficient(coefficients, block, k, run, c, ac, small, raw, at, pending, held):
    """F.1.2.2: one AC coefficient after `run` zeros, at most 27 bits once runs of 16 are out."""
    while run >= U(16):
        at, held = _flush(raw, at, pending, held)
        entry = U(ac[c, U(ZRL)])
        pending, held = _append(pending, held, entry >> U(5), entry & U(31))
        at, held = _flush(raw, at, pending, held)
        run -= U(16)
    value = np.int64(coefficients[block, k])
    if U(value + SMALL) < U(2 * SMALL):
        entry = U(small[c, run << U(6) | U(value) & U(63)])
        pending, held = _append(pending, held, entry >> U(5), entry & U(31))
    else:
        size = _size(value)
        entry = U(ac[c, run << U(4) | size])
        pending, held = _append(pending, held, entry >> U(5) << size | _appended(value, size), (entry & U(31)) + size)
    return at, pending, held


# These are inlined by Numba, not left to LLVM: a call would pass every field of each array through memory and count
# references, 0.3 ns a pixel.
@njit(nogil=True, inline="always")
def _block(coefficients, block, diff, c, dc, ac, small, raw, at, pending, held):
    """F.1.2.1 and F.1.2.2: one block. At most 7 bits are held on entry and on return.

    Two coefficients share a flush: 7 + 2 * 27 bits fit 64.
    """
    size = _size(diff)
    entry = U(dc[c, size])
    pending, held = _append(pending, held, entry >> U(5) << size | _appended(diff, size), (entry & U(31)) + size)
    at, held = _flush(raw, at, pending, held)
    mask = nonzero_mask(coefficients, block) & ~U(1)
    last = U(0)
    while mask:
        k = trailing_zeros(mask)
        mask &= mask - U(1)
        at, pending, held = _coefficient(
            coefficients, block, k, k - last - U(1), c, ac, small, raw, at, pending, held
        )
        last = k
        if not mask:
            break
        k = trailing_zeros(mask)
        mask &= mask - U(1)
        at, pending, held = _coefficient(
            coefficients, block, k, k - last - U(1), c, ac, small, raw, at, pending, held
        )
        last = k
        at, held = _flush(raw, at, pending, held)
    if last != U(63):
        entry = U(ac[c, U(EOB)])
        pending, held = _append(pending, held, entry >> U(5), entry & U(31))
    at, held = _flush(raw, at, pending, held)
    return at, pending, held


@njit(
    "i8(i2[:, ::1], i8[:, ::1], i8, u4[:, ::1], u4[:, ::1], u4[:, ::1], i8[::1], u1[::1])",
    nogil=True,
    cache=True,
)
def encode_mcus(coefficients, layout, mcus, dc, ac, small, state, raw):
    """Interleaved MCUs (A.2.3) → entropy-coded bits, not yet stuffed. Returns the whole bytes written.

    coefficients  (n, 64) int16, zig-zag
    layout        (components, 4) int64: first block, blocks a line, h, v
    mcus          how many, from the first of each line on
    dc, ac        (components, 256) uint32: `code_table` of each component
    small         (components, 1024) uint32: `small_table` of each component
    state         (8,) int64: pending bits, their count, then PRED of each component; carried from call to call
    raw           uint8, at least 8 + BLOCK_BYTES_MAX for every block
    """
    pending, held, at = U(state[0]), U(state[1]), np.int64(0)
    for mcu in range(mcus):
        for c in range(U(layout.shape[0])):
            h, v = layout[c, 2], layout[c, 3]
            for y in range(v):
                for x in range(h):
                    block = U(layout[c, 0] + y * layout[c, 1] + mcu * h + x)
                    value = np.int64(coefficients[block, U(0)])
                    diff = value - state[U(2) + c]
                    state[U(2) + c] = value
                    at, pending, held = _block(
                        coefficients, block, diff, c, dc, ac, small, raw, at, pending, held
                    )
    state[0], state[1] = np.int64(pending & U(255)), np.int64(held)
    return at


@njit("i8(u1[::1], i8, u1[::1])", nogil=True, cache=True)
def stuff(raw, size, out):
    """B.1.1.5: a zero byte after every 0xFF. Returns the bytes written.

    raw   uint8, size + 32 readable
    out   uint8, 2 * size + 32
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


@njit("void(i2[:, ::1], i8[:, ::1], i8, i8[::1], i8[:, :, ::1])", nogil=True, cache=True)
def count_symbols(coefficients, layout, mcus, pred, counts):
    """Add the symbols that `encode_mcus` would code to counts[component, 0 DC | 1 AC, symbol].

    pred    (components,) int64, carried from call to call
    counts  (components, 2, 256) int64
    """
    for mcu in range(mcus):
        for c in range(layout.shape[0]):
            h, v = layout[c, 2], layout[c, 3]
            for y in range(v):
                for x in range(h):
                    block = layout[c, 0] + y * layout[c, 1] + mcu * h + x
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
