"""JPEG files with marks in every segment, between segments, between scans, in additional images and after them."""

import io
import struct
from typing import Any

from compressor.jpeg import mpf
from tests.jpeg_files import photo
from tests.planted import Planted, mark
from tests.planted.exif import EXIF_PLACES, exif
from tests.planted.profiles import rgb_profile

XMP = b"http://ns.adobe.com/xap/1.0/\0"
EXTENDED_XMP = b"http://ns.adobe.com/xmp/extension/\0"
IPTC = b"Photoshop 3.0\x008BIM\x04\x04\0\0\0\0\0\x15\x1c\2\x78\0\x10"  # a caption of 16 bytes
JUMBF_UUID = bytes.fromhex("63327061 0011 0010 8000 00aa00389b71")
SIZE = (64, 48)


def segment(marker: int, data: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data


def picture(mode: str = "RGB", size: tuple[int, int] = SIZE, **options: Any) -> bytes:
    """Encode a picture without its JFIF segment."""
    out = io.BytesIO()
    photo(*size, mode).save(out, "JPEG", quality=95, **options)
    return out.getvalue()[20:]


def credentials(place: str) -> bytes:
    """Build an APP11 segment with a C2PA manifest store (ISO/IEC 19566-5, D.2)."""
    description = JUMBF_UUID + b"\x03c2pa\0"
    content = struct.pack(">I4s", 8 + len(description), b"jumd") + description + mark(place)
    return segment(0xEB, b"JP\0\1\0\0\0\1" + struct.pack(">I4s", 8 + len(content), b"jumb") + content)


def extended_xmp(place: str) -> bytes:
    text = b"<x>" + mark(place) + b"</x>"
    return segment(0xE1, EXTENDED_XMP + b"0123456789ABCDEF" * 2 + struct.pack(">II", len(text), 0) + text)


# The content of every place before the first scan.
HEAD = {
    "JFIF thumbnail": segment(0xE0, b"JFIF\0\1\2\1\0\x48\0\x48\4\2" + mark("JFIF thumbnail") + bytes(8)),
    "JFXX thumbnail": segment(0xE0, b"JFXX\0\x13\4\2" + mark("JFXX thumbnail") + bytes(8)),
    "XMP": segment(0xE1, XMP + b"<x:xmpmeta>" + mark("XMP") + b"</x:xmpmeta>"),
    "extended XMP": extended_xmp("extended XMP"),
    "APP2 of unknown use": segment(0xE2, b"FPXR\0" + mark("APP2 of unknown use")),
    "APP5": segment(0xE5, mark("APP5")),
    "APP10": segment(0xEA, b"Private\0" + mark("APP10")),
    "content credentials": credentials("content credentials"),
    "IPTC (APP13)": segment(0xED, IPTC + mark("IPTC (APP13)") + b"\0"),
    "Adobe segment's end": segment(0xEE, b"Adobe\0\x64\0\0\0\0\1" + mark("Adobe segment's end")),
    "comment": segment(0xFE, mark("comment")),
    "ICC profile": segment(0xE2, b"ICC_PROFILE\0\1\2" + rgb_profile(mark("ICC profile"))[:250]),
    "after the ICC profile": segment(
        0xE2, b"ICC_PROFILE\0\2\2" + rgb_profile(mark("ICC profile"))[250:] + mark("after the ICC profile")
    ),
}  # fmt: skip
TRAILERS = {
    "MP4 after EOI": struct.pack(">I4sI4s", 32, b"moov", 24, b"\xa9xyz") + mark("MP4 after EOI"),
    "IPTC after EOI": b"AXS!" + mark("IPTC after EOI") + b"AXS*",
}  # fmt: skip


def everything(name: str, scans: bytes, *, garbage: bool = True, orientation: int = 6) -> Planted:
    """Put all of HEAD before a picture, stray bytes among it, and comments and trailers after."""
    places = {place: mark(place) for place in (*HEAD, *EXIF_PLACES, *TRAILERS, "comment after the scans")}
    stray = b""
    if garbage:
        places["stray bytes"] = mark("stray bytes")
        stray = mark("stray bytes")
    data = b"\xff\xd8" + segment(0xE1, b"Exif\0\0" + exif(orientation)) + stray + b"".join(HEAD.values())
    if garbage:
        places |= {place: mark(place) for place in ("stray bytes in a scan", "stray bytes in the last scan")}
        first = scans.index(b"\xff\xda") + 2  # the next marker segment, if there is one, follows the first scan
        end = min(
            scans.index(b"\xff" + bytes([code]), first)
            for code in (0xC4, 0xD9)
            if b"\xff" + bytes([code]) in scans[first:]
        )
        scans = (
            scans[:end]
            + mark("stray bytes in a scan")
            + scans[end:-2]
            + mark("stray bytes in the last scan")
            + scans[-2:]
        )
    data += scans[:-2] + segment(0xFE, mark("comment after the scans")) + scans[-2:] + b"".join(TRAILERS.values())
    return Planted(name, "jpeg", data, places, frozenset({"ICC profile"}), orientation)


RDF = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
GAIN_MAP = RDF + b'<rdf:Description xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" hdrgm:Version="1.0"'
CONTAINER = (
    b' xmlns:Container="http://ns.google.com/photos/1.0/container/"'
    b' xmlns:Item="http://ns.google.com/photos/1.0/container/item/"'
)
END = b"</rdf:RDF></x:xmpmeta>"


def gain_map_xmp(place: str) -> bytes:
    """Build the packet of a gain map, with a creator."""
    return GAIN_MAP + b' hdrgm:GainMapMax="1.5" creator="' + mark(place) + b'"/>' + END


def directory_xmp(place: str, length: int) -> bytes:
    """Build the packet of the first picture, which lists both."""
    items = (b'Item:Semantic="Primary"', b'Item:Semantic="GainMap" Item:Length="%d"' % length)
    listed = b"".join(
        b'<rdf:li rdf:parseType="Resource"><Container:Item Item:Mime="image/jpeg" ' + item + b"/></rdf:li>"
        for item in items
    )
    start = GAIN_MAP + CONTAINER + b' creator="' + mark(place) + b'"><Container:Directory><rdf:Seq>'
    return start + listed + b"</rdf:Seq></Container:Directory></rdf:Description>" + END


def several(name: str, *, gain_map: bool = False, broken: bool = False) -> Planted:
    """Build a file with an index (MPF) and a second picture, which has metadata of its own, and bytes around it."""
    own = {place: f"{place} of the second picture" for place in (*EXIF_PLACES, "XMP", "comment", "stray bytes")}
    others = ["between two pictures", "after the last picture", "index of pictures"]
    packet = b"<x:xmpmeta>" + mark(own["XMP"]) + b"</x:xmpmeta>"
    second = b"\xff\xd8" + segment(0xE1, b"Exif\0\0" + exif(1, {place: mark(own[place]) for place in EXIF_PLACES}))
    second += segment(0xE1, XMP + (gain_map_xmp(own["XMP"]) if gain_map else packet))
    scans = picture(size=(32, 24))
    second += segment(0xFE, mark(own["comment"])) + scans[:-2] + mark(own["stray bytes"]) + scans[-2:]
    head, scans = b"\xff\xd8", picture()
    if gain_map:
        others.append("XMP of the first picture")
        head += segment(0xE1, XMP + directory_xmp(others[-1], len(second)))

    def first(offset: int) -> bytes:
        listed = [mpf.MpEntry(0x030000, 0, 0, (0, 0)), mpf.MpEntry(0, len(second), offset, (0, 0))]
        index = mpf.index_data(listed) + mark("index of pictures")
        return head + segment(0xE2, index.replace(b"MM\0*", b"MM\0\1") if broken else index) + scans

    gap, base = mark("between two pictures"), first(0).index(b"MPF\0") + 4
    made = first(len(first(0)) + len(gap) - base)
    places = {place: mark(place) for place in (*own.values(), *others)}
    return Planted(name, "jpeg", made + gap + second + mark("after the last picture"), places)


def unfinished(name: str, **options: Any) -> Planted:
    """Leave EOI out and let other data follow the last MCU."""
    places = {place: mark(place) for place in ("comment", "after the last MCU")}
    data = b"\xff\xd8" + segment(0xFE, mark("comment")) + picture(**options)[:-2] + mark("after the last MCU")
    return Planted(name, "jpeg", data + bytes(50), places)


def files() -> list[Planted]:
    return [
        unfinished("jpeg-without-eoi"),
        unfinished("jpeg-progressive-without-eoi", progressive=True),
        everything("jpeg-baseline", picture()),
        everything("jpeg-grey", picture("L"), orientation=1),
        everything("jpeg-progressive", picture(progressive=True), orientation=8),
        everything("jpeg-restarts", picture(restart_marker_blocks=2), garbage=False, orientation=3),
        several("jpeg-two-pictures"),
        several("jpeg-gain-map", gain_map=True),
        several("jpeg-index-broken", broken=True),
    ]
