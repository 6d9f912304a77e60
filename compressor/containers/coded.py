"""Which parts of an image coded by AV1 or HEVC are needed to show it: both can hold messages beside the samples."""

from compressor.containers.boxes import Part, Pieces, joined
from compressor.errors import FormatError, LimitError

UNITS_MAX = 1 << 16  # OBUs or NAL units of an image
SEI_BYTES_MAX = 1 << 16

# AV1, 6.2.2: sequence header, temporal delimiter, frame header, tile group, frame, redundant frame header. What goes:
# metadata, tile list, padding and all that is reserved.
OBU_KEPT = {1, 2, 3, 4, 6, 7}
OBU_METADATA = 5
METADATA_OF_COLOR = {1, 2}  # 6.7.1: content light level, mastering display colour volume
METADATA_T35 = 4  # of a registered maker: HDR10+ and the like, or anything

# H.265 table 7-1: coded slices, parameter sets, access unit delimiter, end of sequence and of bitstream.
NAL_KEPT = {*range(10), *range(16, 22), *range(32, 38)}
NAL_SEI = {39, 40}
# Annex D: mastering display, content light level, alternative transfer characteristics, ambient viewing environment.
SEI_OF_COLOR = {137, 144, 147, 148}
SEI_OF_SAMPLES = {165}  # alpha channel information: how the samples of an alpha plane are meant

HDR_REMOVED = "HDR metadata (mastering display, light levels and the like) were removed: brightness may differ"


def av1(coded: Pieces, color: bool, notices: list[str]) -> list[Part]:
    """Return the parts of an AV1 image (a sequence of OBUs) that are kept.

    color    whether HDR metadata are
    notices  receives one where metadata that a display may use are left out
    """
    kept: list[Part] = []
    at = 0
    for _ in range(UNITS_MAX):
        if at >= coded.size:
            return joined(kept)
        kind, start, end = _obu(coded, at)
        if kind == OBU_METADATA:
            metadata = coded.read(start, 1)[:1]
            of_color = bool(metadata) and metadata[0] in METADATA_OF_COLOR
            stays = color and of_color
            if not stays and (of_color or metadata == bytes([METADATA_T35])):
                notices.append(HDR_REMOVED)
        else:
            stays = kind in OBU_KEPT
        if stays:
            kept += coded.parts(at, end - at)
        at = end
    raise LimitError(f"AV1: more than {UNITS_MAX} OBUs in an image")


def _obu(coded: Pieces, at: int) -> tuple[int, int, int]:
    """Return type, start of the payload and end of the OBU (5.3.1) at `at`."""
    head = coded.read(at, 10)
    if head[0] & 0x80:
        raise FormatError("AV1", "OBU", None, f"the forbidden bit is set, {at} bytes into the image")
    kind, extended, sized = head[0] >> 3 & 15, head[0] >> 2 & 1, head[0] & 2
    position = 1 + extended
    if not sized:
        return kind, at + position, coded.size
    size = 0
    for number in range(8):
        if position >= len(head):
            break
        byte = head[position]
        position += 1
        size |= (byte & 0x7F) << 7 * number
        if not byte & 0x80:
            if at + position + size > coded.size:
                break
            return kind, at + position, at + position + size
    raise FormatError("AV1", "OBU", None, f"ends behind the image, {at} bytes into it")


def hevc(coded: Pieces, length_bytes: int, color: bool, notices: list[str]) -> list[Part]:
    """Return the parts of an HEVC image (NAL units, each after its length) that are kept; arguments as of `av1`."""
    kept: list[Part] = []
    at = 0
    for _ in range(UNITS_MAX):
        if at >= coded.size:
            return joined(kept)
        size = int.from_bytes(coded.read(at, length_bytes), "big")
        end = at + length_bytes + size
        if end > coded.size:
            raise FormatError("HEVC", "NAL unit", None, f"ends behind the image, {at} bytes into it")
        unit = coded.read(at + length_bytes, min(size, SEI_BYTES_MAX if _is_sei(coded, at + length_bytes) else 2))
        if keeps_nal(unit, size, color, notices):
            kept += coded.parts(at, end - at)
        at = end
    raise LimitError(f"HEVC: more than {UNITS_MAX} NAL units in an image")


def _is_sei(coded: Pieces, at: int) -> bool:
    first = coded.read(at, 1)
    return bool(first) and first[0] >> 1 & 63 in NAL_SEI


def keeps_nal(unit: bytes, size: int, color: bool, notices: list[str]) -> bool:
    """Return whether a NAL unit of `size` bytes is kept; unit: its first bytes, all of them where it is an SEI unit."""
    if size < 2 or len(unit) < 2:
        return False
    kind = unit[0] >> 1 & 63
    if kind not in NAL_SEI:
        return kind in NAL_KEPT
    messages = _sei_messages(unit[2:]) if size <= SEI_BYTES_MAX else {-1}
    stays = messages <= (SEI_OF_SAMPLES | SEI_OF_COLOR if color else SEI_OF_SAMPLES)
    if not stays and messages & (SEI_OF_COLOR | {4}):  # 4: of a registered maker (ITU-T T.35)
        notices.append(HDR_REMOVED)
    return stays


def _sei_messages(payload: bytes) -> set[int]:
    """Return the types of the messages in an SEI unit (H.265 7.3.5), -1 among them where it is not well formed."""
    payload = payload.replace(b"\0\0\3", b"\0\0").rstrip(b"\0")
    found: set[int] = set()
    at = 0
    while at < len(payload) - 1:
        values = []
        for _ in range(2):
            value = 0
            while at < len(payload) and payload[at] == 0xFF:
                value += 255
                at += 1
            if at >= len(payload):
                return found | {-1}
            values.append(value + payload[at])
            at += 1
        found.add(values[0])
        at += values[1]
    return found if payload[-1:] == b"\x80" and at == len(payload) - 1 else found | {-1}
