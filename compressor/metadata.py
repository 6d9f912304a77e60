"""What travels beside the pixels, in a form that every image format can be read into and written from."""

import dataclasses
import struct
from dataclasses import dataclass

from compressor.settings import Metadata

ORIENTATION = 0x0112  # Exif 2.32, 4.6.5.1 A: 1 upright, 2 … 8 mirrored or turned


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachments:
    """Metadata of an image.

    icc       ICC profile, complete
    exif      Exif as a TIFF stream ("II*" or "MM" first), without JPEG's "Exif\\0\\0"
    xmp       XMP packet
    comments  texts; "keyword: text" where the format has keywords
    density   pixels per metre, horizontally and vertically
    notices   what the source had beside and could not be put into these fields
    """

    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    comments: tuple[str, ...] = ()
    density: tuple[int, int] | None = None
    notices: tuple[str, ...] = ()

    def reduced(self, policy: Metadata) -> "Attachments":
        """What a policy leaves. COLOR: the ICC profile, and of Exif the orientation alone. STRIP: nothing."""
        if policy is Metadata.KEEP:
            return self
        if policy is Metadata.STRIP:
            return Attachments()
        turned = orientation(self.exif)
        return Attachments(icc=self.icc, exif=orientation_exif(turned) if turned != 1 else None, notices=self.notices)

    def noting(self, *notices: str) -> "Attachments":
        """The same with more notices."""
        return dataclasses.replace(self, notices=(*self.notices, *notices))


def orientation(exif: bytes | None) -> int:
    """The orientation that Exif asks for, 1 … 8; 1 where it says nothing or nothing that can be read."""
    if exif is None or exif[:4] not in (b"II*\0", b"MM\0*"):
        return 1
    order = "<" if exif[:2] == b"II" else ">"
    try:
        (directory,) = struct.unpack_from(order + "I", exif, 4)
        (count,) = struct.unpack_from(order + "H", exif, directory)
        for entry in range(directory + 2, directory + 2 + 12 * count, 12):
            tag, kind, values, value = struct.unpack_from(order + "HHIH", exif, entry)
            if tag == ORIENTATION:
                return value if kind == 3 and values == 1 and 1 <= value <= 8 else 1
    except struct.error:  # an offset beyond the end
        return 1
    return 1


def orientation_exif(value: int) -> bytes:
    """The smallest Exif that holds an orientation: one directory with one entry."""
    return b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, ORIENTATION, 3, 1, value, 0, 0)
