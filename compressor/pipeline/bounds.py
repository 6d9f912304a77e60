"""Peak memory of each path above the idle process, from the header alone. docs/memory.md has the formulas in words.

Every term is a buffer that the path allocates, at its largest; the largest output of a block is 27 bits a coefficient.
"""

from compressor import png
from compressor.jpeg.frame import Frame
from compressor.kernels import huffman_encode, packing
from compressor.kernels.idct import LEFT, RIGHT
from compressor.png.chunks import PIECE_BYTES
from compressor.png.inflate import INFLATE_BYTES
from compressor.png.interlace import ADAM7, STATE_BYTES, scratch_lines

BASE_BYTES = 640 << 10  # thread, generators, spools in memory, zlib's or the entropy decoder's windows
COEFFICIENTS_BYTES = 64 * 2  # of a block
CODED_BYTES = 3 * (huffman_encode.BLOCK_BYTES_MAX + 1)  # of a block: before stuffing, and after
DECODER_BYTES = 384 << 10  # a chunk of the file, the entropy decoder's window in its forms, its tables
PNG_OUTPUT_BYTES = 7 << 18  # zlib's 384 KiB; 256 KiB each: filtered rows, what is held, its chunk, the chunk framed


def jpeg_to_jpeg(frame: Frame, metadata_bytes: int, scans_bytes: int = 0) -> int:
    """Two rows of coefficients, one packed and one coded; the header's segments twice; the windows of several scans."""
    block = 2 * COEFFICIENTS_BYTES + packing.BLOCK_BYTES_MAX + CODED_BYTES
    return BASE_BYTES + frame.blocks_per_row * block + 2 * metadata_bytes + scans_bytes


def pixels_to_jpeg(frame: Frame, lines: int, channels: int) -> int:
    """A band of pixels, with alpha two; coefficients and coded bytes of its MCU rows."""
    rows = lines // (8 * frame.v_max)
    block = 2 * COEFFICIENTS_BYTES + packing.BLOCK_BYTES_MAX + rows * CODED_BYTES
    return BASE_BYTES + frame.blocks_per_row * block + 2 * lines * frame.width * channels


def jpeg_to_pixels(frame: Frame, lines: int, metadata_bytes: int, scans_bytes: int = 0) -> int:
    """On top for what a JPEG is decoded to: a row of coefficients, planes of samples with the lines that are kept,
    three upsampled lines, a band of pixels; the header's segments twice; the windows of several scans."""
    padded = 8 * frame.mcus_per_row
    samples = sum((9 * v + 1) * (padded * h + LEFT + RIGHT) for h, v in frame.sampling)
    upsampled = 3 * (padded * frame.h_max + LEFT + RIGHT)
    band = lines * frame.width * len(frame.components)
    coefficients = frame.blocks_per_row * COEFFICIENTS_BYTES
    return DECODER_BYTES + coefficients + samples + upsampled + band + 2 * metadata_bytes + scans_bytes


def png_to_png(header: png.Header, lines: int) -> int:
    """A band of scanlines read and one filtered, zlib's state at its highest level, output in copies of a chunk."""
    return BASE_BYTES + (2 * lines + 4) * (header.row_bytes + 1) + PNG_OUTPUT_BYTES + 2 * header.metadata_bytes


def interlacing(header: png.Header) -> int:
    """On top for an interlaced PNG: of each pass zlib's state, input that waits and a row; what zlib gives, buffers."""
    if not header.interlaced:
        return 0
    rows = 3 + 2 * ((scratch_lines(header.row_bytes) + 1) // 2)
    states = len(ADAM7) * (STATE_BYTES + 2 * PIECE_BYTES)
    return states + 2 * INFLATE_BYTES + rows * (header.row_bytes + 1)
