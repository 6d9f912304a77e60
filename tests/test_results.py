"""A result in a file, in an interpreter and in a notebook."""

import base64
import html
import io
import os
import re
import stat
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import compressor
from compressor import results
from compressor.errors import SettingsError
from compressor.pipeline import compress
from compressor.results import Result
from compressor.settings import Outcome, Raw, Report, Source, Tile
from tests.pipeline.test_pipeline import encoded, photograph

JPEG = Result(encoded(photograph(60, 90), "JPEG"), Report(
    outcome=Outcome.COMPRESSED, bytes_in=3_150_000, bytes_out=410_000, source_format="png", format="jpeg",
    width=90, height=60, path=compressor.Path.PIXELS,
))  # fmt: skip


def changed(result: Result, **fields: object) -> Result:
    """Return the result with other fields of its report."""
    import dataclasses

    report: Report = dataclasses.replace(result.report, **fields)  # type: ignore[arg-type]
    return Result(result.data, report)


# --- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["photo.jpg", "photo.JPEG", "photo.jfif", "photo", "photo.2024", "photo.bin"])
def test_a_file_gets_the_name_that_was_given(name: str, tmp_path: Path) -> None:
    path = JPEG.save(tmp_path / name)

    assert path == tmp_path / name
    assert path.read_bytes() == JPEG.data
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("name", ["photo.webp", "photo.PNG", "photo.tif"])
def test_a_suffix_of_another_format_is_an_error_and_nothing_is_written(name: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=f"^path: '{name}' has the suffix .*: the result is JPEG, save it as .jpg$"):
        JPEG.save(tmp_path / name)

    assert os.listdir(tmp_path) == []


def test_a_path_may_be_a_text_and_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert JPEG.save("photo.jpg") == Path("photo.jpg")
    assert (tmp_path / "photo.jpg").read_bytes() == JPEG.data


def test_a_file_that_is_replaced_keeps_its_permissions_and_links_to_it(tmp_path: Path) -> None:
    target, link = tmp_path / "a" / "photo.jpg", tmp_path / "link.jpg"
    target.parent.mkdir()
    target.write_bytes(b"before")
    target.chmod(0o604)
    link.symlink_to(target)

    assert JPEG.save(link) == link

    assert link.is_symlink() and target.read_bytes() == JPEG.data
    assert stat.S_IMODE(target.stat().st_mode) == 0o604


def test_a_file_is_complete_or_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"before")

    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match=re.escape(f"No space left on device: '{path}'")):
        JPEG.save(path)

    assert path.read_bytes() == b"before" and os.listdir(tmp_path) == ["photo.jpg"]


def test_errors_name_the_path_that_was_given(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as missing:
        JPEG.save(tmp_path / "nowhere" / "photo.jpg")
    with pytest.raises(IsADirectoryError) as folder:
        JPEG.save(tmp_path)

    assert missing.value.filename == str(tmp_path / "nowhere" / "photo.jpg")
    assert folder.value.filename == str(tmp_path)


def test_a_device_is_written_to_and_not_replaced() -> None:
    JPEG.save(os.devnull)

    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)


# --- an interpreter ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields, text",
    [
        ({}, "87.0% saved"),
        ({"outcome": Outcome.UNCHANGED}, "unchanged"),
        ({"outcome": Outcome.LARGER, "bytes_out": 3_307_500}, "5.0% larger"),
    ],
)
def test_a_result_is_shown_on_one_line(fields: dict[str, object], text: str) -> None:
    size = f"{len(JPEG.data) / 1000:.2f}"

    assert repr(changed(JPEG, **fields)) == f"Result(jpeg 90 × 60, {size} kB, {text})"


def test_reports_and_sources_are_shown_on_one_line() -> None:
    source = Source(format="jpeg", description="baseline JPEG 4:2:0", width=90, height=60, channels=3)

    assert repr(JPEG.report) == "Report(compressed: png → jpeg 90 × 60, 3.15 MB → 410 kB, 87.0% saved)"
    assert repr(changed(JPEG, source_format="jpeg").report).startswith("Report(compressed: jpeg 90 × 60, ")
    assert repr(changed(JPEG, bytes_out=3_307_500).report).endswith(", 3.15 MB → 3.31 MB, 5.0% larger)")
    assert repr(source) == "Source(baseline JPEG 4:2:0, 90 × 60)"


def test_bytes_of_samples_and_profiles_are_not_shown() -> None:
    raw = Raw(width=1, height=1, channels=3, tile_width=1, tile_height=1, icc_profile=b"ICC", exif=b"II*", xmp=b"<x/>")

    assert repr(Tile(0, 16, b"pixels")) == "Tile(x=0, y=16)"
    assert not re.search(r"icc|exif|xmp|b'", repr(raw))


# --- a notebook -------------------------------------------------------------------------------------------------------


def picture_in(page: str) -> Image.Image:
    """Return the picture of a page, which has the format that its address says."""
    found = re.search(r'src="data:image/(\w+);base64,([^"]+)"', page)
    assert found is not None
    image = Image.open(io.BytesIO(base64.b64decode(found[2], validate=True)))
    assert image.format == found[1].upper()
    return image


@pytest.mark.parametrize("format", ["jpeg", "png", "webp"])
def test_a_small_result_is_its_own_picture(format: str) -> None:
    made = compress(photograph(60, 90), format=format)  # type: ignore[arg-type]

    page = made._repr_html_()

    assert base64.b64encode(made.data).decode() in page
    assert picture_in(page).size == (90, 60)


def test_a_large_result_is_scaled_down_upright_and_with_its_colors() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # rotated by 90°
    pixels = np.full((600, 900, 3), (250, 40, 30), np.uint8)
    page = Result(encoded(pixels, "JPEG", exif=exif, quality=90), changed(JPEG, width=900).report)._repr_html_()

    picture = picture_in(page)
    assert picture.size == (267, 400)
    assert np.abs(np.asarray(picture).astype(int) - (250, 40, 30)).max() < 12
    assert len(page) < 20_000


def test_alpha_stays_in_a_picture_that_is_scaled_down() -> None:
    made = compress(photograph(500, 700, 4))

    picture = picture_in(made._repr_html_())

    assert (picture.format, picture.mode, picture.size) == ("PNG", "RGBA", (400, 286))


@pytest.mark.parametrize("report", [{"format": "jxl"}, {"format": "tiff", "width": 5000}])
def test_what_can_not_be_shown_has_no_picture(report: dict[str, object]) -> None:
    page = changed(JPEG, **report)._repr_html_()

    assert "<img" not in page and "87.0% saved" in page


def test_an_image_that_is_too_large_to_be_decoded_for_a_preview_has_no_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    from compressor.raster import thumbnails

    monkeypatch.setattr(results, "PREVIEW_SIDE", 50)
    assert "<img" in JPEG._repr_html_()
    monkeypatch.setattr(thumbnails, "DECODED_PIXELS_MAX", 100)
    assert "<img" not in JPEG._repr_html_()


def test_texts_of_a_file_are_escaped() -> None:
    text = '<script>alert("x")</script>'
    page = changed(JPEG, reason=text, notices=(text,), score=71.25)._repr_html_()

    assert "<script" not in page and page.count(html.escape(text)) == 2
    assert "71.2 (SSIMULACRA2)" in page
    assert "3.15 MB PNG, 90 × 60" in page and "410 kB JPEG, 90 × 60" in page
