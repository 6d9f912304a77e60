"""The color specification of a JPEG 2000 file (T.800, I.5.3.3)."""

from dataclasses import dataclass

from compressor.errors import FormatError
from compressor.humanize import human_format
from compressor.parsers import boxes
from compressor.parsers.boxes import Fields
from compressor.spool import Readable

TITLE = human_format("jp2")
SRGB, GREY, SYCC, CMYK, BILEVEL = 16, 17, 18, 12, (0, 15)
# Enumerated color spaces of ISO/IEC 15444-2, M.11.7.3.1, for messages.
NAMES = {
    1: "YCbCr(1)", 3: "YCbCr(2)", 4: "YCbCr(3)", 9: "PhotoYCC", 11: "CMY", 13: "YCCK", 14: "CIELab", 19: "CIEJab",
    20: "e-sRGB", 21: "ROMM-RGB", 22: "YPbPr(1125/60)", 23: "YPbPr(1250/50)", 24: "e-sYCC",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ColorSpecification:
    """The first color specification of a file.

    space       enumerated color space (EnumCS), or None
    profile     ICC profile, or None
    bits        bit depth of the deepest component
    """

    space: int | None = None
    profile: bytes | None = None
    bits: int = 8


def read_color_specification(source: Readable) -> ColorSpecification:
    """Read the JP2 header box, which a bare codestream does not have."""
    top, _ = boxes.top_level(source)
    header = next((box for box in top if box.kind == b"jp2h"), None)
    if header is None:
        raise FormatError(TITLE, "jp2h", None, "no complete box of this type")
    bits, found = 8, None
    for kind, content, _ in boxes.children(TITLE, boxes.content(TITLE, source, header)):
        fields = Fields(TITLE, boxes.name(kind), content)
        if kind == b"ihdr":
            fields.take(10)
            bits = (fields.number(1) & 0x7F) + 1
        elif kind == b"bpcc" and content:
            bits = max(value & 0x7F for value in content) + 1
        elif kind == b"colr" and found is None:
            method = fields.number(1)
            fields.take(2)
            if method == 1:
                found = ColorSpecification(space=fields.number(4))
            elif method in (2, 3):
                found = ColorSpecification(profile=fields.take(fields.left))
    found = found or ColorSpecification()
    return ColorSpecification(found.space, found.profile, bits)
