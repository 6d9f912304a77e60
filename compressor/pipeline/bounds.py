"""Peak memory of each route above the idle process, from the header alone. docs/memory.md has the formulas in words.

Every term is a buffer that the route allocates, at its largest. Metadata is not included: it is charged as it is
read (`RouteContext.charge`).
"""

from collections.abc import Callable

from compressor import png
from compressor.jpeg import coefficient_spool, encoder, parallel, scans
from compressor.jpeg.adaptive_quantization import BYTES_PER_BLOCK, plane_bytes, row_window_bytes
from compressor.jpeg.frame import Frame, Header
from compressor.jpeg.pixels import COLORS
from compressor.jpeg.progressive import AREA_BYTES
from compressor.jpeg.scan_search import SCANS_MAX
from compressor.kernels.idct import LEFT, RIGHT
from compressor.kernels.png.matches import STATE_WORDS, window_bytes
from compressor.memory import Reservation
from compressor.png.chunks import PIECE_BYTES
from compressor.png.deflate import deflating_bytes
from compressor.png.inflate import INFLATE_BYTES
from compressor.png.interlace import ADAM7, STATE_BYTES
from compressor.png.reduction import RUN_PIXELS, RUNS
from compressor.png.rgba16 import PIECE_PIXELS
from compressor.settings import Effort, Raw, Settings
from compressor.tiles import BandLifetime

BASE_BYTES = 1 << 20  # thread, generators, spools in memory
COEFFICIENTS_BYTES = 64 * 2  # of a block
CODING_BYTES = encoder.coded_bytes(encoder.CODED_BLOCKS) + encoder.CODED_BYTES  # before byte stuffing, and after
TILE_COPIES = 6  # on the wire, in a read buffer, parsed, queued, being copied into a band, and being freed
METADATA_COPIES = 2  # as read and as written
DECODER_BYTES = 384 << 10  # a chunk of the file, the entropy decoder's window in its forms, its tables
PROGRESSIVE_BYTES = (SCANS_MAX + 10) * AREA_BYTES  # output on its way to the spool, stuffed and copied; tables
PILLOW_CMYK_BYTES = 16  # of a pixel, see `raster.reader`; four of them for the file
PILLOW_OTHER_BYTES = 20  # of a pixel of WebP or AVIF
PNG_INPUT_BYTES = 384 << 10  # a chunk of the file and the rest of one; compressed data; zlib-ng's state and output
PNG_OUTPUT_BYTES = 7 << 18  # 256 KiB each: scanlines of a slab, filtered, twice in a trial, held, chunk, framed


def jpeg_to_jpeg(header: Header, settings: Settings) -> int:
    """Return the bytes of slabs, of the encoder, and of the windows on the scans of a file with several."""
    frame = header.frame
    slabs = frame.slab_blocks * COEFFICIENTS_BYTES * (1 if settings.lossless else 2)
    row = 0 if settings.lossless else frame.blocks_per_row * BYTES_PER_BLOCK
    # The source's windows are freed before scans are encoded.
    windows = 0 if header.streams else scans.scan_readers_bytes(header)
    return BASE_BYTES + slabs + row + coding(frame, settings, windows)


def coding(frame: Frame, settings: Settings, windows: int = 0) -> int:
    """Return the bytes of the encoder's buffers, and those of slabs that wait if scans are progressive."""
    if settings.effort is Effort.FAST and not settings.lossless:
        return CODING_BYTES + windows
    return CODING_BYTES + coefficient_spool.memory_bytes(frame) + max(PROGRESSIVE_BYTES, windows)


def pixels_to_jpeg(
    frame: Frame, channels: int, lines: int, band_bytes: int, lifetime: BandLifetime, settings: Settings
) -> int:
    """Return the bytes of bands of pixels, twice if alpha is removed, and of the encoder.

    One pass adds the bands that several threads encode at a time, copied unless they last; two passes add a slab and
    the rows that adaptive quantization compares.
    """
    flattened = lines * frame.width * (channels - 1) if channels in (2, 4) else 0
    known = BASE_BYTES + coding(frame, settings) + band_bytes + flattened
    if settings.effort is Effort.FAST:
        return known + parallel.pixel_coder_bytes(frame, lifetime)
    window = row_window_bytes(lines, 8 * frame.v_max * frame.slab_rows, frame.width * len(frame.components))
    slab = frame.slab_blocks * COEFFICIENTS_BYTES
    return known + slab + window + plane_bytes(frame) + frame.blocks_per_row * BYTES_PER_BLOCK


def jpeg_bands(header: Header, lines: int) -> int:
    """Return the bytes of decoding: a slab, planes of samples with the lines that are kept, three upsampled
    lines, a band of pixels, and the windows on the scans of a file with several."""
    windows = 0 if header.streams else scans.scan_readers_bytes(header)
    return frame_bands(header.frame, lines) + windows


def frame_bands(frame: Frame, lines: int) -> int:
    """Return the bytes of decoding a file in one scan."""
    padded = 8 * frame.mcus_per_row
    samples = sum((9 * v + 1) * (padded * h + LEFT + RIGHT) for h, v in frame.sampling)
    upsampled = 3 * (padded * frame.h_max + LEFT + RIGHT)
    band = lines * frame.width * len(frame.components)
    coefficients = frame.slab_blocks * COEFFICIENTS_BYTES
    return DECODER_BYTES + coefficients + samples + upsampled + band


def scored_jpeg(header: Header, lines: int) -> int:
    """Return the bytes of decoding a JPEG source once more for its score."""
    if header.color in COLORS:
        return jpeg_bands(header, lines)
    return header.frame.width * header.frame.height * PILLOW_CMYK_BYTES


def result_bands(frame: Frame, lines: int, settings: Settings) -> int:
    """Return the bytes of decoding a JPEG that was made with the settings."""
    if len(frame.components) == 4:  # by Pillow, which holds coefficients, pixels and here the file
        return frame.width * frame.height * PILLOW_CMYK_BYTES
    windows = 3 * scans.WINDOWS_BYTES + SCANS_MAX * scans.SCAN_BYTES
    return frame_bands(frame, lines) + (0 if settings.effort is Effort.FAST else windows)


def png_to_png(header: png.PngHeader, lines: int, effort: Effort, surveyed: bool = False) -> int:
    """Return the bytes of bands of scanlines and of `png_writing`, and with a survey of its sample and pixels."""
    known = BASE_BYTES + png_bands(header, lines) + png_writing(header, effort)
    return known + (3 * sum(survey_bytes(header, lines, effort)) if surveyed else 0)


def pixels_to_png(
    header: png.PngHeader, lines: int, band_bytes: int, lasting_bytes: int, effort: Effort, *, surveyed: bool
) -> int:
    """Return the bytes of bands of pixels and of `png_writing`; with a survey those of the larger of its two passes.

    header         of a PNG with the channels and bit depth of the pixels
    lasting_bytes  the part of `band_bytes` that is still held after the last band
    """
    if not surveyed:
        return BASE_BYTES + band_bytes + png_writing(header, effort)
    pixels, sample = survey_bytes(header, lines, effort)
    first = band_bytes + png_writing(header, Effort.FAST) + pixels + sample
    second = lasting_bytes + png_bands(header, lines) + png_writing(header, effort) + 3 * (pixels + sample)
    return BASE_BYTES + max(first, second)


def survey_bytes(header: png.PngHeader, lines: int, effort: Effort) -> tuple[int, int]:
    """Return the bytes of the pixels that a survey examines at a time, and those of its sample.

    At the end of a survey there are three of each: pixels in both passes and packed; the sample in parts, joined, and
    in the color type and bit depth that is tried.
    """
    pixels = 8 * max(header.width, min(PIECE_PIXELS, lines * header.width))
    return pixels, min(RUNS[effort] * RUN_PIXELS * header.bits_per_pixel // 8, header.height * header.row_bytes)


def png_writing(header: png.PngHeader, effort: Effort) -> int:
    """Return the bytes of five lines (the one above, the filtered, the held and the next, and that of a trial), of the
    window of `filter_rows_by_matches` with one more, of compression and of output chunks.
    """
    window = window_bytes(header.row_bytes) + 8 * STATE_WORDS
    return 5 * (header.row_bytes + 1) + window + PNG_OUTPUT_BYTES + deflating_bytes(effort)


def png_bands(header: png.PngHeader, lines: int, pixels: bool = False) -> int:
    """Return the bytes of input, of a band of scanlines, a filtered slab and the line above; and of unpacked pixels.

    An interlaced PNG adds, for each pass, zlib's state, queued input and a row; and zlib's output and line buffers.
    """
    lines = min(lines, header.height)
    held = PNG_INPUT_BYTES + (lines + 2) * (header.row_bytes + 1)
    filtered = min(lines, header.slab_lines) * (header.row_bytes + 1)
    if pixels:
        held += sum(buffer.nbytes for buffer in png.pixel_buffers(header, lines))
    if not header.interlaced:
        return held + filtered
    rows = 1 + 2 * ((header.slab_lines + 1) // 2)
    states = len(ADAM7) * (STATE_BYTES + 2 * PIECE_BYTES)
    return held + states + 2 * INFLATE_BYTES + rows * (header.row_bytes + 1)


def raw_bands(raw: Raw, lines: int) -> int:
    """Return the bytes of an assembled row of tiles, of a band if its height differs, and of arriving tiles."""
    wide, tall = min(raw.tile_width, raw.width), min(raw.tile_height, raw.height)
    arriving = TILE_COPIES * wide * tall * raw.channels
    return raw.width * raw.channels * (tall + (0 if tall % lines == 0 else lines)) + arriving


def metadata_charger(reservation: Reservation) -> Callable[[int], None]:
    """Return a function that charges bytes of metadata to a reservation, once for each copy that is made of them."""
    return lambda count: reservation.hold(METADATA_COPIES * count)
