"""BMP of Windows and OS/2, uncompressed or run-length encoded."""

import struct
from collections.abc import Iterator

import numpy as np

from compressor import icc
from compressor.containers import notes
from compressor.containers.container import Container
from compressor.errors import CompressorError, FormatError, LimitError, UnsupportedError
from compressor.parsers import bmp
from compressor.parsers.bmp import TITLE
from compressor.settings import Metadata
from compressor.spool import Readable
from compressor.window import Window

PIECE_BYTES = 1 << 18
SIZE_MAX = 0xFFFFFFFF
END_OF_BITMAP, LAST_LINE = b"\0\1", b"\0\0\0\1"
INTENTS = (1, 2, 4, 8)


class BmpContainer(Container):
    """A BMP file."""

    def without_metadata(self, policy: Metadata, notices: list[str]) -> Iterator[bytes]:
        """Yield header, palette, pixels and, with COLOR, the embedded profile.

        Resolution, reserved fields, gaps and the padding of rows become zero or are left out.
        """
        window = Window(self._source.read, self._source.size)
        header = bmp.read_header(window)
        end = pixels_end = _pixels_end(window, header)
        count = header.row_bytes * header.height
        if header.compression in (bmp.RLE8, bmp.RLE4):
            count = end - header.pixels + len(END_OF_BITMAP)
            pixels_end = _codes_end(window, end)
        profile = _profile(window, header, policy, notices)
        palette = _palette(window, header)
        pixels = bmp.FILE_HEADER_BYTES + len(header.info) + len(header.masks) + len(palette)
        size = pixels + count + len(profile)
        if size > SIZE_MAX:
            raise LimitError(f"{TITLE}: {size} bytes, at most {SIZE_MAX}")
        notes.note_trailing_bytes(self._source.size - max(pixels_end, sum(header.profile)), notices)
        yield struct.pack("<2sIII", b"BM", size, 0, pixels)
        space = struct.pack("<II", pixels + count - bmp.FILE_HEADER_BYTES, len(profile)) if profile else bytes(8)
        yield _info(header, count, policy, space) + header.masks + palette
        if header.compression in (bmp.RLE8, bmp.RLE4):
            for at in range(header.pixels, end, PIECE_BYTES):
                yield self._source.read(at, min(PIECE_BYTES, end - at))
            yield END_OF_BITMAP
        else:
            yield from _rows(self._source, header)
        if profile:
            yield profile

    def unmapped_metadata(self) -> list[str]:
        window, names = Window(self._source.read, self._source.size), list[str]()
        try:
            header = bmp.read_header(window)
            if any(window.read(6, 4)) or (len(header.info) == bmp.OS2 and any(header.info[60:])):
                names.append("reserved fields of the header")
            gap_at = header.palette + header.entries * header.entry_bytes
            if any(window.read(gap_at, min(max(0, header.pixels - gap_at), PIECE_BYTES))):
                names.append("bytes between header and pixels")
            end = _pixels_end(window, header)
            if header.compression in (bmp.RLE8, bmp.RLE4):
                end = _codes_end(window, end)
            if self._source.size > max(end, sum(header.profile)):
                names.append(notes.trailing_bytes(self._source.size - max(end, sum(header.profile))))
        except CompressorError:
            pass
        return names


def _pixels_end(window: Window, header: bmp.BmpHeader) -> int:
    """Return the end offset of the pixels in the source; of run-length codes, that of the last one that draws."""
    if header.compression in (bmp.RLE8, bmp.RLE4):
        return _last_drawing_code_end(window, header)
    end = header.pixels + header.row_bytes * header.height
    needed = end - header.row_bytes + _used_bytes(header)  # the last row's padding may be missing
    if needed > window.size:
        raise FormatError(TITLE, "pixels", header.pixels, f"the file ends {needed - window.size} bytes early")
    return min(end, window.size)


def _last_drawing_code_end(window: Window, header: bmp.BmpHeader) -> int:
    """Return the offset of the end-of-bitmap code, or of the first byte after the code that fills the last row."""
    at, x, y, width, height, skipped = header.pixels, 0, 0, header.width, header.height, False
    for _ in range(width * height + 2 * height + 2):
        code = window.read(at, 4)
        if y >= height or (y == height - 1 and x >= width):
            if (skipped or y >= height) and code[:2] not in (b"", END_OF_BITMAP) and code != LAST_LINE:
                raise UnsupportedError(
                    f"{TITLE}: run-length codes after the last row, which readers interpret differently"
                )
            return at
        if len(code) < 2:
            raise FormatError(TITLE, "pixels", at, "the file ends before the end-of-bitmap code")
        if code[0]:
            x, at = x + code[0], at + 2
        elif code[1] == 0:  # end of line
            skipped |= x < width  # some readers ignore an end of line in an empty row
            x, y, at = 0, y + 1, at + 2
        elif code[1] == 1:
            return at
        elif code[1] == 2:  # delta
            if len(code) < 4:
                raise FormatError(TITLE, "pixels", at, "the file ends within a delta")
            skipped = True
            x, y, at = x + code[2], y + code[3], at + 4
        else:
            data = code[1] if header.bits == 8 else (code[1] + 1) // 2
            x, at = x + code[1], at + 2 + data + (data & 1)
            if at > window.size:
                raise FormatError(TITLE, "pixels", at, "the file ends within a run")
    raise FormatError(TITLE, "pixels", at, "more codes than pixels")


def _codes_end(window: Window, end: int) -> int:
    """Return the end of all run-length codes: of an end-of-bitmap code after the last one that draws, with or without
    an end-of-line code before it."""
    for code in (LAST_LINE, END_OF_BITMAP):
        if window.read(end, len(code)) == code:
            return end + len(code)
    return end


def _used_bytes(header: bmp.BmpHeader) -> int:
    """Return the bytes of a row without its padding."""
    return (header.width * header.bits + 7) // 8


def _rows(source: Readable, header: bmp.BmpHeader) -> Iterator[bytes]:
    """Yield the rows, with zeros as padding."""
    used, row_bytes, end = _used_bytes(header), header.row_bytes, header.pixels + header.row_bytes * header.height
    if row_bytes <= PIECE_BYTES:
        step = PIECE_BYTES // row_bytes * row_bytes
        for at in range(header.pixels, end, step):
            piece = bytearray(source.read(at, min(step, end - at)).ljust(min(step, end - at), b"\0"))
            if used < row_bytes:
                np.frombuffer(piece, np.uint8).reshape(-1, row_bytes)[:, used:] = 0
            yield bytes(piece)
        return
    for row in range(header.pixels, end, row_bytes):
        for at in range(row, row + used, PIECE_BYTES):
            yield source.read(at, min(PIECE_BYTES, row + used - at))
        if used < row_bytes:
            yield bytes(row_bytes - used)


def _palette(window: Window, header: bmp.BmpHeader) -> bytes:
    """Return the palette, with zero in the reserved byte of each entry."""
    palette = bytearray(window.read(header.palette, header.entries * header.entry_bytes))
    if header.entry_bytes == 4:
        palette[3::4] = bytes(header.entries)
    return bytes(palette)


def _profile(window: Window, header: bmp.BmpHeader, policy: Metadata, notices: list[str]) -> bytes:
    """Return the profile to keep, b"" for none, and add notices of color spaces that are removed."""
    if header.space == bmp.EMBEDDED:
        profile = icc.trimmed(bmp.embedded_profile(window, header))
        if profile and policy is Metadata.COLOR:
            return profile
        if profile:
            notes.note_profile(profile, notices)
        else:
            notices.append("an ICC profile that can't be read was removed: colors may differ")
    elif header.space == bmp.LINKED:
        notices.append("the reference to an ICC profile in another file was removed: colors may differ")
    elif policy is Metadata.STRIP and bmp.is_calibrated(header):
        notices.append("the color space (calibrated RGB) was removed: colors will differ")
    return b""


def _info(header: bmp.BmpHeader, pixel_bytes: int, policy: Metadata, profile: bytes) -> bytes:
    """Return the information header with every field that is not needed set to zero.

    profile  offset and size of the profile as bytes, zeros for none
    """
    info, size = bytearray(header.info), len(header.info)
    if size == bmp.CORE:
        return bytes(info)
    colors = struct.unpack_from("<I", info, 32)[0]
    used = min(colors, header.entries) if header.bits <= 8 else 0
    struct.pack_into("<5I", info, 20, pixel_bytes, 0, 0, used, 0)  # no resolution, all colors important
    if size == bmp.OS2:
        info[40:44], info[46:64] = bytes(4), bytes(18)  # the order of the rows is kept
        return bytes(info)
    if size > bmp.INFO and header.compression not in (bmp.BITFIELDS, bmp.ALPHA_BITFIELDS):
        info[40:52] = bytes(12)  # masks without effect
    if size < bmp.V4:
        return bytes(info)
    calibrated = header.space == bmp.CALIBRATED and (policy is Metadata.COLOR or not bmp.is_calibrated(header))
    if not (calibrated and any(info[bmp.ENDPOINTS_AT : bmp.INTENT_AT]) and policy is Metadata.COLOR):
        info[bmp.ENDPOINTS_AT : bmp.INTENT_AT] = bytes(bmp.INTENT_AT - bmp.ENDPOINTS_AT)
    is_kept = calibrated or header.space == bmp.WINDOWS or any(profile)
    struct.pack_into("<I", info, bmp.SPACE_AT, header.space if is_kept else bmp.SRGB)
    if size == bmp.V5:
        intent = struct.unpack_from("<I", info, bmp.INTENT_AT)[0]
        struct.pack_into("<I", info, bmp.INTENT_AT, intent if intent in INTENTS else 0)
        info[bmp.PROFILE_AT :] = profile + bytes(4)
    return bytes(info)
