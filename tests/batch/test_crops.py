"""Crops of the same part of two pictures."""

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps

from compressor.errors import FormatError, LimitError, UnsupportedError
from compressor.raster import crops as module
from compressor.raster.crops import crops

Pixels = NDArray[np.uint8]


def picture(left: int = 160, top: int = 96, across: int = 64) -> Image.Image:
    """Return a smooth picture with a patch of noise, `across` x 48."""
    x, y = np.meshgrid(np.arange(400), np.arange(300))
    pixels = np.stack([x // 4, y // 4, (x + y) // 8], axis=2).astype(np.uint8)
    pixels[top : top + 48, left : left + across] = np.random.default_rng(1).integers(0, 256, (48, across, 3))
    return Image.fromarray(pixels)


def encoded(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def decoded(png: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(png))
    assert image.format == "PNG"
    return image


def test_crops_show_the_most_detailed_part_pixel_for_pixel() -> None:
    image = picture()

    before, after = crops(encoded(image), encoded(image.point(lambda sample: 255 - sample)), (64, 48))

    expected = np.asarray(image.crop((160, 96, 224, 144)))
    np.testing.assert_array_equal(np.asarray(decoded(before)), expected)
    np.testing.assert_array_equal(np.asarray(decoded(after)), 255 - expected)


@pytest.mark.parametrize("left, top", [(0, 0), (336, 0), (0, 252), (333, 247), (17, 131)])
def test_crops_stay_within_the_picture(left: int, top: int) -> None:
    image = picture(left=left, top=top)

    before, _ = crops(encoded(image), encoded(image), (64, 48))

    shown = np.asarray(decoded(before), float)
    assert shown.shape == (48, 64, 3)
    assert np.abs(np.diff(shown, axis=1)).mean() > 20  # mostly noise; the ramps differ by less than 1


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (16, 16), (17, 200), (111, 113)])
def test_a_picture_smaller_than_a_crop_is_shown_completely(size: tuple[int, int]) -> None:
    image = picture().resize(size)

    before, after = crops(encoded(image), encoded(image, "JPEG", quality=95))

    assert decoded(after).size == tuple(min(side, 112) for side in size)
    assert decoded(before).size == decoded(after).size


@pytest.mark.parametrize("orientation", range(1, 9))
def test_crops_are_upright(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = picture(across=48)

    before, after = crops(encoded(stored, exif=exif), encoded(stored), (48, 48))

    part = stored.crop((160, 96, 208, 144))
    upright = ImageOps.exif_transpose(decoded(encoded(part, exif=exif)))
    np.testing.assert_array_equal(np.asarray(decoded(before)), np.asarray(upright))
    assert before == after
    assert decoded(crops(encoded(stored, exif=exif), encoded(stored), (64, 48))[0]).size == (64, 48)


@pytest.mark.parametrize("mode, shown", [("L", "L"), ("LA", "LA"), ("P", "RGB"), ("RGBA", "RGBA"), ("1", "L")])
def test_every_color_mode_is_shown(mode: str, shown: str) -> None:
    data = encoded(picture().convert(mode))

    assert decoded(crops(data, data)[0]).mode == shown


def test_crops_keep_the_color_space_of_their_picture() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image = picture()

    before, after = crops(encoded(image, "JPEG", icc_profile=profile), encoded(image))

    assert decoded(before).info["icc_profile"] == profile
    assert "icc_profile" not in decoded(after).info


def test_a_picture_that_takes_too_much_memory_is_refused_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MEMORY_MAX", 5 << 20)
    monkeypatch.setattr("compressor.raster.reader.Raster.bands", lambda *_: pytest.fail("was decoded"))
    huge = encoded(Image.new("RGB", (1200, 1000)))

    with pytest.raises(LimitError, match="PNG: 1200 x 1000 pixels take 6 MiB to decode, at most 5 are allowed"):
        crops(huge, huge)


def test_pictures_of_different_sizes_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="400 x 300 pixels became 200 x 150"):
        crops(encoded(picture()), encoded(picture().resize((200, 150))))


def test_a_truncated_picture_is_refused() -> None:
    data = encoded(picture(), "JPEG")

    with pytest.raises(FormatError):
        crops(data, data[: len(data) // 2])
