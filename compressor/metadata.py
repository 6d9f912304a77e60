"""Metadata that accompany the pixels, in a form that every image format can be read into and written from."""

import dataclasses
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from compressor import icc as profiles
from compressor.settings import Metadata, Raw

# Exif 2.32 (CIPA DC-008), 4.6 and Annex A.
ORIENTATION = 0x0112  # 1 upright, 2 … 8 mirrored or turned
EXIF_IFD, GPS_IFD, INTEROPERABILITY_IFD = 0x8769, 0x8825, 0xA005  # pointers to further directories
INTEROPERABILITY_INDEX = 0x0001
ADOBE_RGB = b"R03"  # DCF 2.0 (CIPA DC-009), 7: the option file's colour space
BYTE_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
INTEGERS = {1: "B", 3: "H", 4: "I"}  # BYTE, SHORT, LONG
VALUE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}  # by type
EXIF_HEADER = b"Exif\0"  # and one more byte: 0 by 4.7.2, 0xFF in some files
PROFILE_SPACES = ("GRAY", "RGB", "CMYK", "Lab", "YCbr")  # that pictures come in (ICC.1:2022, table 19)
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
    aspect    pixels on one length of unknown unit, horizontally and vertically, where these differ: they are not square
    notices   what the source had beside and could not be put into these fields
    shifts    those of the notices that say that colours will differ: a policy removes none of them
    """

    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    comments: tuple[str, ...] = ()
    density: tuple[int, int] | None = None
    aspect: tuple[int, int] | None = None
    notices: tuple[str, ...] = ()
    shifts: tuple[str, ...] = ()

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
            notices=(*(self.notices if policy is Metadata.COLOR else self.shifts), *lost),
            shifts=self.shifts,
        )

    def fitting(self, *, grey: bool) -> "Attachments":
        """Return the same without a profile that is for other pixels than those of the result, named unless it is sRGB.

        grey  whether the result has grey pixels; else they are RGB
        """
        expected = "GRAY" if grey else "RGB"
        space = profiles.color_space(self.icc) if self.icc is not None else expected
        if self.icc is None or space == expected or space not in PROFILE_SPACES:
            return self
        left = dataclasses.replace(self, icc=None)
        if profiles.is_srgb(self.icc):
            return left
        what = f"the ICC profile ({profiles.name(self.icc)}) is for {space} pixels and the result has {expected}"
        return left.noting(f"{what}: not carried over, colours will differ")

    def noting(self, *notices: str) -> "Attachments":
        """The same with more notices."""
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


def is_sound(exif: bytes) -> bool:
    """Return whether Exif begins as such and claims no more values than it can hold.

    Pillow makes a copy of each value, so that entries that all point to the same bytes take any amount of memory.
    """
    left = 2 * len(exif)  # some writers let equal values share their bytes
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
    """Return whether Exif names Adobe RGB as the colour space, in the only way it has: by DCF's option file R03.

    Of several pointers to a directory the first counts: each of them could lead to thousands of entries.
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
