"""Changes to a PNG's chunks that leave its compressed image data alone."""

from collections.abc import Iterator

from compressor.bytestream import ByteStream
from compressor.errors import FormatError
from compressor.png.chunks import METADATA_BYTES_MAX, PIECE_BYTES, frame, read_data, read_signature, read_start
from compressor.png.metadata import ANIMATION, kept
from compressor.settings import Metadata

STRUCTURE = (b"IHDR", b"PLTE", b"IDAT", b"IEND", *ANIMATION)


def without_metadata(stream: ByteStream, policy: Metadata) -> Iterator[bytes]:
    """The file with its ancillary chunks reduced to what `policy` keeps, up to IEND. Frames of an animation stay.

    Of an animation only the header has been read before, so that the rest may still be damaged. Raises FormatError
    where it has no IEND, and LimitError for a chunk of metadata that is larger than all together may be.
    """
    yield stream.peek(8)
    read_signature(stream)
    last = "signature"
    while last != "IEND":
        head = stream.peek(8)
        start = read_start(stream, last)
        last = start.name
        if start.type not in STRUCTURE:
            chunk, right = read_data(stream, start, METADATA_BYTES_MAX)
            yield b"".join(frame(left.type, left.data) for left in kept([chunk], policy) if right)
            continue
        yield head
        left = start.length + 4
        while left:
            piece = stream.some(min(left, PIECE_BYTES))
            if not piece:
                raise FormatError("PNG", last, stream.offset, f"the input ends within its {start.length} bytes or CRC")
            left -= len(piece)
            yield piece
