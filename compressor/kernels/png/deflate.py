"""The position of the last block of a deflate stream (RFC 1951), which is needed to join streams."""

import numpy as np

from compressor.kernels.declare import function, kernel

READONLY = "const u1[::1]"  # takes writable arrays as well
WORDS = "i8[::1]"

BITS_MAX = 15  # of a code (3.2.7)
LITERALS, DISTANCES = 288, 32  # codes at most
WORK_WORDS = 2 * (BITS_MAX + 1) + LITERALS + DISTANCES + LITERALS + DISTANCES
# Extra bits of length codes 257 to 285 and of distance codes (3.2.5); the order of code length codes (3.2.7).
LENGTH_EXTRA = np.array([*[0] * 8, *[k // 4 for k in range(4, 24)], 0], np.int64)
DISTANCE_EXTRA = np.array([0, 0, *[k // 2 for k in range(28)]], np.int64)
ORDER = np.array([16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15], np.int64)
# Offsets in the work array: code counts by length and symbols in order of their codes, for both alphabets; lengths.
COUNTS, DISTANCE_COUNTS = 0, BITS_MAX + 1
SYMBOLS = 2 * (BITS_MAX + 1)
DISTANCE_SYMBOLS = SYMBOLS + LITERALS
LENGTHS = DISTANCE_SYMBOLS + DISTANCES


@function
def _bits(data, at, count):
    """Return `count` bits from bit `at` on, lowest first (3.1.1); bits after the end are 0."""
    value = 0
    for k in range(count):
        place = at + k
        if place >> 3 < data.size:
            value |= ((np.int64(data[place >> 3]) >> (place & 7)) & 1) << k
    return value


@function
def _prepare(work, first, n, counts, symbols):
    """Count the codes of each length and sort the symbols by their codes (3.2.2). Lengths: n from work[first] on."""
    for bits in range(BITS_MAX + 1):
        work[counts + bits] = 0
    for symbol in range(n):
        work[counts + work[first + symbol]] += 1
    work[counts] = 0
    start = 0
    for bits in range(1, BITS_MAX + 1):
        for symbol in range(n):
            if work[first + symbol] == bits:
                work[symbols + start] = symbol
                start += 1


@function
def _symbol(data, at, work, counts, symbols):
    """Return the next symbol and the bit after its code; symbol -1 if there is no such code."""
    code, first, index = 0, 0, 0
    for bits in range(1, BITS_MAX + 1):
        code |= _bits(data, at + bits - 1, 1)
        count = work[counts + bits]
        if code - first < count:
            return work[symbols + index + code - first], at + bits
        index += count
        first = (first + count) << 1
        code <<= 1
    return -1, at


@function
def _fixed(work):
    """Prepare the fixed Huffman codes (3.2.6)."""
    for symbol in range(LITERALS):
        work[LENGTHS + symbol] = 8 if symbol < 144 else 9 if symbol < 256 else 7 if symbol < 280 else 8
    _prepare(work, LENGTHS, LITERALS, COUNTS, SYMBOLS)
    for symbol in range(DISTANCES):
        work[LENGTHS + symbol] = 5
    _prepare(work, LENGTHS, DISTANCES, DISTANCE_COUNTS, DISTANCE_SYMBOLS)


@function
def _dynamic(data, at, work):
    """Read the dynamic Huffman codes of a block (3.2.7). Return the bit after them, or -1."""
    literals, distances, n = 257 + _bits(data, at, 5), 1 + _bits(data, at + 5, 5), 4 + _bits(data, at + 10, 4)
    at += 14
    if literals > LITERALS:
        return -1
    for k in range(19):
        work[LENGTHS + ORDER[k]] = _bits(data, at + 3 * k, 3) if k < n else 0
    at += 3 * n
    _prepare(work, LENGTHS, 19, COUNTS, SYMBOLS)
    filled = 0
    while filled < literals + distances:
        symbol, at = _symbol(data, at, work, COUNTS, SYMBOLS)
        if symbol < 0 or (symbol == 16 and not filled):
            return -1
        value, repeat = symbol, 1
        if symbol >= 16:
            value = work[LENGTHS + filled - 1] if symbol == 16 else 0
            extra = 2 if symbol == 16 else 3 if symbol == 17 else 7
            repeat = _bits(data, at, extra) + (11 if symbol == 18 else 3)
            at += extra
        if filled + repeat > literals + distances:
            return -1
        for _ in range(repeat):
            work[LENGTHS + filled] = value
            filled += 1
    # The distances first: they come after the lengths that are still needed.
    _prepare(work, LENGTHS + literals, distances, DISTANCE_COUNTS, DISTANCE_SYMBOLS)
    _prepare(work, LENGTHS, literals, COUNTS, SYMBOLS)
    return at


@function
def _skip_block(data, at, work):
    """Skip the compressed data of a block. Return the bit after it, or -1."""
    while at <= data.size * 8:
        symbol, at = _symbol(data, at, work, COUNTS, SYMBOLS)
        if symbol < 0 or symbol > 285:
            return -1
        if symbol == 256:
            return at
        if symbol > 256:
            symbol, at = _symbol(data, at + LENGTH_EXTRA[symbol - 257], work, DISTANCE_COUNTS, DISTANCE_SYMBOLS)
            if symbol < 0 or symbol > 29:
                return -1
            at += DISTANCE_EXTRA[symbol]
    return -1


@kernel(f"i8({READONLY}, {WORDS}, {WORDS})")
def last_block(data, work, place):
    """Find the block of a complete deflate stream whose BFINAL is set (3.2.3).

    data   (n,)    uint8  the stream
    work   (672,)  int64  scratch
    place  (2,)    int64  filled: the bit that is its BFINAL, and the bit after the block

    Return the number of blocks, or -1 if the stream is not complete or an array is too short.
    """
    if work.size < WORK_WORDS or place.size < 2:
        return -1
    at, blocks = np.int64(0), 0
    while at + 3 <= data.size * 8:
        begin, kind = at, _bits(data, at + 1, 2)
        at += 3
        blocks += 1
        if kind == 0:
            at = (at + 7) & ~7
            at += 32 + 8 * _bits(data, at, 16)
        elif kind == 3:
            return -1
        else:
            if kind == 1:
                _fixed(work)
            else:
                at = _dynamic(data, at, work)
            if at >= 0:
                at = _skip_block(data, at, work)
        if at < 0 or at > data.size * 8:
            return -1
        if _bits(data, begin, 1):
            place[0], place[1] = begin, at
            return blocks
    return -1
