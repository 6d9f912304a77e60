"""Whole MCU rows: pixels to coefficients, to bytes, and to a file that another decoder reads."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from compressor.kernels import huffman_encode, mcu_row, quantize
from compressor.t81 import (
    K1_LUMINANCE,
    K2_CHROMINANCE,
    K3_DC_LUMINANCE,
    K4_DC_CHROMINANCE,
    K5_AC_LUMINANCE,
    K6_AC_CHROMINANCE,
    ZIGZAG,
)
from tests.kernels.test_color import TOLERANCE_Q4, WIDTHS, image
from tests.reference import huffman_encode as twin
from tests.reference import mcu_row as reference
from tests.reference import quantize as quantization

KINDS = [(1, 1, 1), (3, 1, 1), (3, 2, 1), (3, 2, 2)]  # channels, h, v
HUFFMAN = [(K3_DC_LUMINANCE, K5_AC_LUMINANCE)] + [(K4_DC_CHROMINANCE, K6_AC_CHROMINANCE)] * 2
CODES = [(twin.codes(*dc), twin.codes(*ac)) for dc, ac in HUFFMAN]
RAW_SLACK = 40  # 8 for `encode_mcus`, 32 for `stuff`


class Encoder:
    """The arrays of one image, none larger than required."""

    def __init__(
        self, width: int, channels: int, h: int, v: int, tables: list[NDArray[np.uint16]], slope: float = 0
    ) -> None:
        self.layout = reference.layout(width, channels, h, v)
        self.blocks = int((self.layout[:, 1] * self.layout[:, 3]).sum())
        self.tables = [tables[min(c, 1)] for c in range(channels)]
        self.reciprocal = np.array([quantize.reciprocals(table) for table in self.tables])
        self.slope = np.full_like(self.reciprocal, slope)
        self.slope[:, 0] = 0
        self.quantization = self.reciprocal, self.slope
        self.scratch = mcu_row.segment_scratch()
        self.segment = reference.layout(mcu_row.SEGMENT, channels, h, v)
        segment_blocks = int((self.segment[:, 1] * self.segment[:, 3]).sum())
        self.segment_row: NDArray[np.int16] = np.empty((segment_blocks, 64), np.int16)
        self.segment_raw = np.empty(huffman_encode.BLOCK_BYTES_MAX * segment_blocks + RAW_SLACK, np.uint8)
        self.row: NDArray[np.int16] = np.empty((self.blocks, 64), np.int16)
        self.state = np.zeros(huffman_encode.STATE, np.int64)
        self.dc = np.array([huffman_encode.code_table(*dc) for dc, _ in HUFFMAN[:channels]])
        self.ac = np.array([huffman_encode.code_table(*ac) for _, ac in HUFFMAN[:channels]])
        self.small = np.array([huffman_encode.small_table(ac) for ac in self.ac])
        self.codes = self.dc, self.ac, self.small
        self.per_mcu = int((self.layout[:, 2] * self.layout[:, 3]).sum())

    def transform(self, pixels: NDArray[np.uint8], row: int) -> NDArray[np.int16]:
        flat = pixels.reshape(len(pixels), -1)
        mcu_row.transform_row(flat, row, self.layout, self.quantization, self.scratch, self.row)
        return self.row.copy()

    def encode_slab(self, coefficients: NDArray[np.int16], step: int = 1, parts: int = 1) -> bytes:
        """Encode a slab, `step` MCUs at a time, with room for so many such parts in the worst case."""
        raw = np.empty(huffman_encode.BLOCK_BYTES_MAX * self.per_mcu * step + RAW_SLACK, np.uint8)
        out = np.empty(2 * raw.size * parts, np.uint8)
        result = b""
        while True:
            size = mcu_row.encode_slab(coefficients, self.layout, self.codes, self.state, raw, out)
            result += out[:size].tobytes()
            if not self.state[huffman_encode.NEXT_MCU]:
                return result

    def encode_band(self, pixels: NDArray[np.uint8], segments: int = 1) -> bytes:
        """Encode a band, with room for so many segments in the worst case."""
        out = np.empty(2 * self.segment_raw.size * segments, np.uint8)
        result = b""
        while True:
            size = mcu_row.encode_band(
                pixels.reshape(len(pixels), -1), (self.layout, self.segment), self.quantization, self.scratch,
                self.codes, (self.segment_row, self.segment_raw), self.state, out,
            )  # fmt: skip
            result += out[:size].tobytes()
            if not self.state[huffman_encode.NEXT_SEGMENT]:
                return result

    def finish(self) -> bytes:
        """Return the last byte, padded with ones (F.1.2.3)."""
        pending, held = int(self.state[huffman_encode.PENDING]), int(self.state[huffman_encode.HELD])
        return twin.stuff(bytes([(pending << 8 - held | (1 << 8 - held) - 1) & 255])) if held else b""


def flat_tables(q: int) -> list[NDArray[np.uint16]]:
    return [np.full(64, q, np.uint16)] * 2


def quality_tables(quality: int) -> list[NDArray[np.uint16]]:
    """Return Annex K.1, scaled as in libjpeg."""
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    tables = (K1_LUMINANCE.ravel()[ZIGZAG].astype(int), K2_CHROMINANCE.ravel()[ZIGZAG].astype(int))
    return [np.clip((table * scale + 50) // 100, 1, 255).astype(np.uint16) for table in tables]


def photograph(height: int, width: int) -> NDArray[np.uint8]:
    """Return gradients, hard edges, colored texture and a little noise."""
    rng = np.random.default_rng(7)
    y, x = np.mgrid[:height, :width] / 64.0
    light = 120 + 60 * np.sin(x * 1.3) * np.cos(y * 1.7) + 25 * np.sin(9 * x + 7 * y)
    edges = 70 * ((x - 1.5) ** 2 + (y - 1) ** 2 < 0.6) - 50 * (np.abs(x - y) < 0.1)
    color = np.stack([20 * np.sin(2 * x), 15 * np.cos(3 * y), 25 * np.sin(x + 2 * y)], -1)
    pixels = (light + edges)[..., None] + color + rng.normal(0, 4, (height, width, 3))
    return np.asarray(np.clip(np.rint(pixels), 0, 255), np.uint8)


def check_transform(pixels: NDArray[np.uint8], h: int, v: int, q: int) -> None:
    """Compare with all twins in sequence. A sum of 64 samples with weights of at most 1/8 multiplies an error of color
    by 8 at most. Grey has none, so that only the error of the DCT is left (see its test)."""
    height, width, channels = pixels.shape
    encoder = Encoder(width, channels, h, v, flat_tables(q))
    tolerance = 2**-11 / q + (8 * TOLERANCE_Q4 / 16 / q if channels == 3 else 0)
    for row in range(0, height, 8 * v):
        exact = reference.quotients(pixels, row, h, v, encoder.tables)
        assert abs(encoder.transform(pixels, row) - exact).max() <= 0.5 + tolerance


@pytest.mark.parametrize("channels, h, v", KINDS)
def test_coefficients_of_every_width_agree_with_the_twins(channels: int, h: int, v: int) -> None:
    for width in WIDTHS:
        check_transform(image(8 * v, width, channels), h, v, 8)


@pytest.mark.parametrize("channels, h, v", KINDS)
def test_coefficients_of_every_height_agree_with_the_twins(channels: int, h: int, v: int) -> None:
    for height in range(1, 41):
        check_transform(image(height, 21, channels), h, v, 8)


@pytest.mark.parametrize("channels, h, v", KINDS)
def test_pixels_of_full_scale_stay_inside_baseline_magnitudes(channels: int, h: int, v: int) -> None:
    """DC differences have at most 11 bits and AC coefficients 10 (Tables F.1, F.2), even with Q = 1."""
    y, x = np.mgrid[:16, :512]
    colors = [(0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 255, 255), (0, 0, 255), (255, 255, 0)]
    for first, second in [(0, 1), (2, 3), (4, 5)]:
        for pattern in ((x + y) % 2, x % 2, y % 2, (x // h) % 2, (x // 8) % 2, (x // 2 + y // 2) % 2):
            pixels = np.array(colors, np.uint8)[np.where(pattern, first, second)][..., :channels]
            encoder = Encoder(512, channels, h, v, flat_tables(1))
            row = encoder.transform(np.ascontiguousarray(pixels), 0).astype(int)
            assert abs(row[:, 1:]).max() <= 1023 and row[:, 0].min() >= -1024 and row[:, 0].max() <= 1023
            check_transform(np.ascontiguousarray(pixels), h, v, 1)


@given(st.integers(1, 40), st.integers(1, 90), st.sampled_from(KINDS), st.integers(0, 2**32))
@settings(max_examples=40)
def test_a_band_is_its_rows_transformed_then_coded_bit_for_bit(
    height: int, width: int, kind: tuple[int, int, int], seed: int
) -> None:
    channels, h, v = kind
    pixels = image(height, width, channels, seed)
    encoder = Encoder(width, *kind, quality_tables(60))
    pred, bits = [0] * channels, ""
    for first in range(0, height, 8 * v):
        row = encoder.transform(pixels, first)
        bits += twin.encode(row, encoder.layout, -(-width // (8 * h)), CODES, pred)

    assert encoder.encode_band(pixels) == twin.stuff(twin.whole_bytes(bits))
    assert encoder.state[huffman_encode.PRED : huffman_encode.PRED + channels].tolist() == pred
    assert encoder.state[huffman_encode.HELD] == len(bits) % 8


@pytest.mark.parametrize("kind", KINDS)
def test_the_dead_zone_follows_the_masking_of_each_block(kind: tuple[int, int, int]) -> None:
    """Compare with the twins. Color has small errors, and through the factors so do thresholds, so that a few
    coefficients near their thresholds may differ. Grey is exact apart from float32."""
    channels, h, v = kind
    pixels = np.ascontiguousarray(photograph(8 * v, 600)[..., :channels])
    encoder = Encoder(600, *kind, flat_tables(6), slope=0.3)
    steps = reference.quotients(pixels, 0, h, v, encoder.tables)
    expected = quantization.dead_zone(steps, reference.thresholds(pixels, 0, h, v, encoder.slope))
    found = encoder.transform(pixels, 0)

    assert (found != expected).mean() <= (0.0005 if channels == 1 else 0.002)
    assert (found != np.rint(steps)).mean() > 0.01


@pytest.mark.parametrize("slope", [0, 0.2])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("width", [1, 17, 511, 512, 513, 1023, 1025])
def test_pixels_and_coefficients_in_slabs_of_any_height_give_the_same_bytes(
    width: int, kind: tuple[int, int, int], slope: float
) -> None:
    mcu_height = 8 * kind[2]
    pixels = image(mcu_height * 3 + 5, width, kind[0])
    whole = Encoder(width, *kind, quality_tables(80), slope)
    expected = whole.encode_band(pixels, segments=8) + whole.finish()
    for rows in (1, 2, 3):
        banded = Encoder(width, *kind, quality_tables(80), slope)
        bands = [pixels[y : y + rows * mcu_height] for y in range(0, len(pixels), rows * mcu_height)]
        assert b"".join(map(banded.encode_band, bands)) + banded.finish() == expected

    for count in (1, 3, 4):
        slabs = Encoder(width, *kind, quality_tables(80), slope)
        made = [slabs.transform(pixels, y) for y in range(0, len(pixels), mcu_height)]
        joined = [np.concatenate(made[at : at + count]) for at in range(0, len(made), count)]
        parts = [slabs.encode_slab(slab, step=3, parts=count) for slab in joined]
        assert b"".join(parts) + slabs.finish() == expected


def test_the_largest_row_fits_the_arrays() -> None:
    """One block of 63 coefficients of 10 bits, with the example tables."""
    encoder = Encoder(8, 1, 1, 1, flat_tables(1))
    row = np.full((1, 64), 1023, np.int16)

    bits = twin.encode(row, encoder.layout, 1, CODES, [0])
    assert encoder.encode_slab(row) == twin.stuff(twin.whole_bytes(bits))


def psnr(jpeg: bytes, pixels: NDArray[np.uint8]) -> float:
    with Image.open(io.BytesIO(jpeg)) as decoded:
        error = np.asarray(decoded).reshape(pixels.shape).astype(float) - pixels
    return float(10 * np.log10(255**2 / np.mean(error**2)))


@pytest.mark.parametrize("channels, h, v", KINDS)
@pytest.mark.parametrize("quality", [40, 75, 90, 98])
def test_our_files_have_the_quality_of_pillows(channels: int, h: int, v: int, quality: int) -> None:
    """Within 0.1 dB with the same tables, and in about the same number of bytes."""
    pixels = np.ascontiguousarray(photograph(149, 203)[..., :channels])
    height, width, _ = pixels.shape
    tables = quality_tables(quality)
    encoder = Encoder(width, channels, h, v, tables)
    entropy = encoder.encode_band(pixels) + encoder.finish()
    ours = reference.file(entropy, width, height, [(h, v), (1, 1), (1, 1)][:channels], tables)
    theirs = io.BytesIO()
    subsampling = {(1, 1): "4:4:4", (2, 1): "4:2:2", (2, 2): "4:2:0"}[h, v]
    Image.fromarray(pixels.squeeze()).save(theirs, "JPEG", quality=quality, subsampling=subsampling)

    assert psnr(ours, pixels) >= psnr(theirs.getvalue(), pixels) - 0.1
    scan = theirs.getvalue().partition(b"\xff\xda")[2]
    assert len(entropy) <= 1.02 * len(scan)
