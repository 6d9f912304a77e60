"""TIFF and BigTIFF files with a mark in every place for metadata: in tags, in directories within directories, in
thumbnails, in JPEG strips, and between and after all of these."""

import io
from typing import Any, Literal

import numpy as np
from PIL import Image

from tests.planted import Planted, mark
from tests.planted.profiles import srgb_profile
from tests.tiff_files import (
    ASCII,
    BYTE,
    DEFLATE,
    JPEG,
    LONG,
    LZW,
    NONE,
    RATIONAL,
    SHORT,
    UNDEFINED,
    Page,
    Tags,
    build,
    picture,
)  # fmt: skip

SAMPLES = np.stack(
    [np.add.outer(np.arange(24) * 3, np.arange(32) * weight).astype(np.uint8) for weight in (2, 5, 7)], axis=-1
)
TEXTS = {
    269: "DocumentName", 270: "ImageDescription", 271: "Make", 272: "Model", 285: "PageName", 305: "Software",
    306: "DateTime", 315: "Artist", 316: "HostComputer", 33432: "Copyright", 42112: "GDAL metadata",
    34737: "GeoAsciiParams", 65000: "private tag",
}  # fmt: skip
BLOBS = {700: "XMP", 33723: "IPTC", 34377: "Photoshop resources", 37724: "Photoshop layers", 52545: "C2PA"}


def profile() -> bytes:
    """Return an sRGB profile with a mark that no tag of it refers to, but that its size includes."""
    made = srgb_profile() + mark("ICC profile")
    return len(made).to_bytes(4, "big") + made[4:]


def metadata(order: str) -> tuple[Tags, dict[int, list[Page]], list[str]]:
    """Return tags and directories that describe a picture, with the names of their marks."""
    tags: Tags = {tag: (ASCII, mark(name) + b"\0") for tag, name in TEXTS.items()}
    tags |= {tag: (UNDEFINED, mark(name)) for tag, name in BLOBS.items()}
    tags[280] = (SHORT, [0] * 4 + list(np.frombuffer(mark("spare values of a tag"), order + "u2")))
    tags[33723] = (BYTE, b"\x1c\x02\x78\0\x10" + mark("IPTC"))
    interoperability = Page({1: (ASCII, b"R98\0"), 4096: (ASCII, mark("Interoperability"))})
    exif = Page(
        {37510: (UNDEFINED, bytes(8) + mark("UserComment")), 37500: (UNDEFINED, mark("MakerNote"))},
        nested={40965: [interoperability]},
    )
    gps = Page({27: (UNDEFINED, bytes(8) + mark("GPSProcessingMethod")), 29: (ASCII, b"2020:01:01\0")})
    inner = picture(np.frombuffer(mark("SubIFD samples"), np.uint8).reshape(4, 4, 1), 8, photometric=1)
    inner.tags |= {254: (LONG, [1]), 270: (ASCII, mark("SubIFD text"))}
    names = [*TEXTS.values(), *BLOBS.values(), "spare values of a tag", "Interoperability", "UserComment", "MakerNote"]
    names += ["GPSProcessingMethod", "SubIFD samples", "SubIFD text"]
    return tags, {34665: [exif], 34853: [gps], 330: [inner]}, names


def thumbnail() -> Page:
    small = picture(np.frombuffer(mark("thumbnail samples"), np.uint8).reshape(2, 8, 1), 8, photometric=1)
    small.tags |= {254: (LONG, [1]), 270: (ASCII, mark("thumbnail text"))}
    return small


def planted(
    name: str, page: Page, *, order: Literal["<", ">"] = "<", big: bool = False, orientation: int = 1, icc: bool = True,
    more: tuple[str, ...] = (), color: tuple[str, ...] = (), pages: tuple[Page, ...] = (), tail: bytes | None = None,
) -> Planted:  # fmt: skip
    """Return a file of a page, all metadata, and further pages; `more` names marks that the pages have already."""
    tags, nested, names = metadata(order)
    page.tags |= tags
    page.nested |= nested
    if orientation != 1:
        page.tags[274] = (SHORT, [orientation])
    names += [*more, *color]
    if icc:
        page.tags[34675] = (UNDEFINED, profile())
        names.append("ICC profile")
        color += ("ICC profile",)
    if tail is None:
        tail = mark("after the end") * 3
        names.append("after the end")
    names.append("between header and strips")
    gap = mark("between header and strips")
    data = build([page, *pages], order, big, gap, tail)
    return Planted(name, "tiff", data, {place: mark(place) for place in names}, frozenset(color), orientation)


def jpeg_page() -> Page:
    """Return a page in JPEG strips of 16 lines, with metadata segments in each and in their tables."""
    whole = Image.fromarray(SAMPLES)
    strips, tables = [], b""
    for top in range(0, 24, 16):
        out = io.BytesIO()
        whole.crop((0, top, 32, min(top + 16, 24))).save(out, "JPEG", quality=90, subsampling=2)
        data = out.getvalue()
        comment = b"\xff\xfe\0\x12" + mark("COM in a strip")
        exif = b"\xff\xe1\0\x18Exif\0\0" + mark("APP1 in a strip")
        strips.append(data[:2] + comment + exif + data[2:] + mark("after EOI"))
        tables = b"\xff\xd8\xff\xfe\0\x12" + mark("COM in the tables") + data[data.index(b"\xff\xdb") :]
    end = tables.index(b"\xff\xc0")
    tags: Tags = {
        256: (LONG, [32]), 257: (LONG, [24]), 258: (SHORT, [8] * 3), 259: (SHORT, [JPEG]), 262: (SHORT, [6]),
        277: (SHORT, [3]), 278: (LONG, [16]), 284: (SHORT, [1]), 347: (UNDEFINED, tables[:end] + b"\xff\xd9"),
        530: (SHORT, [2, 2]),
    }  # fmt: skip
    return Page(tags, strips)


def files() -> list[Planted]:
    """Return the files."""
    rgb: dict[str, Any] = {"photometric": 2}
    spare = picture(SAMPLES, 8, photometric=2, rows_per_strip=10, order=">")
    spare.spare = mark("after the samples of a strip")
    ended = [
        picture(SAMPLES, 8, photometric=2, compression=LZW, rows_per_strip=5),
        picture(SAMPLES, 8, photometric=2, compression=DEFLATE, tile=16),
    ]
    for page in ended:
        page.spare = mark("after the data of a strip")
    second = picture(SAMPLES[::-1], 8, photometric=2, compression=DEFLATE)
    second.tags[270] = (ASCII, mark("text of the second page"))
    index = (SAMPLES[..., :1] >> 4).copy()
    palette: Tags = {320: (SHORT, [(17 * 257 * (i % 16)) & 0xFFFF for i in range(48)])}
    cmyk = np.concatenate([SAMPLES, SAMPLES[..., :1] // 4], axis=-1)
    inks: Tags = {
        332: (SHORT, [1]),
        333: (ASCII, mark("InkNames") + b"\0"),
        337: (ASCII, mark("TargetPrinter") + b"\0"),
    }
    grey = SAMPLES[..., :1]
    fax: Tags = {282: (RATIONAL, [204, 1]), 283: (RATIONAL, [98, 1]), 296: (SHORT, [2])}
    alpha = np.concatenate([SAMPLES, 255 - grey], axis=-1)
    return [
        planted("tiff-little-endian", picture(SAMPLES, 8, compression=LZW, **rgb)),
        planted("tiff-big-endian-turned", spare, order=">", orientation=6, more=("after the samples of a strip",)),
        planted("tiff-lzw-ends-early", ended[0], more=("after the data of a strip",)),
        planted("tiff-deflate-ends-early", ended[1], more=("after the data of a strip",)),
        planted("tiff-without-profile", picture(SAMPLES, 8, **rgb), icc=False, orientation=3),
        planted("tiff-ends-with-its-directory", picture(SAMPLES, 8, **rgb), tail=b""),
        planted("tiff-tiles-predictor", picture(SAMPLES, 8, compression=DEFLATE, predictor=2, tile=16, **rgb)),
        planted("tiff-planes", picture(SAMPLES, 8, compression=LZW, planar=2, rows_per_strip=9, **rgb)),
        planted("tiff-alpha", picture(alpha, 8, extra=(2,), **rgb), orientation=8),
        planted("tiff-grey-16", picture(grey.astype(np.uint16) * 257, 16, photometric=1), icc=False),
        planted("tiff-palette", picture(index, 4, photometric=3, tags=palette)),
        planted("tiff-fax-resolution", picture(grey // 255, 1, photometric=1, tags=fax), icc=False),
        planted(
            "tiff-cmyk", picture(cmyk, 8, photometric=5, tags=inks), icc=False,
            more=("TargetPrinter",), color=("InkNames",),
        ),
        planted(
            "tiff-jpeg-strips", jpeg_page(),
            more=("COM in a strip", "APP1 in a strip", "after EOI", "COM in the tables"),
        ),
        planted("tiff-bigtiff", picture(SAMPLES, 8, compression=DEFLATE, **rgb), big=True, orientation=6),
        planted(
            "tiff-thumbnail", picture(SAMPLES, 8, **rgb), pages=(thumbnail(),),
            more=("thumbnail samples", "thumbnail text"),
        ),
        planted(
            "tiff-two-pages-and-a-thumbnail", picture(SAMPLES, 8, compression=NONE, **rgb), order=">",
            pages=(second, thumbnail()), more=("thumbnail samples", "thumbnail text", "text of the second page"),
        ),
    ]  # fmt: skip
