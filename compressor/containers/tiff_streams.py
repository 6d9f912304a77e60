"""The end of compressed samples within a strip or tile of a TIFF, for codecs that mark it, and metadata inside them."""

import zlib
from collections.abc import Callable

import numpy as np

from compressor.containers import tiff_jpeg
from compressor.containers.tiff_strips import Strips
from compressor.errors import FormatError, UnsupportedError
from compressor.parsers.tiff import COMPRESSION, TITLE, Directory, TiffFile

LZW, JPEG, ADOBE_DEFLATE, DEFLATE, WEBP = 5, 7, 8, 32946, 50001
FILL_ORDER, JPEG_TABLES = 266, 347
PIECE_BYTES = 1 << 16
CLEAR, END = 256, 257
# Number and bits of the codes after a Clear code (TIFF 6.0 section 13): each adds an entry to the table. An encoder has
# to clear a full table, so the last number is never reached.
CODES = ((254, 9), (512, 10), (1024, 11), (2304, 12))
RUN_BYTES = sum(count * bits for count, bits in CODES) // 8 + 2
REVERSED = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))

Read = Callable[[int, int], bytes]


def trim(file: TiffFile, read: Read, page: Directory, strips: Strips) -> list[tuple[int, int]]:
    """Set the ends of a page's strips or tiles to the ends of their data. Return the ranges of metadata in them and in
    the JPEG tables, which fill bytes are to replace."""
    compression, tables = file.number(page, COMPRESSION, 1), page.find(JPEG_TABLES)
    fills: list[tuple[int, int]] = []
    if compression not in (JPEG, WEBP, LZW, DEFLATE, ADOBE_DEFLATE):
        return fills
    if compression == JPEG and tables is not None and not tables.inline:
        fills += tiff_jpeg.find_metadata(read, tables.at, tables.at + tables.bytes)[1]
    reversed_bits = file.number(page, FILL_ORDER, 1) == 2
    for index, (start, end) in enumerate(zip(strips.starts.tolist(), strips.ends.tolist(), strict=True)):
        if end > file.size:
            raise FormatError(TITLE, "strips", start, "they extend beyond the end of the file")
        if end == start:
            continue
        if compression == JPEG:
            strips.ends[index], found = tiff_jpeg.find_metadata(read, start, end)
            fills += found
        elif compression == WEBP:
            strips.ends[index] = _webp_end(read(start, 20), start, end)
        else:
            in_order = (lambda at, count: read(at, count).translate(REVERSED)) if reversed_bits else read
            strips.ends[index] = stream_end(compression, in_order, start, end, strips.most)
    return fills


def _webp_end(head: bytes, start: int, end: int) -> int:
    """Return the end of a WebP file that consists of one lossy or lossless image."""
    chunk = int.from_bytes(head[16:20], "little")
    riff_end = start + 20 + chunk + chunk % 2
    simple = head[:4] == b"RIFF" and head[8:12] == b"WEBP" and head[12:16] in (b"VP8 ", b"VP8L")
    if not simple or riff_end > end or start + 8 + int.from_bytes(head[4:8], "little") != riff_end:
        raise UnsupportedError(f"{TITLE}: can't remove metadata from WebP strips with additional chunks")
    return riff_end


def stream_end(compression: int, read: Read, start: int, end: int, most: int) -> int:
    """Return the end of the data of a strip in start … end: `end` for other codecs and for truncated data.

    most  bytes of samples that the strip can have; readers ignore more
    """
    if compression in (DEFLATE, ADOBE_DEFLATE):
        return _deflate_end(read, start, end, most)
    return _lzw_end(read, start, end) if compression == LZW else end


def _deflate_end(read: Read, start: int, end: int, most: int) -> int:
    inflate = zlib.decompressobj()
    made, at = 0, start
    try:
        while at < end and not inflate.eof:
            piece = read(at, min(PIECE_BYTES, end - at))
            at += len(piece)
            while piece and not inflate.eof:
                made += len(inflate.decompress(piece, PIECE_BYTES))
                piece = inflate.unconsumed_tail
                if made > most:
                    raise FormatError(TITLE, "deflate", start, f"more than {most} bytes of samples")
    except zlib.error as error:
        raise FormatError(TITLE, "deflate", start, str(error)) from None
    return at - len(inflate.unused_data) if inflate.eof else end


def _lzw_end(read: Read, start: int, end: int) -> int:
    """Follow Clear codes to the End code: between two of them the size of every code is known in advance."""
    head = read(start, min(2, end - start))
    if len(head) == 2 and head[0] == 0 and head[1] & 1:
        raise UnsupportedError(f"{TITLE}: LZW of the kind before TIFF 6.0 is not supported")
    place = 8 * start  # in bits
    while True:
        at = place // 8
        bits = np.unpackbits(np.frombuffer(read(at, min(RUN_BYTES, end - at)), np.uint8))
        position = place % 8
        for count, size in CODES:
            there = min(count, (len(bits) - position) // size)
            codes = bits[position : position + there * size].reshape(there, size) @ (1 << np.arange(size)[::-1])
            special = np.flatnonzero((codes == CLEAR) | (codes == END))
            if special.size:
                place = 8 * at + position + (int(special[0]) + 1) * size
                break
            position += there * size
            if there < count:
                if at + RUN_BYTES < end:
                    raise FormatError(TITLE, "LZW", start, "no code that clears a full table")
                return end
        else:
            raise FormatError(TITLE, "LZW", start, "no code that clears a full table")
        if codes[special[0]] == END:
            return -(-place // 8)
