"""Peak memory of each path above the idle process, from the header alone. docs/memory.md has the formulas in words.

Every term is a buffer that the path allocates, at its largest. Metadata are no part of it: they are charged as they
are read (`Context.hold`).
"""

from compressor import png
from compressor.jpeg import encoder, parallel, scans
from compressor.jpeg.adaptive_quantization import BYTES_PER_BLOCK, plane_bytes, row_window_bytes
from compressor.jpeg.coefficient_spool import MEMORY_BYTES as PACKING_BYTES
from compressor.jpeg.frame import Frame, Header
from compressor.jpeg.progressive import AREA_BYTES
from compressor.jpeg.scan_search import SCANS_MAX
from compressor.kernels import packing
from compressor.kernels.idct import LEFT, RIGHT
from compressor.png.chunks import PIECE_BYTES
from compressor.png.deflate import PIECEWISE_BYTES
from compressor.png.inflate import INFLATE_BYTES
from compressor.png.interlace import ADAM7, STATE_BYTES, scratch_lines
from compressor.png.reduction import RUN_PIXELS, RUNS
from compressor.png.rgba16 import PIECE_PIXELS
from compressor.settings import Effort, Raw, Settings
from compressor.tiles import BandLifetime

BASE_BYTES = 1 << 20  # thread, generators, spools in memory, zlib's or the entropy decoder's windows
COEFFICIENTS_BYTES = 64 * 2  # of a block
MASKS_BYTES = 8 * packing.LEVELS  # of a block, where progressive scans are made
CODING_BYTES = 3 * encoder.coded_bytes(encoder.CODED_BLOCKS)  # before byte stuffing, and after
TILE_COPIES = 5  # on the wire, parsed, waiting, the one that is put in its place, and one that is given back
METADATA_COPIES = 2  # as read and as written
DECODER_BYTES = 384 << 10  # a chunk of the file, the entropy decoder's window in its forms, its tables
PROGRESSIVE_BYTES = (SCANS_MAX + 10) * AREA_BYTES  # what waits for the spool; stuffed, and copied; tables
PNG_OUTPUT_BYTES = 9 << 18  # zlib-ng's 430 KiB, what it gives; 256 KiB each: filtered, held, chunk, framed


def jpeg_to_jpeg(header: Header, settings: Settings) -> int:
    """Rows of coefficients, what codes them, and the windows on the scans of a file in several."""
    blocks = header.frame.blocks_per_row
    row = blocks * (COEFFICIENTS_BYTES + (0 if settings.lossless else BYTES_PER_BLOCK))
    # The source's windows are given back before scans are made.
    windows = 0 if header.streams else scans.scan_readers_bytes(header)
    return BASE_BYTES + row + coding(blocks, settings, windows)


def coding(blocks: int, settings: Settings, windows: int = 0) -> int:
    """Parts of a row of so many blocks on their way to the output; to the spool, and masks, where scans are made."""
    if settings.effort is Effort.FAST and not settings.lossless:
        return CODING_BYTES + windows
    return CODING_BYTES + PACKING_BYTES + blocks * MASKS_BYTES + max(PROGRESSIVE_BYTES, windows)


def pixels_to_jpeg(
    frame: Frame, channels: int, lines: int, band_bytes: int, lifetime: BandLifetime, settings: Settings
) -> int:
    """Bands of pixels, without alpha a second time; in one pass parts of them on several threads, copied where bands do
    not last, else what looks at neighbours."""
    flattened = lines * frame.width * (channels - 1) if channels in (2, 4) else 0
    known = BASE_BYTES + coding(frame.blocks_per_row, settings) + band_bytes + flattened
    if settings.effort is Effort.FAST:
        return known + parallel.pixel_coder_bytes(frame, lifetime)
    window = row_window_bytes(lines, 8 * frame.v_max, frame.width * len(frame.components))
    return known + window + plane_bytes(frame) + frame.blocks_per_row * BYTES_PER_BLOCK


def jpeg_bands(header: Header, lines: int) -> int:
    """A row of coefficients, planes of samples with the lines that are kept, three upsampled lines, a band of pixels;
    the windows on the scans of a file in several."""
    frame = header.frame
    padded = 8 * frame.mcus_per_row
    samples = sum((9 * v + 1) * (padded * h + LEFT + RIGHT) for h, v in frame.sampling)
    upsampled = 3 * (padded * frame.h_max + LEFT + RIGHT)
    band = lines * frame.width * len(frame.components)
    coefficients = frame.blocks_per_row * COEFFICIENTS_BYTES
    windows = 0 if header.streams else scans.scan_readers_bytes(header)
    return DECODER_BYTES + coefficients + samples + upsampled + band + windows


def png_to_png(header: png.PngHeader, lines: int, effort: Effort, surveyed: bool = False) -> int:
    """Bands of scanlines, what `png_writing` takes; with a survey also the sample and pixels."""
    known = BASE_BYTES + png_bands(header, lines) + png_writing(header, effort)
    return known + (3 * sum(survey_bytes(header, lines, effort)) if surveyed else 0)


def pixels_to_png(
    header: png.PngHeader, lines: int, band_bytes: int, lasting_bytes: int, effort: Effort, *, surveyed: bool
) -> int:
    """Return bands of pixels and what `png_writing` takes; with a survey the larger of its two passes.

    header         of the PNG in the form of the pixels
    lasting_bytes  of those for bands, what is still held when the bands have ended
    """
    if not surveyed:
        return BASE_BYTES + band_bytes + png_writing(header, effort)
    pixels, sample = survey_bytes(header, lines, effort)
    first = band_bytes + png_writing(header, Effort.FAST) + pixels + sample
    second = lasting_bytes + png_bands(header, lines) + png_writing(header, effort) + 3 * (pixels + sample)
    return BASE_BYTES + max(first, second)


def survey_bytes(header: png.PngHeader, lines: int, effort: Effort) -> tuple[int, int]:
    """Return what the pixels take that a survey looks at together, and what its sample takes.

    When all of an image has been seen there are three of each: pixels in both passes and once packed; the sample in
    parts, joined, and in the form that is tried.
    """
    pixels = 8 * max(header.width, min(PIECE_PIXELS, lines * header.width))
    return pixels, min(RUNS[effort] * RUN_PIXELS * header.bits_per_pixel // 8, header.height * header.row_bytes)


def png_writing(header: png.PngHeader, effort: Effort) -> int:
    """The line above, a filtered one and one in the making, deflate's state, output in copies of a chunk."""
    deflating = PIECEWISE_BYTES if effort is Effort.BEST else 0
    return 4 * (header.row_bytes + 1) + PNG_OUTPUT_BYTES + deflating


def png_bands(header: png.PngHeader, lines: int, pixels: bool = False) -> int:
    """A band of scanlines, a filtered line and the one above; the pixels where they are not the scanlines themselves.

    Interlaced: of each pass zlib's state, input that waits and a row; what zlib gives, buffers for lines.
    """
    lines = min(lines, header.height)
    held = (lines + 2) * (header.row_bytes + 1)
    if pixels:
        held += sum(buffer.nbytes for buffer in png.pixel_buffers(header, lines))
    if not header.interlaced:
        return held
    rows = 1 + 2 * ((scratch_lines(header.row_bytes) + 1) // 2)
    states = len(ADAM7) * (STATE_BYTES + 2 * PIECE_BYTES)
    return held + states + 2 * INFLATE_BYTES + rows * (header.row_bytes + 1)


def raw_bands(raw: Raw, lines: int) -> int:
    """A row of tiles put together, a band where its height is another, and tiles on their way here."""
    wide, tall = min(raw.tile_width, raw.width), min(raw.tile_height, raw.height)
    arriving = TILE_COPIES * wide * tall * raw.channels
    return raw.width * raw.channels * (tall + (0 if tall % lines == 0 else lines)) + arriving
