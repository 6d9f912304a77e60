"""What a PNG says before its pixels: IHDR, palette, transparency and every other chunk in front of IDAT."""

import struct
import zlib
from dataclasses import dataclass, field

from compressor.bytestream import ByteStream
from compressor.errors import FormatError, LimitError, UnsupportedError
from compressor.png.chunks import METADATA_BYTES_MAX, Chunk, Start, read_data, read_signature, read_start
from compressor.png.policy import CREDENTIALS, Passed, is_needed
from compressor.settings import Metadata

GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6  # colour types (table 9)
SAMPLES = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGBA: 4}
DEPTHS = {GREY: (1, 2, 4, 8, 16), RGB: (8, 16), PALETTE: (1, 2, 4, 8), GREY_ALPHA: (8, 16), RGBA: (8, 16)}  # table 11
NAMES = {GREY: "grey", RGB: "RGB", PALETTE: "palette", GREY_ALPHA: "grey with alpha", RGBA: "RGBA"}
SIDE_MAX = 1_000_000  # pixels; libpng's own limit: rows of at most 8 MB


@dataclass(slots=True, kw_only=True)
class PngHeader:
    """Of a PNG that was read, or of one that is to be written.

    palette       PLTE's data, 3 bytes an entry; b"" where there is none
    transparency  tRNS's data where it counts, else None
    chunks        between IHDR and the first IDAT, in order and verbatim, PLTE and tRNS among them; those that `policy`
                  has no use for are left out, but for the orientation of Exif in text, which becomes eXIf's
    trailing      between the last IDAT and IEND; complete when the scanlines have all been read
    animated      whether it is an APNG (acTL before IDAT) that shows more than its default image
    notices       what was passed over
    image_data    start of the first IDAT; None in a new header
    policy        by which metadata were passed over as they were read
    credentials   whether the file has content credentials (C2PA), which are always passed over
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
    image_data: Start | None = None
    policy: Metadata = Metadata.KEEP
    credentials: bool = False

    @property
    def bits_per_pixel(self) -> int:
        """Bits of a pixel in a scanline."""
        return SAMPLES[self.color_type] * self.bit_depth

    @property
    def row_bytes(self) -> int:
        """Bytes of a scanline without its filter type."""
        return (self.width * self.bits_per_pixel + 7) // 8

    @property
    def filter_distance(self) -> int:
        """Bytes between a byte and its left neighbour for the filters (clause 9.2): a pixel's, at least 1."""
        return max(1, self.bits_per_pixel // 8)

    @property
    def has_alpha(self) -> bool:
        """Whether some pixel may be transparent."""
        return self.color_type in (GREY_ALPHA, RGBA) or self.transparency is not None

    @property
    def channels(self) -> int:
        """Of the pixels after expansion to 8 bits: 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA."""
        return (1 if self.color_type in (GREY, GREY_ALPHA) else 3) + self.has_alpha

    @property
    def description(self) -> str:
        """For people."""
        parts = [f"{self.bit_depth}-bit {NAMES[self.color_type]}"]
        parts += ["transparency"] if self.transparency is not None else []
        parts += ["interlaced"] if self.interlaced else []
        return ", ".join(["animated PNG" if self.animated else "PNG", *parts])

    @property
    def metadata_bytes(self) -> int:
        """Held by all chunks."""
        return sum(len(chunk.data) for chunk in (*self.chunks, *self.trailing))


def read_header(stream: ByteStream, policy: Metadata = Metadata.KEEP) -> PngHeader:
    """Read up to the data of the first IDAT, which comes next in the stream.

    policy  metadata that have no use under it are passed over
    """
    read_signature(stream)
    start = read_start(stream, "signature")
    if start.type != b"IHDR" or start.length != 13:
        found = f"found {start.name} of {start.length} bytes"
        raise FormatError("PNG", "IHDR", start.offset, f"{found}, expected IHDR of 13 bytes first")
    chunk, right = read_data(stream, start, 13)
    if not right:
        raise _wrong_crc(chunk)
    header = read_ihdr(chunk)
    header.policy = policy
    left, passed, old = METADATA_BYTES_MAX, Passed(), list[Chunk]()
    while (start := read_start(stream, start.name)).type != b"IDAT":
        header.credentials |= start.type == CREDENTIALS
        if not is_needed(start.type, policy):
            old += passed.skip(stream, start)
            continue
        chunk, right = read_data(stream, start, left)
        # An empty chunk takes memory too.
        left = max(0, left - len(chunk.data) - 128)
        take(header, header.chunks, chunk, right)
    if header.color_type == PALETTE and not header.palette:
        raise FormatError("PNG", "IDAT", start.offset, "comes without a PLTE before it")
    header.image_data = start
    if not any(chunk.type == b"eXIf" for chunk in header.chunks):
        header.chunks += old
    header.animated = is_animated(header)
    return header


def is_animated(header: PngHeader) -> bool:
    """Return whether the chunks in front of IDAT announce an animation that shows more than the default image.

    An animation of one frame is a still picture where that frame is the default image: where its fcTL comes before
    IDAT and covers the whole image, as clause 11.3.6.2 demands.
    """
    control = next((chunk.data for chunk in header.chunks if chunk.type == b"acTL"), None)
    frames = [chunk.data[4:20] for chunk in header.chunks if chunk.type == b"fcTL"]
    if control is None:
        return False
    whole = struct.pack(">4I", header.width, header.height, 0, 0)
    return control[:4] != b"\0\0\0\1" or frames != [whole]


def read_ihdr(chunk: Chunk) -> PngHeader:
    """Clause 11.2.1."""
    width, height, depth, color, compression, filters, interlace = struct.unpack(">IIBBBBB", chunk.data)

    def wrong(at: int, problem: str) -> FormatError:
        return FormatError("PNG", "IHDR", chunk.offset + 8 + at, problem)

    for at, name, side in ((0, "width", width), (4, "height", height)):
        if not 1 <= side <= (1 << 31) - 1:
            raise wrong(at, f"the {name} is {side}, expected 1 to {(1 << 31) - 1}")
    if color not in DEPTHS:
        raise wrong(9, f"the colour type is {color}, expected 0, 2, 3, 4 or 6")
    if depth not in DEPTHS[color]:
        legal = ", ".join(map(str, DEPTHS[color]))
        raise wrong(8, f"the bit depth is {depth}, with colour type {color} ({NAMES[color]}) it must be one of {legal}")
    for at, name, value, most in ((10, "compression method", compression, 0), (11, "filter method", filters, 0)):
        if value > most:
            raise wrong(at, f"the {name} is {value}, expected 0")
    if interlace > 1:
        raise wrong(12, f"the interlace method is {interlace}, expected 0 or 1")
    if max(width, height) > SIDE_MAX:
        raise LimitError(f"PNG: IHDR at byte {chunk.offset}: {width} x {height} pixels, at most {SIDE_MAX} a side")
    return PngHeader(width=width, height=height, bit_depth=depth, color_type=color, interlaced=bool(interlace))


def take(header: PngHeader, target: list[Chunk], chunk: Chunk, right: bool) -> None:
    """Put a chunk that is not IDAT where it belongs, as strict about it as libpng's defaults are.

    A damaged critical chunk is an error, a damaged ancillary one is passed over with a notice.
    """
    if not right:
        if chunk.critical:
            raise _wrong_crc(chunk)
        header.notices.append(f"{chunk.name} at byte {chunk.offset} has a wrong CRC and was dropped")
        return
    if chunk.type == b"PLTE":
        if not _take_palette(header, target, chunk):
            return
    elif chunk.type == b"tRNS":
        if not _take_transparency(header, target, chunk):
            return
    elif chunk.type in (b"IHDR", b"IEND"):
        problem = "comes before any IDAT" if chunk.type == b"IEND" else "is the second one"
        raise FormatError("PNG", chunk.name, chunk.offset, problem)
    elif chunk.critical:
        raise UnsupportedError(f"PNG: {chunk.name} at byte {chunk.offset}: a critical chunk that is not known")
    target.append(chunk)


def _take_palette(header: PngHeader, target: list[Chunk], chunk: Chunk) -> bool:
    """Clause 11.2.2; whether to keep it. Only for colour type 3 is anything wrong with it fatal, as in libpng."""
    if header.palette:
        raise FormatError("PNG", "PLTE", chunk.offset, "is the second one")
    length = len(chunk.data)
    legal = 0 < length <= 768 and length % 3 == 0
    if header.color_type in (RGB, RGBA) and legal and target is header.chunks:
        if header.policy is not Metadata.KEEP:
            return False
        header.palette = chunk.data  # a suggestion only
        return True
    if header.color_type != PALETTE:
        header.notices.append(
            f"PLTE at byte {chunk.offset} is out of place or damaged, without meaning, and was dropped"
        )
        return False
    if not legal:
        raise FormatError("PNG", "PLTE", chunk.offset, f"its length is {length}, expected 3 to 768, a multiple of 3")
    # More entries than pixels can name are not used.
    header.palette = chunk.data[: 3 << header.bit_depth]
    return True


def _take_transparency(header: PngHeader, target: list[Chunk], chunk: Chunk) -> bool:
    """Clause 11.3.1.1; whether to keep it. libpng ignores what does not fit, so its readers see an opaque image."""
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
    """Return the header of a PNG to be made from pixels of 8 or 16 bits: 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA."""
    if not (1 <= width <= SIDE_MAX and 1 <= height <= SIDE_MAX):
        raise LimitError(f"PNG: {width} x {height} pixels, 1 to {SIDE_MAX} a side")
    color = {1: GREY, 2: GREY_ALPHA, 3: RGB, 4: RGBA}[channels]
    return PngHeader(width=width, height=height, bit_depth=bit_depth, color_type=color)


def ihdr(header: PngHeader) -> bytes:
    """IHDR's data; what we write is never interlaced."""
    return struct.pack(">IIBBBBB", header.width, header.height, header.bit_depth, header.color_type, 0, 0, 0)
