"""PNG files reduced to what a metadata policy keeps: their compressed image data are copied as they are."""

from collections.abc import Iterator

from compressor.bytestream import ByteStream
from compressor.errors import FormatError, UnsupportedError
from compressor.metadata import removed_behind
from compressor.png.chunks import METADATA_BYTES_MAX, PIECE_BYTES, Chunk, frame, read_data, read_signature, read_start
from compressor.png.metadata import removed
from compressor.png.policy import ANIMATION, CREDENTIALS, Passed, is_needed, kept, removed_credentials
from compressor.settings import Metadata

STRUCTURE = (b"IHDR", b"PLTE", b"IDAT", b"IEND", *ANIMATION)


def without_metadata(stream: ByteStream, policy: Metadata, notices: list[str]) -> Iterator[bytes]:
    """Yield the file with its ancillary chunks reduced to what `policy` keeps, up to IEND. Frames of an animation stay.

    notices  receives what changes how the picture is shown, and what followed it; complete after the last piece

    Of an animation only the header has been read before, so that the rest may still be damaged. Raises FormatError
    where it has no IEND, LimitError for a chunk of metadata that is larger than all together may be, and
    UnsupportedError for a critical chunk that is not known.
    """
    yield stream.peek(8)
    read_signature(stream)
    last, passed, credentials = "signature", Passed(), False
    colors: dict[bytes, Chunk] = {}  # the first of each type
    old: list[Chunk] = []  # the orientation of Exif in text, which counts where there is no eXIf
    while last != "IEND":
        head = stream.peek(8)
        start = read_start(stream, last)
        last = start.name
        credentials |= start.type == CREDENTIALS
        if start.type in STRUCTURE:
            if start.type in (b"IDAT", b"IEND") and old and b"eXIf" not in colors:
                yield frame(b"eXIf", old[0].data)
                colors[b"eXIf"] = old[0]
            yield head
            yield from _copied(stream, start.length + 4, last)
        elif not start.type[0] & 0x20:
            raise UnsupportedError(f"PNG: {last} at byte {start.offset}: a critical chunk that is not known")
        elif not is_needed(start.type, policy):
            old += passed.skip(stream, start)
        else:
            chunk, right = read_data(stream, start, METADATA_BYTES_MAX)
            repeated = chunk.type in colors
            if right and not (repeated and chunk.type == b"eXIf"):
                yield b"".join(frame(left.type, left.data) for left in kept([chunk], policy))
            if right and not repeated:
                colors[chunk.type] = chunk
    notices += [
        *removed_credentials(credentials),
        *removed(list(colors.values()), policy),
        *removed_behind(sum(map(len, stream.drain()))),
    ]


def _copied(stream: ByteStream, left: int, name: str) -> Iterator[bytes]:
    while left:
        piece = stream.some(min(left, PIECE_BYTES))
        if not piece:
            raise FormatError("PNG", name, stream.offset, "the input ends within its data or CRC")
        left -= len(piece)
        yield piece
