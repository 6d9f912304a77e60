"""Files of the formats without a native path, reduced to what a metadata policy keeps: losslessly, by their containers
alone. JPEG and PNG do the same in packages of their own.

One module for each container, and each has the same two functions:

    without_metadata(source, policy, notices) → pieces of the reduced file
    uncarried(source) → names of metadata that `metadata.Attachments` has no field for
"""

import importlib
from collections.abc import Iterator

from compressor.errors import UnsupportedError
from compressor.settings import Metadata
from compressor.spool import Readable

# The module of each format that can be reduced.
MODULES: dict[str, str] = {
    "avif": "heif",
    "bmp": "bmp",
    "gif": "gif",
    "heif": "heif",
    "jp2": "jp2",
    "jxl": "jxl",
    "pnm": "pnm",
    "tiff": "tiff",
    "webp": "webp",
}


def without_metadata(format: str, source: Readable, policy: Metadata, notices: list[str]) -> Iterator[bytes]:
    """Yield the file reduced to what `policy` (COLOR or STRIP) keeps. No sample changes, and orientation stays.

    format   as `sniff` names it
    notices  receives what was removed and changes how the picture is shown, and what followed the picture; complete
             after the last piece

    Raises UnsupportedError where something can't be removed from the container, FormatError where it is broken and
    LimitError where it is too large to be examined. The first piece comes after these checks.
    """
    if format not in MODULES:
        raise UnsupportedError(f"{format}: metadata can't be removed from this format")
    module = importlib.import_module(f"{__name__}.{MODULES[format]}")
    pieces: Iterator[bytes] = module.without_metadata(source, policy, notices)
    return pieces


def uncarried(format: str, source: Readable) -> list[str]:
    """Name the metadata of a file that have no field in `metadata.Attachments`, so that they get lost in a new file."""
    if format not in MODULES:
        return []
    found: list[str] = importlib.import_module(f"{__name__}.{MODULES[format]}").uncarried(source)
    return found
