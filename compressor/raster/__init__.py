"""Formats without a native path, through Pillow, which no other package imports. The whole image is in memory.

Pillow and its plugins take a tenth of a second to import, so they are imported on first use of a name.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from compressor.raster.picture import Picture, read_picture
    from compressor.raster.reader import PLUGINS, Raster, open
    from compressor.raster.scales import distinct_qualities, own_number
    from compressor.raster.thumbnails import preview
    from compressor.raster.writer import check, encode, encoding_bytes, takes_exif

__all__ = [
    "PLUGINS",
    "Picture",
    "Raster",
    "check",
    "distinct_qualities",
    "encode",
    "encoding_bytes",
    "open",
    "own_number",
    "preview",
    "read_picture",
    "takes_exif",
]

MODULES = {
    **dict.fromkeys(("check", "encode", "encoding_bytes", "takes_exif"), "writer"),
    **dict.fromkeys(("Picture", "read_picture"), "picture"),
    "preview": "thumbnails",
    **dict.fromkeys(("distinct_qualities", "own_number"), "scales"),
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{MODULES.get(name, 'reader')}"), name)
