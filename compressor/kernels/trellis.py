"""Quantization by a rate-distortion trellis: each block's AC coefficients get the values with the least

    sum over k = 1 .. 63 of d(k)  +  weight * bits
        d(k) = (|x[k]| - |v[k]|)^2,  or ZEROING * x[k]^2 where v[k] = 0
        bits = those of the block's symbols run << 4 | ssss, ZRL, EOB (T.81 F.1.2.2) and of the ssss bits after each

With m = |x[k]| rounded, three values are tried for x[k]: zero; m; and the largest value of one size less, if it exists
(m - 1 of the same size is never better than m). For m = 0 only zero is tried.

The trellis is the usual one (Ramchandran and Vetterli, IEEE Trans. Image Processing 3(5), 1994; mozjpeg's
jcdctmgr.c): its states are the positions of the last non-zero value so far, and costs are relative to a block of
zeros. A coefficient with m = 0 is no state, and a state is dropped when a later one is at least as good for every
continuation: 1.3 to 1.9 are left on average. The result is optimal apart from the rounding of float32.

Tried, without success: the two latest states without branches (up to 8 % slower); costs in bits, which saves
multiplications (0 %); no state if an earlier one is at least as good for every continuation (2 to 5 % slower).
"""

import numpy as np

from compressor.kernels.declare import inlined, intrinsic, ir, kernel, types
from compressor.kernels.lanes import F32, I64, call, leading_zeros, load, local_array, splat, trailing_zeros, vector
from compressor.t81 import EOB, SSSS_AC_MAX, ZRL

U = np.uint64
F = np.float32
ZEROING = F(1.1)  # a coefficient that becomes zero is more visible than an equal error in one that does not
LARGEST = F((1 << SSSS_AC_MAX) - 1)
NO_CODE = F(1e30)  # bits of a value without a symbol; finite, as weight may be 0
RATES, MARGINS = 1024, 64  # lengths of the tables of `rates`


@intrinsic
def above_half_mask(typing, blocks, block):
    """Return a bitmask of the 64 coefficients from flat [64 block] on of a float32 array whose magnitude is above 1/2,
    coefficient 0 lowest."""

    def codegen(context, builder, signature, arguments):
        index = builder.mul(arguments[1], ir.Constant(I64, 64))
        values = load(context, builder, signature.args[0], arguments[0], index, F32, 64)
        values = call(builder, "llvm.fabs.v64f32", vector(F32, 64), [values])
        return builder.bitcast(builder.fcmp_ordered(">", values, splat(F32, 64, 0.5)), I64)

    return types.uint64(blocks, types.intp), codegen


@kernel("void(f4[::1], f4[::1], f4[::1])")
def rates(lengths, rate, margin):
    """Fill the lookup tables of the trellis.

    lengths  (256,) float32, > 0: bits of each symbol run << 4 | ssss, without the ssss bits that follow
    rate     (RATES,) float32: [16 distance + ssss] bits of a coefficient of that size `distance` after the one before
             it: ZRLs, symbol, ssss bits; NO_CODE for ssss = 0. [0] bits of EOB
    margin   (MARGINS,) float32: [d] least number of additional bits of a continuation from a state that is `d` farther
             back; negative if the code of a longer run is shorter
    """
    for i in range(16):
        rate[i] = lengths[EOB]
    for distance in range(1, 64):
        run = distance - 1
        zrls = F(run >> 4) * lengths[ZRL]
        rate[16 * distance] = NO_CODE
        for ssss in range(1, SSSS_AC_MAX + 1):
            rate[16 * distance + ssss] = zrls + lengths[(run & 15) << 4 | ssss] + F(ssss)
    for d in range(16):
        margin[d] = NO_CODE
    for ssss in range(1, SSSS_AC_MAX + 1):
        for distance in range(1, 17):  # as for those 16, 32, 48 larger
            for d in range(16):
                more = rate[16 * (distance + d) + ssss] - rate[16 * distance + ssss]
                margin[d] = min(margin[d], more)
    for d in range(16, 64):
        margin[d] = margin[d - 16] + lengths[ZRL]


@inlined
def last_of_best(x, mask, weight, rate, margin, prev, value, position, cost):
    """Find the best values of a block. Return the last non-zero position; 0 if all are zero.

    mask      coefficients of the block that may be non-zero
    prev      (64,) uint64: for each of them, the previous one on the best path
    value     (64,) int16: and its magnitude
    position  (64,) uint64, cost (64,) float32: scratch, the states after `base` that may still continue

    Costs are relative to `base`, the earliest state that is left, so that large earlier values take no precision.
    """
    end_of_block = rate[0]
    least, last = weight * end_of_block, U(0)
    base, states = U(0), U(0)
    while mask:
        k = trailing_zeros(mask)
        mask &= mask - U(1)
        magnitude = abs(x[k])
        rounded = min(np.rint(magnitude), LARGEST)
        high = np.int64(rounded)
        ssss = U(64) - leading_zeros(U(high))
        low = (np.int64(1) << np.int64(ssss - U(1))) - 1  # 0 if high is 1: NO_CODE keeps it from being chosen
        before = before_low = base
        at = ((k - base) << U(4)) + ssss
        of_high, of_low = weight * rate[at], weight * rate[at - U(1)]
        state = states
        while state > U(0):
            state -= U(1)
            at = ((k - position[state]) << U(4)) + ssss
            other, other_low = cost[state] + weight * rate[at], cost[state] + weight * rate[at - U(1)]
            before = position[state] if other < of_high else before
            before_low = position[state] if other_low < of_low else before_low
            of_high, of_low = min(other, of_high), min(other_low, of_low)
        of_high += (magnitude - rounded) * (magnitude - rounded)
        of_low += (magnitude - F(low)) * (magnitude - F(low))
        prev[k] = before_low if of_low < of_high else before
        value[k] = low if of_low < of_high else high
        total = min(of_low, of_high) - ZEROING * magnitude * magnitude
        ended = total + (weight * end_of_block if k < U(63) else F(0))
        last = k if ended < least else last
        least = min(ended, least)
        while states > U(0) and total <= cost[states - U(1)] + weight * margin[k - position[states - U(1)]]:
            states -= U(1)
        if states == U(0) and total <= weight * margin[k - base]:
            least -= total
            base = k
        else:
            position[states], cost[states] = k, total
            states += U(1)
    return last


@inlined
def trellis_block(x, weight, rate, margin, prev, value, position, cost, out, to):
    """Quantize `x` (64,) to row `to` of `out`, see `trellis`; for scratch see `last_of_best`."""
    for k in range(64):
        out[to, k] = 0
    out[to, 0] = np.int16(np.rint(x[0]))
    mask = above_half_mask(x, 0) & ~U(1)
    if mask == U(0):
        return
    k = last_of_best(x, mask, weight, rate, margin, prev, value, position, cost)
    while k:
        out[to, k] = value[k] if x[k] > 0 else -value[k]
        k = prev[k]


@kernel("void(f4[:, ::1], i8, i8, f4[::1], f4[::1], f4[::1], i2[:, ::1])")
def trellis(x, first, blocks, weight, rate, margin, out):
    """Quantize the blocks first .. first + blocks - 1. A block takes up to 5 µs, in photographs less than one.

    x             (n, 64) float32, zig-zag: coefficient / quantization step
    weight        (n,) float32, >= 0: lambda of each block
    rate, margin  of `rates`
    out           (n, 64) int16, zig-zag: DC rounded, ties to even; |AC| <= 1023 (Table F.2)
    """
    prev, value = local_array(64, np.uint64), local_array(64, np.int16)
    position, cost = local_array(64, np.uint64), local_array(64, F)
    for block in range(first, first + blocks):
        trellis_block(x[block], weight[block], rate, margin, prev, value, position, cost, out, block)
