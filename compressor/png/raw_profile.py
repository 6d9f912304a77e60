"""Exif in text, as ImageMagick wrote it into a PNG before there was eXIf: hexadecimal, as a "raw profile"."""

import zlib

from compressor.metadata import EXIF_HEADER, tiff_stream
from compressor.png.chunks import Chunk

KEYWORDS = (b"Raw profile type exif\0", b"Raw profile type APP1\0")  # the second also for XMP
KEYWORD_BYTES = max(map(len, KEYWORDS))
TEXT = (b"tEXt", b"zTXt")
CHUNK_BYTES_MAX = 1 << 18  # of a chunk that is looked into
TEXT_BYTES_MAX = 1 << 20  # of its text


def is_candidate(kind: bytes, length: int, start: bytes) -> bool:
    """Return whether a chunk of this type and length, with data that begin so, can be one that `exif_of` reads."""
    return kind in TEXT and length <= CHUNK_BYTES_MAX and start.startswith(KEYWORDS)


def exif_of(chunk: Chunk) -> bytes | None:
    """Return the Exif of such a chunk as a TIFF stream; None for other text, and where it can't be read."""
    if not is_candidate(chunk.type, len(chunk.data), chunk.data[:KEYWORD_BYTES]):
        return None
    text = chunk.data[chunk.data.index(b"\0") + 1 :]
    try:
        if chunk.type == b"zTXt":
            inflate = zlib.decompressobj()
            text = inflate.decompress(text[1:], TEXT_BYTES_MAX)
            if not inflate.eof:
                return None
        # An empty line, the profile's name, its length in bytes, and lines of digits.
        data = bytes.fromhex(b"".join(text.split(b"\n")[3:]).decode("ascii"))
    except (zlib.error, ValueError):
        return None
    return tiff_stream(data) if data.startswith(EXIF_HEADER) else None
