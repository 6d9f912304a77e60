"""Every format that has no native path, through Pillow: the only door to it. The whole image is in memory."""

from compressor.raster.reader import PLUGINS, Raster, array_of, is_pillow, open, title
from compressor.raster.writer import encode, encoding_bytes

__all__ = ["PLUGINS", "Raster", "array_of", "encode", "encoding_bytes", "is_pillow", "open", "title"]
