"""TIFF through Pillow: each kind of samples is decoded as specified and as by libvips, or rejected."""

import io
import itertools
from collections.abc import Iterator
from typing import Literal

import numpy as np
import pytest
import pyvips
from PIL import Image

from compressor import pipeline, raster
from compressor.errors import UnsupportedError
from compressor.settings import Outcome
from tests.tiff_files import DEFLATE, LONG, LZW, NONE, PACKBITS, RATIONAL, SHORT, Page, build, picture

HEIGHT, WIDTH = 11, 19
WHITE_IS_ZERO, GREY, RGB, PALETTE, CMYK, YCBCR, LAB = 0, 1, 2, 3, 5, 6, 8
COLORS = {WHITE_IS_ZERO: 1, GREY: 1, RGB: 3, PALETTE: 1, CMYK: 4}
RNG = np.random.default_rng(1)
COLOR_MAP = (RNG.integers(0, 256, 768) * 257).tolist()


def samples_of(bits: int, channels: int, sample_format: int) -> np.ndarray:
    shape = (HEIGHT, WIDTH, channels)
    if sample_format == 3:
        return RNG.random(shape).astype(f"f{bits // 8}")
    if sample_format == 2:
        return RNG.integers(-(1 << (bits - 1)), 1 << (bits - 1), shape).astype(f"i{bits // 8}")
    return RNG.integers(0, 1 << bits, shape, dtype=np.uint64).astype(f"u{1 if bits <= 8 else 2 if bits <= 16 else 4}")


def read(data: bytes) -> np.ndarray:
    source = raster.open(io.BytesIO(data))
    try:
        bands = [band.copy().reshape(-1, source.width, source.channels) for band in source.bands(8)]
    finally:
        source.close()
    return np.concatenate(bands)


def specified(samples: np.ndarray, bits: int, photometric: int, extra: tuple[int, ...]) -> np.ndarray:
    """Return the image in 8 bits as TIFF 6.0 defines it."""
    white = (1 << bits) - 1
    scaled = (samples.astype(np.int64) * 255 + white // 2) // white
    colors = scaled[..., : COLORS[photometric]]
    if photometric == WHITE_IS_ZERO:
        colors = 255 - colors
    elif photometric == PALETTE:
        colors = np.array(COLOR_MAP[: 3 << bits]).reshape(3, -1).T[samples[..., 0]] // 257
    elif photometric == CMYK:
        colors = np.rint((255 - colors[..., :3]) * (255 - colors[..., 3:]) / 255).astype(np.int64)
    if extra[:1] == (1,):
        alpha = samples[..., COLORS[photometric] :][..., :1].astype(float)
        ratio = samples[..., : COLORS[photometric]] / np.maximum(alpha, 1)
        colors = np.minimum(255, np.rint(ratio * 255)).astype(np.int64)
    with_alpha = extra[:1] in ((1,), (2,))
    return np.concatenate([colors, scaled[..., COLORS[photometric] :][..., :1]], -1) if with_alpha else colors


KINDS = [
    (photometric, bits, planar, sample_format, extra)
    for photometric, bits, planar, sample_format, extra in itertools.product(
        COLORS, (1, 2, 4, 8, 12, 16, 32), (1, 2), (1, 2, 3), ((), (0,), (1,), (2,), (2, 0))
    )
    if (sample_format == 1 or (bits in (8, 16, 32) and not extra))
    and (sample_format != 3 or bits > 8)
    and (photometric != PALETTE or (bits <= 8 and sample_format == 1))
    and (planar == 1 or COLORS[photometric] + len(extra) > 1)
]
# Kinds that are read in at least one compression, and those that libvips reads, too: a change of these numbers shows
# that a kind was lost or gained.
READ, COMPARED = 57, 24


def kind_files(
    photometric: int, bits: int, planar: int, sample_format: int, extra: tuple[int, ...]
) -> Iterator[tuple[np.ndarray, bytes]]:
    """Yield samples and a file for each way to store them."""
    channels = COLORS[photometric] + len(extra)
    tags = {320: (SHORT, COLOR_MAP[: 3 << bits])} if photometric == PALETTE else {}
    ways = [(NONE, 1), (LZW, 1), (PACKBITS, 1), (LZW, 2), (DEFLATE, 2)]
    orders: tuple[Literal["<", ">"], ...] = ("<", ">")
    for (compression, predictor), order, tile in itertools.product(ways, orders, (0, 16)):
        if predictor == 2 and (bits not in (8, 16) or sample_format == 3):
            continue
        samples = samples_of(bits, channels, sample_format)
        if extra[:1] == (1,) and sample_format == 1:  # no color is more than its alpha
            colors, alpha = samples[..., : COLORS[photometric]], samples[..., COLORS[photometric] :][..., :1]
            np.minimum(colors, alpha, out=colors)
        page = picture(
            samples, bits, photometric=photometric, compression=compression, planar=planar, order=order, extra=extra,
            predictor=predictor, tile=tile, rows_per_strip=4, sample_format=sample_format, tags=tags,
        )  # fmt: skip
        yield samples, build([page], order)


def test_every_kind_of_samples_is_decoded_correctly_or_rejected() -> None:
    right, compared = set(), set()
    for kind in KINDS:
        photometric, bits, planar, _, extra = kind
        # libvips leaves colors multiplied, inks as they are, and mixes up strips of grey in planes.
        comparable = photometric == RGB or (photometric in (WHITE_IS_ZERO, GREY) and planar == 1)
        comparable = comparable and extra[:1] != (1,)
        for samples, data in kind_files(*kind):
            try:
                found = read(data)
            except UnsupportedError:
                continue
            expected = specified(samples, bits, photometric, extra)
            assert found.shape == expected.shape, kind
            # Pillow takes the upper byte of 16 bits, and rounds ink and alpha its own way.
            tolerance = 3 if photometric == CMYK else 1 if bits > 8 else 0
            difference = np.abs(found - expected)
            if extra[:1] == (1,):
                seen = expected[..., -1] >= 128  # small alpha magnifies the rounding of what it divides
                difference, tolerance = difference[seen], 3
            assert difference.max() <= tolerance, kind
            right.add(kind)
            if comparable and same_by_libvips(data, bits, found):
                compared.add(kind)
    assert (len(right), len(compared)) == (READ, COMPARED)


def same_by_libvips(data: bytes, bits: int, found: np.ndarray) -> bool:
    """Compare with a second reader, which gives 12 and 16 bits as they are; return whether it can read the file."""
    try:
        second = np.atleast_3d(pyvips.Image.new_from_buffer(data, "").numpy())[..., : found.shape[-1]]
    except pyvips.Error:
        return False
    if bits > 8:
        second = np.rint(second * (255 / ((1 << bits) - 1)))
    assert np.abs(second - found.astype(float)).max() <= (1 if bits > 8 else 0)
    return True


def refused(page: Page, problem: str, order: str = "<", big: bool = False) -> None:
    data = build([page], order, big)
    with pytest.raises(UnsupportedError, match=problem):
        pipeline.compress(data, format="png")
    result = pipeline.compress(data)
    assert (result.data, result.report.outcome) == (data, Outcome.UNCHANGED)
    assert (result.report.width, result.report.height) == (WIDTH, HEIGHT)


def test_misread_tiffs_are_returned_unchanged_and_not_converted() -> None:
    deep, rgb = samples_of(16, 3, 1), samples_of(8, 3, 1)
    grey = deep[..., :1]
    refused(picture(deep, 16, photometric=RGB, planar=2), "^TIFF: 16-bit samples in planes, uncompressed$")
    refused(picture(rgb[..., :2], 8, photometric=GREY, planar=2, extra=(2,), compression=LZW), "alpha, in planes")
    refused(picture(grey, 16, photometric=WHITE_IS_ZERO), "16-bit samples of WhiteIsZero")
    refused(picture(samples_of(8, 1, 2), 8, photometric=GREY, sample_format=2), "8-bit signed samples")
    refused(picture(samples_of(32, 1, 3), 32, photometric=GREY, sample_format=3), "32-bit floating-point samples")
    refused(picture(samples_of(32, 1, 1), 32, photometric=GREY), "32-bit samples")
    refused(picture(rgb, 8, photometric=LAB, planar=2), "Lab in planes")
    refused(picture(samples_of(8, 4, 1), 8, photometric=CMYK, tags={332: (SHORT, [2])}), "inks other than")
    refused(picture(rgb, 8, photometric=RGB, tags={258: (SHORT, [8, 8, 4])}), "samples of 4, 8 bits")
    refused(picture(rgb, 8, photometric=RGB, order=">"), "big-endian BigTIFF", ">", big=True)


def test_ycbcr_is_read_only_as_that_of_jfif() -> None:
    rgb = np.stack([np.add.outer(np.arange(HEIGHT) * 3, np.arange(WIDTH) * k) % 256 for k in (1, 2, 3)], -1)
    ycbcr = np.asarray(Image.fromarray(rgb.astype(np.uint8)).convert("YCbCr"))
    square = {530: (SHORT, [1, 1])}
    for compression in (NONE, LZW):
        data = build([picture(ycbcr, 8, photometric=YCBCR, compression=compression, tags=square)])
        assert np.abs(read(data) - rgb).max() <= 4

    refused(picture(ycbcr, 8, photometric=YCBCR), "subsampled YCbCr, uncompressed")
    refused(picture(ycbcr, 8, photometric=YCBCR, planar=2, compression=LZW, tags=square), "YCbCr in planes")
    studio = square | {532: (RATIONAL, [16, 1, 235, 1, 128, 1, 240, 1, 128, 1, 240, 1])}
    refused(picture(ycbcr, 8, photometric=YCBCR, tags=studio), "differs from JFIF's")
    bt709 = square | {529: (RATIONAL, [2126, 10000, 7152, 10000, 722, 10000])}
    refused(picture(ycbcr, 8, photometric=YCBCR, tags=bt709), "differs from JFIF's")


def test_a_color_map_of_8_bit_values_is_not_read_as_black() -> None:
    samples = samples_of(8, 1, 1)
    wide, narrow = (
        build([picture(samples, 8, photometric=PALETTE, tags={320: (SHORT, values)})])
        for values in (COLOR_MAP, [value // 257 for value in COLOR_MAP])
    )

    np.testing.assert_array_equal(read(narrow), read(wide))


def test_reversed_bit_order_is_read() -> None:
    reverse = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))
    for bits, compression in itertools.product((1, 4, 8), (NONE, LZW, PACKBITS)):
        samples = samples_of(bits, 1, 1)
        page = picture(samples, bits, photometric=GREY, compression=compression, tags={266: (SHORT, [2])})
        page.strips = [strip.translate(reverse) for strip in page.strips]
        np.testing.assert_array_equal(read(build([page])), specified(samples, bits, GREY, ()))


def test_little_endian_bigtiff_is_read() -> None:
    samples = samples_of(8, 3, 1)
    for compression in (NONE, LZW):
        np.testing.assert_array_equal(
            read(build([picture(samples, 8, photometric=RGB, compression=compression)], big=True)), samples
        )


def test_unspecified_extra_samples_are_reported_when_dropped() -> None:
    source = raster.open(io.BytesIO(build([picture(samples_of(8, 5, 1), 8, photometric=RGB, extra=(0, 0))])))

    assert source.notices == ["unspecified extra samples were dropped: 2 of each pixel"]


def test_several_pages_are_not_an_animation() -> None:
    page = picture(samples_of(8, 3, 1), 8, photometric=RGB)
    data = build([page, page])

    assert pipeline.inspect([data]).description == "TIFF, several pages"
    result = pipeline.compress(data)
    assert result.data == data and "several pages" in result.report.reason
    with pytest.raises(UnsupportedError, match="^TIFF: several pages, and can't be converted to png"):
        pipeline.compress(data, format="png")


def test_a_page_that_is_only_a_thumbnail_is_dropped_with_a_notice() -> None:
    samples = samples_of(8, 3, 1)
    small = picture(samples[:8, :8], 8, photometric=RGB, tags={254: (LONG, [1])})
    result = pipeline.compress(build([picture(samples, 8, photometric=RGB), small]), format="png")

    assert "thumbnails in the file were dropped: 1" in result.report.notices
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(result.data)).convert("RGB")), samples)
