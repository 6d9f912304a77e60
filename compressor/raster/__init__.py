"""Every format that has no native path, through Pillow: the only door to it. The whole image is in memory.

Pillow and its plugins take a tenth of a second to import, so that waits until a name of these is used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from compressor.raster.picture import Picture, read_picture
    from compressor.raster.reader import PLUGINS, Raster, open, title
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
    "title",
]

MODULES = {
    **dict.fromkeys(("check_subsampling", "encode", "encoding_bytes", "takes_exif"), "writer"),
    **dict.fromkeys(("Picture", "read_picture"), "picture"),
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{MODULES.get(name, 'reader')}"), name)
