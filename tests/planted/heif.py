"""AVIF and HEIF files with a mark in every place that can hold one."""

import io
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

from PIL import Image

from tests.planted import Planted
from tests.planted.box import Marks, box, boxes_of, full_box
from tests.planted.profiles import srgb_profile

ALPHA = b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0"
HEVC_ALPHA = b"urn:mpeg:hevc:2015:auxid:1\0"
C2PA = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
NCLX = b"nclx" + struct.pack(">HHHB", 12, 13, 6, 0x80)
TURNED = (b"irot", b"\3")  # by 270 degrees anticlockwise: Exif's orientation 6

# 64 x 32 samples, a gradient, coded by x265 4.3 through pillow-heif 1.8.
HEVC_CONFIGURATION = bytes.fromhex(
    "0103700000009000000000001ef000fcfdf8f800000f03600001001840010c01ffff03700000030090000003000003001eba0240610001002b"
    "42010103700000030090000003000003001ea020810596eae469ae6e021a0c0800000300c8000003000840620001000644"
    "01c173c089"
)
HEVC_PICTURE = bytes.fromhex("0000001f2801af1980ee33b3b5e0a4ad80bf89ecafeda240f205e54071b8f594ec67e0")


@dataclass
class Item:
    kind: bytes
    data: bytes = b""
    properties: list[tuple[bytes, bytes]] = field(default_factory=list)
    name: bytes = b""
    more: bytes = b""  # of its infe box
    hidden: bool = False
    in_idat: bool = False


def picture(
    size: tuple[int, int] = (64, 64), mode: str = "RGB", start: int = 0
) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    """Return the AV1 data of a gradient that begins at `start`, and its properties, without colr."""
    ramp = Image.linear_gradient("L").resize(size).point(lambda value: (value + start) % 256)
    out = io.BytesIO()
    ramp.convert(mode).save(out, "AVIF", quality=60, speed=10, subsampling="4:0:0" if mode == "L" else "4:4:4")
    found = dict(boxes_of(out.getvalue()))
    parts = dict(boxes_of(found[b"meta"], 4))
    ipco = dict(boxes_of(dict(boxes_of(parts[b"iprp"]))[b"ipco"]))
    return found[b"mdat"], [(kind, ipco[kind]) for kind in (b"ispe", b"pixi", b"av1C")]


def profile(text: bytes) -> bytes:
    """Return Little CMS's sRGB profile with another copyright text, changed so that it is not equivalent to sRGB."""
    srgb = bytearray(srgb_profile())
    old = "No copyright, use freely"
    at = srgb.index(old.encode("utf-16-be"))
    srgb[at : at + 2 * len(old)] = text.decode().ljust(len(old)).encode("utf-16-be")
    at = srgb.index(b"XYZ ", srgb.index(b"XYZ ", 132) + 1)  # the data of a colorant
    srgb[at + 8 : at + 12] = struct.pack(">i", 0x9000)
    return bytes(srgb)


def exif(text: bytes) -> bytes:
    """Return Exif with an image description as item data: preceded by the offset of its TIFF header."""
    assert len(text) == 16
    entry = struct.pack(">HHII", 0x10E, 2, 17, 26)
    return struct.pack(">I", 6) + b"Exif\0\0" + b"MM\0*" + struct.pack(">IH", 8, 1) + entry + bytes(4) + text + b"\0"


def obu(kind: int, payload: bytes) -> bytes:
    assert len(payload) < 128
    return bytes([kind << 3 | 2, len(payload)]) + payload


def nal(kind: int, payload: bytes) -> bytes:
    return struct.pack(">IBB", 2 + len(payload), kind << 1, 1) + payload


def heif(
    items: dict[int, Item],
    references: Sequence[tuple[bytes, int, list[int]]] = (),
    brands: bytes = b"avif" + bytes(4) + b"avifmif1miafMA1A",
    before: bytes = b"",
    after: bytes = b"",
    in_meta: bytes = b"",
    handler_name: bytes = b"",
    gap: bytes = b"",
    primary: int = 1,
    version: int | None = None,
    in_pieces: bool = False,
    to_the_end: bool = False,
    large_mdat: bool = False,
) -> bytes:
    """Return a file: ftyp, meta, `before`, mdat, `after`.

    gap         bytes outside of all items, before and after the data of each
    in_meta     boxes at the end of meta
    version     of iloc
    in_pieces   whether each item's data is in two extents, the second one first, with base offsets
    to_the_end  whether the mdat box extends to the end of the file
    """
    properties: list[tuple[bytes, bytes]] = []
    ipma, iinf = [], []
    for number, item in items.items():
        indices = []
        for entry in item.properties:
            if entry not in properties:
                properties.append(entry)
            essential = entry[0] in (b"av1C", b"hvcC", b"irot", b"imir", b"clap", b"lsel")
            indices.append(properties.index(entry) + 1 | essential << 7)
        ipma.append(struct.pack(">HB", number, len(indices)) + bytes(indices))
        infe = struct.pack(">HH", number, 0) + item.kind + item.name + b"\0" + item.more
        iinf.append(full_box(b"infe", 2, int(item.hidden), infe))
    iprp = box(b"iprp", box(b"ipco", *(box(*entry) for entry in properties)),
               full_box(b"ipma", 0, 0, struct.pack(">I", len(ipma)), *ipma))  # fmt: skip
    idat, media, places = gap, gap, {}
    for number, item in items.items():
        if item.in_idat:
            places[number] = [(len(idat), len(item.data))]
            idat += item.data + gap
        elif in_pieces:
            half = len(item.data) // 2
            places[number] = [
                (len(media) + len(item.data) - half + len(gap), half),
                (len(media), len(item.data) - half),
            ]
            media += item.data[half:] + gap + item.data[:half] + gap
        else:
            places[number] = [(len(media), len(item.data))]
            media += item.data + gap
    chosen = version if version is not None else 1 if any(item.in_idat for item in items.values()) else 0
    ftyp = box(b"ftyp", brands)

    def meta(first: int) -> bytes:
        entries = []
        for number, item in items.items():
            base = 0 if item.in_idat else first
            entries.append(
                struct.pack(">I" if chosen == 2 else ">H", number)
                + (struct.pack(">H", int(item.in_idat)) if chosen else b"")
                + struct.pack(">HIH", 0, base, len(places[number]))
                + b"".join(struct.pack(">II", *extent) for extent in places[number])
            )
        count = struct.pack(">I" if chosen == 2 else ">H", len(entries))
        links = [box(kind, struct.pack(f">{2 + len(to)}H", at, len(to), *to)) for kind, at, to in references]
        return full_box(
            b"meta", 0, 0,
            full_box(b"hdlr", 0, 0, bytes(4) + b"pict" + bytes(12) + handler_name + b"\0"),
            full_box(b"pitm", 0, 0, struct.pack(">H", primary)),
            full_box(b"iloc", chosen, 0, b"\x44\x40", count, *entries),
            full_box(b"iinf", 0, 0, struct.pack(">H", len(iinf)), *iinf),
            iprp,
            full_box(b"iref", 0, 0, *links) if links else b"",
            box(b"idat", idat) if any(item.in_idat for item in items.values()) else b"",
            in_meta,
        )  # fmt: skip

    header = 16 if large_mdat else 8
    first = len(ftyp) + len(meta(0)) + len(before) + header
    size = 0 if to_the_end else 1 if large_mdat else header + len(media)
    mdat = struct.pack(">I4s", size, b"mdat") + (struct.pack(">Q", header + len(media)) if large_mdat else b"")
    return ftyp + meta(first) + before + mdat + media + after


def everywhere() -> Planted:
    """Return a rotated image with an ICC profile and every other kind of metadata."""
    marks = Marks("avif-everywhere")
    coded, properties = picture()
    messages = obu(5, b"\4\xb5" + marks("OBU of ITU-T T.35") + b"\x80") + obu(15, marks("OBU of padding") + b"\x80")
    configuration = properties[2][1] + obu(5, b"\4\xb5" + marks("OBU in av1C") + b"\x80")
    thumbnail, small = picture((16, 16))
    colors = profile(marks("ICC profile")) + marks("after the ICC profile")
    items = {
        1: Item(b"av01", coded[:2] + messages + coded[2:], [
            *properties[:2], (b"av1C", configuration), (b"colr", b"prof" + colors),
            (b"colr", NCLX), TURNED, (b"udes", bytes(4) + marks("udes") + b"\0a\0b\0c\0"),
            (b"altt", bytes(4) + marks("altt") + b"\0en\0"), (b"abcd", marks("unknown property")),
            (b"free", marks("free property")), (b"uuid", marks("uuid property") + bytes(16)),
            (b"pasp", struct.pack(">II", 1, 1) + marks("slack of pasp")),
        ], name=marks("name of a picture")),
        2: Item(b"Exif", exif(marks("Exif")), name=marks("name of Exif"), hidden=True),
        3: Item(b"mime", b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>" + marks("XMP") + b"</x:xmpmeta>",
                more=b"application/rdf+xml\0" + marks("content encoding") + b"\0"),
        4: Item(b"uri ", marks("data of a URI item"), more=marks("URI") + b"\0"),
        5: Item(b"av01", thumbnail + obu(15, marks("thumbnail") + b"\x80"), small),
        6: Item(b"zzzz", marks("item of an unknown type")),
        7: Item(b"av01", thumbnail + obu(15, marks("hidden picture") + b"\x80"), small, hidden=True),
    }  # fmt: skip
    group = b"".join(full_box(kind, 0, 0, struct.pack(">II", 99, 4), marks(place))
                     for kind, place in ((b"zzzz", "group"),))  # fmt: skip
    in_meta = (
        full_box(b"xml ", 0, 0, marks("xml in meta") + b"\0")
        + box(b"uuid", C2PA[::-1], marks("uuid in meta"))
        + box(b"free", marks("free in meta"))
        + box(b"grpl", group)
        + box(b"dinf", full_box(b"dref", 0, 0, struct.pack(">I", 1), full_box(b"url ", 0, 0, marks("URL in dinf"))))
    )
    references = [(b"cdsc", 2, [1]), (b"cdsc", 3, [1]), (b"thmb", 5, [1])]
    brands = b"avif" + bytes(4) + b"avifmif1miafMA1A" + marks("brands")
    before = box(b"free", marks("free")) + box(b"uuid", bytes(16), marks("uuid")) + box(b"udta", marks("udta"))
    before += box(b"uuid", C2PA, bytes(4), b"manifest\0", marks("C2PA"))
    after = box(b"skip", marks("skip")) + box(b"mpvd", marks("film in a box"))
    after += box(b"ftyp", b"isom" + bytes(4)) + box(b"moov", marks("film after the file")) + marks("after the end")
    data = heif(
        items, references, brands, before, after, in_meta, marks("name of the handler"), gap=marks("gaps in mdat")
    )
    return Planted("avif-everywhere", "avif", data, marks, frozenset({"ICC profile"}), orientation=6)


def grid() -> Planted:
    """Return a grid of two images with an alpha plane that is a grid, too, both described in idat."""
    marks = Marks("avif-grid")
    colors = [picture(start=start) for start in (0, 100)]
    alphas = [picture(mode="L", start=start) for start in (30, 60)]
    described = struct.pack(">BBBBHH", 0, 0, 0, 1, 128, 64)
    size = (b"ispe", bytes(4) + struct.pack(">II", 128, 64))
    auxiliary = (b"auxC", bytes(4) + ALPHA + marks("subtype of auxC"))
    items = {
        1: Item(b"grid", described, [size, colors[0][1][1]], in_idat=True),
        2: Item(b"av01", colors[0][0], colors[0][1], name=marks("name of a tile"), hidden=True),
        3: Item(b"av01", colors[1][0], colors[1][1], hidden=True),
        4: Item(b"grid", described, [size, alphas[0][1][1], auxiliary], in_idat=True),
        5: Item(b"av01", alphas[0][0], [*alphas[0][1], auxiliary], hidden=True),
        6: Item(b"av01", alphas[1][0], [*alphas[1][1], auxiliary], hidden=True),
    }
    references = [(b"dimg", 1, [2, 3]), (b"dimg", 4, [5, 6]), (b"auxl", 4, [1])]
    return Planted("avif-grid", "avif", heif(items, references, gap=marks("gaps in idat and mdat")), marks)


def gain_map() -> Planted:
    """Return an image with a gain map (ISO 21496-1) and an HDR image derived from both."""
    marks = Marks("avif-gain-map")
    base, properties = picture()
    gains, gain_properties = picture((32, 32), "L")
    metadata = bytes([0]) + struct.pack(">HHB", 0, 0, 0x40) + struct.pack(">4I", 0, 1, 3, 1)
    metadata += struct.pack(">iIiIIIiIiI", 0, 1, 3, 1, 1, 1, 1, 64, 1, 64)
    hdr = (b"colr", b"nclx" + struct.pack(">HHHB", 9, 16, 0, 0x80))
    items = {
        1: Item(b"av01", base, [*properties, (b"colr", NCLX), (b"imir", b"\1")]),
        2: Item(b"av01", gains, [*gain_properties, (b"colr", b"nclx" + struct.pack(">HHHB", 2, 2, 6, 0x80))],
                hidden=True),
        3: Item(b"tmap", metadata, [properties[0], properties[1], hdr], name=marks("name of tmap")),
    }  # fmt: skip
    group = full_box(b"altr", 0, 0, struct.pack(">IIII", 100, 2, 3, 1))
    brands = b"avif" + bytes(4) + b"avifmif1miafMA1Atmap"
    data = heif(items, [(b"dimg", 3, [1, 2])], brands, in_meta=box(b"grpl", group), gap=marks("gaps in mdat"))
    return Planted("avif-gain-map", "avif", data, marks, orientation=2)


def hevc() -> Planted:
    """Return a HEIC file with SEI messages in the coded image and in its configuration."""
    marks = Marks("heif-hevc")
    unit = bytes([39 << 1, 1, 5, 32]) + bytes(16) + marks("SEI in hvcC") + b"\x80"
    arrays = b"\xa7" + struct.pack(">HH", 1, len(unit)) + unit
    configuration = HEVC_CONFIGURATION[:22] + bytes([HEVC_CONFIGURATION[22] + 1]) + HEVC_CONFIGURATION[23:] + arrays
    message = bytes([5, 32]) + bytes(16) + marks("SEI of the user") + b"\x80"
    light = bytes([144, 4, 3, 232, 0, 100, 0x80])
    coded = nal(39, message) + nal(39, light) + HEVC_PICTURE + nal(38, marks("filler data") + b"\x80")
    properties = [
        (b"ispe", bytes(4) + struct.pack(">II", 64, 32)),
        (b"pixi", bytes(4) + b"\3\x08\x08\x08"),
        (b"hvcC", configuration),
        (b"auxC", bytes(4) + HEVC_ALPHA),
    ]
    matte = (b"auxC", bytes(4) + b"urn:com:apple:photo:2018:aux:portraiteffectsmatte\0" + marks("auxC of a matte"))
    items = {
        1: Item(b"hvc1", coded, [*properties[:3], TURNED]),
        2: Item(b"hvc1", coded, properties),
        3: Item(b"hvc1", HEVC_PICTURE, [*properties[:3], matte]),
        4: Item(b"Exif", exif(marks("Exif"))),
    }
    references = [(b"auxl", 2, [1]), (b"auxl", 3, [1]), (b"cdsc", 4, [1])]
    brands = b"heic" + bytes(4) + b"mif1heicmiaf"
    data = heif(items, references, brands, gap=marks("gaps in mdat"))
    return Planted("heif-hevc", "heif", data, marks, orientation=6)


def located() -> list[Planted]:
    """Return the same image with each of the construction methods of iloc."""
    coded, properties = picture()
    ways: dict[str, dict[str, bool | int]] = {
        "pieces": {"in_pieces": True, "version": 0},
        "pieces-v1": {"in_pieces": True, "version": 1},
        "pieces-v2": {"in_pieces": True, "version": 2},
        "large-mdat": {"large_mdat": True},
        "to-the-end": {"to_the_end": True},
    }
    found = []
    for way, options in ways.items():
        marks = Marks(f"avif-{way}")
        items = {1: Item(b"Exif", exif(marks("Exif"))), 2: Item(b"av01", coded, properties)}
        gap = marks("gaps in mdat")
        data = heif(items, [(b"cdsc", 1, [2])], gap=gap, primary=2, **options)  # type: ignore[arg-type]
        found.append(Planted(f"avif-{way}", "avif", data, marks))
    idat = Marks("avif-idat")
    items = {
        1: Item(b"av01", coded, properties, in_idat=True),
        2: Item(b"mime", idat("XMP in idat"), more=b"application/rdf+xml\0", in_idat=True),
    }
    found.append(Planted("avif-idat", "avif", heif(items, gap=idat("gaps in idat")), idat))
    marks = Marks("heif-av1")
    items = {1: Item(b"av01", coded, properties, name=marks("name"))}
    data = heif(items, brands=b"mif1" + bytes(4) + b"mif1miaf", gap=marks("gaps in mdat"))
    found.append(Planted("heif-av1", "heif", data, marks))
    return found


def files() -> list[Planted]:
    return [everywhere(), grid(), gain_map(), hevc(), *located()]
