"""Samples of full depth against libpng, by netpbm's pngtopam: Pillow reduces 16-bit colors to 8 bits."""

import subprocess
import zlib
from typing import Any

import numpy as np
import pytest

from compressor.png.header import GREY, GREY_ALPHA, PALETTE, RGBA, SAMPLES
from tests.corpus import CORPUS
from tests.png.test_interlace import FORMATS, bits_per_pixel, decode, made, noise
from tests.reference import pngfilter as reference

PLTE = bytes(range(40, 52))


def libpng(data: bytes) -> tuple[np.ndarray, int]:
    """Return samples (height, width, channels and alpha) and the value of white."""
    pam = subprocess.run(["pngtopam", "-alphapam"], input=data, capture_output=True, check=True).stdout
    head, raster = pam.split(b"ENDHDR\n", 1)
    fields = dict(line.split(b" ", 1) for line in head.splitlines()[1:])
    width, height, depth, most = (int(fields[name]) for name in (b"WIDTH", b"HEIGHT", b"DEPTH", b"MAXVAL"))
    samples = np.frombuffer(raster, ">u2" if most > 255 else "u1").astype(int)
    return samples.reshape(height, width, depth), most


def ours(data: bytes) -> tuple[np.ndarray, int]:
    """Return samples unpacked from our scanlines bit by bit, with palette and transparency of clauses 11.2.2, 11.3.1.1.

    pngtopam does not apply a transparent color to RGB, so neither does this.
    """
    header, rows = decode(data)
    channels = SAMPLES[header.color_type]
    most = (1 << header.bit_depth) - 1
    lines = [reference.samples(row, header.bit_depth, header.width * channels) for row in rows]
    samples = np.array(lines).reshape(header.height, header.width, channels)
    key = header.transparency
    if header.color_type == PALETTE:
        table = np.tile([0, 0, 0, 255], (256, 1))
        table[: len(header.palette) // 3, :3] = np.frombuffer(header.palette, np.uint8).reshape(-1, 3)
        table[: len(key or b""), 3] = list(key or b"")
        return table[samples[:, :, 0]], 255
    if header.color_type in (GREY_ALPHA, RGBA):
        return samples, most
    opaque = np.ones(samples.shape[:2], bool)
    if key is not None and header.color_type == GREY:
        opaque = samples[:, :, 0] != int.from_bytes(key, "big") & most
    return np.dstack([samples, opaque * most]), most


def compare(data: bytes, name: str) -> None:
    expected, white = libpng(data)
    samples, most = ours(data)
    if white < most:  # pngtopam scales by sBIT: compare the upper bits
        samples = samples >> (most.bit_length() - white.bit_length())
    np.testing.assert_array_equal(samples, expected, err_msg=name)


def test_every_valid_file_of_the_png_suite_has_libpngs_samples() -> None:
    for path in sorted((CORPUS / "pngsuite").glob("[!x]*.png")):
        compare(path.read_bytes(), path.name)


@pytest.mark.parametrize("color, depth", FORMATS)
def test_interlaced_images_have_libpngs_samples(color: Any, depth: Any) -> None:
    for size in [(1, 1), (2, 3), (5, 1), (9, 9), (33, 18)]:
        compare(made(*size, color, depth)[0], f"{size}")


@pytest.mark.parametrize("color, depth", [(0, 1), (0, 2), (0, 4), (0, 8), (0, 16), (3, 2)])
def test_transparent_colors_agree_with_libpng(color: int, depth: int) -> None:
    bits = bits_per_pixel(color, depth)
    rows = noise(31, 9, bits)
    image = zlib.compress(reference.filtered_rows(rows, [n % 5 for n in range(9)], max(1, bits // 8)))
    grey = reference.samples(rows[4], depth, 7)[6]
    key = bytes([9, 200]) if color == 3 else grey.to_bytes(2, "big")
    before = [(b"PLTE", PLTE)] if color == 3 else []
    data = reference.png(31, 9, depth, color, image, before=[*before, (b"tRNS", key)])

    compare(data, "")
