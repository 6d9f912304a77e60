"""Every format that has no native path, through Pillow: the only door to it. The whole image is in memory.

Pillow and its plugins take a tenth of a second to import, so that waits until a name of these is used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from compressor.raster.reader import PLUGINS, Raster, array_of, is_pillow, open, title
    from compressor.raster.writer import encode, encoding_bytes

__all__ = ["PLUGINS", "Raster", "array_of", "encode", "encoding_bytes", "is_pillow", "open", "title"]

WRITER = ("encode", "encoding_bytes")


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = "writer" if name in WRITER else "reader"
    return getattr(importlib.import_module(f"{__name__}.{module}"), name)
