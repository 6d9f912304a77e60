"""Exif with a mark in every directory, for all containers."""

import struct
from collections.abc import Mapping

from tests.planted import mark

ASCII, SHORT, LONG, UNDEFINED = 2, 3, 4, 7
SIZES = {ASCII: 1, SHORT: 2, LONG: 4, UNDEFINED: 1}
Tag = tuple[int, int, bytes]  # tag, type, big-endian value

EXIF_PLACES = ("Exif description", "Exif maker note", "Exif user comment", "Exif GPS", "Exif thumbnail")


def directory(tags: list[Tag], start: int, following: int = 0) -> bytes:
    """Build a directory at the offset `start`, its long values after it."""
    values_at = start + 2 + 12 * len(tags) + 4
    rows, values = struct.pack(">H", len(tags)), b""
    for tag, kind, value in sorted(tags):
        count = len(value) // SIZES[kind]
        if len(value) <= 4:
            rows += struct.pack(">HHI4s", tag, kind, count, value.ljust(4, b"\0"))
        else:
            rows += struct.pack(">HHII", tag, kind, count, values_at + len(values))
            values += value + bytes(len(value) % 2)
    return rows + struct.pack(">I", following) + values


def exif(orientation: int = 6, marks: Mapping[str, bytes] | None = None, *, adobe_rgb: bool = False) -> bytes:
    """Build a TIFF stream with IFD0, Exif, GPS, Interoperability and thumbnail directories, marks in all of them."""
    marks = marks or {place: mark(place) for place in EXIF_PLACES}
    interoperability = [(1, ASCII, b"R03\0" if adobe_rgb else b"R98\0")]

    def main(exif_at: int, gps_at: int, thumbnail_at: int) -> bytes:
        tags: list[Tag] = [
            (0x010E, ASCII, marks["Exif description"] + b"\0"),
            (0x0112, SHORT, struct.pack(">H", orientation)),
            (0x8769, LONG, struct.pack(">I", exif_at)),
            (0x8825, LONG, struct.pack(">I", gps_at)),
        ]
        return directory(tags, 8, thumbnail_at)

    exif_at = 8 + len(main(0, 0, 0))

    def camera(interoperability_at: int) -> bytes:
        tags: list[Tag] = [
            (0x927C, UNDEFINED, marks["Exif maker note"]),
            (0x9286, UNDEFINED, b"ASCII\0\0\0" + marks["Exif user comment"]),
            (0xA001, SHORT, b"\xff\xff" if adobe_rgb else b"\0\1"),
            (0xA005, LONG, struct.pack(">I", interoperability_at)),
        ]
        return directory(tags, exif_at)

    gps_at = exif_at + len(camera(0))
    gps = directory([(1, ASCII, b"N\0"), (0x001B, UNDEFINED, b"ASCII\0\0\0" + marks["Exif GPS"])], gps_at)
    interoperability_at = gps_at + len(gps)
    last = directory(interoperability, interoperability_at)
    thumbnail_at = interoperability_at + len(last)
    data_at = thumbnail_at + len(directory([(0x0201, LONG, bytes(4)), (0x0202, LONG, bytes(4))], thumbnail_at))
    data = b"\xff\xd8" + marks["Exif thumbnail"] + b"\xff\xd9"
    pointers: list[Tag] = [
        (0x0201, LONG, struct.pack(">I", data_at)), (0x0202, LONG, struct.pack(">I", len(data))),
    ]  # fmt: skip
    thumbnail = directory(pointers, thumbnail_at)
    return (
        b"MM\0*\0\0\0\x08"
        + main(exif_at, gps_at, thumbnail_at)
        + camera(interoperability_at)
        + gps
        + last
        + thumbnail
        + data
    )
