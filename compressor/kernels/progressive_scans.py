"""The blocks of a slab that belong to a scan (T.81 A.2.2, A.2.3), shared by counting and encoding.

A slab is processed in one call for all scans, MCU row by MCU row. A slab of one row that is very wide is processed in
parts: lines of blocks FIRST_LINE to END_LINE, and MCUs FIRST_MCU to END_MCU, ends not included. Such a part is a piece
of one line, so that a scan of one component meets its blocks from left to right, line by line. An interleaved scan of
all components takes all lines of its MCUs with the part of line 0.

A run of blocks that end early has at most 15 bits (Table G.1), and correction bits wait for the end of a run. Both are
bounded as in libjpeg (jcphuff.c), on whose decoder others are modelled.
"""

import numpy as np

from compressor.kernels.declare import inlined
from compressor.kernels.huffman_encode import blocks_of
from compressor.kernels.lanes import leading_zeros
from compressor.kernels.packing import LEVELS

# plan: int64 (scans, PLAN), a row for each scan
COMPONENT = 0  # -1: DC of all components, interleaved
FIRST = 1  # block of the component in the row
PER_LINE = 2  # blocks of a line
LINES = 3  # of blocks in a row, without padding
ACROSS = 4  # blocks of a line, without padding
H = 5  # blocks of a line in an MCU
SS, SE, AH, AL = 6, 7, 8, 9
TABLE = 10  # row of the counts or codes; in an interleaved scan that of its first component, the others use the next
LAST_LINES = 11  # LINES of the image's last row
PLAN = 12

# part: int64 (PART_FIELDS,)
FIRST_LINE, END_LINE, FIRST_MCU, END_MCU = 0, 1, 2, 3  # in each row
LAST = 4  # 1: the slab's last row is the image's last
# Set by the kernels:
ROW, ROWS = 5, 6  # the row of the slab that is processed, or with which a call continues; rows of the slab
BLOCKS = 7  # of a row
PART_FIELDS = 8

AL_MAX = LEVELS - 1  # of a first scan, and Ah of a refinement
EOBRUN_MAX = 0x7FFF
WAITING_MAX = 1000 - 63  # MAX_CORR_BITS in jcphuff.c, less what one block may add

U = np.uint64
SLAB = "i2[:, ::1]"
MASKS = "u8[:, ::1]"  # see `packing.unpack_with_masks`
TABLES = "i8[:, ::1]"
STATES = "i8[:, ::1]"
PART = "i8[::1]"


@inlined
def bit_size(value):
    """Return SSSS of Tables F.1 and F.2."""
    return 64 - np.int64(leading_zeros(U(value)))


@inlined
def band_of(plan, s):
    """Return a bitmask of Ss..Se."""
    return U(0xFFFFFFFFFFFFFFFF) >> U(63 - plan[s, SE]) & ~((U(1) << U(plan[s, SS])) - U(1))


@inlined
def begin(slab, layout, part):
    """Set the fields of a part that depend on the slab."""
    part[BLOCKS] = blocks_of(layout)
    part[ROWS] = slab.shape[0] // part[BLOCKS]


@inlined
def window(plan, s, part):
    """Return the first block of a part of the current row, its blocks a line, and all its blocks, for a scan of one
    component."""
    start = part[FIRST_MCU] * plan[s, H]
    width = max(np.int64(0), min(part[END_MCU] * plan[s, H], plan[s, ACROSS]) - start)
    is_last = part[LAST] != 0 and part[ROW] == part[ROWS] - 1
    down = plan[s, LAST_LINES] if is_last else plan[s, LINES]
    lines = max(np.int64(0), min(part[END_LINE], down) - part[FIRST_LINE])
    row = part[ROW] * part[BLOCKS]
    return row + plan[s, FIRST] + part[FIRST_LINE] * plan[s, PER_LINE] + start, width, width * lines
