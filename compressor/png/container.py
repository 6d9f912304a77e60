"""Lossless removal of metadata from PNG files: compressed image data is copied unchanged."""

import struct
import zlib
from collections.abc import Iterator

from compressor.bytestream import ByteStream
from compressor.errors import FormatError, UnsupportedError
from compressor.metadata import removed_trailing_bytes
from compressor.png.chunks import (
    METADATA_BYTES_MAX,
    PIECE_BYTES,
    Chunk,
    ChunkHeader,
    read_chunk,
    read_chunk_header,
    read_signature,
    serialize_chunk,
    skip_chunk,
)
from compressor.png.header import PALETTE
from compressor.png.inflate import INFLATE_BYTES
from compressor.png.metadata import removed_colors
from compressor.png.policy import ANIMATION, CREDENTIALS, SkippedMetadata, is_needed, kept_chunks, removed_credentials
from compressor.settings import Metadata
from compressor.spool import Readable

STRUCTURE = (b"IHDR", b"PLTE", b"IDAT", b"IEND", *ANIMATION)
IMAGE_DATA = {b"IDAT": 0, b"fdAT": 4}  # bytes before the compressed data of a chunk (clause 11.3.6.3)


def zlib_stream_sizes(source: Readable) -> list[int]:
    """Return the size of each zlib stream: one, or that of each frame of an animation.

    Their chunks can hold other bytes after them. Raises FormatError where a stream is damaged or truncated.
    """
    stream, last, new = ByteStream(source.chunks()), "signature", True
    sizes: list[int] = []
    inflate = zlib.decompressobj()
    read_signature(stream)
    while last != "IEND":
        start = read_chunk_header(stream, last)
        last = start.name
        if start.type not in IMAGE_DATA:
            new |= start.type == b"fcTL"
            skip_chunk(stream, start)
            continue
        if new:
            inflate, new = zlib.decompressobj(), False
            sizes.append(0)
        skip = IMAGE_DATA[start.type]
        for piece in _taken(stream, start.length, last):
            sizes[-1] += _inflated(inflate, piece[skip:], start)
            skip = max(0, skip - len(piece))
        for _ in _taken(stream, 4, last):
            pass
    return sizes


def _inflated(inflate: "zlib._Decompress", data: bytes, start: ChunkHeader) -> int:
    """Feed data to a zlib stream and return how many bytes of it belong to the stream."""
    count = len(data)
    try:
        while data and not inflate.eof:
            inflate.decompress(data, INFLATE_BYTES)
            data = inflate.unused_data if inflate.eof else inflate.unconsumed_tail
    except zlib.error as error:
        raise FormatError("PNG", start.name, start.offset, f"damaged image data: {error}") from None
    return count - len(data)


def without_metadata(
    source: Readable, policy: Metadata, notices: list[str], *, measured: bool = True
) -> Iterator[bytes]:
    """Yield the file up to IEND, with its ancillary chunks reduced to what `policy` keeps. Animation frames are kept.

    notices   receives what was removed that changes how the image is displayed, and what followed the image; complete
              after the last piece
    measured  whether to inflate image data first, to remove bytes after the zlib stream

    Raises FormatError where IEND is missing, LimitError for a metadata chunk above METADATA_BYTES_MAX, and
    UnsupportedError for an unknown critical chunk.
    """
    sizes = iter(zlib_stream_sizes(source)) if measured else None
    stream = ByteStream(source.chunks())
    yield stream.peek(8)
    read_signature(stream)
    last, skipped, credentials, new, left = "signature", SkippedMetadata(), False, True, 0
    color_type: int | None = None
    colors: dict[bytes, Chunk] = {}  # the first of each type
    old: list[Chunk] = []  # the orientation from a raw profile, which applies where there is no eXIf
    while last != "IEND":
        start = read_chunk_header(stream, last)
        last = start.name
        credentials |= start.type == CREDENTIALS
        new |= start.type == b"fcTL"
        if start.type in (b"IDAT", b"IEND") and old and b"eXIf" not in colors:
            yield serialize_chunk(b"eXIf", old[0].data)
            colors[b"eXIf"] = old[0]
        if start.type in IMAGE_DATA and sizes is not None:
            left, new = next(sizes) if new else left, False
            count = min(left, max(0, start.length - IMAGE_DATA[start.type]))
            left -= count
            yield from _image_data(stream, start, IMAGE_DATA[start.type] + count)
        elif start.type == b"PLTE" and color_type not in (PALETTE, None):
            skip_chunk(stream, start)  # a suggested palette
        elif start.type in STRUCTURE:
            if start.type == b"IHDR":
                color_type = stream.peek(10)[9] if len(stream.peek(10)) == 10 else None
            yield struct.pack(">I4s", start.length, start.type)
            yield from _taken(stream, start.length + 4, last)
        elif not start.type[0] & 0x20:
            raise UnsupportedError(f"PNG: {last} at byte {start.offset}: an unknown critical chunk")
        elif not is_needed(start.type, policy):
            old += skipped.skip(stream, start)
        else:
            chunk, crc_valid = read_chunk(stream, start, METADATA_BYTES_MAX)
            repeated = chunk.type in colors
            if crc_valid and not (repeated and chunk.type == b"eXIf"):
                yield b"".join(serialize_chunk(each.type, each.data) for each in kept_chunks([chunk], policy))
            if crc_valid and not repeated:
                colors[chunk.type] = chunk
    notices += [*removed_credentials(credentials), *removed_colors(list(colors.values()), policy)]
    notices += removed_trailing_bytes(sum(map(len, stream.drain())))


def _image_data(stream: ByteStream, start: ChunkHeader, count: int) -> Iterator[bytes]:
    """Yield a chunk with the first `count` bytes of its data, and a new CRC where it has more."""
    crc = zlib.crc32(start.type)
    yield struct.pack(">I4s", count, start.type)
    left = count
    for piece in _taken(stream, start.length, start.name):
        piece = piece[:left]
        left -= len(piece)
        crc = zlib.crc32(piece, crc)
        yield piece
    found = b"".join(_taken(stream, 4, start.name))
    yield found if count == start.length else crc.to_bytes(4, "big")


def _taken(stream: ByteStream, left: int, name: str) -> Iterator[bytes]:
    while left:
        piece = stream.read_some(min(left, PIECE_BYTES))
        if not piece:
            raise FormatError("PNG", name, stream.offset, "the input ends within its data or CRC")
        left -= len(piece)
        yield piece
