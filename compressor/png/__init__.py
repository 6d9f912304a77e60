"""PNG (W3C PNG, third edition): header, scanlines, pixels, and all of it written again."""

from compressor.png.container import without_metadata
from compressor.png.header import PngHeader, new_header, read_header
from compressor.png.metadata import metadata_chunks, read_metadata, removed, too_late
from compressor.png.policy import removed_credentials
from compressor.png.reader import Bytes, digest, pixel_buffers, read_digest, scanlines, to_pixels
from compressor.png.reduction import Plan, Survey
from compressor.png.rgba16 import read_pixel_digest
from compressor.png.writer import write

__all__ = [
    "Bytes",
    "Plan",
    "PngHeader",
    "Survey",
    "digest",
    "metadata_chunks",
    "new_header",
    "pixel_buffers",
    "read_digest",
    "read_header",
    "read_metadata",
    "read_pixel_digest",
    "removed",
    "removed_credentials",
    "scanlines",
    "to_pixels",
    "too_late",
    "without_metadata",
    "write",
]
