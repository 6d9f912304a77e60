"""JPEG XL codestreams (ISO/IEC 18181-1), parsed frame by frame to find their end and any names or profiles in them."""

from dataclasses import dataclass

from compressor.containers.jxl_bits import ENUM, NAME, ORIGIN, POWERS, SECTION, SIZE, TITLE, XY, Bits, Cases
from compressor.errors import FormatError, LimitError, UnsupportedError
from compressor.parsers.boxes import Extents

FRAMES_MAX = 1 << 16
SECTIONS_MAX = 1 << 20  # of a frame

RATIOS = {1: (1, 1), 2: (12, 10), 3: (4, 3), 4: (3, 2), 5: (16, 9), 6: (5, 4), 7: (2, 1)}

REGULAR, DC, REFERENCE_ONLY, SKIP_PROGRESSIVE = range(4)
USE_DC_FRAME = 32
XYB_SPACE, GREY_SPACE, CUSTOM = 2, 1, 2
ALPHA, SPOT, CFA = 0, 2, 5


@dataclass
class ImageHeader:
    """The fields of the image header that frames depend on."""

    width: int
    height: int
    preview: tuple[int, int] | None = None
    animated: bool = False
    timecodes: bool = False
    extra_channels: int = 0
    xyb: bool = True


@dataclass
class FrameHeader:
    """The fields of a frame header that determine the sections after it."""

    width: int
    height: int
    type: int = REGULAR
    last: bool = True
    passes: int = 1
    upsampling: int = 1
    group_shift: int = 1
    dc_level: int = 0
    subsampling: tuple[int, int] = (0, 0)
    modular: bool = False


def end(coded: Extents) -> int:
    """Return the bytes of the codestream in `coded`. Raises UnsupportedError for metadata in it."""
    bits = Bits(coded)
    if coded.read(0, 2) != b"\xff\x0a":
        raise FormatError(TITLE, "codestream", 0, "does not begin with its signature")
    bits.skip(16)
    image = _image_header(bits)
    bits.align()
    if image.preview is not None:
        _frame(bits, image, image.preview)
    for _ in range(FRAMES_MAX):
        if _frame(bits, image, (image.width, image.height)).last:
            if bits.at > 8 * coded.size:
                raise FormatError(TITLE, "codestream", coded.size, "truncated")
            return bits.at >> 3
    raise LimitError(f"{TITLE}: more than {FRAMES_MAX} frames")


def read_size(bits: Bits, small: Cases | None = None, large: Cases = SIZE) -> tuple[int, int]:
    """Read a size. small, large: coding of its sides, in units of eight and otherwise."""
    eights = bits.flag()

    def side() -> int:
        if not eights:
            return bits.u32(large)
        return 8 * (bits.u32(small) if small else bits.u(5) + 1)

    height, ratio = side(), bits.u(3)
    width = side() if ratio == 0 else height * RATIOS[ratio][0] // RATIOS[ratio][1]
    return width, height


def _image_header(bits: Bits) -> ImageHeader:
    image = ImageHeader(*read_size(bits))
    if not bits.flag():
        extra_fields = bits.flag()
        if extra_fields:
            bits.u(3)
            if bits.flag():
                read_size(bits)
            if bits.flag():
                image.preview = read_size(
                    bits, ((0, 16), (0, 32), (5, 1), (9, 33)), ((6, 1), (8, 65), (10, 321), (12, 1345))
                )
            if bits.flag():
                image.animated = True
                bits.u32(((0, 100), (0, 1000), (10, 1), (30, 1)))
                bits.u32(((0, 1), (0, 1001), (8, 1), (10, 1)))
                bits.u32(((0, 0), (3, 0), (16, 0), (32, 0)))
                image.timecodes = bits.flag()
        skip_bit_depth(bits)
        bits.flag()
        image.extra_channels = bits.u32(((0, 0), (0, 1), (4, 2), (12, 1)))
        for _ in range(image.extra_channels):
            _extra_channel(bits)
        image.xyb = bits.flag()
        _color_encoding(bits)
        if extra_fields and not bits.flag():  # tone mapping
            bits.skip(49)
        _no_extensions(bits)
    if not bits.flag():  # custom matrices and weights
        if image.xyb and not bits.flag():
            bits.skip(16 * 16)
        mask = bits.u(3)
        bits.skip(16 * sum(count for bit, count in ((1, 15), (2, 55), (4, 210)) if mask & bit))
    return image


def skip_bit_depth(bits: Bits) -> None:
    if bits.flag():
        bits.u32(((0, 32), (0, 16), (0, 24), (6, 1)))
        bits.u(4)
    else:
        bits.u32(((0, 8), (0, 10), (0, 12), (6, 1)))


def _extra_channel(bits: Bits) -> None:
    if bits.flag():
        return
    kind = bits.u32(ENUM)
    skip_bit_depth(bits)
    bits.u32(((0, 0), (0, 3), (0, 4), (3, 1)))
    if bits.u32(NAME):
        raise UnsupportedError(f"{TITLE}: can't remove metadata: an extra channel has a name")
    if kind == ALPHA:
        bits.flag()
    elif kind == SPOT:
        bits.skip(64)
    elif kind == CFA:
        bits.u32(((0, 1), (2, 0), (4, 3), (8, 19)))


def _color_encoding(bits: Bits) -> None:
    if bits.flag():
        return
    if bits.flag():
        raise UnsupportedError(f"{TITLE}: can't remove metadata: the codestream has an ICC profile")
    space = bits.u32(ENUM)
    if space != XYB_SPACE:
        if bits.u32(ENUM) == CUSTOM:
            _xy(bits, 1)
        if space != GREY_SPACE and bits.u32(ENUM) == CUSTOM:
            _xy(bits, 3)
        if bits.flag():
            bits.u(24)
        else:
            bits.u32(ENUM)
    bits.u32(ENUM)


def _xy(bits: Bits, count: int) -> None:
    for _ in range(2 * count):
        bits.u32(XY)


def _no_extensions(bits: Bits) -> None:
    if bits.u64():
        raise UnsupportedError(f"{TITLE}: can't remove metadata: the codestream has extensions")


def _frame(bits: Bits, image: ImageHeader, size: tuple[int, int]) -> FrameHeader:
    """Read a frame's header and table of contents, and skip to its end."""
    frame = FrameHeader(*size)
    if not bits.flag():
        _frame_header(bits, image, frame)
    if bits.flag():
        raise UnsupportedError(f"{TITLE}: can't remove metadata: a frame has permuted sections")
    bits.align()
    sections = _sections(frame)
    if sections > SECTIONS_MAX:
        raise LimitError(f"{TITLE}: a frame of {sections} sections, at most {SECTIONS_MAX} are allowed")
    size_bytes = sum(bits.u32(SECTION) for _ in range(sections))
    bits.align()
    bits.skip(8 * size_bytes)
    return frame


def _sections(frame: FrameHeader) -> int:
    """Return the number of entries in the table of contents (annex F)."""
    scale = frame.upsampling << 3 * frame.dc_level
    width, height = (-(-side // scale) for side in (frame.width, frame.height))
    side = 128 << frame.group_shift
    groups = -(-width // side) * -(-height // side)
    if groups == frame.passes == 1:
        return 1
    blocks = [-(-length // (8 << shift)) << shift
              for length, shift in zip((width, height), frame.subsampling, strict=True)]  # fmt: skip
    return 2 + -(-blocks[0] // side) * -(-blocks[1] // side) + groups * frame.passes


def _frame_header(bits: Bits, image: ImageHeader, frame: FrameHeader) -> None:
    frame.type = bits.u(2)
    frame.modular = bits.flag()
    flags = bits.u64()
    ycbcr = not image.xyb and bits.flag()
    if not flags & USE_DC_FRAME:
        if ycbcr:
            modes = [bits.u(2) for _ in range(3)]
            frame.subsampling = int(any(mode in (1, 2) for mode in modes)), int(any(mode in (1, 3) for mode in modes))
        frame.upsampling = bits.u32(POWERS)
        for _ in range(image.extra_channels):
            bits.u32(POWERS)
    if frame.modular:
        frame.group_shift = bits.u(2)
    elif image.xyb:
        bits.u(6)
    if frame.type != REFERENCE_ONLY:
        _passes(bits, frame)
    if frame.type == DC:
        frame.dc_level = bits.u32(((0, 1), (0, 2), (0, 3), (0, 4)))
    _placement(bits, image, frame)
    if bits.u32(NAME):
        raise UnsupportedError(f"{TITLE}: can't remove metadata: a frame has a name")
    _loop_filter(bits, frame.modular)
    _no_extensions(bits)


def _passes(bits: Bits, frame: FrameHeader) -> None:
    frame.passes = bits.u32(((0, 1), (0, 2), (0, 3), (3, 4)))
    if frame.passes != 1:
        downsamplings = bits.u32(((0, 0), (0, 1), (0, 2), (1, 3)))
        bits.skip(2 * (frame.passes - 1))
        for _ in range(downsamplings):
            bits.u32(POWERS)
        for _ in range(downsamplings):
            bits.u32(((0, 0), (0, 1), (0, 2), (3, 0)))


def _placement(bits: Bits, image: ImageHeader, frame: FrameHeader) -> None:
    """Read a frame's position, blending, duration, and whether it is saved as a reference."""
    partial = False
    shown = frame.type in (REGULAR, SKIP_PROGRESSIVE)
    whole = frame.width, frame.height
    if frame.type != DC and bits.flag():
        x, y = (_signed(bits.u32(ORIGIN)), _signed(bits.u32(ORIGIN))) if shown else (0, 0)
        frame.width, frame.height = bits.u32(ORIGIN), bits.u32(ORIGIN)
        partial = x > 0 or y > 0 or x + frame.width < whole[0] or y + frame.height < whole[1]
    frame.last, duration, mode = False, 0, 0
    if shown:
        mode = _blending(bits, image, partial)
        for _ in range(image.extra_channels):
            _blending(bits, image, partial)
        if image.animated:
            duration = bits.u32(((0, 0), (0, 1), (8, 0), (32, 0)))
            if image.timecodes:
                bits.u(32)
        frame.last = bits.flag()
    reference = bits.u(2) if frame.type != DC and not frame.last else 0
    can_be_referenced = not frame.last and frame.type != DC and (duration == 0 or reference != 0)
    if frame.type == REFERENCE_ONLY or (shown and can_be_referenced and mode == 0 and not partial):
        bits.flag()


def _signed(value: int) -> int:
    return -(value + 1) // 2 if value & 1 else value // 2


def _blending(bits: Bits, image: ImageHeader, partial: bool) -> int:
    mode = bits.u32(((0, 0), (0, 1), (0, 2), (2, 3)))
    with_alpha = image.extra_channels > 0 and mode in (2, 3)
    if with_alpha:
        bits.u32(((0, 0), (0, 1), (0, 2), (3, 3)))
    if with_alpha or mode == 4:
        bits.flag()
    if mode or partial:
        bits.u(2)
    return mode


def _loop_filter(bits: Bits, modular: bool) -> None:
    if bits.flag():
        return
    if bits.flag() and bits.flag():  # gaborish, with custom weights
        bits.skip(16 * 6)
    iterations = bits.u(2)
    if iterations:
        if not modular and bits.flag():
            bits.skip(16 * 8)
        if bits.flag():
            bits.skip(16 * 5)
        if bits.flag():
            bits.skip(16 * (3 if modular else 4))
        if modular:
            bits.skip(16)
    _no_extensions(bits)
