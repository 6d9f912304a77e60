"""Other formats through Pillow: pixels, losses, limits, damage, memory; encoding of WebP and AVIF."""

import io
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from compressor import raster
from compressor.errors import FormatError, LimitError, UnsupportedError
from compressor.metadata import Attachments, orientation, orientation_exif
from compressor.raster import scales
from compressor.settings import Effort, Settings
from compressor.sniff import PREFIX, sniff
from tests import ROOT
from tests.reference import pngfilter as reference

RNG = np.random.default_rng(5)
PIXELS = RNG.integers(0, 256, (23, 17, 3), dtype=np.uint8)
IMAGE = Image.fromarray(PIXELS)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def saved(image: Image.Image, format: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def opened(data: bytes, **options: Any) -> "raster.Raster":
    return raster.open(io.BytesIO(data), **options)


def pixels(source: "raster.Raster", lines: int = 5) -> np.ndarray:
    return np.concatenate([band.copy() for band in source.bands(lines)])


LOSSLESS: dict[str, tuple[str, dict[str, Any]]] = {
    "png": ("PNG", {}),
    "bmp": ("BMP", {}),
    "tiff": ("TIFF", {"compression": "tiff_lzw"}),
    "webp": ("WEBP", {"lossless": True, "exact": True}),
    "pnm": ("PPM", {}),
    "jp2": ("JPEG2000", {"irreversible": False}),
}


@pytest.mark.parametrize("format", LOSSLESS)
def test_lossless_formats_decode_to_their_pixels(format: Any) -> None:
    pillow, options = LOSSLESS[format]
    source = opened(saved(IMAGE, pillow, **options))

    assert (source.format, source.width, source.height, source.channels, source.frames) == (format, 17, 23, 3, 1)
    assert source.notices == []
    np.testing.assert_array_equal(pixels(source), PIXELS)


@pytest.mark.parametrize("format", ["JPEG", "AVIF", "GIF"])
def test_lossy_formats_decode_as_with_pillow(format: str) -> None:
    data = saved(IMAGE, format)

    np.testing.assert_array_equal(pixels(opened(data)), np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))


@pytest.mark.parametrize(
    "mode, format, channels",
    [
        ("1", "PNG", 1),
        ("L", "PNG", 1),
        ("LA", "PNG", 2),
        ("P", "PNG", 3),
        ("RGBA", "PNG", 4),
        ("RGBA", "WEBP", 4),
        ("RGBA", "TIFF", 4),
        ("L", "TIFF", 1),
        ("YCbCr", "TIFF", 3),
        ("LAB", "TIFF", 3),
    ],
)
def test_modes_are_converted_to_the_channels_that_hold_them(mode: str, format: str, channels: int) -> None:
    grey = IMAGE.convert("L")
    image = {
        "P": IMAGE.quantize(16),
        "LA": Image.merge("LA", [grey, grey]),
        "LAB": Image.merge("LAB", [grey, grey, grey]),
        "RGBA": Image.merge("RGBA", [*IMAGE.split(), grey]),
    }.get(mode) or IMAGE.convert(mode)
    data = saved(image, format, **({"lossless": True, "exact": True} if format == "WEBP" else {}))
    source = opened(data)

    assert source.channels == channels
    expected = Image.open(io.BytesIO(data)).convert({1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[channels])
    np.testing.assert_array_equal(pixels(source), np.asarray(expected).reshape(23, 17, channels))


@pytest.mark.parametrize("image, key, channels", [(IMAGE, (1, 2, 3), 4), (IMAGE.convert("L"), 77, 2)])
def test_a_transparent_color_becomes_alpha(image: Any, key: Any, channels: int) -> None:
    image = image.copy()
    image.putpixel((3, 2), key)
    found = pixels(opened(saved(image, "PNG", transparency=key)))

    assert found.shape[2] == channels
    assert found[2, 3, -1] == 0
    assert found[..., -1].max() == 255


def test_a_transparent_gif_has_alpha() -> None:
    image = IMAGE.quantize(16)

    assert opened(saved(image, "GIF", transparency=3)).channels == 4


def test_sixteen_bits_are_rounded_and_reported() -> None:
    values = np.array([[0, 128, 129, 257, 40000, 65535]], np.uint16)
    for format in ("PNG", "TIFF", "PPM"):
        source = opened(saved(Image.fromarray(values), format))
        assert pixels(source).reshape(-1).tolist() == np.rint(values / 257).astype(int).reshape(-1).tolist(), format
        assert source.notices == ["more than 8 bits per sample reduced to 8"]


def test_sixteen_bit_color_is_reported() -> None:
    data = reference.png(1, 1, 16, 2, zlib.compress(bytes(7)))

    assert opened(data).notices == ["more than 8 bits per sample reduced to 8"]


def test_cmyk_is_converted_and_reported() -> None:
    """Adobe's JPEGs hold inverted CMYK: white paper must be decoded as white."""
    source = opened(saved(Image.new("CMYK", (16, 16), (0, 0, 0, 0)), "JPEG"))

    assert source.channels == 3
    assert pixels(source).min() > 250
    assert source.notices == ["CMYK converted to RGB without a profile: colors may differ"]


def test_an_invalid_cmyk_profile_is_reported_and_not_carried_over() -> None:
    source = opened(saved(Image.new("CMYK", (16, 16), (0, 0, 0, 0)), "JPEG", icc_profile=b"not a profile" * 20))

    assert source.notices == ["CMYK converted to RGB without its ICC profile, which is damaged"]
    assert source.metadata.icc is None
    assert pixels(source).min() > 250


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_metadata_is_read(format: str) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a picture"
    data = saved(IMAGE, format, icc_profile=SRGB, exif=exif, xmp=b"<x:xmpmeta/>")
    found = opened(data).metadata

    assert found.icc == SRGB
    assert orientation(found.exif) == 6
    if format != "PNG":
        assert found.xmp == b"<x:xmpmeta/>"


def test_a_rotated_tiff_is_made_upright_and_loses_its_orientation() -> None:
    data = saved(IMAGE, "TIFF", tiffinfo={0x0112: 6, 0x010E: "a picture"}, dpi=(300, 300))
    source = opened(data)

    assert (source.width, source.height) == (23, 17)
    np.testing.assert_array_equal(pixels(source), np.rot90(PIXELS, -1))
    assert orientation(source.metadata.exif) == 1
    assert source.metadata.exif is not None and b"a picture" in source.metadata.exif
    assert source.metadata.density == (11811, 11811)


def test_comments_are_read() -> None:
    assert opened(saved(IMAGE, "JPEG", comment="für dich")).metadata.comments == ("für dich",)
    assert opened(saved(IMAGE, "GIF", comment=b"caf\xe9")).metadata.comments == ("café",)


@pytest.mark.parametrize("format", ["GIF", "WEBP", "AVIF", "TIFF", "PNG"])
def test_several_frames_are_detected(format: str) -> None:
    other = Image.fromarray(PIXELS[::-1].copy())

    assert opened(saved(IMAGE, format, save_all=True, append_images=[other])).frames == 2
    assert opened(saved(IMAGE, format)).frames == 1


def test_formats_that_are_not_listed_can_not_be_reached() -> None:
    for data in (saved(IMAGE, "PCX"), b"%!PS-Adobe-3.0 EPSF-3.0\n", b"", b"8BPS" + bytes(60), b"\xff\x0a" + bytes(60)):
        with pytest.raises(UnsupportedError, match="this format can't be read"):
            opened(data)


def test_pixels_without_an_8_bit_form_are_unsupported() -> None:
    with pytest.raises(UnsupportedError, match="^TIFF: 32-bit floating-point samples"):
        opened(saved(IMAGE.convert("F"), "TIFF"))


def test_size_is_limited_before_decoding() -> None:
    for data in (reference.png(30_000, 30_000, 8, 2, b""), b"P6 30000 30000 255\n"):
        with pytest.raises(LimitError, match="30000 x 30000 pixels"):
            opened(data)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000", "PPM"])
def test_damage_ends_in_a_clear_error_or_an_image(format: str) -> None:
    data = saved(IMAGE, format)
    rng = np.random.default_rng(9)
    versions = [data[:end] for end in range(PREFIX // 2, len(data), max(1, len(data) // 60))]
    for _ in range(60):
        damaged = bytearray(data)
        damaged[int(rng.integers(8, len(data)))] ^= 1 << int(rng.integers(8))
        versions.append(bytes(damaged))
    for version in versions:
        try:
            source = opened(version, format=sniff(data))
            if source.width * source.height < 1 << 20:
                pixels(source)
        except (FormatError, UnsupportedError, LimitError) as error:
            assert "\n" not in str(error)


def test_truncated_images_are_never_padded_silently() -> None:
    for format in ("JPEG", "PNG", "BMP", "TIFF", "WEBP", "PPM"):
        data = saved(IMAGE, format)
        with pytest.raises(FormatError):
            pixels(opened(data[: len(data) * 2 // 3]))


@pytest.mark.parametrize("format", ["webp", "avif"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_an_encoded_file_has_the_given_size_and_metadata(format: str, channels: int) -> None:
    smooth = np.add.outer(np.arange(40), np.arange(64))[:, :, None].repeat(channels, 2).astype(np.uint8) * 2
    attachments = Attachments(icc=SRGB, exif=orientation_exif(6), xmp=b"<x:xmpmeta/>")
    bands = (smooth[top : top + 16] for top in range(0, 40, 16))
    data = raster.encode(bands, 64, 40, channels, format, quality=90, metadata=lambda: attachments)

    assert sniff(data) == format
    found = opened(data)
    assert (found.width, found.height) == (64, 40)
    assert found.metadata.icc == SRGB
    assert orientation(found.metadata.exif) == 6
    assert found.metadata.xmp == b"<x:xmpmeta/>"
    expected = Image.fromarray(smooth.squeeze()).convert({1: "L", 3: "RGB", 4: "RGBA"}[found.channels])
    assert np.abs(pixels(found).astype(int) - np.asarray(expected).reshape(40, 64, -1)).mean() < 6


def test_lossless_webp_is_lossless() -> None:
    rgba = RNG.integers(0, 256, (9, 11, 4), dtype=np.uint8)

    data = raster.encode([rgba], 11, 9, 4, "webp", lossless=True)

    np.testing.assert_array_equal(pixels(opened(data)), rgba)


def test_what_can_not_be_encoded_is_unsupported() -> None:
    with pytest.raises(UnsupportedError, match="WebP: 16384 x 1 pixels"):
        raster.check("webp", 16384, 1, Settings())
    with pytest.raises(UnsupportedError, match="AVIF: lossless"):
        raster.check("avif", 1, 1, Settings(lossless=True))
    raster.check("avif", 16384, 1, Settings())


@pytest.mark.parametrize("format", ["webp", "avif"])
@pytest.mark.parametrize("effort", Effort)
def test_the_own_numbers_of_the_encoders_rise_with_the_quality(format: str, effort: Effort) -> None:
    numbers = [scales.own_number(format, effort, quality) for quality in range(1, 101)]

    assert numbers == sorted(numbers) and 0 <= numbers[0] < 20 and numbers[-1] == 100
    assert all(len(table) == len(scales.QUALITIES) for table in scales.SCALES[format].values())
    assert numbers[79] > numbers[59] > numbers[39]


@pytest.mark.parametrize("effort", Effort)
def test_avif_has_a_quality_for_each_number_that_it_distinguishes(effort: Effort) -> None:
    qualities = scales.distinct_qualities("avif", effort)

    assert len(qualities) == 64 and list(qualities) == sorted(qualities)
    assert [scales.own_number("avif", effort, quality) for quality in qualities] == list(scales.AVIF_NUMBERS)
    assert scales.distinct_qualities("webp", effort) == ()


def test_the_numbers_of_avif_differ_in_their_results() -> None:
    """A number between two of them has the result of one of the two."""
    noisy = (np.add.outer(np.arange(64), np.arange(64))[..., None] + RNG.integers(0, 60, (64, 64, 3))).astype(np.uint8)
    made = [raster.encode([noisy], 64, 64, 3, "avif", quality=n, effort=Effort.FAST) for n in scales.AVIF_NUMBERS]

    assert len(set(made)) == len(made)
    assert raster.encode([noisy], 64, 64, 3, "avif", quality=65, effort=Effort.FAST) in made


MEMORY = """
import sys
from compressor import raster

assert raster.PLUGINS and raster.encode  # imports Pillow

def peak():
    return 1024 * int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])

for path in sys.argv[1:]:
    with open(path, "rb") as file:
        open("/proc/self/clear_refs", "w").write("5")
        idle = peak()
        source = raster.open(file)
        for band in source.bands(16):
            pass
        print(path, peak() - idle, source.reserved_bytes)
        source.close()
        del source, band
"""


def test_memory_does_not_exceed_the_reserved_bytes(tmp_path: Path) -> None:
    """2 megapixels of each class. Pillow may keep blocks for the next image, which only lowers the measurement."""
    y, x = np.mgrid[0:1200, 0:1700]
    image = Image.fromarray(np.stack([x % 256, y % 256, (x * y) % 251], 2).astype(np.uint8))
    paths = []
    kinds: dict[str, dict[str, Any]] = {
        "a.gif": {},
        "a.bmp": {},
        "a.tif": {"compression": "tiff_lzw"},
        "progressive.jpg": {"progressive": True},
        "a.png": {"compress_level": 1},
        "a.jp2": {"quality_mode": "rates", "quality_layers": [20]},
        "a.webp": {"method": 0},
        "a.avif": {"speed": 10},
    }
    for name, options in kinds.items():
        paths.append(str(tmp_path / name))
        image.save(paths[-1], **options)
    command = [sys.executable, "-c", MEMORY, *paths]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()

    assert len(found) == len(paths)
    for line in found:
        _path, used, reserved = line.split()
        assert int(used) <= int(reserved), line


@pytest.mark.parametrize(
    "prefix, format",
    [
        (b"\xff\xd8\xff\xe0", "jpeg"),
        (b"\x89PNG\r\n\x1a\n", "png"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "webp"),
        (b"RIFF\x10\0\0\0WAVEfmt ", "unknown"),
        (b"GIF89a", "gif"),
        (b"BM" + bytes(12) + b"\x28\0\0\0", "bmp"),
        (b"BMW is a car, not an image", "unknown"),
        (b"II*\0", "tiff"),
        (b"MM\0+", "tiff"),
        (b"\0\0\0\x1cftypavif\0\0\0\0mif1", "avif"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf", "avif"),
        (b"\0\0\0\x14ftypmif1\0\0\0\0mif1avifmiaf", "heif"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "heif"),
        (b"\0\0\0\x18ftypisom\0\0\0\0mp41", "unknown"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "jp2"),
        (b"\xff\x4f\xff\x51", "jp2"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "jxl"),
        (b"\xff\x0a", "jxl"),
        (b"P6\n", "pnm"),
        (b"PK\x03\x04", "unknown"),
        (b"", "unknown"),
        (b"P", "unknown"),
        (b"<svg", "unknown"),
    ],
)
def test_formats_are_detected_by_their_first_bytes(prefix: Any, format: str) -> None:
    assert sniff(prefix) == format
