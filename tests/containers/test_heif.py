"""Removal of metadata from AVIF and HEIF: remaining data, unchanged pixels, rejected and broken files."""

import io
import struct
import time
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from compressor import containers
from compressor.errors import CompressorError, FormatError, LimitError, UnsupportedError
from compressor.settings import Metadata
from compressor.spool import BytesSource
from tests.containers.box_support import POLICIES, mutants, peak_bytes, reduced, shown, shown_by_vips, survives
from tests.planted import Planted, marks_in
from tests.planted.box import box, full_box
from tests.planted.heif import HEVC_CONFIGURATION, HEVC_PICTURE, NCLX, Item, files, heif, obu, picture, profile

FILES = {planted.name: planted for planted in files()}
AVIF = {name: planted for name, planted in FILES.items() if planted.format == "avif"}
CODED, PROPERTIES = picture()
PLAIN = Item(b"av01", CODED, PROPERTIES)


def named(planted: dict[str, Planted]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("planted", planted.values(), ids=planted)


@named(FILES)
@pytest.mark.parametrize("policy", POLICIES)
def test_only_marks_in_color_metadata_are_left(planted: Any, policy: Any) -> None:
    assert marks_in(planted, planted.data) == set(planted.marks)

    result, _ = reduced(planted.data, policy)

    assert marks_in(planted, result) == (planted.color if policy is Metadata.COLOR else set())


@named(FILES)
@pytest.mark.parametrize("policy", POLICIES)
def test_a_second_run_changes_nothing(planted: Any, policy: Any) -> None:
    result, _ = reduced(planted.data, policy)

    assert len(result) <= len(planted.data)
    assert reduced(result, policy)[0] == result


@named(AVIF)
@pytest.mark.parametrize("policy", POLICIES)
def test_pixels_and_orientation_are_kept(planted: Any, policy: Any) -> None:
    pixels, orientation = shown(planted.data)
    result, _ = reduced(planted.data, policy)

    np.testing.assert_array_equal(shown(result)[0], pixels)
    assert shown(result)[1] == orientation == planted.orientation
    readable = planted.data.partition(b"\0\0\0\x18skip")[0]  # libvips takes nothing that follows and is no box
    np.testing.assert_array_equal(shown_by_vips(result), shown_by_vips(readable))


def test_libvips_decodes_a_mif1_file_to_the_same_pixels() -> None:
    planted = FILES["heif-av1"]

    np.testing.assert_array_equal(shown_by_vips(reduced(planted.data, Metadata.STRIP)[0]), shown_by_vips(planted.data))


def test_slices_and_parameter_sets_of_hevc_are_kept() -> None:
    planted = FILES["heif-hevc"]
    result, notices = reduced(planted.data, Metadata.COLOR)

    assert result.count(HEVC_PICTURE) == 2  # the picture and its alpha; the matte is removed
    assert HEVC_CONFIGURATION in result
    assert result.count(bytes([39 << 1, 1, 144])) == 2  # content light level
    assert reduced(planted.data, Metadata.STRIP)[0].count(bytes([39 << 1, 1, 144])) == 0
    assert notices == ["auxiliary images other than alpha and depth were removed: 1"]


def test_removed_data_that_affects_the_display_is_reported() -> None:
    _, notices = reduced(FILES["avif-everywhere"].data, Metadata.STRIP)

    assert notices == [
        "HDR metadata (mastering display, light levels or similar) was removed: brightness may differ",
        "the ICC profile (sRGB built-in) was removed: colors will differ",
        "content credentials (C2PA) were removed",
        "104 bytes after the image were removed",
    ]


def test_color_keeps_a_gain_map_and_strip_reports_its_removal() -> None:
    planted = FILES["avif-gain-map"]
    color, nothing = reduced(planted.data, Metadata.COLOR)
    stripped, notices = reduced(planted.data, Metadata.STRIP)

    assert nothing == []
    assert b"tmap" in color and b"altr" in color
    assert b"tmap" not in stripped and b"altr" not in stripped
    assert notices == ["the gain map was removed: highlights will look different on HDR displays"]


def test_nclx_is_kept_and_an_srgb_profile_is_removed_without_a_notice() -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = heif({1: Item(b"av01", CODED, [*PROPERTIES, (b"colr", b"prof" + srgb), (b"colr", NCLX)])})

    assert NCLX in reduced(data, Metadata.STRIP)[0]
    assert srgb not in reduced(data, Metadata.STRIP)[0]
    assert reduced(data, Metadata.STRIP)[1] == []
    assert srgb in reduced(data, Metadata.COLOR)[0]


def test_additional_images_are_kept_and_hidden_images_removed() -> None:
    items = {
        1: Item(b"av01", CODED, PROPERTIES),
        2: Item(b"av01", picture(start=50)[0], PROPERTIES),
        3: Item(b"av01", picture(start=90)[0], PROPERTIES, hidden=True),
    }
    result, _ = reduced(heif(items), Metadata.STRIP)

    assert items[2].data in result
    assert items[3].data not in result
    assert containers.unmapped_metadata("avif", BytesSource(heif(items))) == ["additional images"]


def test_an_alternative_of_an_unknown_type_is_rejected() -> None:
    items = {1: Item(b"av01", CODED, PROPERTIES), 2: Item(b"sato", b"\0", PROPERTIES[:1])}
    group = full_box(b"altr", 0, 0, struct.pack(">IIII", 100, 2, 2, 1))

    with pytest.raises(UnsupportedError, match=r"item 2 \(sato\)"):
        reduced(heif(items, in_meta=box(b"grpl", group)), Metadata.STRIP)


def test_data_shared_by_two_images_is_written_once() -> None:
    items = {1: Item(b"av01", CODED, PROPERTIES), 2: Item(b"av01", CODED, PROPERTIES)}
    data = heif(items)
    once = data.index(CODED) + len(CODED)
    shared = data[:once].replace(
        struct.pack(">HHIHII", 2, 0, len(data) - 2 * len(CODED), 1, len(CODED), len(CODED)),
        struct.pack(">HHIHII", 2, 0, len(data) - 2 * len(CODED), 1, 0, len(CODED)),
    )
    shared = shared.replace(
        struct.pack(">I4s", 8 + 2 * len(CODED), b"mdat"), struct.pack(">I4s", 8 + len(CODED), b"mdat")
    )

    assert reduced(shared, Metadata.STRIP)[0].count(CODED) == 1
    np.testing.assert_array_equal(shown(reduced(shared, Metadata.STRIP)[0])[0], shown(shared)[0])


def test_an_extent_of_length_zero_extends_to_the_end() -> None:
    data = heif({1: PLAIN})
    to_the_end = data.replace(struct.pack(">HII", 1, 0, len(CODED)), struct.pack(">HII", 1, 0, 0))
    assert to_the_end != data

    assert reduced(to_the_end, Metadata.STRIP)[0] == reduced(data, Metadata.STRIP)[0]


@pytest.mark.parametrize(
    "item, changes, problem",
    [
        (Item(b"jpeg", CODED, PROPERTIES), {}, r"item 1 \(jpeg\): can't remove metadata from images of this"),
        (Item(b"av01", CODED, [*PROPERTIES, (b"abcd", b"")]), {b"\4\1\2\x83\4": b"\4\1\2\x83\x84"},
         "item 1: the essential property abcd is unknown"),
        (PLAIN, {b"infe\2\0\0\0\0\1\0\0": b"infe\2\0\0\0\0\1\0\1"}, "it is protected"),
        (PLAIN, {b"\x44\x40\0\1\0\1\0\0": b"\x44\x40\0\1\0\1\0\1"}, "its data is in another"),
        (Item(b"av01", CODED, PROPERTIES, in_idat=True), {b"\x44\x40\0\1\0\1\0\1": b"\x44\x40\0\1\0\1\0\2"},
         "its data is constructed from other items"),
        (PLAIN, {b"meta": b"mini"}, "a file with a mini box"),
    ],
)  # fmt: skip
def test_unsupported_files_are_rejected_with_a_reason(item: Any, changes: Any, problem: str) -> None:
    data = heif({1: item})
    for old, new in changes.items():
        assert old in data
        data = data.replace(old, new)

    with pytest.raises(UnsupportedError, match=problem):
        reduced(data, Metadata.STRIP)


@pytest.mark.parametrize(
    "changes, problem",
    [
        ({b"pitm\0\0\0\0\0\1": b"pitm\0\0\0\0\0\2"}, "no item 2"),
        ({b"mdat": b"data"}, "is outside the mdat boxes"),
        ({b"pict": b"vide"}, "handler type is not pict"),
        ({b"\x01\x03\x01\x02\x83": b"\x01\x03\x01\x02\x89"}, "no property 9"),
        ({b"iinf": b"zzzz"}, "no iinf box"),
    ],
)
def test_errors_describe_what_is_broken(changes: Any, problem: str) -> None:
    data = heif({1: PLAIN})
    for old, new in changes.items():
        assert old in data
        data = data.replace(old, new)

    with pytest.raises(FormatError, match=problem):
        reduced(data, Metadata.STRIP)


def test_circular_derivations_terminate() -> None:
    items = {1: Item(b"iden", b"", PROPERTIES[:1]), 2: Item(b"iden", b"", PROPERTIES[:1])}
    data = heif(items, [(b"dimg", 1, [2]), (b"dimg", 2, [1])])

    assert b"mdat" not in reduced(data, Metadata.STRIP)[0]


def test_many_overlapping_items_are_rejected() -> None:
    """A thousand images, each nearly all of the file: the result would be a thousand times as large."""
    count = 1000
    data = heif({number: Item(b"av01", obu(1, b"x"), PROPERTIES) for number in range(1, count + 1)})
    mdat = data.rindex(b"mdat") + 4
    for number in range(1, count + 1):
        at = data.index(struct.pack(">HHI", number, 0, mdat))
        data = data[: at + 10] + struct.pack(">II", 3 * (number - 1), 3 * (count - number + 1)) + data[at + 18 :]

    with pytest.raises(UnsupportedError, match="overlap"):
        reduced(data, Metadata.STRIP)


def test_counts_above_their_limits_are_rejected() -> None:
    many = heif({1: Item(b"av01", obu(1, b"") * 70_000, PROPERTIES)})
    with pytest.raises(LimitError, match="more than 65536 OBUs"):
        reduced(many, Metadata.STRIP)

    with pytest.raises(LimitError, match="more than 4096 boxes"):
        reduced(heif({1: PLAIN}, before=box(b"free") * 5000), Metadata.STRIP)

    with pytest.raises(LimitError, match="more than 16384 items"):
        reduced(heif({number: Item(b"iden") for number in range(1, 16_386)}), Metadata.STRIP)

    large = heif({1: PLAIN}, in_meta=box(b"free", bytes(17 << 20)))
    with pytest.raises(LimitError, match="at most 16 MiB"):
        reduced(large, Metadata.STRIP)


def test_many_references_and_items_take_at_most_seconds() -> None:
    items = {number: Item(b"iden", b"", PROPERTIES[:1], hidden=number > 1) for number in range(1, 10_001)}
    links = [(b"dimg", 1, list(range(2, 10_001)))]
    links += [(b"auxl", number, [1, 2, 3]) for number in range(2, 10_001)]
    data = heif(items, links)
    begun = time.process_time()
    result, _ = reduced(data, Metadata.STRIP)

    assert time.process_time() - begun < 10
    assert result.count(b"infe") == 10_000


def test_memory_does_not_grow_with_the_image() -> None:
    data = heif({1: Item(b"av01", CODED + obu(3, b"") + b"\x22\x80\x80\x80\x10" + bytes(32 << 20), PROPERTIES)})

    assert peak_bytes(data) < 2 << 20


@named(FILES)
def test_broken_files_end_in_an_error_or_a_result(planted: Any) -> None:
    for mutant in mutants(planted.data, seed=len(planted.data), count=250):
        assert survives(mutant)


def test_hostile_obus_are_rejected() -> None:
    for coded in (b"", b"\x92\xff\xff\xff", b"\x0a\xff", b"\x80\0"):
        with pytest.raises(CompressorError):
            reduced(heif({1: Item(b"av01", coded, PROPERTIES)}), Metadata.STRIP)


def test_metadata_that_a_conversion_loses_is_listed() -> None:
    found = {name: containers.unmapped_metadata("avif", BytesSource(planted.data)) for name, planted in FILES.items()}

    assert found["avif-gain-map"] == ["gain map", "item names", "64 bytes between the images"]
    assert found["avif-grid"] == [
        "item names", "extra bytes in the property auxC", "128 bytes between the images"
    ]  # fmt: skip
    assert found["avif-everywhere"][:3] == ["content credentials (C2PA)", "non-zero padding", "box uuid"]
    assert {"thumbnail", "brands", "handler name", "property udes"} <= set(found["avif-everywhere"])
    assert all(found.values())
    assert containers.unmapped_metadata("avif", BytesSource(FILES["avif-everywhere"].data[:40])) == []


def test_metadata_messages_in_the_coded_image_are_listed() -> None:
    data = heif({1: Item(b"av01", CODED + obu(15, b"padding"), PROPERTIES)})

    assert containers.unmapped_metadata("avif", BytesSource(data)) == ["metadata messages in the coded image"]


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_a_conversion_of_a_plain_file_loses_nothing(mode: str) -> None:
    out = io.BytesIO()
    exif = Image.Exif()
    exif[0x10E] = "a text"
    Image.new(mode, (64, 64)).save(out, "AVIF", exif=exif, xmp=b"<x:xmpmeta/>", icc_profile=profile(b""), speed=10)

    assert containers.unmapped_metadata("avif", BytesSource(out.getvalue())) == []
