"""Chunks (W3C PNG clause 5.3): length, type, data, CRC; read with every claim checked, and written."""

import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from compressor.bytestream import ByteStream
from compressor.errors import FormatError, LimitError

SIGNATURE = b"\x89PNG\r\n\x1a\n"
LENGTH_MAX = (1 << 31) - 1  # clause 5.3
METADATA_BYTES_MAX = 16 << 20  # of all chunks but IDAT together
PASSED_BYTES_MAX, PASSED_CHUNKS_MAX = 1 << 30, 1_000_000  # of metadata that are not held
PIECE_BYTES = 1 << 15  # compressed image data taken at a time


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk without its length and CRC. offset: of its length field from the start of the input; -1 in new ones."""

    type: bytes
    data: bytes
    offset: int = -1

    @property
    def name(self) -> str:
        """The type as text."""
        return self.type.decode("ascii", "replace")

    @property
    def critical(self) -> bool:
        """Whether a reader must know it (bit 5 of the first byte, clause 5.4)."""
        return not self.type[0] & 0x20


@dataclass(frozen=True, slots=True)
class Start:
    """The first eight bytes of a chunk: its data comes next in the stream."""

    type: bytes
    length: int
    offset: int

    @property
    def name(self) -> str:
        """The type as text."""
        return self.type.decode("ascii", "replace")


def read_signature(stream: ByteStream) -> None:
    """Take the eight bytes every PNG begins with (clause 5.2)."""
    found = stream.read(8)
    if found != SIGNATURE:
        problem = "the input ends" if SIGNATURE.startswith(found) else f"found {found.hex(' ')}"
        raise FormatError("PNG", "signature", 0, f"{problem}, expected {SIGNATURE.hex(' ')}")


def read_start(stream: ByteStream, after: str) -> Start:
    """Take a chunk's length and type. after: the chunk before, to say where the input ends."""
    offset = stream.offset
    head = stream.read(8)
    if len(head) < 8:
        raise FormatError("PNG", after, offset + len(head), "the input ends after it, expected a chunk")
    length, kind = struct.unpack(">I4s", head)
    if not kind.isalpha():
        raise FormatError("PNG", "chunk type", offset + 4, f"found {kind.hex(' ')}, expected four letters")
    if length > LENGTH_MAX:
        raise FormatError("PNG", kind.decode(), offset, f"its length is {length}, at most {LENGTH_MAX} is legal")
    return Start(kind, length, offset)


def read_data(stream: ByteStream, start: Start, limit_bytes: int) -> tuple[Chunk, bool]:
    """Take the rest of a chunk of at most `limit_bytes`: the chunk, and whether its CRC is right."""
    if start.length > limit_bytes or limit_bytes <= 0:  # an empty chunk counts as well
        raise LimitError(
            f"PNG: {start.name} at byte {start.offset}: {start.length} bytes,"
            f" more than what is left of the {METADATA_BYTES_MAX >> 20} MiB allowed for metadata"
        )
    data = stream.keep(start.length)
    crc = stream.read(4)
    if len(crc) < 4:
        raise FormatError("PNG", start.name, stream.offset, f"the input ends within its {start.length} bytes or CRC")
    right = zlib.crc32(data, zlib.crc32(start.type)) == int.from_bytes(crc, "big")
    return Chunk(start.type, data, start.offset), right


def skip_data(stream: ByteStream, start: Start) -> None:
    """Let a chunk pass without holding it; its CRC is not looked at."""
    left = start.length + 4
    while left:
        piece = stream.some(min(left, PIECE_BYTES))
        if not piece:
            raise FormatError(
                "PNG", start.name, stream.offset, f"the input ends within its {start.length} bytes or CRC"
            )
        left -= len(piece)


class ImageData:
    """The compressed image data: the data of consecutive IDAT chunks as one stream of pieces (clause 11.2.3).

    offset  of the next byte that `pieces` will give, in the input
    size    bytes given so far
    copy    called with every piece before it is given, or None: where the data is kept for a second look
    after   the start of the first chunk behind, once the pieces have ended
    """

    def __init__(self, stream: ByteStream, first: Start, copy: Callable[[bytes], object] | None = None) -> None:
        self._stream = stream
        self._chunk = first
        self._copy = copy
        self.size = 0
        self.after: Start | None = None

    @property
    def offset(self) -> int:
        """Where the stream stands."""
        return self._stream.offset

    def pieces(self) -> Iterator[bytes]:
        """The data, at most PIECE_BYTES at a time; each chunk's CRC is checked when it ends."""
        while self.after is None:
            left = self._chunk.length
            crc = zlib.crc32(b"IDAT")
            while left:
                piece = self._stream.some(min(left, PIECE_BYTES))
                if not piece:
                    raise FormatError("PNG", "IDAT", self._stream.offset, f"the input ends {left} bytes before its end")
                left -= len(piece)
                crc = zlib.crc32(piece, crc)
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
            following = read_start(self._stream, "IDAT")
            if following.type == b"IDAT":
                self._chunk = following
            else:
                self.after = following


def frame(kind: bytes, data: bytes) -> bytes:
    """A chunk as it is written."""
    return b"".join((struct.pack(">I", len(data)), kind, data, struct.pack(">I", zlib.crc32(data, zlib.crc32(kind)))))
