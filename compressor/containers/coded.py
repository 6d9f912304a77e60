"""The OBUs of an AV1 image and the NAL units of an HEVC image that are needed to display it: both formats can hold
metadata next to the samples."""

from compressor.errors import FormatError, LimitError
from compressor.parsers.boxes import Extent, Extents, merge_extents

UNITS_MAX = 1 << 16  # OBUs or NAL units of a file
SEI_BYTES_MAX = 1 << 16

# AV1, 6.2.2: sequence header, temporal delimiter, frame header, tile group, frame, redundant frame header. Removed:
# metadata, tile list, padding and reserved types.
OBU_KEPT = {1, 2, 3, 4, 6, 7}
OBU_METADATA = 5
METADATA_OF_COLOR = {1, 2}  # 6.7.1: content light level, mastering display color volume
METADATA_T35 = 4  # ITU-T T.35: HDR10+ and the like, or anything of a registered vendor

# H.265 table 7-1: coded slices, parameter sets, access unit delimiter, end of sequence and of bitstream.
NAL_KEPT = {*range(10), *range(16, 22), *range(32, 38)}
NAL_SEI = {39, 40}
# Annex D: mastering display, content light level, alternative transfer characteristics, ambient viewing environment.
SEI_OF_COLOR = {137, 144, 147, 148}
SEI_T35 = 4
MALFORMED = -1
SEI_OF_SAMPLES = {165}  # alpha channel information: how to interpret an alpha plane

HDR_REMOVED = "HDR metadata (mastering display, light levels or similar) was removed: brightness may differ"


class MessageFilter:
    """A filter that removes metadata messages from the coded images of one file.

    color    whether HDR metadata is kept
    notices  receives a notice where metadata that a display may use is removed
    """

    def __init__(self, color: bool, notices: list[str]) -> None:
        self._color, self._notices = color, notices
        self._units = 0

    def av1(self, coded: Extents) -> list[Extent]:
        """Return the extents of an AV1 image (a sequence of OBUs) to keep."""
        kept: list[Extent] = []
        at = 0
        while at < coded.size:
            self._count()
            kind, start, end = _obu(coded, at)
            if kind in OBU_KEPT or (kind == OBU_METADATA and self._keeps_metadata(coded.read(start, 1))):
                kept += coded.slice(at, end - at)
            at = end
        return merge_extents(kept)

    def hevc(self, coded: Extents, length_bytes: int) -> list[Extent]:
        """Return the extents of an HEVC image (NAL units, each after its length) to keep."""
        kept: list[Extent] = []
        at = 0
        while at < coded.size:
            self._count()
            head = coded.read(at, length_bytes + 2)
            size, unit = int.from_bytes(head[:length_bytes], "big"), head[length_bytes:]
            end = at + length_bytes + size
            if end > coded.size:
                raise FormatError("HEVC", "NAL unit", None, f"at byte {at} of the image, extends beyond its end")
            if unit and _nal_type(unit) in NAL_SEI:
                unit = coded.read(at + length_bytes, min(size, SEI_BYTES_MAX + 1))
            if size >= 2 and self.keeps_nal(unit):
                kept += coded.slice(at, end - at)
            at = end
        return merge_extents(kept)

    def keeps_nal(self, unit: bytes) -> bool:
        """Return whether to keep a NAL unit. unit: all of an SEI NAL unit, at least two bytes of any other."""
        if len(unit) < 2:
            return False
        if _nal_type(unit) not in NAL_SEI:
            return _nal_type(unit) in NAL_KEPT
        found = _sei_messages(unit[2:]) if len(unit) <= SEI_BYTES_MAX else {MALFORMED}
        is_kept = found <= (SEI_OF_SAMPLES | SEI_OF_COLOR if self._color else SEI_OF_SAMPLES)
        if not is_kept and found & (SEI_OF_COLOR | {SEI_T35}):
            self._notices.append(HDR_REMOVED)
        return is_kept

    def _keeps_metadata(self, kind: bytes) -> bool:
        of_color = kind != b"" and kind[0] in METADATA_OF_COLOR
        is_kept = self._color and of_color
        if not is_kept and (of_color or kind == bytes([METADATA_T35])):
            self._notices.append(HDR_REMOVED)
        return is_kept

    def _count(self) -> None:
        self._units += 1
        if self._units > UNITS_MAX:
            raise LimitError(f"more than {UNITS_MAX} OBUs or NAL units in the coded images of a file")


def _nal_type(unit: bytes) -> int:
    return unit[0] >> 1 & 63


def _obu(coded: Extents, at: int) -> tuple[int, int, int]:
    """Return type, payload offset and end offset of the OBU at `at` (5.3.1)."""
    head = coded.read(at, 10)
    if not head or head[0] & 0x80:
        raise FormatError("AV1", "OBU", None, f"no OBU header at byte {at} of the image")
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
    raise FormatError("AV1", "OBU", None, f"at byte {at} of the image, extends beyond its end")


def _sei_messages(payload: bytes) -> set[int]:
    """Return the payload types of the messages in an SEI NAL unit (H.265 7.3.5), with MALFORMED where it is broken."""
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
                return found | {MALFORMED}
            values.append(value + payload[at])
            at += 1
        found.add(values[0])
        at += values[1]
    return found if payload[-1:] == b"\x80" and at == len(payload) - 1 else found | {MALFORMED}
