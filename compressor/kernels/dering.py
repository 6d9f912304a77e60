"""Deringing: luma samples at the ends of the range are moved beyond it, which makes coefficients smaller.

Black on white needs high frequencies to keep the white even. Decoders clamp samples: any value from 255 on is shown as
white, and any value up to 0 as black. (The idea is Kornel Lesinski's, in mozjpeg: jcdctmgr.c, preprocess_deringing,
which bends runs of white by splines.) This kernel searches for the samples whose coefficients have the least sum of
magnitudes in quantization steps. It iterates, as in projections onto convex sets:

    all AC coefficients are shrunk towards zero by a share of their step
    samples follow, nearly twice as far, but only within their bounds; all that are not extreme stay

The share falls from one iteration to the next: large ones approach the goal quickly, small ones reach it exactly.
Bounds are LIMIT beyond the range, so that a picture at an eighth of its size, which decoders make of DC alone, does
not fade. If DC's step is 1, no block's mean may leave the range, so that its category stays within T.81's Table F.1.
For AC, Table F.2 is met if all steps are 2 or more.
"""

import numpy as np

from compressor.kernels.declare import function, intrinsic, ir, kernel, types
from compressor.kernels.lanes import F32, I16, I64, load, shuffle, store, vector
from compressor.t81 import ZIGZAG

f32 = np.float32
U = np.uint64
ALL = U(0xFFFFFFFFFFFFFFFF)
WHITE, BLACK = 2032, -2048  # 255 and 0 in Q11.4, level-shifted
HALF_SAMPLE = 8  # in Q11.4: values that round to 255 or to 0 count as white or black
LIMIT = f32(64 * 16)
ITERATIONS = 16
LAST_SHARE, MORE_AT_FIRST = 0.25, 3  # of a step: from nearly 1 down to a quarter
RELAXATION = f32(1.9)  # below 2, where it would not converge
# [k][i]: the orthonormal DCT-II (T.81 A.3.3), and its transpose.
DCT = np.cos(np.outer(np.arange(8), 2 * np.arange(8) + 1) * np.pi / 16) / 2
DCT[0] /= np.sqrt(2)
FORWARD = DCT.astype(np.float32).ravel()
INVERSE = DCT.T.astype(np.float32).ravel()


def shrinkage(table: np.ndarray) -> np.ndarray:
    """Return (64,) float32, [v][u]: how much the last iteration subtracts from coefficients of Q11.4 samples.

    At [0] it is how far the mean of a block may leave the range. All are zero if no sample may move.

    table  (64,) uint16, luma's Q in zig-zag order as DQT carries it
    """
    out = np.zeros(64, np.float32)
    if table[1:].min() >= 2:
        out[ZIGZAG[1:]] = table[1:] * (16 * LAST_SHARE)
        out[0] = LIMIT if table[0] >= 2 else 0
    return out


@intrinsic
def below_mask(typing, plane, index, stride, least):
    """Return a bitmask of the samples less than `least` of the block at flat plane[index], the first one lowest."""

    def codegen(context, builder, signature, a):
        rows = []
        for r in range(8):
            at = builder.add(a[1], builder.mul(a[2], ir.Constant(I64, r)))
            rows.append(load(context, builder, signature.args[0], a[0], at, I16, 8))
        while len(rows) > 1:
            count = range(2 * rows[0].type.count)
            rows = [shuffle(builder, *rows[i : i + 2], count) for i in range(0, len(rows), 2)]
        lanes = builder.insert_element(
            ir.Constant(vector(I16, 64), ir.Undefined), builder.trunc(a[3], I16), ir.Constant(I64, 0)
        )
        lanes = shuffle(builder, lanes, lanes, [0] * 64)
        return builder.bitcast(builder.icmp_signed("<", rows[0], lanes), I64)

    return types.uint64(plane, types.intp, types.intp, types.int64), codegen


@intrinsic
def weighted_rows(typing, weights, at, rows, out):
    """Compute out[at : at + 8] = sum over l of weights[at + l] * rows[8 l : 8 l + 8], flat float32 arrays."""

    def codegen(context, builder, signature, a):
        total = ir.Constant(vector(F32, 8), None)
        for n in range(8):
            at = builder.add(a[1], ir.Constant(I64, n))
            weight = load(context, builder, signature.args[0], a[0], at, F32, 1)
            row = load(context, builder, signature.args[2], a[2], ir.Constant(I64, 8 * n), F32, 8)
            total = builder.fadd(total, builder.fmul(shuffle(builder, weight, weight, [0] * 8), row))
        store(context, builder, signature.args[3], a[3], a[1], total)
        return context.get_dummy_value()

    return types.void(weights, types.intp, rows, out), codegen


@function
def _product(a, b, out):
    """Multiply two 8x8 matrices."""
    for at in range(0, 64, 8):
        weighted_rows(a, at, b, out)


@function
def _bounds(plane, line, x, bright, dark, beyond, scratch):
    """Write the samples of a block, and the least and the most that each may become, to scratch[0], [1], [2].

    beyond  how far the mean may leave the range
    """
    whites, blacks = f32(0), f32(0)
    up = down = f32(64) * beyond  # how far the sum of all may move
    for i in range(64):
        value = f32(plane[line + i // 8, x + i % 8])
        white, black = f32((bright >> U(i)) & U(1)), f32((dark >> U(i)) & U(1))
        whites += white
        blacks += black
        up += f32(WHITE) - value
        down += value - f32(BLACK)
        for k in range(3):
            scratch[k, i] = value
    up, down = min(up / max(whites, f32(1)), LIMIT), min(down / max(blacks, f32(1)), LIMIT)
    for i in range(64):
        if (bright >> U(i)) & U(1):
            scratch[2, i] += max(up, f32(0))
        elif (dark >> U(i)) & U(1):
            scratch[1, i] -= max(down, f32(0))


@function
def _iteration(shrink, share, scratch):
    """Move the samples in scratch[0] once, within the bounds in scratch[1] and [2]; [3] to [6] are scratch."""
    sample, low, high, half, made = scratch[0], scratch[1], scratch[2], scratch[3], scratch[4]
    _product(scratch[5], sample, half)
    _product(half, scratch[6], made)
    for k in range(1, 64):
        most = shrink[k] * share
        value = made[k]
        cut = most if value > most else value  # noqa: FURB136
        cut = -most if cut < -most else cut  # noqa: FURB136
        made[k] = value - cut
    _product(scratch[6], made, half)
    _product(half, scratch[5], made)
    for i in range(64):
        value = sample[i] + RELAXATION * (made[i] - sample[i])
        value = low[i] if value < low[i] else value  # noqa: FURB136
        sample[i] = high[i] if value > high[i] else value  # noqa: FURB136


@kernel("i8(i2[:, ::1], i8, i8, i8, f4[::1], f4[:, ::1])")
def dering(plane, line, first, blocks, shrink, scratch):
    """Dering some of a line of blocks, in place. Return how many were searched; each takes up to 10 µs.

    plane          (lines, stride) int16 Q11.4, BLACK to WHITE; the blocks' first line is `line`
    first, blocks  the first of them, and how many
    shrink         (64,) float32 of `shrinkage`
    scratch        (7, 64) float32

    Blocks without extreme samples stay as they are, and so do blocks that are all black or all white.
    """
    searched, stride = 0, plane.shape[1]
    for i in range(64):
        scratch[5, i], scratch[6, i] = FORWARD[i], INVERSE[i]
    for block in range(first, first + blocks):
        at = line * stride + 8 * block
        bright = ~below_mask(plane, at, stride, WHITE - HALF_SAMPLE)
        dark = below_mask(plane, at, stride, BLACK + HALF_SAMPLE + 1)
        if bright | dark == U(0) or bright == ALL or dark == ALL:
            continue
        searched += 1
        _bounds(plane, line, 8 * block, bright, dark, shrink[0], scratch)
        for n in range(ITERATIONS):
            share = f32(ITERATIONS + MORE_AT_FIRST * (ITERATIONS - 1 - n)) / f32(ITERATIONS)
            _iteration(shrink, share, scratch)
        for i in range(64):
            plane[line + i // 8, 8 * block + i % 8] = np.int16(np.rint(scratch[0, i]))
    return searched
