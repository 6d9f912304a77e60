"""Spectra: MCU rows of unquantized coefficients, from pixels or from a file, weighted by visual masking, quantized.

A row's coefficients are in the order of `Frame.layout`, but float32 and as `dct.fdct` leaves them. `energy` has the
results of `masking.energies` for each block.
"""

import numpy as np

from compressor.kernels import masking
from compressor.kernels.dct import SCALE, TRANSPOSED, fdct
from compressor.kernels.declare import function, kernel
from compressor.kernels.mcu_row import FLOATS, LAYOUT, SAMPLES
from compressor.kernels.quantize import dead_zone
from compressor.kernels.trellis import trellis

f32 = np.float32
PLACES = TRANSPOSED.astype(np.int64)  # of zig-zag coefficients
UNIT = SCALE.astype(np.float32)


@function
def _energies(layout, chroma, coefficients, energy):
    """Compute the energies of all components."""
    for c in range(layout.shape[0]):
        weight = masking.CHROMA if chroma and c > 0 else masking.LUMA
        masking.energies(coefficients, layout[c, 0], layout[c, 1] * layout[c, 3], weight, energy, layout[c, 0])


@kernel(f"void(({SAMPLES}, {SAMPLES}, {SAMPLES}), {LAYOUT}, {FLOATS}, {FLOATS})")
def from_planes(planes, layout, coefficients, energy):
    """Transform one MCU row of sample planes.

    planes        y (16, stride), cb and cr (8, stride) int16 Q11.4, of `sharp.sharp_planes`
    layout        (1 or 3, 4) int64 as in `Frame.layout`
    coefficients  (n, 64) float32, energy (3, n) float32: filled
    """
    y, cb, cr = planes
    for line in range(layout[0, 3]):
        fdct(y, 8 * line, layout[0, 1], coefficients, layout[0, 0] + line * layout[0, 1])
    if layout.shape[0] == 3:
        fdct(cb, 0, layout[1, 1], coefficients, layout[1, 0])
        fdct(cr, 0, layout[2, 1], coefficients, layout[2, 0])
    _energies(layout, True, coefficients, energy)


@kernel(f"void({SAMPLES}, {LAYOUT}, b1, {FLOATS}, {FLOATS}, {FLOATS})")
def from_quantized(row, layout, chroma, tables, coefficients, energy):
    """Dequantize one MCU row of a file's coefficients.

    row     (n, 64) int16, zig-zag
    chroma  whether all components but the first are chroma
    tables  (components, 64) float32, zig-zag: Q of each component

    Other parameters as in `from_planes`.
    """
    for c in range(layout.shape[0]):
        first = layout[c, 0]
        for block in range(first, first + layout[c, 1] * layout[c, 3]):
            for k in range(64):
                place = PLACES[k]
                coefficients[block, place] = f32(row[block, k]) * tables[c, k] * UNIT[place]
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


@kernel(f"void({FLOATS}, {LAYOUT}, {FLOATS}, {FLOATS}, f4[::1], {SAMPLES})")
def quantize_row(coefficients, layout, reciprocal, slope, factor, out):
    """Quantize a row by `quantize.dead_zone`."""
    for c in range(layout.shape[0]):
        first, count = layout[c, 0], layout[c, 1] * layout[c, 3]
        dead_zone(coefficients, first, count, reciprocal, slope, c, factor, first, out, first)


@kernel(f"void({FLOATS}, i8, i8, {FLOATS}, i8, f4[::1], f4, f4[::1], {FLOATS}, f4[::1], {SAMPLES})")
def trellis_part(coefficients, first, blocks, reciprocal, component, factor, weight, lengths, steps, weights, out):
    """Quantize blocks of one component by `trellis.trellis`.

    weight   lambda for a factor of 1
    lengths  (256,) float32, > 0: bits of each symbol
    steps    (>= blocks, 64) float32, weights (>= blocks,) float32: scratch
    out      (n, 64) int16, zig-zag
    """
    for block in range(blocks):
        for k in range(64):
            place = PLACES[k]
            steps[block, k] = coefficients[first + block, place] * reciprocal[component, place]
        weights[block] = weight * factor[first + block]
    trellis(steps, 0, blocks, weights, lengths, out[first : first + blocks])
