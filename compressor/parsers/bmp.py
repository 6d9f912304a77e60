"""BMP file headers: BITMAPCOREHEADER to BITMAPV5HEADER of Windows (wingdi.h), and the headers of OS/2."""

import struct
from typing import NamedTuple

from compressor.errors import FormatError, UnsupportedError
from compressor.humanize import human_format
from compressor.window import Window

TITLE = human_format("bmp")
FILE_HEADER_BYTES = 14
CORE, INFO, V2, V3, OS2, V4, V5 = 12, 40, 52, 56, 64, 108, 124
RGB, RLE8, RLE4, BITFIELDS, ALPHA_BITFIELDS = 0, 1, 2, 3, 6
DEPTHS = (1, 2, 4, 8, 16, 24, 32)

# Color spaces (bV5CSType) of V4 and V5.
CALIBRATED, SRGB, WINDOWS, LINKED, EMBEDDED = 0, 0x73524742, 0x57696E20, 0x4C494E4B, 0x4D424544
SPACE_AT, ENDPOINTS_AT, GAMMA_AT, INTENT_AT, PROFILE_AT = 56, 60, 96, 108, 112
PROFILE_BYTES_MAX = 16 << 20
LINK_BYTES_MAX = 260  # MAX_PATH

SRGB_PRIMARIES = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
PRIMARY_TOLERANCE, GAMMA, GAMMA_TOLERANCE = 0.01, 2.2, 0.1


class BmpHeader(NamedTuple):
    """A file's headers, and the offsets of its parts.

    info           the information header as it is in the file, its size field included
    height         without the sign, which gives the order of the rows
    masks          the three or four color masks after an information header of 40 bytes
    palette        offset of the first entry
    entries        palette entries that the bit depth can address; 0 above 8 bits
    entry_bytes    3 or 4
    pixels         offset of the first row or run-length code
    space          color space of V4 and V5, else WINDOWS
    profile        offset and size of the data of EMBEDDED or LINKED, else zeros
    """

    info: bytes
    width: int
    height: int
    bits: int
    compression: int
    masks: bytes
    palette: int
    entries: int
    entry_bytes: int
    pixels: int
    space: int
    profile: tuple[int, int]

    @property
    def row_bytes(self) -> int:
        """Return the bytes of an uncompressed row with its padding."""
        return (self.width * self.bits + 31) // 32 * 4


def read_header(window: Window) -> BmpHeader:
    """Read the headers. Raises FormatError where they are broken, UnsupportedError for other header types."""
    head = window.read(0, FILE_HEADER_BYTES + 4)
    if len(head) < FILE_HEADER_BYTES + 4 or head[:2] != b"BM":
        raise FormatError(TITLE, "file header", 0, "not the header of a BMP file")
    offset, size = struct.unpack_from("<II", head, 10)
    if size not in (CORE, INFO, V2, V3, OS2, V4, V5):
        raise UnsupportedError(f"{TITLE}: a header of {size} bytes")
    info = window.read(FILE_HEADER_BYTES, size)
    if len(info) < size:
        raise FormatError(TITLE, "header", FILE_HEADER_BYTES, "the file ends within it")
    if size == CORE:
        width, height, _, bits = struct.unpack_from("<4H", info, 4)
        compression = colors = 0
    else:
        width, height, _, bits, compression = struct.unpack_from("<iiHHI", info, 4)
        (colors,) = struct.unpack_from("<I", info, 32)
    if width <= 0 or height == 0:
        raise FormatError(TITLE, "header", FILE_HEADER_BYTES, f"{width} x {abs(height)} pixels")
    _check_kind(size, bits, compression)
    masks_bytes = {BITFIELDS: 12, ALPHA_BITFIELDS: 16}.get(compression, 0) if size == INFO else 0
    masks = window.read(FILE_HEADER_BYTES + size, masks_bytes)
    palette, entry_bytes = FILE_HEADER_BYTES + size + masks_bytes, 3 if size == CORE else 4
    colors = (colors or 1 << bits) if bits <= 8 else 0
    entries = min(colors, 1 << bits)
    if palette + entries * entry_bytes > window.size:
        raise FormatError(TITLE, "palette", palette, "the file ends within it")
    if offset == 0:
        offset = palette + entry_bytes * colors
    elif offset == FILE_HEADER_BYTES + size and bits <= 8:  # some writers leave the palette out of the offset
        offset += entry_bytes * colors
    space, profile = WINDOWS, (0, 0)
    if size in (V4, V5):
        (space,) = struct.unpack_from("<I", info, SPACE_AT)
    if size == V5 and space in (LINKED, EMBEDDED):
        at, count = struct.unpack_from("<II", info, PROFILE_AT)
        profile = (FILE_HEADER_BYTES + at, count)
    return BmpHeader(
        info, width, abs(height), bits, compression, masks, palette, entries, entry_bytes, offset, space, profile
    )


def _check_kind(size: int, bits: int, compression: int) -> None:
    if compression in (4, 5) and size != OS2:
        raise UnsupportedError(f"{TITLE}: a JPEG or PNG inside")
    if compression not in (RGB, RLE8, RLE4) and (size == OS2 or compression not in (BITFIELDS, ALPHA_BITFIELDS)):
        raise UnsupportedError(f"{TITLE}: compression {compression}")
    if bits not in DEPTHS:
        raise UnsupportedError(f"{TITLE}: {bits} bits per pixel")
    if (compression, bits) not in ((RLE8, 8), (RLE4, 4)) and compression in (RLE8, RLE4):
        raise FormatError(TITLE, "header", FILE_HEADER_BYTES, f"run lengths of {bits} bits per pixel")
    if compression in (BITFIELDS, ALPHA_BITFIELDS) and bits <= 8:
        raise FormatError(TITLE, "header", FILE_HEADER_BYTES, f"color masks with {bits} bits per pixel")


def embedded_profile(window: Window, header: BmpHeader) -> bytes:
    """Return the embedded ICC profile, b"" where there is none or it is not entirely within the file."""
    start, size = header.profile
    if header.space != EMBEDDED or not 0 < size <= PROFILE_BYTES_MAX or start + size > window.size:
        return b""
    return window.read(start, size)


def linked_profile(window: Window, header: BmpHeader) -> str:
    """Return the printable name of the linked profile's file, "" where no profile is linked."""
    if header.space != LINKED:
        return ""
    start, size = header.profile
    name = window.read(start, min(size, LINK_BYTES_MAX)).split(b"\0")[0].decode("cp1252", "replace")
    return "".join(c for c in name if c.isprintable()) or "unnamed"


def is_calibrated(header: BmpHeader) -> bool:
    """Return whether the header's endpoints and gamma describe a color space other than sRGB."""
    if header.space != CALIBRATED:
        return False
    endpoints = struct.unpack_from("<9i", header.info, ENDPOINTS_AT)
    gammas = [value / 65536 for value in struct.unpack_from("<3I", header.info, GAMMA_AT)]
    if not any(endpoints) and not any(gammas):  # the fields are empty
        return False
    for index, expected in enumerate(SRGB_PRIMARIES):
        values = endpoints[3 * index : 3 * index + 3]
        total = sum(values)
        if total <= 0 or any(abs(a / total - b) > PRIMARY_TOLERANCE for a, b in zip(values[:2], expected, strict=True)):
            return True
    return any(abs(gamma - GAMMA) > GAMMA_TOLERANCE for gamma in gammas)
