"""Colors and orientation of AVIF and JPEG 2000, carried over to other formats."""

import io
import struct
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

import compressor
from compressor import icc, raster
from compressor.errors import UnsupportedError
from compressor.metadata import Attachments, orientation, orientation_exif
from compressor.parsers import av1
from compressor.parsers import heif as boxes_heif
from compressor.parsers.boxes import Extents
from compressor.settings import Metadata
from compressor.spool import BytesSource
from tests.containers.box_support import shown_by_vips
from tests.planted.avif_film import film
from tests.planted.heif import Item, heif, picture, profile
from tests.planted.jp2 import codestream, enumerated, jp2

CODED, PROPERTIES = picture()
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def nclx(primaries: int, transfer: int) -> tuple[bytes, bytes]:
    return b"colr", b"nclx" + struct.pack(">HHHB", primaries, transfer, 6, 0x80)


def avif(*properties: tuple[bytes, bytes], coded: bytes = CODED, mode: str = "RGB") -> bytes:
    return heif({1: Item(b"av01", coded, [*PROPERTIES, *properties])})


def opened(data: bytes) -> "raster.Raster":
    return raster.open(io.BytesIO(data))


@pytest.mark.parametrize("format", ["jpeg", "png", "webp", "avif"])
def test_code_points_become_a_profile_in_every_format(format: Any) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).save(out, "AVIF", quality=95, speed=10)
    data = out.getvalue().replace(b"nclx\0\1\0\x0d", b"nclx\0\x0c\0\x0d")
    result = compressor.compress(data, format=format, quality=50, effort="fast")  # others return an AVIF unchanged

    assert icc.profile_name(Image.open(io.BytesIO(result.data)).info["icc_profile"]) == "Display P3"
    assert result.report.notices == ()


@pytest.mark.parametrize("primaries, transfer", [(1, 13), (1, 1), (2, 2), (1, 6), (2, 13)])
def test_srgb_needs_no_profile(primaries: int, transfer: int) -> None:
    assert opened(avif(nclx(primaries, transfer))).metadata.icc is None


@pytest.mark.parametrize("transfer, name", [(16, "PQ"), (18, "HLG")])
@pytest.mark.parametrize("format", ["jpeg", "png", "webp"])
def test_hdr_is_reported(transfer: int, name: str, format: Any) -> None:
    data = avif(nclx(9, transfer))
    notice = f"the color space (BT.2020 with {name}) is not carried over: colors and brightness will differ"

    assert opened(data).notices == [notice]
    assert notice in compressor.compress(data, format=format).report.notices


def test_a_profile_takes_precedence_over_code_points() -> None:
    data = avif((b"colr", b"prof" + SRGB), nclx(12, 13))

    assert opened(data).metadata.icc == SRGB


def test_colors_are_read_from_the_coded_image() -> None:
    """In the sequence header of libaom's still pictures, primaries 1, transfer 13 and matrix 6 follow each other."""
    bits = f"{int.from_bytes(CODED, 'big'):0{8 * len(CODED)}b}"
    written, changed = (f"{primaries:08b}{13:08b}{6:08b}" for primaries in (1, 12))
    assert bits[:200].count(written) == 1
    coded = int(bits.replace(written, changed, 1), 2).to_bytes(len(CODED), "big")

    assert opened(avif()).metadata.icc is None
    made = opened(avif(coded=coded)).metadata.icc
    assert made is not None and icc.profile_name(made) == "Display P3"
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(avif(coded=coded)))),
                                  np.asarray(Image.open(io.BytesIO(avif()))))  # fmt: skip


def test_colors_are_read_from_the_longer_headers_of_image_sequences() -> None:
    data = film("RGB")
    found = boxes_heif.read(BytesSource(data))

    assert av1.code_points(Extents(BytesSource(data), found.items[found.primary].extents)) == (1, 13)


def test_of_grey_only_the_transfer_curve_matters() -> None:
    coded, properties = picture(mode="L")

    def grey(*more: tuple[bytes, bytes]) -> bytes:
        return heif({1: Item(b"av01", coded, [*properties, *more])})

    assert opened(grey(nclx(12, 13))).metadata.icc is None
    made = opened(grey(nclx(12, 4))).metadata.icc
    assert made is not None and icc.color_space(made) == "GRAY"


def test_ten_bits_are_detected_after_a_large_profile() -> None:
    """The decoder configuration follows a large profile."""
    large, (ispe, pixi, (_, shallow)) = (b"colr", b"prof" + SRGB + bytes(100_000)), PROPERTIES
    deep = (b"av1C", shallow[:2] + bytes([shallow[2] | 0x40]) + shallow[3:])
    ten = (b"pixi", bytes(4) + b"\3\x0a\x0a\x0a")

    assert opened(heif({1: Item(b"av01", CODED, [large, ispe, ten, deep])})).notices == [
        "more than 8 bits per sample reduced to 8"
    ]
    assert opened(heif({1: Item(b"av01", CODED, [large, ispe, pixi, PROPERTIES[2]])})).notices == []


def test_a_clean_aperture_is_reported() -> None:
    clap = (b"clap", struct.pack(">8I", 32, 1, 32, 1, 0, 1, 0, 1))

    assert opened(avif(clap)).notices == ["the clean aperture (clap) is not applied: the whole image is displayed"]


@pytest.mark.parametrize("format", ["jpeg", "png", "webp", "avif"])
@pytest.mark.parametrize("mode, channels", [("RGB", 3), ("L", 1)])
def test_a_profile_in_jpeg_2000_is_carried_over(format: Any, mode: str, channels: int) -> None:
    found = bytearray(profile(b""))
    found[16:20] = {1: b"GRAY", 3: b"RGB "}[channels]
    data = jp2(codestream(mode), b"\2\0\0" + bytes(found), channels)
    result = compressor.compress(data, format=format)

    carried = Image.open(io.BytesIO(result.data)).info.get("icc_profile")
    assert carried == (None if (mode, format) == ("L", "webp") else bytes(found))  # a grey one does not fit RGB
    assert opened(data).metadata.reduced(Metadata.COLOR).icc == bytes(found)


def test_sycc_is_converted() -> None:
    rgb = Image.new("RGB", (32, 24), (200, 30, 60))
    out = io.BytesIO()
    Image.frombytes("RGB", rgb.size, rgb.convert("YCbCr").tobytes()).save(out, "JPEG2000", no_jp2=True, mct=0)
    source = opened(jp2(out.getvalue(), enumerated(18)))
    pixels = np.concatenate([band.copy() for band in source.bands(24)])

    assert np.abs(pixels.astype(int) - (200, 30, 60)).max() <= 2


@pytest.mark.parametrize(
    "space, name", [(14, "CIELab"), (3, r"YCbCr\(2\)"), (21, "ROMM-RGB"), (99, "enumerated color space 99")]
)
def test_colors_that_pillow_misreads_as_rgb_are_rejected(space: int, name: str) -> None:
    with pytest.raises(UnsupportedError, match=name):
        opened(jp2(codestream(), enumerated(space)))


def test_profiles_that_do_not_match_the_samples_are_rejected() -> None:
    lab = b"\2\0\0" + bytes(16) + b"Lab " + bytes(200)

    with pytest.raises(UnsupportedError, match="an ICC profile for Lab"):
        opened(jp2(codestream(), lab))


@pytest.mark.parametrize("value", range(1, 9))
def test_an_orientation_becomes_avif_properties_and_is_applied_once(value: Any) -> None:
    exif = Image.Exif()
    exif[0x112], exif[0x10E] = value, "a text"
    pixels = np.zeros((24, 40, 3), np.uint8)
    pixels[:8] = 255
    data = raster.encode(
        [pixels], 40, 24, 3, "avif", metadata=lambda: Attachments(exif=exif.tobytes().removeprefix(b"Exif\0\0"))
    )
    found = opened(data)

    assert (b"irot" in data or b"imir" in data) == (value != 1)
    assert b"a text" in data and struct.pack(">HH", 0x112, 3) not in data  # not in Exif as well
    assert orientation(found.metadata.exif) == value
    upright = shown_by_vips(data)  # libvips turns by the properties alone
    assert upright.shape[:2] == ((24, 40) if value < 5 else (40, 24))
    dark_first = {3: (-1, 0), 4: (-1, 0), 7: (0, -1), 6: (0, -1)}  # where the light side is: below, or at the right
    row, column = dark_first.get(value, (0, 0))
    assert upright[row, column].min() > 200


def test_only_avif_properties_rotate_an_avif() -> None:
    """HEIF readers ignore the orientation in Exif."""
    exif = struct.pack(">I", 0) + orientation_exif(3)
    turned = (b"irot", b"\3")

    for properties, expected in (([], 1), ([turned], 6)):
        items = {1: Item(b"av01", CODED, [*PROPERTIES, *properties]), 2: Item(b"Exif", exif, hidden=True)}
        assert orientation(opened(heif(items, [(b"cdsc", 2, [1])])).metadata.exif) == expected


@pytest.mark.parametrize("format", ["jpeg", "png", "webp", "avif"])
@pytest.mark.parametrize("policy", ["keep", "color"])
def test_an_image_rotated_by_irot_is_upright_in_other_formats(format: Any, policy: Any) -> None:
    data = avif((b"irot", b"\3"), (b"imir", b"\1"))
    result = compressor.compress(data, format=format, metadata=policy)

    was = Image.open(io.BytesIO(data)).getexif()[0x112]
    assert was not in (1, None)
    assert Image.open(io.BytesIO(result.data)).getexif()[0x112] == was
