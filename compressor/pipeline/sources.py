"""Conversion of a caller's input to the form that the pipeline reads."""

from typing import Any

import numpy as np

from compressor import inputs, raster
from compressor.inputs import Kind
from compressor.pipeline.pixels import ArrayPixels
from compressor.settings import Raw
from compressor.spool import CHUNK_BYTES


def source_of(image: Any, raw: Raw | None = None) -> tuple[Raw | None, Any]:
    """Return the geometry and metadata of raw samples, or None for a file; and the data: chunks, tiles, or the pixels
    of an array or a Pillow image."""
    if raw is not None:
        return raw, inputs.tiles_of(image)
    kind = inputs.kind_of(image)
    if kind is Kind.PICTURE:
        picture = raster.read_picture(image)
        return picture.raw, ArrayPixels(picture.pixels, picture.raw, picture.notices, picture.loss)
    if kind is not Kind.ARRAY:
        return None, inputs.chunks_of(image, kind, CHUNK_BYTES)
    height, width, channels = inputs.shape_of(image)
    pixels = np.ascontiguousarray(image).reshape(height, width, channels)
    raw = Raw(width=width, height=height, channels=channels, tile_width=width, tile_height=height)
    return raw, ArrayPixels(pixels, raw)
