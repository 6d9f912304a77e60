"""libjxl through imagecodecs: whole files in memory, transcoded in the calling thread.

docs/archive.md says why it is this one of PyPI's libraries; `python -m benchmarks archive` has the figures.
"""

import importlib.util
from typing import TYPE_CHECKING, Any

from compressor.archive.header import ArchiveHeader
from compressor.errors import CompressorError, UnsupportedError

if TYPE_CHECKING:
    from compressor.jpeg.frame import Frame

# Peaks above the idle process, measured at 0.1 to 15 megapixels (tests/archive/test_memory.py): grey, 4:2:0 and 4:4:4,
# sequential and progressive, photographs and noise at quality 100.
LIBRARY_BYTES = 12 << 20  # its tables, and what the allocator keeps
GROUP_SIDE = 256  # images are padded to whole groups (ISO/IEC 18181-1, 3.1)
ENCODING_BYTES = 18  # of a pixel, with samples of any number of components in 32 bits
ENCODING_COEFFICIENT_BYTES = 2
ENCODING_COPIES = 11  # of the file: as bytes, as parsed, as symbols before and after they are coded, as an archive
DECODING_COEFFICIENT_BYTES = 2
PROCESS_BYTES = 56 << 20  # of the process that makes a JPEG: the interpreter, NumPy and the library
DECODING_COPIES = 3  # of the archive: as bytes, in the library, and as the symbols of a group
# The JPEG may have at most so many bytes for each byte of its archive, and so many pixels for each byte besides: flat
# images take a bit for each 8 x 8 samples and scan, while their archives take next to nothing.
JPEG_RATIO_MAX = 2
FLAT_PIXELS = 16


class ArchiveError(CompressorError):
    """A file that can't be transcoded."""


def require_library() -> None:
    """Raise UnsupportedError where the extra is not installed."""
    if importlib.util.find_spec("imagecodecs") is None:
        raise UnsupportedError("archive: needs pip install 'compressor[archive]'")


def jxl_of(jpeg: bytes) -> bytes:
    """Return the archive of a JPEG. Raise ArchiveError if the library can't make one."""
    made: bytes = _transcode("jpegxl_encode_jpeg", jpeg)
    return made


def jpeg_of(jxl: bytes, limit_bytes: int) -> memoryview:
    """Return the JPEG of an archive. Raise ArchiveError if the library can't make one of at most `limit_bytes`."""
    made: memoryview = _transcode("jpegxl_decode_jpeg", jxl, out=bytearray(limit_bytes))
    if not made:
        raise ArchiveError("nothing was made")
    return made


def _transcode(name: str, data: bytes, **options: Any) -> Any:
    import imagecodecs

    try:
        return getattr(imagecodecs, name)(data, numthreads=1, **options)
    except (RuntimeError, ValueError) as error:  # JpegxlError is a RuntimeError
        raise ArchiveError(" ".join(str(error).split())) from None


def jpeg_bytes_max(header: ArchiveHeader, archive_bytes: int) -> int:
    """Return the most bytes that the JPEG of an archive may have."""
    return JPEG_RATIO_MAX * archive_bytes + header.pixels // FLAT_PIXELS + header.metadata_bytes


def archiving_bytes(frame: "Frame", file_bytes: int) -> int:
    """Return the peak memory of archiving a JPEG of so many bytes, and of making it again for comparison."""
    padded = _padded(frame.width, frame.height)
    coefficients = padded * frame.mcu_blocks // (frame.h_max * frame.v_max)
    pixels_bytes = ENCODING_BYTES * padded + ENCODING_COEFFICIENT_BYTES * coefficients
    return LIBRARY_BYTES + pixels_bytes + ENCODING_COPIES * file_bytes


def unarchiving_bytes(header: ArchiveHeader, archive_bytes: int) -> int:
    """Return the peak memory of making the JPEG of an archive of so many bytes, besides PROCESS_BYTES."""
    coefficients = header.channels * _padded(header.width, header.height)
    copies = DECODING_COPIES * archive_bytes + 2 * header.metadata_bytes + jpeg_bytes_max(header, archive_bytes)
    return LIBRARY_BYTES + DECODING_COEFFICIENT_BYTES * coefficients + header.boxed_bytes + copies


def _padded(width: int, height: int) -> int:
    """Return the pixels of an image padded to whole groups."""
    return (-(-width // GROUP_SIDE) * GROUP_SIDE) * (-(-height // GROUP_SIDE) * GROUP_SIDE)
