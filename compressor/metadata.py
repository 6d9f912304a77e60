"""Metadata that accompany the pixels, in a form that every image format can be read into and written from."""

import dataclasses
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from compressor import icc as profiles
from compressor.settings import Metadata

# Exif 2.32 (CIPA DC-008), 4.6 and Annex A.
ORIENTATION = 0x0112  # 1 upright, 2 … 8 mirrored or turned
EXIF_IFD, INTEROPERABILITY_IFD = 0x8769, 0xA005  # pointers to further directories
INTEROPERABILITY_INDEX = 0x0001
ADOBE_RGB = b"R03"  # DCF 2.0 (CIPA DC-009), 7: the option file's colour space
BYTE_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
INTEGERS = {1: "B", 3: "H", 4: "I"}  # BYTE, SHORT, LONG
EXIF_HEADER = b"Exif\0"  # and one more byte: 0 by 4.7.2, 0xFF in some files
CREDENTIALS_REMOVED = "content credentials (C2PA) were removed"
ADOBE_RGB_REMOVED = "the colour space (Adobe RGB, named only by Exif) was removed: colours will differ"


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
        """Return what a policy leaves. COLOR: the ICC profile and the orientation. STRIP: the orientation.

        Both name a colour space that is lost.
        """
        if policy is Metadata.KEEP:
            return self
        turned = orientation(self.exif)
        lost = lost_colors(None if policy is Metadata.COLOR else self.icc, None if self.icc else self.exif)
        return Attachments(
            icc=profiles.whole(self.icc) if policy is Metadata.COLOR and self.icc else None,
            exif=orientation_exif(turned) if turned != 1 else None,
            notices=(*(self.notices if policy is Metadata.COLOR else ()), *lost),
        )

    def noting(self, *notices: str) -> "Attachments":
        """The same with more notices."""
        return dataclasses.replace(self, notices=(*self.notices, *notices))


def orientation(exif: bytes | None) -> int:
    """Return the orientation that Exif asks for, 1 … 8; 1 where it says nothing or nothing that can be read."""
    stream = tiff_stream(exif)
    for tag, kind, count, at, order in _entries(stream, 4):
        if tag == ORIENTATION and kind in INTEGERS and count == 1:
            (value,) = struct.unpack_from(order + INTEGERS[kind], stream, at)
            return value if 1 <= value <= 8 else 1
    return 1


def orientation_exif(value: int) -> bytes:
    """The smallest Exif that holds an orientation: one directory with one entry."""
    return b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, ORIENTATION, 3, 1, value, 0, 0)


def is_adobe_rgb(exif: bytes | None) -> bool:
    """Return whether Exif names Adobe RGB as the colour space, in the only way it has: by DCF's option file R03."""
    stream = tiff_stream(exif)
    for tag, _, _, at, _ in _entries(stream, 4):
        if tag == EXIF_IFD:
            for inner, _, _, pointer, _ in _entries(stream, at):
                if inner == INTEROPERABILITY_IFD:
                    return any(
                        name == INTEROPERABILITY_INDEX and stream[value : value + 3] == ADOBE_RGB
                        for name, _, _, value, _ in _entries(stream, pointer)
                    )
    return False


def lost_colors(profile: bytes | None, exif: bytes | None) -> list[str]:
    """Name the colour space of a picture whose profile, or Exif without a profile, is removed, unless it is sRGB."""
    if profile is not None and not profiles.is_srgb(profile):
        return [f"the ICC profile ({profiles.name(profile)}) was removed: colours will differ"]
    if exif is not None and is_adobe_rgb(exif):
        return [ADOBE_RGB_REMOVED]
    return []


def removed_behind(count: int) -> list[str]:
    """Name the bytes that followed a picture in its file and were removed, if there were any."""
    if count <= 0:
        return []
    return ["1 byte behind the image was removed" if count == 1 else f"{count} bytes behind the image were removed"]


def tiff_stream(exif: bytes | None) -> bytes:
    """Return Exif without the header that some containers put before it."""
    if exif is None:
        return b""
    return exif[len(EXIF_HEADER) + 1 :] if exif.startswith(EXIF_HEADER) else exif


def _entries(exif: bytes, pointer: int) -> Iterator[tuple[int, int, int, int, str]]:
    """Yield tag, type, count, position of the value field and byte order of each entry of a directory (4.6.2).

    pointer  position of the directory's offset
    """
    order = BYTE_ORDERS.get(exif[:4])
    if order is None:
        return
    try:
        (directory,) = struct.unpack_from(order + "I", exif, pointer)
        (count,) = struct.unpack_from(order + "H", exif, directory)
        for entry in range(directory + 2, directory + 2 + 12 * count, 12):
            tag, kind, values, _ = struct.unpack_from(order + "HHII", exif, entry)
            yield tag, kind, values, entry + 8, order
    except struct.error:  # an offset beyond the end
        return
