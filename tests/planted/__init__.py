"""Files with a mark in every place where their format can hold metadata, to see which marks a policy leaves."""

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field

# All formats that `sniff` names, and the modules of this package with `files`.
FORMATS = ("jpeg", "png", "webp", "gif", "bmp", "tiff", "avif", "heif", "jp2", "jxl", "pnm")
MODULES = ("jpeg", "png", "webp", "gif", "bmp", "tiff", "heif", "avif_film", "jp2", "jxl", "pnm")
ZLIB_START = re.compile(rb"\x78[\x01\x5e\x9c\xda]")
INFLATED_MAX = 1 << 20


@dataclass(frozen=True)
class Planted:
    """A valid file of any format.

    name         unique and descriptive: "webp-lossy-vp8x"
    format       as `sniff` names it
    data         the file
    marks        for each place ("EXIF chunk", "after the end", …) the mark that `visible` finds there
    color        places that COLOR may keep, since colors need them (an ICC profile's description, …)
    orientation  1 … 8, as a viewer would apply it
    """

    name: str
    format: str
    data: bytes = field(repr=False)
    marks: Mapping[str, bytes]
    color: frozenset[str] = frozenset()
    orientation: int = 1


def mark(place: str) -> bytes:
    """Return an ASCII mark for a place, 16 bytes, different for each."""
    seed = place.replace("after", "behind")  # the digests in tests/pipeline/golden.json are of files with these marks
    return b"MARK%08xMARK" % zlib.crc32(seed.encode())


def visible(data: bytes) -> bytes:
    """Return the bytes of a file, followed by the inflated data of all zlib streams in it."""
    found = [data]
    for start in ZLIB_START.finditer(data):
        try:
            found.append(zlib.decompressobj().decompress(data[start.start() :], INFLATED_MAX))
        except zlib.error:
            continue
    return b"\0".join(found)


def marks_in(planted: Planted, data: bytes) -> set[str]:
    """Return the places whose marks are still somewhere in `data`; UTF-16 and hexadecimal count as well."""
    seen = visible(data)
    return {
        place
        for place, marked in planted.marks.items()
        if any(
            form in seen for form in (marked, marked.decode().encode("utf-16-be"), marked.decode().encode("utf-16-le"))
        )
        or marked.hex().encode() in seen.lower()
    }
