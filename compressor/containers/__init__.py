"""Lossless removal of metadata from files of the formats without a native path, by rewriting their containers. JPEG and
PNG have packages of their own.

Each format has a module with a `Container`.
"""

import importlib
from collections.abc import Iterator

from compressor.containers.container import Container
from compressor.errors import UnsupportedError
from compressor.humanize import human_format
from compressor.settings import Metadata
from compressor.spool import Readable

# Module and class of each format that can be reduced, loaded on use.
CONTAINERS = {
    "avif": ("heif", "HeifContainer"),
    "bmp": ("bmp", "BmpContainer"),
    "gif": ("gif", "GifContainer"),
    "heif": ("heif", "HeifContainer"),
    "jp2": ("jp2", "Jp2Container"),
    "jxl": ("jxl", "JxlContainer"),
    "pnm": ("pnm", "PnmContainer"),
    "tiff": ("tiff", "TiffContainer"),
    "webp": ("webp", "WebpContainer"),
}


def open_container(format: str, source: Readable) -> Container:
    """Return the container of a file. format: as `sniff` names it."""
    module, name = CONTAINERS[format]
    kind: type[Container] = getattr(importlib.import_module(f"{__name__}.{module}"), name)
    return kind(source)


def without_metadata(format: str, source: Readable, policy: Metadata, notices: list[str]) -> Iterator[bytes]:
    """Yield a file reduced to what `policy` keeps, as `Container.without_metadata` does.

    Raises UnsupportedError for other formats, too.
    """
    if format not in CONTAINERS:
        raise UnsupportedError(f"{human_format(format)}: metadata can't be removed from this format")
    return open_container(format, source).without_metadata(policy, notices)


def unmapped_metadata(format: str, source: Readable) -> list[str]:
    """Return `Container.unmapped_metadata` of a file, nothing for other formats."""
    return open_container(format, source).unmapped_metadata() if format in CONTAINERS else []
