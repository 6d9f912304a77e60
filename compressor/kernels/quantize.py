"""Quantization with a dead zone. (T.81 A.3.4 specifies the divisor, not the rounding.)

An AC coefficient below `0.5 + factor * slope` steps becomes zero, all others are rounded. The factor is the block's
own: large where error is masked, see `masking`. With slopes of zero it is plain rounding.

Coefficients are those of the DCT: float32, [u][v], scaled; the reciprocals undo the scale.
"""

import numpy as np

from compressor.kernels.dct import SCALE, TRANSPOSED
from compressor.kernels.declare import intrinsic, ir, kernel, types
from compressor.kernels.lanes import F32, I16, I32, I64, call, load, shuffle, splat, store, vector


def reciprocals(table: np.ndarray) -> np.ndarray:
    """Return the factors that quantize the transform's outputs: (64,) float32, [u][v].

    table  (64,) uint16, Q in zig-zag order as DQT carries it
    """
    q = np.empty(64)
    q[TRANSPOSED] = table
    return (1 / (q * SCALE)).astype(np.float32)


def _narrowed(builder, a, b):
    """Join two vectors of int32 to one of int16. Values fit; clamping lets LLVM make one packssdw of it."""
    both = shuffle(builder, a, b, range(16))
    low, high = splat(I32, 16, -32768), splat(I32, 16, 32767)
    both = builder.select(builder.icmp_signed(">", both, low), both, low)
    both = builder.select(builder.icmp_signed("<", both, high), both, high)
    return builder.trunc(both, vector(I16, 16))


def _spread(builder, value):
    """Return a float in all eight lanes."""
    lanes = builder.insert_element(ir.Constant(vector(F32, 8), ir.Undefined), value, ir.Constant(I32, 0))
    return shuffle(builder, lanes, lanes, [0] * 8)


@intrinsic
def quantize_block(typing, coefficients, at, reciprocal, slope, row, factor, out, to):
    """Quantize 64 coefficients at flat [at] to int16 in zig-zag order at flat out[to].

    reciprocal, slope  as in `dead_zone`; the component's row begins at flat [row]
    """

    def codegen(context, builder, signature, a):
        half, factor = splat(F32, 8, 0.5), _spread(builder, a[5])
        zero = ir.Constant(vector(F32, 8), None)
        columns = []
        for u in range(8):
            offset = ir.Constant(I64, 8 * u)
            c = load(context, builder, signature.args[0], a[0], builder.add(a[1], offset), F32, 8)
            r = load(context, builder, signature.args[2], a[2], builder.add(a[4], offset), F32, 8)
            d = load(context, builder, signature.args[3], a[3], builder.add(a[4], offset), F32, 8)
            steps = builder.fmul(c, r)
            magnitude = call(builder, "llvm.fabs.v8f32", vector(F32, 8), [steps])
            least = builder.fadd(half, builder.fmul(d, factor))
            steps = builder.select(builder.fcmp_ordered("<", magnitude, least), zero, steps)
            columns.append(call(builder, "llvm.lrint.v8i32.v8f32", vector(I32, 8), [steps]))
        parts = [_narrowed(builder, *columns[u : u + 2]) for u in range(0, 8, 2)]
        halves = [shuffle(builder, *parts[i : i + 2], range(32)) for i in (0, 2)]
        zigzag = shuffle(builder, *halves, [int(k) for k in TRANSPOSED])
        store(context, builder, signature.args[6], a[6], a[7], zigzag)
        return context.get_dummy_value()

    arguments = (coefficients, types.intp, reciprocal, slope, types.intp, types.float32, out, types.intp)
    return types.void(*arguments), codegen


QUANTIZATION = "(f4[:, ::1], f4[:, ::1])"  # reciprocal, slope


@kernel(f"void(f4[:, ::1], i8, i8, {QUANTIZATION}, i8, f4[::1], i8, i2[:, ::1], i8)")
def dead_zone(coefficients, first, blocks, quantization, component, factor, at, out, to):
    """Quantize `blocks` blocks.

    coefficients  (n, 64) float32 as `dct.fdct` leaves them; from block `first` on
    quantization  reciprocal (components, 64) float32: `reciprocals` of each component's table;
                  slope (components, 64) float32, [u][v], 0 for DC
    factor        (n,) float32; from [at] on
    out           (n, 64) int16, zig-zag; filled from block `to` on
    """
    reciprocal, slope = quantization
    for block in range(blocks):
        quantize_block(
            coefficients, 64 * (first + block), reciprocal, slope, 64 * component,
            factor[at + block], out, 64 * (to + block),
        )  # fmt: skip
