"""Metadata of an image in a form that all formats share."""

import dataclasses
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from compressor import icc as profiles
from compressor.settings import Metadata, Raw

# Exif 2.32 (CIPA DC-008), 4.6 and Annex A.
ORIENTATION = 0x0112  # 1 upright, 2 … 8 mirrored or rotated
EXIF_IFD, GPS_IFD, INTEROPERABILITY_IFD = 0x8769, 0x8825, 0xA005  # pointers to other directories
INTEROPERABILITY_INDEX = 0x0001
ADOBE_RGB = b"R03"  # DCF 2.0 (CIPA DC-009), 7: the option file's color space
BYTE_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
INTEGERS = {1: "B", 3: "H", 4: "I"}  # BYTE, SHORT, LONG
VALUE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}  # by type
EXIF_HEADER = b"Exif\0"  # and one more byte: 0 by 4.7.2, 0xFF in some files
PROFILE_SPACES = ("GRAY", "RGB", "CMYK", "Lab", "YCbr")  # of images (ICC.1:2022, table 19)
CREDENTIALS_REMOVED = "content credentials (C2PA) were removed"
ADOBE_RGB_REMOVED = "the color space (Adobe RGB, identified only by Exif) was removed: colors will differ"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachments:
    """Metadata of an image.

    icc            ICC profile, complete
    exif           Exif as a TIFF stream ("II*" or "MM" first), without JPEG's "Exif\\0\\0"
    xmp            XMP packet
    comments       texts; "keyword: text" where the format has keywords
    density        pixels per meter, horizontally and vertically
    aspect         pixels per unknown unit, horizontally and vertically, where these differ: pixels are not square
    notices        notices of metadata of the source that has no field here
    color_notices  the notices among these that colors will differ, which no policy removes
    """

    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    comments: tuple[str, ...] = ()
    density: tuple[int, int] | None = None
    aspect: tuple[int, int] | None = None
    notices: tuple[str, ...] = ()
    color_notices: tuple[str, ...] = ()

    def reduced(self, policy: Metadata) -> "Attachments":
        """Return the metadata that a policy keeps. COLOR: ICC profile and orientation. STRIP: orientation.

        Both add a notice of a lost color space.
        """
        if policy is Metadata.KEEP:
            return self
        oriented = orientation(self.exif)
        lost = lost_colors(None if policy is Metadata.COLOR else self.icc, None if self.icc else self.exif)
        return Attachments(
            icc=profiles.trimmed(self.icc) if policy is Metadata.COLOR and self.icc else None,
            exif=orientation_exif(oriented) if oriented != 1 else None,
            notices=(*(self.notices if policy is Metadata.COLOR else self.color_notices), *lost),
            color_notices=self.color_notices,
        )

    def matching(self, *, grey: bool) -> "Attachments":
        """Return a copy without a profile that does not match the result, with a notice unless it is sRGB.

        grey  whether the result is grey; else it is RGB
        """
        expected = "GRAY" if grey else "RGB"
        space = profiles.color_space(self.icc) if self.icc is not None else expected
        if self.icc is None or space == expected or space not in PROFILE_SPACES:
            return self
        left = dataclasses.replace(self, icc=None)
        if profiles.profile_is_srgb(self.icc):
            return left
        what = (
            f"the ICC profile ({profiles.profile_name(self.icc)}) is for {space} pixels, but the result has {expected}"
        )
        return left.with_notices(f"{what}: not carried over, colors will differ")

    def with_notices(self, *notices: str) -> "Attachments":
        """Return a copy with additional notices."""
        return dataclasses.replace(self, notices=(*self.notices, *notices))


def attachments_of_raw(raw: Raw) -> Attachments:
    """Return the metadata of raw samples."""
    return Attachments(
        icc=raw.icc_profile or None,
        exif=tiff_stream(raw.exif) or None,
        xmp=raw.xmp or None,
        comments=tuple(comment for comment in raw.comments if comment),
        density=raw.density,
        aspect=raw.aspect,
    )


def orientation(exif: bytes | None) -> int:
    """Return the orientation in Exif, 1 … 8; 1 where it is missing or unreadable."""
    stream = tiff_stream(exif)
    for tag, kind, count, at, order in _entries(stream, 4):
        if tag == ORIENTATION and kind in INTEGERS and count == 1:
            (value,) = struct.unpack_from(order + INTEGERS[kind], stream, at)
            return value if 1 <= value <= 8 else 1
    return 1


def orientation_exif(value: int) -> bytes:
    """Return the smallest Exif with an orientation: one directory with one entry."""
    return b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, ORIENTATION, 3, 1, value, 0, 0)


def is_sound(exif: bytes) -> bool:
    """Return whether Exif has a TIFF header and declares no more values than it can hold.

    Pillow copies each value, so that entries which all point to the same bytes take any amount of memory.
    """
    left = 2 * len(exif)  # some writers store equal values once
    pointers = [4]
    while pointers:
        for tag, kind, count, at, _ in _entries(exif, pointers.pop()):
            left -= 12 + count * VALUE_BYTES.get(kind, 8)
            if left < 0:
                return False
            if tag in (EXIF_IFD, GPS_IFD, INTEROPERABILITY_IFD):
                pointers.append(at)
    return exif[:4] in BYTE_ORDERS


def is_adobe_rgb(exif: bytes | None) -> bool:
    """Return whether Exif identifies Adobe RGB as the color space, as a DCF option file (R03), which is its only way.

    Only the first of several pointers to a directory is followed: each could lead to thousands of entries.
    """
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
    return False


def lost_colors(profile: bytes | None, exif: bytes | None) -> list[str]:
    """Return a notice of the color space of a removed profile, or of removed Exif without a profile, unless sRGB."""
    if profile is not None and not profiles.profile_is_srgb(profile):
        return [f"the ICC profile ({profiles.profile_name(profile)}) was removed: colors will differ"]
    if exif is not None and is_adobe_rgb(exif):
        return [ADOBE_RGB_REMOVED]
    return []


def removed_trailing_bytes(count: int) -> list[str]:
    """Return a notice of removed bytes after an image, if there were any."""
    if count <= 0:
        return []
    return ["1 byte after the image was removed" if count == 1 else f"{count} bytes after the image were removed"]


def tiff_stream(exif: bytes | None) -> bytes:
    """Return Exif without the header that some containers put before it, as a TIFF stream."""
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
