"""Changes to a PNG's chunks that leave its compressed image data alone."""

from collections.abc import Iterator

from compressor.bytestream import ByteStream
from compressor.png.chunks import METADATA_BYTES_MAX, SIGNATURE, Chunk, frame
from compressor.png.metadata import kept
from compressor.settings import Metadata

STRUCTURE = (b"IHDR", b"PLTE", b"IDAT", b"IEND")


def without_metadata(stream: ByteStream, policy: Metadata) -> Iterator[bytes]:
    """The file with its ancillary chunks reduced to what `policy` keeps.

    stream  a file that has been read to its end without an error
    """
    yield stream.read(len(SIGNATURE))
    kind = b""
    while kind != b"IEND":
        size, kind = int.from_bytes(stream.peek(8)[:4], "big"), stream.peek(8)[4:]
        if kind not in STRUCTURE:
            data = stream.read(12 + min(size, METADATA_BYTES_MAX))[8:-4]
            yield b"".join(frame(left.type, left.data) for left in kept([Chunk(kind, data)], policy))
            continue
        left = 12 + size
        while left and (piece := stream.some(left)):
            left -= len(piece)
            yield piece
        if left:
            return
