"""The header of a PNG: IHDR, palette, transparency and every other chunk before IDAT."""

import struct
import zlib
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from compressor.bytestream import ByteStream
from compressor.errors import FormatError, LimitError, UnsupportedError
from compressor.png.chunks import METADATA_BYTES_MAX, Chunk, ChunkHeader, read_chunk, read_chunk_header, read_signature
from compressor.png.policy import CREDENTIALS, SkippedMetadata, is_needed
from compressor.settings import Metadata

GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6  # color types (table 9)
SAMPLES = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGBA: 4}
DEPTHS = {GREY: (1, 2, 4, 8, 16), RGB: (8, 16), PALETTE: (1, 2, 4, 8), GREY_ALPHA: (8, 16), RGBA: (8, 16)}  # table 11
NAMES = {GREY: "grey", RGB: "RGB", PALETTE: "palette", GREY_ALPHA: "grey with alpha", RGBA: "RGBA"}
ByteArray = NDArray[np.uint8]  # scanlines or 8-bit pixels

SLAB_BYTES = 1 << 18  # of scanlines that one kernel call takes, with their filter types
SIDE_MAX = 1_000_000  # pixels; libpng's default limit: rows of at most 8 MB


@dataclass(slots=True, kw_only=True)
class PngHeader:
    """The header of a PNG that is being read or written.

    palette       PLTE's data, 3 bytes an entry; b"" where there is none
    transparency  tRNS's data where it applies, else None
    chunks        chunks between IHDR and the first IDAT, in order and verbatim, with PLTE and tRNS; without those that
                  `policy` removes, except that the orientation in a raw profile becomes eXIf
    trailing      chunks between the last IDAT and IEND; complete when all scanlines have been read
    animated      whether it is an APNG (acTL before IDAT) that shows more than its static image
    notices       notices of what was dropped
    image_data    header of the first IDAT; None in a new header
    policy        policy by which metadata was skipped while reading
    credentials   whether the file has content credentials (C2PA), which are always skipped
    """

    width: int
    height: int
    bit_depth: int
    color_type: int
    interlaced: bool = False
    palette: bytes = b""
    transparency: bytes | None = None
    chunks: list[Chunk] = field(default_factory=list)
    trailing: list[Chunk] = field(default_factory=list)
    animated: bool = False
    notices: list[str] = field(default_factory=list)
    image_data: ChunkHeader | None = None
    policy: Metadata = Metadata.KEEP
    credentials: bool = False

    @property
    def bits_per_pixel(self) -> int:
        """Return the bits of a pixel in a scanline."""
        return SAMPLES[self.color_type] * self.bit_depth

    @property
    def row_bytes(self) -> int:
        """Return the bytes of a scanline without its filter type."""
        return (self.width * self.bits_per_pixel + 7) // 8

    @property
    def slab_lines(self) -> int:
        """Return the scanlines of a slab: as many as take SLAB_BYTES, at least one."""
        return max(1, min(self.height, SLAB_BYTES // (1 + self.row_bytes)))

    @property
    def filter_distance(self) -> int:
        """Return the distance between bytes x and a of the filters (clause 9.2): the bytes of a pixel, at least 1."""
        return max(1, self.bits_per_pixel // 8)

    @property
    def has_alpha(self) -> bool:
        """Return whether pixels may be transparent."""
        return self.color_type in (GREY_ALPHA, RGBA) or self.transparency is not None

    @property
    def channels(self) -> int:
        """Return the channels of pixels after expansion to 8 bits: 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA."""
        return (1 if self.color_type in (GREY, GREY_ALPHA) else 3) + self.has_alpha

    @property
    def description(self) -> str:
        """Return a human-readable description."""
        parts = [f"{self.bit_depth}-bit {NAMES[self.color_type]}"]
        parts += ["transparency"] if self.transparency is not None else []
        parts += ["interlaced"] if self.interlaced else []
        return ", ".join(["animated PNG" if self.animated else "PNG", *parts])

    @property
    def metadata_bytes(self) -> int:
        """Return the bytes of all chunks."""
        return sum(len(chunk.data) for chunk in (*self.chunks, *self.trailing))


def read_header(stream: ByteStream, policy: Metadata = Metadata.KEEP) -> PngHeader:
    """Read the header, and leave the stream at the data of the first IDAT.

    policy  metadata that it removes is skipped
    """
    read_signature(stream)
    start = read_chunk_header(stream, "signature")
    if start.type != b"IHDR" or start.length != 13:
        found = f"found {start.name} of {start.length} bytes"
        raise FormatError("PNG", "IHDR", start.offset, f"{found}, expected IHDR of 13 bytes first")
    chunk, crc_valid = read_chunk(stream, start, 13)
    if not crc_valid:
        raise _wrong_crc(chunk)
    header = read_ihdr(chunk)
    header.policy = policy
    left, skipped, old = METADATA_BYTES_MAX, SkippedMetadata(), list[Chunk]()
    while (start := read_chunk_header(stream, start.name)).type != b"IDAT":
        header.credentials |= start.type == CREDENTIALS
        if not is_needed(start.type, policy):
            old += skipped.skip(stream, start)
            continue
        chunk, crc_valid = read_chunk(stream, start, left)
        # An empty chunk takes memory, too.
        left = max(0, left - len(chunk.data) - 128)
        add_chunk(header, header.chunks, chunk, crc_valid)
    if header.color_type == PALETTE and not header.palette:
        raise FormatError("PNG", "IDAT", start.offset, "no PLTE before it")
    header.image_data = start
    if not any(chunk.type == b"eXIf" for chunk in header.chunks):
        header.chunks += old
    header.animated = is_animated(header)
    return header


def is_animated(header: PngHeader) -> bool:
    """Return whether the chunks before IDAT declare an animation that shows more than the static image.

    An animation of one frame is a still image where that frame is the static image: where its fcTL precedes IDAT and
    covers the whole image, as clause 11.3.6.2 requires.
    """
    control = next((chunk.data for chunk in header.chunks if chunk.type == b"acTL"), None)
    frames = [chunk.data[4:20] for chunk in header.chunks if chunk.type == b"fcTL"]
    if control is None:
        return False
    whole = struct.pack(">4I", header.width, header.height, 0, 0)
    return control[:4] != b"\0\0\0\1" or frames != [whole]


def read_ihdr(chunk: Chunk) -> PngHeader:
    """Parse IHDR (clause 11.2.1)."""
    width, height, depth, color, compression, filters, interlace = struct.unpack(">IIBBBBB", chunk.data)

    def wrong(at: int, problem: str) -> FormatError:
        return FormatError("PNG", "IHDR", chunk.offset + 8 + at, problem)

    for at, name, side in ((0, "width", width), (4, "height", height)):
        if not 1 <= side <= (1 << 31) - 1:
            raise wrong(at, f"the {name} is {side}, expected 1 to {(1 << 31) - 1}")
    if color not in DEPTHS:
        raise wrong(9, f"the color type is {color}, expected 0, 2, 3, 4 or 6")
    if depth not in DEPTHS[color]:
        legal = ", ".join(map(str, DEPTHS[color]))
        raise wrong(8, f"the bit depth is {depth}, with color type {color} ({NAMES[color]}) it must be one of {legal}")
    for at, name, value, most in ((10, "compression method", compression, 0), (11, "filter method", filters, 0)):
        if value > most:
            raise wrong(at, f"the {name} is {value}, expected 0")
    if interlace > 1:
        raise wrong(12, f"the interlace method is {interlace}, expected 0 or 1")
    if max(width, height) > SIDE_MAX:
        raise LimitError(f"PNG: IHDR at byte {chunk.offset}: {width} x {height} pixels, at most {SIDE_MAX} per side")
    return PngHeader(width=width, height=height, bit_depth=depth, color_type=color, interlaced=bool(interlace))


def add_chunk(header: PngHeader, target: list[Chunk], chunk: Chunk, crc_valid: bool) -> None:
    """Validate a chunk other than IDAT, as strictly as libpng by default, and add it to the header.

    A damaged critical chunk is an error; a damaged ancillary chunk is dropped with a notice.
    """
    if not crc_valid:
        if chunk.critical:
            raise _wrong_crc(chunk)
        header.notices.append(f"{chunk.name} at byte {chunk.offset} has a wrong CRC and was dropped")
        return
    if chunk.type == b"PLTE":
        if not _add_palette(header, target, chunk):
            return
    elif chunk.type == b"tRNS":
        if not _add_transparency(header, target, chunk):
            return
    elif chunk.type in (b"IHDR", b"IEND"):
        problem = "precedes the first IDAT" if chunk.type == b"IEND" else "is the second one"
        raise FormatError("PNG", chunk.name, chunk.offset, problem)
    elif chunk.critical:
        raise UnsupportedError(f"PNG: {chunk.name} at byte {chunk.offset}: an unknown critical chunk")
    target.append(chunk)


def _add_palette(header: PngHeader, target: list[Chunk], chunk: Chunk) -> bool:
    """Add PLTE (clause 11.2.2) and return whether to keep it. As in libpng, errors are fatal for color type 3 only."""
    if header.palette:
        raise FormatError("PNG", "PLTE", chunk.offset, "is the second one")
    length = len(chunk.data)
    legal = 0 < length <= 768 and length % 3 == 0
    if header.color_type in (RGB, RGBA) and legal and target is header.chunks:
        if header.policy is not Metadata.KEEP:
            return False
        header.palette = chunk.data  # a suggested palette
        return True
    if header.color_type != PALETTE:
        header.notices.append(f"PLTE at byte {chunk.offset} is misplaced or damaged, has no effect and was dropped")
        return False
    if not legal:
        raise FormatError("PNG", "PLTE", chunk.offset, f"its length is {length}, expected 3 to 768, a multiple of 3")
    # Entries beyond the bit depth are not used.
    header.palette = chunk.data[: 3 << header.bit_depth]
    return True


def _add_transparency(header: PngHeader, target: list[Chunk], chunk: Chunk) -> bool:
    """Add tRNS (clause 11.3.1.1) and return whether to keep it. As in libpng, one that does not fit is ignored."""
    length = len(chunk.data)
    fits = {
        GREY: length == 2,
        RGB: length == 6,
        PALETTE: 0 < length <= len(header.palette) // 3,
    }.get(header.color_type, False)
    if not fits or header.transparency is not None or target is header.trailing:
        header.notices.append(f"tRNS at byte {chunk.offset} does not fit the image and was dropped")
        return False
    header.transparency = chunk.data
    return True


def _wrong_crc(chunk: Chunk) -> FormatError:
    computed = zlib.crc32(chunk.data, zlib.crc32(chunk.type))
    return FormatError("PNG", chunk.name, chunk.offset, f"its CRC is wrong, its data gives {computed:08x}")


def new_header(width: int, height: int, channels: int, bit_depth: int = 8) -> PngHeader:
    """Return the header of a new PNG. channels: 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA; bit_depth: 8 or 16."""
    if not (1 <= width <= SIDE_MAX and 1 <= height <= SIDE_MAX):
        raise LimitError(f"PNG: {width} x {height} pixels, 1 to {SIDE_MAX} per side")
    color = {1: GREY, 2: GREY_ALPHA, 3: RGB, 4: RGBA}[channels]
    return PngHeader(width=width, height=height, bit_depth=bit_depth, color_type=color)


def ihdr(header: PngHeader) -> bytes:
    """Return IHDR's data; the output is never interlaced."""
    return struct.pack(">IIBBBBB", header.width, header.height, header.bit_depth, header.color_type, 0, 0, 0)
