"""The chunks that a metadata policy keeps, and those that it need not hold in memory (W3C PNG clause 11.3)."""

import zlib

from compressor import icc
from compressor.bytestream import ByteStream
from compressor.errors import LimitError
from compressor.metadata import CREDENTIALS_REMOVED, orientation, orientation_exif
from compressor.png import raw_profile
from compressor.png.chunks import (
    METADATA_BYTES_MAX,
    SKIPPED_BYTES_MAX,
    SKIPPED_CHUNKS_MAX,
    Chunk,
    ChunkHeader,
    read_chunk,
    skip_chunk,
)
from compressor.settings import Metadata

COLOR = (b"PLTE", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"cICP", b"mDCV", b"cLLI", b"sBIT")
PIXELS = (b"PLTE", b"tRNS")
# Data bytes of chunks of fixed length.
LENGTHS: dict[bytes, tuple[int, ...]] = {
    b"gAMA": (4,),
    b"cHRM": (32,),
    b"sRGB": (1,),
    b"cICP": (4,),
    b"mDCV": (24,),
    b"cLLI": (8,),
    b"sBIT": (1, 2, 3, 4),
}
CREDENTIALS = b"caBX"  # C2PA specification 2.1, A.3.2
ANIMATION = (b"acTL", b"fcTL", b"fdAT")


def is_needed(kind: bytes, policy: Metadata) -> bool:
    """Return whether a policy needs chunks of a type; others can be skipped.

    STRIP needs color space chunks, too: a notice names those that it removes.
    """
    if kind == CREDENTIALS:
        return False
    return policy is Metadata.KEEP or kind in COLOR or kind in ANIMATION or kind == b"eXIf" or not kind[0] & 0x20


def kept_chunks(chunks: list[Chunk], policy: Metadata) -> list[Chunk]:
    """Return the chunks that a policy keeps when a PNG is re-encoded.

    KEEP: all but content credentials, verbatim. COLOR: those that affect the display, and the orientation of eXIf.
    STRIP: those needed to interpret the samples, and the orientation. Animation chunks are removed, since the frames
    are, and so is Apple's iDOT, which locates the lower half of the image in the compressed data.
    """
    chunks = [chunk for chunk in chunks if chunk.type not in (*ANIMATION, b"iDOT", CREDENTIALS)]
    if policy is Metadata.KEEP:
        return chunks
    left, has_orientation = [], False
    for chunk in chunks:
        if chunk.type in (COLOR if policy is Metadata.COLOR else PIXELS):
            left += _trimmed(chunk)
        elif chunk.type == b"eXIf" and not has_orientation and (value := orientation(chunk.data)) != 1:
            left.append(Chunk(b"eXIf", orientation_exif(value)))
            has_orientation = True
    return left


def _trimmed(chunk: Chunk) -> list[Chunk]:
    """Return a chunk without extra data, nothing where it is invalid."""
    if chunk.type == b"iCCP":
        _, _, rest = chunk.data.partition(b"\0")
        try:
            profile = zlib.decompressobj().decompress(rest[1:], METADATA_BYTES_MAX)
        except zlib.error:
            return []
        return [Chunk(b"iCCP", b"ICC Profile\0\0" + zlib.compress(icc.trimmed(profile), 9), chunk.offset)]
    fits = len(chunk.data) in LENGTHS.get(chunk.type, (len(chunk.data),))
    return [chunk] if fits else []


def removed_credentials(found: bool) -> list[str]:
    """Return a notice of removed content credentials, if there were any."""
    return [CREDENTIALS_REMOVED] if found else []


class SkippedMetadata:
    """Skips metadata without holding it in memory, up to limits."""

    def __init__(self) -> None:
        self._bytes = self._chunks = 0
        self._has_read_profile = False  # that may hold Exif

    def skip(self, stream: ByteStream, start: ChunkHeader) -> list[Chunk]:
        """Skip a chunk's data and CRC. Where it is a raw profile with an orientation, return an eXIf chunk with that.

        Raises LimitError above SKIPPED_BYTES_MAX or SKIPPED_CHUNKS_MAX.
        """
        self._bytes += start.length
        self._chunks += 1
        if self._bytes > SKIPPED_BYTES_MAX or self._chunks > SKIPPED_CHUNKS_MAX:
            raise LimitError(f"PNG: more than {SKIPPED_BYTES_MAX} bytes or {SKIPPED_CHUNKS_MAX} chunks of metadata")
        is_exif = raw_profile.is_candidate(start.type, start.length, stream.peek(raw_profile.KEYWORD_BYTES))
        if not is_exif or self._has_read_profile:
            skip_chunk(stream, start)
            return []
        self._has_read_profile = True
        chunk, crc_valid = read_chunk(stream, start, raw_profile.CHUNK_BYTES_MAX)
        oriented = orientation(raw_profile.exif_of(chunk)) if crc_valid else 1
        return [Chunk(b"eXIf", orientation_exif(oriented), start.offset)] if oriented != 1 else []
