"""The forward DCT (T.81 A.3.3) of sample planes, two 8x8 blocks a step.

The transform is the scaled one of Arai, Agui and Nakajima (Trans. IEICE E71, 1988): 5 multiplications for 8 samples.
Its outputs are scaled by known factors (`SCALE`), which quantization divides out. They are stored in the order in
which they are computed, [u][v]: horizontal frequency u first. In single-precision floats, the rounding error is below
2^-11 of S (measured: 2^-12.9 for noise, 2^-11.9 for samples that are all lowest or highest).
"""

import numpy as np

from compressor.kernels.declare import intrinsic, ir, kernel, types
from compressor.kernels.lanes import F32, I16, I32, I64, load, shuffle, splat, store, vector
from compressor.t81 import ZIGZAG

# Output k of the scaled transform is cos(k pi / 16) * sqrt(2) times too large (1 for k = 0), and all are sqrt(8) times.
AAN_SCALE = np.array([1.0] + [np.cos(k * np.pi / 16) * np.sqrt(2) for k in range(1, 8)])
# [u][v]: how many times too large the outputs are. 16: the samples are Q11.4. 8: sqrt(8) for each dimension.
SCALE = (np.outer(AAN_SCALE, AAN_SCALE) * 8 * 16).ravel()
# The place of zig-zag coefficient k in [u][v].
TRANSPOSED = ZIGZAG % 8 * 8 + ZIGZAG // 8


def _transform(builder, d):
    """Transform eight vectors to eight vectors, each lane by itself."""
    add, sub = builder.fadd, builder.fsub

    def times(x, k):
        return builder.fmul(x, splat(F32, 8, k))

    s0, s1, s2, s3 = (add(d[i], d[7 - i]) for i in range(4))
    d0, d1, d2, d3 = (sub(d[i], d[7 - i]) for i in range(4))
    e0, e3, e1, e2 = add(s0, s3), sub(s0, s3), add(s1, s2), sub(s1, s2)
    z1 = times(add(e2, e3), 0.7071067811865476)  # cos(4 pi / 16)
    f0, f1, f2 = add(d3, d2), add(d2, d1), add(d1, d0)
    z5 = times(sub(f0, f2), 0.3826834323650898)  # cos(6 pi / 16)
    z2 = add(times(f0, 0.541196100146197), z5)  # cos(2 pi / 16) - cos(6 pi / 16)
    z4 = add(times(f2, 1.306562964876377), z5)  # cos(2 pi / 16) + cos(6 pi / 16)
    z3 = times(f1, 0.7071067811865476)
    g, h = add(d0, z3), sub(d0, z3)
    return [add(e0, e1), add(g, z4), add(e3, z1), sub(h, z2), sub(e0, e1), add(h, z2), sub(e3, z1), sub(g, z4)]


def transpose(builder, rows):
    """Transpose 8x8 in 24 two-input shuffles."""
    for low, high, step in (
        ((0, 8, 1, 9, 4, 12, 5, 13), (2, 10, 3, 11, 6, 14, 7, 15), 1),
        ((0, 1, 8, 9, 4, 5, 12, 13), (2, 3, 10, 11, 6, 7, 14, 15), 2),
        ((0, 1, 2, 3, 8, 9, 10, 11), (4, 5, 6, 7, 12, 13, 14, 15), 4),
    ):
        out = [None] * 8
        for i in range(8):
            if not i & step:
                out[i], out[i + step] = (shuffle(builder, rows[i], rows[i + step], lanes) for lanes in (low, high))
        rows = out
    return [rows[i] for i in (0, 2, 1, 3, 4, 6, 5, 7)]


def _samples(context, builder, array_type, array, index, stride):
    """Load the eight lines of a block as float vectors."""
    rows = []
    for r in range(8):
        at = builder.add(index, builder.mul(stride, ir.Constant(I64, r)))
        line = load(context, builder, array_type, array, at, I16, 8)
        rows.append(builder.sitofp(builder.sext(line, vector(I32, 8)), vector(F32, 8)))
    return rows


def _interleaved_blocks(count):
    """Return code for `count` adjacent blocks whose stages are interleaved."""

    def codegen(context, builder, signature, a):
        def each(base, step):
            return [builder.add(base, ir.Constant(I64, step * i)) for i in range(count)]

        blocks = [_samples(context, builder, signature.args[0], a[0], index, a[2]) for index in each(a[1], 8)]
        for stage in (_transform, transpose, _transform):  # [y], lanes x → [u], lanes v
            blocks = [stage(builder, block) for block in blocks]
        for columns, to in zip(blocks, each(a[4], 64), strict=True):
            for u, column in enumerate(columns):
                store(context, builder, signature.args[3], a[3], builder.add(to, ir.Constant(I64, 8 * u)), column)
        return context.get_dummy_value()

    return codegen


@intrinsic
def fdct_one(typing, plane, index, stride, out, to):
    """Transform the block at flat plane[index] to 64 coefficients, [u][v] and SCALE times too large, at flat out[to].

    plane  int16 Q11.4, `stride` samples a line
    out    float32
    """
    return types.void(plane, types.intp, types.intp, out, types.intp), _interleaved_blocks(1)


@intrinsic
def fdct_two(typing, plane, index, stride, out, to):
    """Transform two adjacent blocks as `fdct_one` does.

    A single one waits for its own results most of the time: 29 ns a block with quantization, 22 ns in pairs, no less in
    threes and fours.
    """
    return types.void(plane, types.intp, types.intp, out, types.intp), _interleaved_blocks(2)


@kernel("void(i2[:, ::1], i8, i8, f4[:, ::1], i8)")
def fdct(plane, line, blocks, out, first):
    """Transform a line of blocks.

    plane  (lines, stride) int16 Q11.4; the blocks' first line is `line`, stride >= 8 * blocks
    out    (n, 64) float32, [u][v], SCALE times too large; filled from block `first` on
    """
    stride = plane.shape[1]
    at, to = line * stride, 64 * first
    for block in range(0, blocks - 1, 2):
        fdct_two(plane, at + 8 * block, stride, out, to + 64 * block)
    if blocks % 2:
        block = blocks - 1
        fdct_one(plane, at + 8 * block, stride, out, to + 64 * block)
