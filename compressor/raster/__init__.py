"""Formats without a native path, through Pillow, which no other package imports. The whole image is in memory.

Pillow and its plugins take a tenth of a second to import, so they are imported on first use of a name.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from compressor.raster.picture import Picture, read_picture
    from compressor.raster.reader import PLUGINS, Raster, open
    from compressor.raster.writer import check_subsampling, encode, encoding_bytes, takes_exif

__all__ = [
    "PLUGINS",
    "Picture",
    "Raster",
    "check_subsampling",
    "encode",
    "encoding_bytes",
    "open",
    "read_picture",
    "takes_exif",
]

MODULES = {
    **dict.fromkeys(("check_subsampling", "encode", "encoding_bytes", "takes_exif"), "writer"),
    **dict.fromkeys(("Picture", "read_picture"), "picture"),
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{MODULES.get(name, 'reader')}"), name)
