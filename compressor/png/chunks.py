"""Reading and writing of chunks (W3C PNG clause 5.3): length, type, data, CRC."""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from zlib_ng.zlib_ng import crc32

from compressor.bytestream import ByteStream
from compressor.errors import FormatError, LimitError

SIGNATURE = b"\x89PNG\r\n\x1a\n"
LENGTH_MAX = (1 << 31) - 1  # clause 5.3
METADATA_BYTES_MAX = 16 << 20  # of all chunks except IDAT
SKIPPED_BYTES_MAX, SKIPPED_CHUNKS_MAX = 1 << 30, 1_000_000  # of metadata that is not held in memory
PIECE_BYTES = 1 << 15  # compressed image data taken at a time


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk without its length and CRC. offset: of its length field in the input; -1 in new ones."""

    type: bytes
    data: bytes
    offset: int = -1

    @property
    def name(self) -> str:
        """Return the type as text."""
        return self.type.decode("ascii", "replace")

    @property
    def critical(self) -> bool:
        """Return whether it is a critical chunk (bit 5 of the first byte, clause 5.4)."""
        return not self.type[0] & 0x20


@dataclass(frozen=True, slots=True)
class ChunkHeader:
    """The first eight bytes of a chunk, after which the stream is at its data."""

    type: bytes
    length: int
    offset: int

    @property
    def name(self) -> str:
        """Return the type as text."""
        return self.type.decode("ascii", "replace")


def read_signature(stream: ByteStream) -> None:
    """Read the PNG signature (clause 5.2)."""
    found = stream.read(8)
    if found != SIGNATURE:
        problem = "the input ends" if SIGNATURE.startswith(found) else f"found {found.hex(' ')}"
        raise FormatError("PNG", "signature", 0, f"{problem}, expected {SIGNATURE.hex(' ')}")


def read_chunk_header(stream: ByteStream, previous: str) -> ChunkHeader:
    """Read a chunk's length and type. previous: name of the chunk before it, for errors."""
    offset = stream.offset
    head = stream.read(8)
    if len(head) < 8:
        raise FormatError("PNG", previous, offset + len(head), "the input ends after it, expected a chunk")
    length, kind = struct.unpack(">I4s", head)
    if not kind.isalpha():
        raise FormatError("PNG", "chunk type", offset + 4, f"found {kind.hex(' ')}, expected four letters")
    if length > LENGTH_MAX:
        raise FormatError("PNG", kind.decode(), offset, f"its length is {length}, at most {LENGTH_MAX} is legal")
    return ChunkHeader(kind, length, offset)


def read_chunk(stream: ByteStream, start: ChunkHeader, limit_bytes: int) -> tuple[Chunk, bool]:
    """Read the rest of a chunk with at most `limit_bytes`. Return the chunk and whether its CRC is correct."""
    if start.length > limit_bytes or limit_bytes <= 0:  # an empty chunk takes memory, too
        raise LimitError(
            f"PNG: {start.name} at byte {start.offset}: {start.length} bytes,"
            f" more than the rest of the {METADATA_BYTES_MAX >> 20} MiB allowed for metadata"
        )
    data = stream.read_charged(start.length)
    crc = stream.read(4)
    if len(crc) < 4:
        raise FormatError("PNG", start.name, stream.offset, f"the input ends within its {start.length} bytes or CRC")
    crc_valid = crc32(data, crc32(start.type)) == int.from_bytes(crc, "big")
    return Chunk(start.type, data, start.offset), crc_valid


def skip_chunk(stream: ByteStream, start: ChunkHeader) -> None:
    """Skip the rest of a chunk without holding it in memory or checking its CRC."""
    left = start.length + 4
    while left:
        piece = stream.read_some(min(left, PIECE_BYTES))
        if not piece:
            raise FormatError(
                "PNG", start.name, stream.offset, f"the input ends within its {start.length} bytes or CRC"
            )
        left -= len(piece)


class ImageData:
    """The compressed image data: the data of consecutive IDAT chunks as one stream of pieces (clause 11.2.3).

    offset     in the input, of the next byte that `pieces` yields
    size       bytes yielded so far
    copy       called with every piece before it is yielded, to keep the data for a second pass, or None
    following  header of the first chunk after the image data, once `pieces` has ended
    """

    def __init__(self, stream: ByteStream, first: ChunkHeader, copy: Callable[[bytes], object] | None = None) -> None:
        self._stream = stream
        self._chunk = first
        self._copy = copy
        self.size = 0
        self.following: ChunkHeader | None = None

    @property
    def offset(self) -> int:
        """Return the position in the input."""
        return self._stream.offset

    def pieces(self) -> Iterator[bytes]:
        """Yield the data, at most PIECE_BYTES at a time, and check the CRC at the end of each chunk."""
        while self.following is None:
            left = self._chunk.length
            crc = crc32(b"IDAT")
            while left:
                piece = self._stream.read_some(min(left, PIECE_BYTES))
                if not piece:
                    raise FormatError("PNG", "IDAT", self._stream.offset, f"the input ends {left} bytes before its end")
                left -= len(piece)
                crc = crc32(piece, crc)
                self.size += len(piece)
                if self._copy is not None:
                    self._copy(piece)
                yield piece
            offset = self._stream.offset
            found = self._stream.read(4)
            if len(found) < 4:
                raise FormatError("PNG", "IDAT", self._stream.offset, "the input ends within its CRC")
            if crc != int.from_bytes(found, "big"):
                raise FormatError("PNG", "IDAT", offset, f"its CRC is {found.hex()}, its data gives {crc:08x}")
            following = read_chunk_header(self._stream, "IDAT")
            if following.type == b"IDAT":
                self._chunk = following
            else:
                self.following = following


def serialize_chunk(kind: bytes, data: bytes | bytearray) -> bytes:
    """Return a chunk with its length and CRC."""
    return b"".join((struct.pack(">I", len(data)), kind, data, struct.pack(">I", crc32(data, crc32(kind)))))
