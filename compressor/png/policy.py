"""Chunks that a metadata policy keeps, and those that need not even be held (W3C PNG clause 11.3)."""

import zlib

from compressor import icc
from compressor.bytestream import ByteStream
from compressor.errors import LimitError
from compressor.metadata import CREDENTIALS_REMOVED, orientation, orientation_exif
from compressor.png import raw_profile
from compressor.png.chunks import (
    METADATA_BYTES_MAX,
    PASSED_BYTES_MAX,
    PASSED_CHUNKS_MAX,
    Chunk,
    Start,
    read_data,
    skip_data,
)
from compressor.settings import Metadata

COLOR = (b"PLTE", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"cICP", b"mDCV", b"cLLI", b"sBIT")
PIXELS = (b"PLTE", b"tRNS")
# Of the data of chunks that have a fixed one.
LENGTHS: dict[bytes, tuple[int, ...]] = {
    b"gAMA": (4,),
    b"cHRM": (32,),
    b"sRGB": (1,),
    b"cICP": (4,),
    b"mDCV": (24,),
    b"cLLI": (8,),
}
LENGTHS |= {b"sBIT": (1, 2, 3, 4)}
CREDENTIALS = b"caBX"  # C2PA specification 2.1, A.3.2
ANIMATION = (b"acTL", b"fcTL", b"fdAT")


def is_needed(kind: bytes, policy: Metadata) -> bool:
    """Return whether a chunk of this type matters under a policy; others can be passed over unread.

    Of what STRIP removes, that which tells the colours matters: a notice names it.
    """
    if kind == CREDENTIALS:
        return False
    return policy is Metadata.KEEP or kind in COLOR or kind in ANIMATION or kind == b"eXIf" or not kind[0] & 0x20


def kept(chunks: list[Chunk], policy: Metadata) -> list[Chunk]:
    """Return the chunks that a PNG made from a PNG still has.

    KEEP: all but content credentials, verbatim. COLOR: what changes how it looks, and of eXIf the orientation alone.
    STRIP: what its samples mean nothing without, and the orientation. Chunks of an animation go: they are about frames
    that are not there any more, and so does Apple's iDOT, which tells where in the compressed data the lower half of
    the image begins.
    """
    chunks = [chunk for chunk in chunks if chunk.type not in (*ANIMATION, b"iDOT", CREDENTIALS)]
    if policy is Metadata.KEEP:
        return chunks
    left, turned = [], False
    for chunk in chunks:
        if chunk.type in (COLOR if policy is Metadata.COLOR else PIXELS):
            left += _trimmed(chunk)
        elif chunk.type == b"eXIf" and not turned and (value := orientation(chunk.data)) != 1:
            left.append(Chunk(b"eXIf", orientation_exif(value)))
            turned = True
    return left


def _trimmed(chunk: Chunk) -> list[Chunk]:
    """Return a chunk with nothing in it but what it is for; none where that is not what it holds."""
    if chunk.type == b"iCCP":
        _, _, rest = chunk.data.partition(b"\0")
        try:
            profile = zlib.decompressobj().decompress(rest[1:], METADATA_BYTES_MAX)
        except zlib.error:
            return []
        return [Chunk(b"iCCP", b"ICC Profile\0\0" + zlib.compress(icc.whole(profile), 9), chunk.offset)]
    fits = len(chunk.data) in LENGTHS.get(chunk.type, (len(chunk.data),))
    return [chunk] if fits else []


def removed_credentials(found: bool) -> list[str]:
    """Name content credentials that were removed, if there were any."""
    return [CREDENTIALS_REMOVED] if found else []


class Passed:
    """Counts metadata that are passed over without being held, up to limits."""

    def __init__(self) -> None:
        self._bytes = self._chunks = 0
        self._looked = False  # into one that may hold Exif

    def skip(self, stream: ByteStream, start: Start) -> list[Chunk]:
        """Take a chunk's data and CRC. Where it is Exif in text that turns the picture, return eXIf that does the same.

        Raises LimitError where there is more than anybody would write.
        """
        self._bytes += start.length
        self._chunks += 1
        if self._bytes > PASSED_BYTES_MAX or self._chunks > PASSED_CHUNKS_MAX:
            raise LimitError(f"PNG: more than {PASSED_BYTES_MAX} bytes or {PASSED_CHUNKS_MAX} chunks of metadata")
        is_exif = raw_profile.is_candidate(start.type, start.length, stream.peek(raw_profile.KEYWORD_BYTES))
        if not is_exif or self._looked:
            skip_data(stream, start)
            return []
        self._looked = True
        chunk, right = read_data(stream, start, raw_profile.CHUNK_BYTES_MAX)
        turned = orientation(raw_profile.exif_of(chunk)) if right else 1
        return [Chunk(b"eXIf", orientation_exif(turned), start.offset)] if turned != 1 else []
