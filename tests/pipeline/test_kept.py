"""Properties of the source that a result keeps, to the byte or to the coefficient, and failures to keep them."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from compressor import pipeline
from compressor.settings import Path
from tests.pipeline.test_pipeline import JPEG, decoded, encoded, photograph


@pytest.mark.parametrize(
    "source",
    [
        JPEG,
        encoded(photograph(64, 64, 1), "JPEG", quality=80),
        encoded(photograph(90, 70), "JPEG", quality=75, subsampling=0, restart_marker_blocks=3),
    ],
)
def test_lossless_keeps_every_coefficient(source: bytes) -> None:
    result = pipeline.compress(source, lossless=True)

    assert result.report.path is Path.LOSSLESS
    assert len(result.data) < len(source)
    np.testing.assert_array_equal(decoded(result.data), decoded(source))


def test_a_second_run_with_the_same_settings_loses_nothing() -> None:
    once = pipeline.compress(JPEG, quality=75).data
    twice = pipeline.compress(once, quality=75)

    np.testing.assert_array_equal(decoded(twice.data), decoded(once))
    assert twice.report.path is Path.LOSSLESS


def test_a_jpeg_is_never_requantized_finer() -> None:
    coarse = encoded(photograph(64, 80), "JPEG", quality=40)

    result = pipeline.compress(coarse, quality=90)

    np.testing.assert_array_equal(decoded(result.data), decoded(coarse))


def test_metadata_are_carried_over_from_png_to_jpeg() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    source = encoded(photograph(20, 30), "PNG", icc_profile=b"p" * 70000, exif=exif)

    made = Image.open(io.BytesIO(pipeline.compress(source, format="jpeg").data))

    assert made.info["icc_profile"] == b"p" * 70000
    assert made.getexif()[0x0112] == 6


def test_metadata_of_a_jpeg_are_kept_reduced_or_stripped() -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Maker"
    source = encoded(photograph(99, 99), "JPEG", quality=95, exif=exif, icc_profile=b"profile", comment=b"hello")

    def made(policy: Any, **settings: Any) -> Image.Image:
        return Image.open(io.BytesIO(pipeline.compress(source, metadata=policy, **settings).data))

    kept, color, bare = (made(policy, quality=80) for policy in ("keep", "color", "strip"))
    assert (kept.getexif()[0x010F], kept.info["comment"], kept.info["icc_profile"]) == ("Maker", b"hello", b"profile")
    assert dict(color.getexif()) == {0x0112: 6}
    assert "comment" not in color.info and color.info["icc_profile"] == b"profile"
    assert dict(bare.getexif()) == {0x0112: 6} and "icc_profile" not in bare.info and "comment" not in bare.info
    unchanged = made("strip", quality=100, lossless=True, min_saving=0.9)
    assert dict(unchanged.getexif()) == {0x0112: 6}
    np.testing.assert_array_equal(np.asarray(unchanged), np.asarray(Image.open(io.BytesIO(source))))


def test_bytes_after_a_jpeg_are_kept() -> None:
    result = pipeline.compress(JPEG + b"trailer of a phone", quality=75)

    assert result.data.endswith(b"\xff\xd9trailer of a phone")


def test_a_dc_difference_that_no_samples_produce_is_coded_too() -> None:
    """DC from -2047 to 2047 is category 12, for which Annex K has no code."""
    from compressor.bytestream import ByteStream
    from compressor.jpeg import one_pass, reader, static_codes, tables, writer

    frame = writer.frame_for(16, 8, 1, "444")
    row = np.zeros((2, 64), np.int16)
    row[:, 0] = -2047, 2047
    made = one_pass.OnePassSlabs(frame, static_codes.codes_for(1.6, len(frame.components)), [row])
    quantization = {0: tables.quantization_table(50, False)}
    data = writer.header(frame, quantization, made.codes, []) + b"".join(map(bytes, made.body())) + writer.END_OF_IMAGE

    stream = ByteStream([data])
    (found,) = reader.read_slabs(stream, reader.read_header(stream))

    np.testing.assert_array_equal(found, row)


@pytest.mark.parametrize(
    "source, kernel",
    [
        (JPEG, "compressor.kernels.progressive_encode.encode_scans"),
        (encoded(photograph(60, 83), "PNG", compress_level=0), "compressor.png.filters.filter_rows"),
    ],
)
def test_a_result_that_fails_verification_is_never_delivered(
    source: bytes, kernel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The encoder is made to fail here: one coefficient or one filtered byte is wrong."""
    import importlib

    module, _, name = kernel.rpartition(".")
    right = getattr(importlib.import_module(module), name)

    def wrong(*arguments: Any) -> Any:
        if name == "encode_scans":
            arguments[0][5, 0] += 1
            return right(*arguments)
        result = right(*arguments)
        arguments[5][3, 4] ^= 1
        return result

    monkeypatch.setattr(kernel, wrong)
    result = pipeline.compress(source, lossless=True)

    assert result.data == source
    assert "defect" in result.report.reason
