"""Sums of SSIMULACRA2's error maps over two pictures, line by line, at all scales in lockstep.

A line becomes linear light, then Y, X and B - Y, as many of them as count at its scale. The last nine lines of a scale
are kept in a ring, since its blur has nine taps; lines outside the picture are zeros. Two lines of a scale make one of
the next, by means of 2 x 2 in linear light.

Each scale has a row of `plan`:

    WIDTH, HEIGHT  in pixels
    LINE           lines that were added
    COUNT          components that count: none; Y; Y and X; Y, X and B - Y
    LIGHT, STRIDE  flat index in `light` of two lines of two pictures, each of one or three planes of STRIDE
    RING           flat index in `ring`: by component and 8 pixels, ROWS times p and e of 8 pixels
"""

import numpy as np

from compressor.kernels.declare import function, kernel
from compressor.kernels.lanes import local_array
from compressor.kernels.ssimulacra2_lanes import (
    BLOCK,
    LANES,
    MAPS,
    ROWS,
    SEGMENT,
    SLOT,
    SUMS_STRIDE,
    components_lanes,
    half_lanes,
    maps_lanes,
    vertical_lanes,
)

WIDTH, HEIGHT, LINE, COUNT, LIGHT, STRIDE, RING = range(7)
FIELDS = 7
MARGIN = ROWS // 2
SUMS_SIZE = 4 * SUMS_STRIDE
TOTALS_SIZE = MAPS * LANES


@function
def _to_light(pixels, line, planes, table, light, to, stride):
    """Write one line of pixels as linear light to `planes` planes from light[to] on."""
    width = pixels.shape[1] // planes
    if planes == 1:
        for x in range(width):
            light[to + x] = table[pixels[line, x]]
        return
    for x in range(width):
        light[to + x] = table[pixels[line, 3 * x]]
        light[to + stride + x] = table[pixels[line, 3 * x + 1]]
        light[to + 2 * stride + x] = table[pixels[line, 3 * x + 2]]


@function
def _to_ring(plan, scale, planes, light, ring, slot):
    """Write the components of a scale's newest line to a slot of its ring, zeros beyond its width."""
    width, stride, count = plan[scale, WIDTH], plan[scale, STRIDE], plan[scale, COUNT]
    if count == 0:
        return
    blocks = (width + LANES - 1) // LANES
    apart = blocks * BLOCK
    a = plan[scale, LIGHT] + plan[scale, LINE] % 2 * 2 * planes * stride
    b = a + planes * stride
    to = plan[scale, RING] + slot * SLOT
    for block in range(blocks):
        x, at = block * LANES, to + block * BLOCK
        if planes == 1:
            components_lanes(1, 1, light, a + x, b + x, stride, ring, at, apart)
        elif count == 1:
            components_lanes(3, 1, light, a + x, b + x, stride, ring, at, apart)
        elif count == 2:
            components_lanes(3, 2, light, a + x, b + x, stride, ring, at, apart)
        else:
            components_lanes(3, 3, light, a + x, b + x, stride, ring, at, apart)
    for c in range(count):
        at = to + c * apart + (blocks - 1) * BLOCK
        for x in range(width - (blocks - 1) * LANES, LANES):
            ring[at + x] = 0
            ring[at + LANES + x] = 0


@function
def _clear_slot(plan, scale, ring, slot):
    """Write zeros to a slot of a scale's ring."""
    blocks = (plan[scale, WIDTH] + LANES - 1) // LANES * plan[scale, COUNT]
    for block in range(blocks):
        at = plan[scale, RING] + block * BLOCK + slot * SLOT
        for i in range(SLOT):
            ring[at + i] = 0


@function
def _add_lanes(lanes, count, totals, scale, component):
    """Add the first `count` lanes of each of six vectors to the totals of a component, and set the vectors to zero."""
    for k in range(MAPS):
        for i in range(count):
            totals[scale, component * MAPS + k] += np.float64(lanes[k * LANES + i])
        for i in range(LANES):
            lanes[k * LANES + i] = 0


@function
def _add_maps(plan, scale, ring, middle, sums, lanes, totals):
    """Add the error maps of one line, whose slot is `middle`, to the totals."""
    width = plan[scale, WIDTH]
    blocks, full = (width + LANES - 1) // LANES, width // LANES
    for component in range(plan[scale, COUNT]):
        first = plan[scale, RING] + component * blocks * BLOCK
        for begin in range(0, blocks, SEGMENT // LANES):
            end = min(begin + SEGMENT // LANES, blocks)
            for block in range(begin - 1, end + 1):
                to = (block - begin + 1) * LANES
                if 0 <= block < blocks:
                    vertical_lanes(ring, first + block * BLOCK, middle, sums, to)
                else:
                    for k in range(4):
                        for i in range(LANES):
                            sums[k * SUMS_STRIDE + to + i] = 0
            for block in range(begin, min(end, full)):
                at = first + block * BLOCK + middle * SLOT
                maps_lanes(sums, (block - begin + 1) * LANES, ring, at, lanes)
            _add_lanes(lanes, LANES, totals, scale, component)
            if end > full:
                at = first + full * BLOCK + middle * SLOT
                maps_lanes(sums, (full - begin + 1) * LANES, ring, at, lanes)
                _add_lanes(lanes, width - full * LANES, totals, scale, component)


@function
def _halve(plan, scale, planes, light):
    """Write the mean of a scale's last two lines, or the last one if their number is odd, as one of the next scale."""
    width, stride = plan[scale, WIDTH], plan[scale, STRIDE]
    to_stride = plan[scale + 1, STRIDE]
    to = plan[scale + 1, LIGHT] + plan[scale + 1, LINE] % 2 * 2 * planes * to_stride
    above = plan[scale, LIGHT]
    below = above if plan[scale, LINE] % 2 else above + 2 * planes * stride
    for plane in range(2 * planes):
        a, b = above + plane * stride, below + plane * stride
        if width % 2:
            light[a + width] = light[a + width - 1]
            light[b + width] = light[b + width - 1]
        for x in range(0, plan[scale + 1, WIDTH], LANES):
            half_lanes(light, a + 2 * x, b + 2 * x, to + plane * to_stride + x)


@kernel("void(const u1[:, ::1], const u1[:, ::1], i8[:, ::1], f4[::1], f4[::1], const f4[::1], f8[:, ::1])")
def add_lines(source, result, plan, light, ring, table, totals):
    """Add lines of two pictures to the totals; with the last one they are complete.

    source, result  (lines, width * planes) uint8 of 1 or 3 planes; together with those before at most `height` lines
    plan            (scales, FIELDS) int64, at least one scale
    light, ring     as `plan` says; STRIDE is a multiple of 16 and more than WIDTH
    table           (256,) float32: linear light, 0 .. 1, of each sample
    totals          (scales, 3 MAPS) float64 by component: sums of the SSIM map, of its fourth power times
                    FOURTH_POWERS, the same of artifacts, and of lost detail
    """
    sums, lanes = local_array(SUMS_SIZE, light), local_array(TOTALS_SIZE, light)
    for i in range(TOTALS_SIZE):
        lanes[i] = 0
    planes = source.shape[1] // plan[0, WIDTH]
    for line in range(source.shape[0]):
        stride = plan[0, STRIDE]
        to = plan[0, LIGHT] + plan[0, LINE] % 2 * 2 * planes * stride
        _to_light(source, line, planes, table, light, to, stride)
        _to_light(result, line, planes, table, light, to + planes * stride, stride)
        for scale in range(plan.shape[0]):
            y, height = plan[scale, LINE], plan[scale, HEIGHT]
            _to_ring(plan, scale, planes, light, ring, y % ROWS)
            if y >= MARGIN:
                _add_maps(plan, scale, ring, (y - MARGIN) % ROWS, sums, lanes, totals)
            y += 1
            plan[scale, LINE] = y
            if y == height:
                for below in range(height, height + MARGIN):
                    _clear_slot(plan, scale, ring, below % ROWS)
                    if below >= MARGIN:
                        _add_maps(plan, scale, ring, (below - MARGIN) % ROWS, sums, lanes, totals)
            if scale + 1 == plan.shape[0] or (y % 2 and y < height):
                break
            _halve(plan, scale, planes, light)
