"""Peak memory of each path above the idle process, from the header alone. docs/memory.md has the formulas in words.

Every term is a buffer that the path allocates, at its largest; the largest output of a block is 27 bits a coefficient.
"""

from compressor import png
from compressor.jpeg.frame import Frame
from compressor.kernels import huffman_encode, packing
from compressor.png.chunks import PIECE_BYTES
from compressor.png.deflate import PIECEWISE_BYTES
from compressor.png.inflate import INFLATE_BYTES
from compressor.png.interlace import ADAM7, STATE_BYTES, scratch_lines
from compressor.png.reduction import RUN_BYTES, RUNS
from compressor.png.rgba16 import PIECE_PIXELS
from compressor.settings import Effort

BASE_BYTES = 640 << 10  # thread, generators, spools in memory, zlib's or the entropy decoder's windows
COEFFICIENTS_BYTES = 64 * 2  # of a block
CODED_BYTES = 3 * (huffman_encode.BLOCK_BYTES_MAX + 1)  # of a block: before stuffing, and after
PNG_OUTPUT_BYTES = 9 << 18  # zlib-ng's 430 KiB, what it gives; 256 KiB each: filtered, held, chunk, framed


def jpeg_to_jpeg(frame: Frame, metadata_bytes: int, scans_bytes: int = 0) -> int:
    """Two rows of coefficients, one packed and one coded; the header's segments twice; the windows of several scans."""
    block = 2 * COEFFICIENTS_BYTES + packing.BLOCK_BYTES_MAX + CODED_BYTES
    return BASE_BYTES + frame.blocks_per_row * block + 2 * metadata_bytes + scans_bytes


def pixels_to_jpeg(frame: Frame, lines: int, channels: int) -> int:
    """A band of pixels, with alpha two; coefficients and coded bytes of its MCU rows."""
    rows = lines // (8 * frame.v_max)
    block = 2 * COEFFICIENTS_BYTES + packing.BLOCK_BYTES_MAX + rows * CODED_BYTES
    return BASE_BYTES + frame.blocks_per_row * block + 2 * lines * frame.width * channels


def png_to_png(header: png.Header, lines: int, effort: Effort, surveyed: bool = False) -> int:
    """A band of scanlines read and one filtered, deflate's state, output in copies of a chunk; sample and pixels."""
    known = BASE_BYTES + (2 * lines + 4) * (header.row_bytes + 1) + PNG_OUTPUT_BYTES + 2 * header.metadata_bytes
    if effort is Effort.BEST:
        known += PIECEWISE_BYTES
    if surveyed:
        # Pixels in both passes and once packed; the sample in parts, joined, and in the form that is tried.
        pixels = max(header.width, min(PIECE_PIXELS, lines * header.width))
        known += 3 * 8 * pixels + 3 * min(RUNS[effort] * RUN_BYTES, header.height * header.row_bytes)
    return known


def interlacing(header: png.Header) -> int:
    """On top for an interlaced PNG: of each pass zlib's state, input that waits and a row; what zlib gives, buffers."""
    if not header.interlaced:
        return 0
    rows = 3 + 2 * ((scratch_lines(header.row_bytes) + 1) // 2)
    states = len(ADAM7) * (STATE_BYTES + 2 * PIECE_BYTES)
    return states + 2 * INFLATE_BYTES + rows * (header.row_bytes + 1)
