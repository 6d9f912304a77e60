"""The header of an archive: what making its JPEG again asks for, before the library sees a byte of it.

Its boxes are those of ISO/IEC 18181-2. The box `jbrd` begins with the markers of the JPEG and the lengths of its APPn
and COM segments (annex A), whose content is compressed with Brotli (RFC 7932): a small file can ask for much memory.
"""

from dataclasses import dataclass

from compressor.containers import jxl
from compressor.containers.jxl_bits import TITLE, Bits, Cases
from compressor.containers.jxl_codestream import read_size, skip_bit_depth
from compressor.errors import FormatError, LimitError, UnsupportedError
from compressor.parsers import boxes
from compressor.parsers.boxes import Box, Extents
from compressor.spool import Readable
from compressor.t81 import COM, DIMENSION_MAX, EOI, SOS

JBRD = "jbrd"
MARKERS_MAX = 1 << 14  # the library's own limit
SCANS_MAX = 100  # as of JPEGs that are read (`jpeg.scans`): each scan visits every block
APP_KIND: Cases = ((0, 0), (0, 1), (1, 2), (2, 4))
INTER_MARKER = 0xFF  # stands for bytes between two segments
SEGMENT_BYTES_MAX = 1 << 16
TAIL_BYTES_MAX = 4_260_096  # after EOI: the most that its field can express
FIELD_BYTES = 16  # of memory for a byte of fields in `jbrd`: restart positions and zero runs of two bits and more
EXPANDED_BYTES_MAX = 128 << 20  # of Exif or XMP: the library doubles its buffer until it has 64 MiB


@dataclass(frozen=True, slots=True)
class ArchiveHeader:
    """The header of an archive.

    channels        1 or 3
    metadata_bytes  the most that APPn and COM segments, and bytes between and after segments, take in the JPEG
    boxed_bytes     the most memory that the content of boxes takes besides
    """

    width: int
    height: int
    channels: int
    metadata_bytes: int
    boxed_bytes: int

    @property
    def pixels(self) -> int:
        return self.width * self.height


def read_header(source: Readable) -> ArchiveHeader:
    """Read the headers of a complete archive.

    Raise UnsupportedError if it is a JPEG XL file of which no JPEG can be made, FormatError if it is broken, and
    LimitError if it asks for more than a JPEG that this package reads.
    """
    if source.read(0, len(jxl.SIGNATURE)) != jxl.SIGNATURE:
        if source.read(0, 2) == b"\xff\x0a":
            raise UnsupportedError(f"{TITLE}: a bare codestream: no JPEG can be made without a box {JBRD}")
        raise FormatError(TITLE, "signature", 0, "an archive is a JPEG XL file, which begins with another one")
    top, end = boxes.top_level(source)
    if end != source.size:
        raise FormatError(TITLE, "box", end, f"incomplete: only {source.size - end} bytes are left")
    found = [box for box in top if box.kind == b"jbrd"]
    if not found:
        reason = "it was not made of a JPEG, or the box was removed"
        raise UnsupportedError(f"{TITLE}: no JPEG can be made without a box {JBRD}: {reason}")
    if len(found) > 1:
        raise FormatError(TITLE, JBRD, found[1].start, "a second one")
    width, height = _read_image_header(Bits(jxl.codestream(source, [])[0]))
    channels, metadata_bytes = _read_reconstruction(source, found[0])
    boxed_bytes = FIELD_BYTES * (found[0].end - found[0].start)
    boxed_bytes += sum(_expanded_bytes(source, box) for box in top if box.kind == b"brob")
    return ArchiveHeader(width, height, channels, metadata_bytes, boxed_bytes)


def _read_image_header(bits: Bits) -> tuple[int, int]:
    """Read the image header (ISO/IEC 18181-1, annex D) as far as memory depends on it. Return width and height."""
    if bits.u(16) != 0x0AFF:
        raise FormatError(TITLE, "codestream", 0, "does not begin with its signature")
    width, height = read_size(bits)
    if not (0 < width <= DIMENSION_MAX and 0 < height <= DIMENSION_MAX):
        raise LimitError(f"{TITLE}: {width} x {height} pixels, a JPEG has at most {DIMENSION_MAX} in each direction")
    if bits.flag():  # all other fields have their defaults, with XYB colors
        raise _unlike_jpeg("XYB colors")
    if bits.flag():
        bits.u(3)  # orientation
        for name in ("an intrinsic size", "a preview", "an animation"):
            if bits.flag():
                raise _unlike_jpeg(name)
    skip_bit_depth(bits)
    bits.flag()  # whether 16 bits are enough for modular buffers
    if bits.u(2):  # the first of the four cases is none
        raise _unlike_jpeg("extra channels")
    if bits.flag():
        raise _unlike_jpeg("XYB colors")
    return width, height


def _unlike_jpeg(found: str) -> FormatError:
    return FormatError(TITLE, "image header", None, f"{found}, which no JPEG has, beside a box {JBRD}")


def _read_reconstruction(source: Readable, box: Box) -> tuple[int, int]:
    """Read the beginning of a box `jbrd`. Return the number of components, and `metadata_bytes` of the header."""
    bits = Bits(Extents(source, [(box.content, box.end - box.content)]), JBRD)
    channels = 1 if bits.flag() else 3
    counts: dict[int, int] = {}
    for _ in range(MARKERS_MAX):
        marker = 0xC0 + bits.u(6)
        counts[marker] = counts.get(marker, 0) + 1
        if marker == EOI:
            break
    else:
        raise LimitError(f"{TITLE}: {JBRD} at byte {box.start}: more than {MARKERS_MAX} markers")
    if counts.get(SOS, 0) > SCANS_MAX:
        raise LimitError(f"{TITLE}: {JBRD} at byte {box.start}: more than {SCANS_MAX} scans")
    size = counts.get(INTER_MARKER, 0) * SEGMENT_BYTES_MAX + TAIL_BYTES_MAX
    for _ in range(sum(count for marker, count in counts.items() if marker & 0xF0 == 0xE0)):
        bits.u32(APP_KIND)
        size += bits.u(16) + 2
    for _ in range(counts.get(COM, 0)):
        size += bits.u(16) + 2
    return channels, size


def _expanded_bytes(source: Readable, box: Box) -> int:
    """Return the most memory that a compressed box takes: its size if it is a single meta-block of Brotli, as encoders
    write one (RFC 7932, 9.1 and 9.2). The library expands Exif and XMP only."""
    if source.read(box.content, 4) not in (b"Exif", b"xml "):
        return 0
    bits = Bits(Extents(source, [(box.content + 4, max(0, box.end - box.content - 4))]), "brob")
    if bits.flag() and not bits.u(3):
        bits.u(3)  # window size
    if not bits.flag():  # ISLAST
        return EXPANDED_BYTES_MAX
    if bits.flag():  # ISLASTEMPTY
        return 0
    nibbles = bits.u(2)
    if nibbles == 3:  # no data
        return EXPANDED_BYTES_MAX
    return min(EXPANDED_BYTES_MAX, 2 * (bits.u(16 + 4 * nibbles) + 1))
