"""Raw profiles: Exif as hexadecimal text, which ImageMagick wrote into PNG files before eXIf existed."""

import zlib

from compressor.metadata import EXIF_HEADER, tiff_stream
from compressor.png.chunks import Chunk

KEYWORDS = (b"Raw profile type exif\0", b"Raw profile type APP1\0")  # the second also for XMP
KEYWORD_BYTES = max(map(len, KEYWORDS))
TEXT = (b"tEXt", b"zTXt")
CHUNK_BYTES_MAX = 1 << 18  # of a chunk that is read
TEXT_BYTES_MAX = 1 << 20  # of its inflated text


def is_candidate(kind: bytes, length: int, start: bytes) -> bool:
    """Return whether `exif_of` can read a chunk of this type and length whose data begins with `start`."""
    return kind in TEXT and length <= CHUNK_BYTES_MAX and start.startswith(KEYWORDS)


def exif_of(chunk: Chunk) -> bytes | None:
    """Return the Exif of a raw profile as a TIFF stream, None for other text and where it is unreadable."""
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
