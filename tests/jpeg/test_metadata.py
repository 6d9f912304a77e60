"""Metadata segments of JPEG: kept verbatim, reduced, and converted to the form that all formats share."""

import io
import struct
import time
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image, ImageCms

from compressor import pipeline
from compressor.bytestream import ByteStream
from compressor.jpeg import attachments, mpf, reduction
from compressor.jpeg.frame import Segment
from compressor.jpeg.headers import read_header
from compressor.metadata import Attachments, orientation, orientation_exif
from compressor.settings import Metadata
from tests.jpeg.test_mpf import file_of, pictures_of
from tests.jpeg_files import header_of, jpeg, read
from tests.pipeline.test_pipeline import photograph
from tests.readable import InMemory
from tests.reference.huffman import segment

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
GUID = b"0123456789ABCDEF0123456789ABCDEF"


def extended(offset: int, size: int, piece: bytes) -> bytes:
    """Return a segment of extended XMP."""
    return segment(0xE1, attachments.EXTENDED_XMP + GUID + struct.pack(">II", size, offset) + piece)


def icc(number: int, count: int, piece: bytes) -> bytes:
    """Return a segment with a piece of a profile."""
    return segment(0xE2, b"ICC_PROFILE\0" + bytes([number, count]) + piece)


JFIF = segment(0xE0, b"JFIF\0\1\2\1\0\x48\0\x48\2\1" + b"thumb!")
EXIF = segment(0xE1, b"Exif\0\0" + orientation_exif(6) + b"and more")
XMP = segment(0xE1, attachments.XMP + b"<x:xmpmeta/>")
LONG_XMP = extended(0, 9, b"first") + extended(5, 9, b"last")
IPTC = segment(0xED, b"Photoshop 3.0\x008BIM\x04\x04\0\0\0\0\0\0")
ICC = icc(1, 2, SRGB[:99]) + icc(2, 2, SRGB[99:])
ADOBE = segment(0xEE, b"Adobe\0\x64\0\0\0\0\1")
GAIN_MAP = segment(0xE2, b"urn:iso:std:iso:ts:21496:-1\0\0\0\0\0")
COMMENT = segment(0xFE, b"hello")
ALL = [JFIF, EXIF, XMP, LONG_XMP, IPTC, ICC, ADOBE, GAIN_MAP, COMMENT]
PLAIN = jpeg(160, 120, quality=95)[20:]  # without SOI and JFIF


def segments_of(data: bytes) -> list[tuple[int, bytes]]:
    """Return the metadata segments of a file."""
    return [(s.marker, s.data) for s in header_of(data).segments]


def file(*segments: bytes, rest: bytes = PLAIN) -> bytes:
    """Return a file with these segments."""
    return b"\xff\xd8" + b"".join(segments) + rest


@pytest.mark.parametrize("settings", [{"quality": 50}, {"lossless": True}], ids=str)
def test_all_segments_are_kept_verbatim_and_in_order(settings: dict[str, Any]) -> None:
    data = file(*ALL[::-1])

    made = pipeline.compress(data, **settings)

    assert len(made.data) < len(data)
    assert segments_of(made.data) == segments_of(data)


COLOR = [
    JFIF[:2] + b"\0\x10" + JFIF[4:16] + b"\0\0",
    segment(0xE1, b"Exif\0\0" + orientation_exif(6)),
    ICC,
    ADOBE,
    GAIN_MAP,
]
STRIP = [COLOR[0], COLOR[1], ADOBE]


@pytest.mark.parametrize("policy, want", [("color", COLOR), ("strip", STRIP)])
@pytest.mark.parametrize("settings", [{"quality": 50}, {"lossless": True}, {"min_saving": 0.99}], ids=str)
@pytest.mark.parametrize("progressive", [False, True])
def test_a_policy_keeps_the_metadata_of_color_whether_the_image_changes_or_not(
    policy: Any, want: list[bytes], settings: dict[str, Any], progressive: bool
) -> None:
    rest = jpeg(160, 120, quality=95, progressive=progressive)[20:]
    garbage = b"\xff\x01garbage\xff\xff\xff"
    data = file(*ALL, rest=garbage[:-2] + rest[:-2] + b"\xff\xd3" + COMMENT + rest[-2:])

    made = pipeline.compress(data, metadata=policy, **settings)

    assert segments_of(made.data) == segments_of(file(*want))
    assert b"hello" not in made.data
    opened = Image.open(io.BytesIO(made.data))
    assert opened.size == (160, 120)
    if "min_saving" in settings or "lossless" in settings:
        np.testing.assert_array_equal(np.asarray(opened), np.asarray(Image.open(io.BytesIO(file(*ALL, rest=rest)))))


def test_reduced_files_have_the_same_entropy_coded_data_in_any_chunks() -> None:
    data = jpeg(160, 120, quality=95, progressive=True, restart_marker_blocks=3)
    head = header_of(data).offset
    data = data[:2] + XMP + data[2:]
    for size in (1, 2, 7, 1000, len(data)):
        got = b"".join(reduction.without_metadata(InMemory(data, size), Metadata.STRIP, []))
        assert got[head:] == data[head + len(XMP) :]


@pytest.mark.parametrize("policy", ["color", "strip"])
def test_an_unchanged_file_with_several_pictures_loses_metadata_and_its_index_is_updated(policy: Any) -> None:
    source = file_of(photograph(64, 96), photograph(40, 56))
    source = source[:2] + EXIF + COMMENT + source[2:]
    at = source.index(b"MPF\0") + 4
    index = header_of(source).segments
    assert index
    source = with_first_size(source, at, len(EXIF) + len(COMMENT))
    _, before = pictures_of(source)

    made = pipeline.compress(source, metadata=policy, min_saving=0.99)

    _, after = pictures_of(made.data)
    assert made.report.outcome.value == "unchanged"
    assert b"hello" not in made.data
    assert len(after) == (2 if policy == "color" else 1)
    for old, new in zip(before, after, strict=False):
        np.testing.assert_array_equal(new, old)


def with_first_size(source: bytes, base: int, added: int) -> bytes:
    """Change the first picture's size in the index. Offsets are relative to the index, so that segments before it do
    not change them."""
    entry = next(n for n in range(base, base + 400) if source[n : n + 2] in (b"\x02\xb0", b"\xb0\x02"))
    order = "<" if source[entry : entry + 2] == b"\x02\xb0" else ">"
    (offset,) = struct.unpack_from(order + "I", source, entry + 8)
    (size,) = struct.unpack_from(order + "I", source, base + offset + 4)
    return source[: base + offset + 4] + struct.pack(order + "I", size + added) + source[base + offset + 8 :]


ULTRA_HDR = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/"
 xmlns:GContainer="http://ns.google.com/photos/1.0/container/" dc:creator="Somebody"
 xmlns:Item="http://ns.google.com/photos/1.0/container/item/" hdrgm:Version = "1.0"><GContainer:Directory><rdf:Seq>
<rdf:li rdf:parseType="Resource"><GContainer:Item Item:Semantic="Primary" Item:Mime="image/jpeg"
 Item:Padding="8"/></rdf:li>
<rdf:li rdf:parseType="Resource"><GContainer:Item Item:Length="1234" Item:Mime="image/jpeg" Item:Semantic="GainMap"
 Item:Label="private"/></rdf:li>
</rdf:Seq></GContainer:Directory></rdf:Description></rdf:RDF></x:xmpmeta>"""


def test_only_the_gain_map_is_left_of_xmp() -> None:
    packet = mpf.reduced_xmp(ULTRA_HDR)

    assert packet is not None
    assert b"Somebody" not in packet and b"private" not in packet
    description = ElementTree.fromstring(packet)[0][0]
    item = "{http://ns.google.com/photos/1.0/container/item/}"
    assert description.get("{http://ns.adobe.com/hdr-gain-map/1.0/}Version") == "1.0"
    items = [element.attrib for element in description.iter("{http://ns.google.com/photos/1.0/container/}Item")]
    assert items == [
        {item + "Semantic": "Primary", item + "Mime": "image/jpeg", item + "Padding": "8"},
        {item + "Length": "1234", item + "Mime": "image/jpeg", item + "Semantic": "GainMap"},
    ]


@pytest.mark.parametrize(
    "version", [b'hdrgm:Version="1.0"/>', b"><hdrgm:Version>1.0</hdrgm:Version></rdf:Description>"]
)
def test_only_the_version_is_left_of_a_packet_that_lists_no_pictures(version: bytes) -> None:
    start = ULTRA_HDR[: ULTRA_HDR.index(b" xmlns:Item")]
    packet = mpf.reduced_xmp(start + b" " + version + b"</rdf:RDF></x:xmpmeta>")

    assert packet is not None
    assert b"Somebody" not in packet
    description = ElementTree.fromstring(packet)[0][0]
    assert description.get("{http://ns.adobe.com/hdr-gain-map/1.0/}Version") == "1.0" and len(description) == 0
    assert mpf.reduced_xmp(packet) == packet
    assert mpf.with_lengths(packet, {1: 2}) == packet


def test_lengths_of_pictures_are_updated() -> None:
    packet = mpf.with_lengths(mpf.reduced_xmp(ULTRA_HDR) or b"", {1234: 999})

    assert b'Item:Length="999"' in packet and b"1234" not in packet and b"Padding" not in packet
    assert mpf.with_lengths(packet, {1: 2}) == packet


GAIN_MAP_PARAMETERS = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/"
 dc:creator="Somebody" hdrgm:Version="1.0" hdrgm:GainMapMin="-0.5" hdrgm:Gamma="Somebody" hdrgm:Owner="1">
<hdrgm:GainMapMax><rdf:Seq><rdf:li>1.5</rdf:li>
<rdf:li>2.5</rdf:li><rdf:li>3e0</rdf:li></rdf:Seq></hdrgm:GainMapMax><hdrgm:HDRCapacityMax> 2.0 </hdrgm:HDRCapacityMax>
</rdf:Description></rdf:RDF></x:xmpmeta>"""


def test_only_the_parameters_are_left_of_a_gain_maps_packet() -> None:
    packet = mpf.reduced_parameters(GAIN_MAP_PARAMETERS)

    assert packet is not None
    assert b"Somebody" not in packet and b"Owner" not in packet
    description = ElementTree.fromstring(packet)[0][0]
    name = "{http://ns.adobe.com/hdr-gain-map/1.0/}"
    assert {key: description.get(name + key) for key in ("Version", "GainMapMin", "HDRCapacityMax", "Gamma")} == {
        "Version": "1.0", "GainMapMin": "-0.5", "HDRCapacityMax": "2.0", "Gamma": None,
    }  # fmt: skip
    maximum = description.find(name + "GainMapMax")
    assert maximum is not None
    assert [value.text for value in maximum[0]] == ["1.5", "2.5", "3e0"]
    assert mpf.reduced_parameters(packet) == packet
    assert mpf.reduced_parameters(b"<x/>") is None


@pytest.mark.parametrize(
    "piece", [b"<a:Item ", b"<", b"a", b':Length="', b"<a:Item>", b"hdrgm:Version   ", b"<hdrgm:A><rdf:Seq><rdf:li>"]
)
def test_a_nonsensical_packet_is_handled_quickly(piece: bytes) -> None:
    start = time.process_time()
    packet = ULTRA_HDR.replace(b"<GContainer", piece * ((60_000) // len(piece)) + b"<GContainer", 1)
    mpf.reduced_xmp(packet)
    mpf.reduced_parameters(packet)
    assert time.process_time() - start < 0.2


# --- the form that all formats share


def attached(*segments: bytes) -> Attachments:
    """Return the metadata of a file with these segments."""
    return attachments.attachments_of(read_header(ByteStream([file(*segments)])).segments)


def test_segments_are_converted_to_the_shared_form() -> None:
    found = attached(*ALL)

    assert found.icc == SRGB
    assert found.exif is not None and orientation(found.exif) == 6
    assert found.xmp == b"<x:xmpmeta/>"
    assert found.comments == ("hello",)
    assert found.density == (2835, 2835)
    lost = "APP1 (extended XMP), APP13 (Photoshop 3.0), APP2 (urn:iso:std:iso:ts:21496:-1)"
    assert found.notices == (f"not carried over from JPEG: {lost}",)
    assert attached(segment(0xE0, b"JFIF\0\1\2\2\0\x0a\0\x14\0\0")).density == (1000, 2000)
    assert attached(segment(0xE0, b"JFIF\0\1\2\0\0\1\0\1\0\0")).density is None
    assert attached(segment(0xFE, b"\xe9t\xe9")).comments == ("\xe9t\xe9",)


def test_pieces_of_a_profile_are_sorted() -> None:
    pieces = [icc(n + 1, 3, SRGB[n * 200 : (n + 1) * 200 if n < 2 else None]) for n in range(3)]
    for order in ((0, 1, 2), (2, 0, 1), (1, 2, 0)):
        found = attached(*(pieces[n] for n in order))
        assert (found.icc, found.notices) == (SRGB, ())


@pytest.mark.parametrize(
    "pieces",
    [
        [(1, 2)], [(2, 2)], [(1, 2), (2, 3)], [(1, 1), (1, 1)], [(0, 1)], [(1, 2), (2, 2), (2, 2)], [(1, 0)],
        [(1, 3), (2, 3), (4, 3)],
    ],
    ids=str,
)  # fmt: skip
def test_a_profile_in_inconsistent_pieces_is_omitted_with_a_notice_but_kept_in_jpeg(
    pieces: list[tuple[int, int]],
) -> None:
    segments = [icc(number, count, SRGB) for number, count in pieces]
    found = attached(*segments)

    assert found.icc is None
    assert found.notices == ("the ICC profile is incomplete: not carried over",)
    assert segments_of(pipeline.compress(file(*segments), quality=50).data) == segments_of(file(*segments))
    assert Image.open(io.BytesIO(file(*segments))).info.get("icc_profile") is None or pieces != [(1, 2)]


def test_a_piece_without_a_number_is_not_a_profile() -> None:
    assert attachments.attachments_of([Segment(0xE2, b"ICC_PROFILE\0\1")]).icc is None


def test_trailing_data_is_kept() -> None:
    for progressive in (False, True):
        made = pipeline.compress(jpeg(160, 120, quality=95, progressive=progressive) + b"\xff\xd8video", quality=40)
        assert made.data.endswith(b"\xff\xd9\xff\xd8video")
        assert read(made.data)[2] == b"\xff\xd8video"
