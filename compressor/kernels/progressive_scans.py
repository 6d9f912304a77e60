"""Which blocks of a coefficient row are a scan's own (T.81 A.2.2, A.2.3), and what counting and coding them share.

A row is worked on in parts, each by one call for all scans: lines of blocks `part[0]` to `part[1]`, not included, and
MCUs `part[2]` to `part[3]`. A part is a whole row, or a piece of one line where rows are wide, so that a scan of one
component meets its blocks from left to right, line by line. An interleaved scan of all components takes its MCUs, all
lines of them, with the part of line 0.

A run of blocks that end early takes 15 bits at most (Table G.1), and correction bits wait for the end of a run: both
are bounded as in libjpeg (jcphuff.c), whose decoders others have modelled theirs on.
"""

from numba import njit, types

from compressor.kernels.huffman_decode import INLINED
from compressor.kernels.lanes import leading_zeros
from compressor.kernels.packing import LEVELS

# plan: int64 (scans, PLAN), a row for each scan
COMPONENT = 0  # -1: DC of all components, interleaved
FIRST = 1  # block of the component in the row
PER_LINE = 2
LINES = 3  # of the row at hand, without those that only pad
ACROSS = 4  # blocks of a line, without those that only pad
H = 5  # of them in an MCU
SS, SE, AH, AL = 6, 7, 8, 9
TABLE = 10  # row of the counts or codes; of component c of an interleaved scan, c more
PLAN = 11

AL_MAX = LEVELS - 1  # of a first scan, and Ah of a refinement
EOBRUN_MAX = 0x7FFF
WAITING_MAX = 1000 - 63  # MAX_CORR_BITS in jcphuff.c, less what one block may add

U = types.uint64
ROW = types.int16[:, ::1]
MASKS = types.uint64[:, ::1]  # see `packing.unpack_with_masks`
TABLES = types.int64[:, ::1]
STATES = types.int64[:, ::1]
PART = types.int64[::1]


@njit(**INLINED)
def bit_size(value):
    """SSSS of Tables F.1 and F.2."""
    return 64 - types.int64(leading_zeros(U(value)))


@njit(**INLINED)
def band_of(plan, s):
    """Bitmask of Ss..Se."""
    return U(0xFFFFFFFFFFFFFFFF) >> U(63 - plan[s, SE]) & ~((U(1) << U(plan[s, SS])) - U(1))


@njit(**INLINED)
def window(plan, s, part):
    """Of a scan of one component: the first block of a part, the blocks of a line, and of all its lines together."""
    start = part[2] * plan[s, H]
    width = max(types.int64(0), min(part[3] * plan[s, H], plan[s, ACROSS]) - start)
    lines = max(types.int64(0), min(part[1], plan[s, LINES]) - part[0])
    return plan[s, FIRST] + part[0] * plan[s, PER_LINE] + start, width, width * lines
