"""Spectra: MCU rows of unquantized coefficients, from pixels or from a file, weighted by visual masking, quantized.

A row is quantized when the one below it is known, on which the masking factors depend. `requantize` and
`quantize_pixels` do all this for a slab, with a dead zone or by the trellis. They return after PART_MICROSECONDS, as
estimated, and continue where they were if they are called again.

A row's coefficients are in the order of `Frame.layout`, but float32 and as `dct.fdct` leaves them. `energy` has the
results of `masking.energies` for each block.
"""

import numpy as np

from compressor.kernels import masking
from compressor.kernels.color import PIXELS
from compressor.kernels.dct import SCALE, TRANSPOSED, fdct
from compressor.kernels.declare import function, intrinsic, ir, kernel, types
from compressor.kernels.dering import dering
from compressor.kernels.huffman_encode import blocks_of
from compressor.kernels.lanes import F32, I16, I32, I64, load, local_array, shuffle, store, vector
from compressor.kernels.mcu_row import FLOATS, LAYOUT, SAMPLES
from compressor.kernels.quantize import dead_zone
from compressor.kernels.sharp import sharp_planes
from compressor.kernels.trellis import trellis_block

f32 = np.float32
PLACES = TRANSPOSED.astype(np.int64)  # of zig-zag coefficients
UNIT = SCALE.astype(np.float32)
ZIGZAGS = TRANSPOSED.argsort()  # of places
SPECTRA = f"({FLOATS}, {FLOATS}, {FLOATS}, {FLOATS})"  # two rows: coefficients and energy of each
MEANS = f"({FLOATS}, {FLOATS}, {FLOATS}, f4[::1])"  # above and below, scratch and out of `factors`

# y, cb, cr, and scratch, of `sharp.sharp_planes`; shrink and scratch of `dering.dering`
SHARP = f"({SAMPLES}, {SAMPLES}, {SAMPLES}, u1[:, ::1], {FLOATS}, f4[::1], {FLOATS})"
# reciprocal and slope of `quantize.dead_zone`; weight, rate and margin of the trellis
ADAPTIVE = f"({FLOATS}, {FLOATS}, f4[::1], {FLOATS}, {FLOATS})"

# state of `requantize` and `quantize_pixels`: int64 (STATE,), carried from call to call
WAITING = 0  # 1: a row has not been quantized yet
SLOT = 1  # the one of the two rows of `spectra` that is free
LAST = 2  # 1: no row follows
TOP, ROWS = 3, 4  # of pixels: the first line of the first MCU row, and how many MCU rows there are
ROW, WRITTEN = 5, 6  # rows of the slab whose spectra are made, and rows of `out` that are filled
STEP, AT = 7, 8  # what is done of the next row, see below; and the first block for which the next step is not
LEFT = 9  # microseconds of this part
STATE = 10
PLANES, SPECTRUM, FACTORS = 1, 2, 3  # the last is of the row that waits

PART_MICROSECONDS = 10_000
# On a core of 3 GHz with AVX2; of spectra and factors half a microsecond a block
TRELLIS_MICROSECONDS, DERING_MICROSECONDS = 4, 2


@function
def _energies(layout, chroma, coefficients, energy):
    """Compute the energies of all components."""
    for c in range(layout.shape[0]):
        weight = masking.CHROMA if chroma and c > 0 else masking.LUMA
        masking.energies(coefficients, layout[c, 0], layout[c, 1] * layout[c, 3], weight, energy, layout[c, 0])


@function
def _transform(y, cb, cr, layout, coefficients, energy):
    """Transform one MCU row of sample planes: y (8 v, stride), cb and cr (8, stride) int16 Q11.4."""
    for line in range(layout[0, 3]):
        fdct(y, 8 * line, layout[0, 1], coefficients, layout[0, 0] + line * layout[0, 1])
    if layout.shape[0] == 3:
        fdct(cb, 0, layout[1, 1], coefficients, layout[1, 0])
        fdct(cr, 0, layout[2, 1], coefficients, layout[2, 0])
    _energies(layout, True, coefficients, energy)


@intrinsic
def dequantize_block(typing, slab, block, tables, row, coefficients, to):
    """Multiply block `block` of a (n, 64) int16 array, zig-zag, by row `row` of `tables` and by UNIT, to block `to` of
    a (m, 64) float32 array, [u][v]."""

    def codegen(context, builder, signature, a):
        sixty_four = ir.Constant(I64, 64)
        quantized = load(context, builder, signature.args[0], a[0], builder.mul(a[1], sixty_four), I16, 64)
        for u in range(8):
            column = shuffle(builder, quantized, quantized, [int(k) for k in ZIGZAGS[8 * u : 8 * u + 8]])
            column = builder.sitofp(builder.sext(column, vector(I32, 8)), vector(F32, 8))
            at = builder.add(builder.mul(a[3], sixty_four), ir.Constant(I64, 8 * u))
            q = load(context, builder, signature.args[2], a[2], at, F32, 8)
            unit = ir.Constant(vector(F32, 8), [float(scale) for scale in UNIT[8 * u : 8 * u + 8]])
            column = builder.fmul(builder.fmul(column, q), unit)
            at = builder.add(builder.mul(a[5], sixty_four), ir.Constant(I64, 8 * u))
            store(context, builder, signature.args[4], a[4], at, column)
        return context.get_dummy_value()

    return types.void(slab, types.intp, tables, types.intp, coefficients, types.intp), codegen


@function
def _dequantize(slab, row, layout, chroma, tables, coefficients, energy):
    """Dequantize the MCU row of a slab that begins at block `row`."""
    for c in range(layout.shape[0]):
        first = layout[c, 0]
        for block in range(first, first + layout[c, 1] * layout[c, 3]):
            dequantize_block(slab, row + block, tables, c, coefficients, block)
    _energies(layout, chroma, coefficients, energy)


@function
def _contrast(upper, middle, lower, blocks, out):
    """Compute the standard deviation of DC, 8 times the mean, over 3 x 3 blocks. Blocks at the edge are repeated."""
    for i in range(blocks):
        left, right = max(i - 1, 0), min(i + 1, blocks - 1)
        total = squares = f32(0)
        for line in (upper, middle, lower):
            for j in (left, i, right):
                d = line[j] - middle[i]
                total += d
                squares += d * d
        variance = squares / f32(9) - total * total / f32(81)
        out[i] = f32(8) * np.sqrt(max(variance, f32(0)))


@function
def _mean_luma(layout, c, mean, out):
    """Compute the mean luma at the position of each block of a component; middle grey if the grids do not match."""
    h, v = layout[0, 2] // layout[c, 2], layout[0, 3] // layout[c, 3]
    matching = h * layout[c, 2] == layout[0, 2] and v * layout[c, 3] == layout[0, 3]
    for line in range(layout[c, 3]):
        for i in range(layout[c, 1]):
            total = f32(0)
            for y in range(line * v, line * v + v):
                for x in range(i * h, i * h + h):
                    total += mean[layout[0, 0] + y * layout[0, 1] + x]
            out[line * layout[c, 1] + i] = total / f32(h * v) if matching else f32(128)


@kernel(f"void({LAYOUT}, b1, {FLOATS}, {FLOATS}, {FLOATS}, {FLOATS}, f4[::1])")
def factors(layout, chroma, above, energy, below, scratch, out):
    """Compute the masking factor of each block of a row, see `masking`.

    above, below  (components, blocks a line) float32: mean samples of the lines of blocks before and after the row
    scratch       (2, n) float32
    out           (n,) float32
    """
    for c in range(layout.shape[0]):
        first, across, down = layout[c, 0], layout[c, 1], layout[c, 3]
        count = across * down
        if chroma and c > 0:
            other = layout[3 - c, 0]
            same = layout[1, 2] == layout[2, 2] and layout[1, 3] == layout[2, 3]
            _mean_luma(layout, c, energy[2], scratch[0])
            masking.chroma(energy, first, other if same else first, count, scratch[0], out[first : first + count])
            continue
        for line in range(down):
            at = first + line * across
            upper = above[c] if line == 0 else energy[2, at - across : at]
            lower = below[c] if line == down - 1 else energy[2, at + across : at + 2 * across]
            _contrast(upper, energy[2, at : at + across], lower, across, scratch[0, line * across :])
        masking.luma(energy, first, scratch[0], count, out[first : first + count])


@function
def _quantize_row(coefficients, layout, quantization, factor, out, to):
    """Quantize a row by `quantize.dead_zone` to the blocks from `to` on."""
    for c in range(layout.shape[0]):
        first, count = layout[c, 0], layout[c, 1] * layout[c, 3]
        dead_zone(coefficients, first, count, quantization, c, factor, first, out, to + first)


@function
def _line(layout, energy, last, out):
    """Copy the means of the first or the last line of blocks of each component."""
    for c in range(layout.shape[0]):
        across = layout[c, 1]
        at = layout[c, 0] + ((layout[c, 3] - 1) * across if last else 0)
        for i in range(across):
            out[c, i] = energy[2, at + i]


@function
def _search(layout, quantization, coefficients, factor, state, out):
    """Quantize blocks of the row that waits by the trellis, from block state[AT] on. Return whether all are done."""
    reciprocal, _, weight, rate, margin = quantization
    to = state[WRITTEN] * blocks_of(layout)
    steps = local_array(64, f32)
    prev, value = local_array(64, np.uint64), local_array(64, np.int16)
    position, cost = local_array(64, np.uint64), local_array(64, f32)
    for c in range(layout.shape[0]):
        first, stop = max(layout[c, 0], state[AT]), layout[c, 0] + layout[c, 1] * layout[c, 3]
        if first >= stop:
            continue
        end = min(stop, first + max(state[LEFT], 0) // TRELLIS_MICROSECONDS)
        for block in range(first, end):
            for k in range(64):
                place = PLACES[k]
                steps[k] = coefficients[block, place] * reciprocal[c, place]
            trellis_block(
                steps, weight[c] * factor[block], rate[c], margin[c], prev, value, position, cost, out, to + block
            )
        if end < stop:
            state[AT], state[LEFT] = end, 0
            return False
        state[LEFT] -= (stop - first) * TRELLIS_MICROSECONDS
    return True


@function
def _quantize_waiting(layout, chroma, quantization, spectra, means, follows, state, out):
    """Quantize the row that waits, if there is one, to row state[WRITTEN] of `out`. The row below it is in the free
    slot, if one follows. Return whether it is done."""
    above, below, scratch, factor = means
    coefficients, energy, energy_below = spectra[2], spectra[3], spectra[1]
    if state[SLOT] == 1:
        coefficients, energy, energy_below = spectra[0], spectra[1], spectra[3]
    if state[WAITING] == 0:
        _line(layout, energy_below, False, above)
        return True
    if state[STEP] != FACTORS:
        if follows:
            _line(layout, energy_below, False, below)
        else:
            _line(layout, energy, True, below)
        factors(layout, chroma, above, energy, below, scratch, factor)
        state[STEP], state[AT] = FACTORS, 0
    if quantization[2].shape[0] == 0:
        to = state[WRITTEN] * blocks_of(layout)
        _quantize_row(coefficients, layout, (quantization[0], quantization[1]), factor, out, to)
    elif not _search(layout, quantization, coefficients, factor, state, out):
        return False
    _line(layout, energy, True, above)
    state[WRITTEN] += 1
    return True


@function
def _advance(layout, chroma, quantization, spectra, means, state, out):
    """Quantize the row that waits, if there is one; the one in the free slot waits from now on. Return whether it is
    done."""
    if not _quantize_waiting(layout, chroma, quantization, spectra, means, True, state, out):
        return False
    state[WAITING], state[SLOT], state[STEP] = 1, 1 - state[SLOT], 0
    state[ROW] += 1
    return True


@function
def _finish(layout, chroma, quantization, spectra, means, state, out):
    """Quantize the last row of the image if it waits and `out` has room for it. Return the number of rows in `out`; -1
    if it is not done."""
    if state[LAST] and state[WAITING] and state[WRITTEN] * blocks_of(layout) < out.shape[0]:
        if not _quantize_waiting(layout, chroma, quantization, spectra, means, False, state, out):
            return -1
        state[WAITING] = state[STEP] = 0
    written = state[WRITTEN]
    state[ROW] = state[WRITTEN] = 0
    return written


@function
def _make_spectrum(layout, coefficients, energy, sharp, state):
    """Dering the planes of a row from luma block state[AT] on, and transform them. Return whether it is done."""
    y, cb, cr, _, _, shrink, scratch = sharp
    across = layout[0, 1]
    blocks = across * layout[0, 3] if shrink[1] > 0 else 0
    while state[AT] < blocks:
        line, first = state[AT] // across, state[AT] % across
        count = min(across - first, max(state[LEFT], 0) // DERING_MICROSECONDS)
        if count == 0:
            return False
        state[LEFT] -= dering(y, 8 * line, first, count, shrink, scratch) * DERING_MICROSECONDS
        state[AT] += count
    _transform(y, cb, cr, layout, coefficients, energy)
    state[STEP] = SPECTRUM
    return True


@kernel(f"i8({SAMPLES}, {LAYOUT}, b1, {FLOATS}, {ADAPTIVE}, {SPECTRA}, {MEANS}, i8[::1], {SAMPLES})")
def requantize(slab, layout, chroma, tables, quantization, spectra, means, state, out):
    """Dequantize the rows of a slab, and quantize those whose next row is known. Return how many these are; -1 if more
    is left to do than in PART_MICROSECONDS: call again with the same arguments.

    The first of them is the last row of the slab before. If state[LAST] is 1, the last row of this slab is quantized
    as well, if `out` has room for it; else it stays WAITING, for a call with an empty slab.

    slab          (n, 64) int16, zig-zag
    layout        (components, 4) int64 as in `Frame.layout`
    chroma        whether all components but the first are chroma
    tables        (components, 64) float32, [u][v]: Q of each component
    quantization  reciprocal and slope (components, 64) as in `quantize.dead_zone`; for the trellis weight (components,)
                  float32, lambda for a factor of 1, and each component's tables of `trellis.rates`. These three are
                  empty if there is a dead zone
    spectra       for each of two rows coefficients (n, 64) and energy (3, n) float32
    means         above, below, scratch and out of `factors`
    state         (STATE,) int64, zeros before the first slab
    out           (m, 64) int16, zig-zag: a slab, with room for as many rows as `slab` has
    """
    blocks = blocks_of(layout)
    state[LEFT] = PART_MICROSECONDS
    while state[ROW] < slab.shape[0] // blocks:
        if state[LEFT] <= 0:
            return -1
        if state[STEP] == 0:
            coefficients, energy = spectra[0], spectra[1]
            if state[SLOT] == 1:
                coefficients, energy = spectra[2], spectra[3]
            _dequantize(slab, state[ROW] * blocks, layout, chroma, tables, coefficients, energy)
            state[STEP] = SPECTRUM
            state[LEFT] -= blocks // 2
        if not _advance(layout, chroma, quantization, spectra, means, state, out):
            return -1
    return _finish(layout, chroma, quantization, spectra, means, state, out)


@kernel(f"i8({PIXELS}, {LAYOUT}, {SHARP}, {ADAPTIVE}, {SPECTRA}, {MEANS}, i8[::1], {SAMPLES})")
def quantize_pixels(pixels, layout, sharp, quantization, spectra, means, state, out):
    """Transform MCU rows of pixels, and quantize those whose next row is known, as `requantize` does.

    pixels  (lines, width * channels) uint8, grey or RGB: state[ROWS] MCU rows from line state[TOP] on, and
            `sharp.MARGIN` lines above and below them, fewer only at the edges of the image
    sharp   y, cb, cr, bands and chroma of `sharp.sharp_planes`; shrink and scratch of `dering.dering`, with a shrink of
            zeros for none
    out     (m, 64) int16, zig-zag: a slab, with room for state[ROWS] rows

    Other parameters as in `requantize`.
    """
    blocks, chroma = blocks_of(layout), layout.shape[0] == 3
    y, cb, cr, bands, scratch, _, _ = sharp
    state[LEFT] = PART_MICROSECONDS
    while state[ROW] < state[ROWS]:
        if state[LEFT] <= 0:
            return -1
        coefficients, energy = spectra[0], spectra[1]
        if state[SLOT] == 1:
            coefficients, energy = spectra[2], spectra[3]
        if state[STEP] == 0:
            top = state[TOP] + state[ROW] * 8 * layout[0, 3]
            sharp_planes(pixels, top, layout, y, cb, cr, bands, scratch)
            state[STEP], state[AT] = PLANES, 0
            state[LEFT] -= blocks // 2
        if state[STEP] == PLANES and not _make_spectrum(layout, coefficients, energy, sharp, state):
            return -1
        if not _advance(layout, chroma, quantization, spectra, means, state, out):
            return -1
    return _finish(layout, chroma, quantization, spectra, means, state, out)
