"""MCU rows from pixels to a file, composed of the other twins, and the file's headers (T.81 B.2)."""

import struct

import numpy as np
from numpy.typing import NDArray

from compressor.t81 import K3_DC_LUMINANCE, K4_DC_CHROMINANCE, K5_AC_LUMINANCE, K6_AC_CHROMINANCE
from tests.reference import color, dct, masking, quantize


def layout(width: int, channels: int, h: int, v: int) -> NDArray[np.int64]:
    """Return `Frame.layout` of a grey image, or of an RGB one whose luma has the sampling factors h, v."""
    mcus = -(-width // (8 * h))
    if channels == 1:
        return np.array([[0, mcus, 1, 1]])
    luma = mcus * h * v
    return np.array([[0, mcus * h, h, v], [luma, mcus, 1, 1], [luma + mcus, mcus, 1, 1]])


def quotients(
    pixels: NDArray[np.uint8], row: int, h: int, v: int, tables: list[NDArray[np.uint16]]
) -> NDArray[np.float64]:
    """Return S[k] / Q[k] of one MCU row, (blocks, 64), in the order of `layout`."""
    planes = color.planes(pixels, row, h, v)
    return np.concatenate([dct.quotients(plane, table) for plane, table in zip(planes, tables, strict=True)])


def thresholds(pixels: NDArray[np.uint8], row: int, h: int, v: int, slope: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the thresholds below which coefficients of one MCU row become zero, (blocks, 64), in steps.

    slope  (components, 64), [u][v]
    """
    ones = np.ones(64, np.uint16)
    coefficients = [dct.quotients(plane, ones) for plane in color.planes(pixels, row, h, v)]
    luma = coefficients[0]
    factors = [masking.luma(luma, np.full(len(luma), 60.0))]
    if len(coefficients) == 3:
        light = masking.mean(luma).reshape(v, -1, h).mean((0, 2))
        factors += [masking.chroma(coefficients[1], coefficients[2], light)] * 2
    slopes = quantize.slopes(slope)
    return np.concatenate([quantize.least(*pair) for pair in zip(slopes, factors, strict=True)])


def segment(marker: int, payload: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, 2 + len(payload)) + payload


def file(
    entropy: bytes, width: int, height: int, sampling: list[tuple[int, int]], tables: list[NDArray[np.uint16]]
) -> bytes:
    """Return a baseline JPEG with entropy-coded, stuffed and padded bytes, encoded with the tables of Annex K.3.

    sampling  (h, v) of each component
    tables    luma and chroma quantization tables, zig-zag, all values <= 255
    """
    frame = struct.pack(">BHHB", 8, height, width, len(sampling))
    scan = bytes([len(sampling)])
    for c, (h, v) in enumerate(sampling):
        frame += bytes([c + 1, 16 * h + v, min(c, 1)])
        scan += bytes([c + 1, 0x11 * min(c, 1)])
    huffman = ((0x00, K3_DC_LUMINANCE), (0x10, K5_AC_LUMINANCE), (0x01, K4_DC_CHROMINANCE), (0x11, K6_AC_CHROMINANCE))
    return b"".join(
        [
            b"\xff\xd8",
            *(segment(0xDB, bytes([i, *table.tolist()])) for i, table in enumerate(tables)),
            segment(0xC0, frame),
            *(segment(0xC4, bytes([id]) + bits + huffval) for id, (bits, huffval) in huffman),
            segment(0xDA, scan + b"\x00\x3f\x00"),
            entropy,
            b"\xff\xd9",
        ]
    )
