"""Decoding and encoding of PNG (W3C PNG, third edition)."""

from compressor.png.container import without_metadata
from compressor.png.header import ByteArray, PngHeader, new_header, read_header
from compressor.png.histogram import Histogram
from compressor.png.metadata import late_metadata, metadata_chunks, read_metadata, removed_colors
from compressor.png.policy import removed_credentials
from compressor.png.quantization import PalettePlan, UnfitChunkError, quantization, quantized_pixels
from compressor.png.reader import checksum, pixel_buffers, read_checksum, scanlines, to_pixels
from compressor.png.reduction import ReductionPlan, Survey, describe_form
from compressor.png.rgba16 import PixelChecksum, read_pixel_checksum
from compressor.png.writer import write

__all__ = [
    "ByteArray",
    "Histogram",
    "PalettePlan",
    "PixelChecksum",
    "PngHeader",
    "ReductionPlan",
    "Survey",
    "UnfitChunkError",
    "checksum",
    "describe_form",
    "late_metadata",
    "metadata_chunks",
    "new_header",
    "pixel_buffers",
    "quantization",
    "quantized_pixels",
    "read_checksum",
    "read_header",
    "read_metadata",
    "read_pixel_checksum",
    "removed_colors",
    "removed_credentials",
    "scanlines",
    "to_pixels",
    "without_metadata",
    "write",
]
