"""Huffman codes for given symbol counts (T.81 K.2). A progressive image needs a dozen."""

import numpy as np

from compressor.kernels.declare import function, kernel
from compressor.kernels.lanes import local_array

CODE_LENGTH_MAX = 16
RESERVED = 256  # with a count of 1: takes the code of all ones, which no symbol may have


@function
def _rarest(left, symbols, count_of):
    """Return the index of the rarest among the first `left` of `symbols`; among equals, of the highest symbol."""
    best = 0
    for at in range(1, left):
        here, least = count_of[symbols[at]], count_of[symbols[best]]
        if here < least or (here == least and symbols[at] > symbols[best]):
            best = at
    return best


@function
def _merge(counts, sizes, symbols):
    """Compute the code length of each symbol (Figure K.1)."""
    count_of, others = local_array(257, np.int64), local_array(257, np.int64)
    used = 0
    for symbol in range(257):
        count_of[symbol] = 1 if symbol == RESERVED else counts[symbol]
        sizes[symbol], others[symbol] = 0, -1
        if count_of[symbol] > 0:
            symbols[used] = symbol
            used += 1
    left = used
    while left > 1:
        at = _rarest(left, symbols, count_of)
        first = symbols[at]
        left -= 1
        symbols[at] = symbols[left]
        second = symbols[_rarest(left, symbols, count_of)]
        # The merged tree is named after its rarer half.
        for to in range(left):
            if symbols[to] == second:
                symbols[to] = first
        count_of[first] += count_of[second]
        tail = first
        sizes[tail] += 1
        while others[tail] >= 0:
            tail = others[tail]
            sizes[tail] += 1
        others[tail] = second
        sizes[second] += 1
        while others[second] >= 0:
            second = others[second]
            sizes[second] += 1


@function
def _limit(lengths):
    """Shorten codes over 16 bits in pairs, at the cost of lengthening a shorter one (Figure K.3)."""
    for length in range(lengths.shape[0] - 1, CODE_LENGTH_MAX, -1):
        while lengths[length] > 0:
            shorter = length - 2
            while lengths[shorter] == 0:
                shorter -= 1
            lengths[length] -= 2
            lengths[length - 1] += 1
            lengths[shorter + 1] += 2
            lengths[shorter] -= 1


@kernel("i8(i8[::1], u1[::1], u1[::1])", releases_gil=False)
def best_code(counts, bits, huffval):
    """Build the code of least total length that has no code over 16 bits and none of all ones.

    counts   (256,) int64, how often each symbol occurs
    bits     (16,) uint8: out: BITS
    huffval  (256,) uint8: out: HUFFVAL

    Return the number of symbols.
    """
    sizes, symbols = local_array(257, np.int64), local_array(257, np.int64)
    _merge(counts, sizes, symbols)
    lengths = local_array(258, np.int64)
    lengths[:] = 0
    for symbol in range(257):
        lengths[sizes[symbol]] += 1
    lengths[0] = 0
    _limit(lengths)
    longest = CODE_LENGTH_MAX
    while lengths[longest] == 0 and longest > 0:
        longest -= 1
    lengths[longest] -= 1  # the reserved symbol's
    for length in range(CODE_LENGTH_MAX):
        bits[length] = lengths[length + 1]
    # Figure K.4: sorted by the length before the limit, then by symbol.
    count = 0
    for symbol in range(RESERVED):
        count += sizes[symbol] > 0
    found, length = 0, 1
    while found < count:
        for symbol in range(RESERVED):
            if sizes[symbol] == length:
                huffval[found] = symbol
                found += 1
        length += 1
    return found
