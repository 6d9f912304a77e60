"""The kinds of input that are accepted as an image, and their bytes as chunks: the same for all entry points.

bytes, bytearray, memoryview   an encoded file
str, os.PathLike               where one is
a binary file                  one, from where the file stands
a NumPy array                  samples (h, w) or (h, w, 1 to 4) of uint8
a Pillow image                 its samples
any other iterable             chunks of an encoded file, or tiles where the call announces them by `raw`
"""

import os
import sys
from collections.abc import Iterable, Iterator
from enum import Enum, auto
from typing import Any

from compressor.errors import SettingsError
from compressor.settings import Tile

ACCEPTED = "must be bytes, a path, a binary file, a NumPy array, a Pillow image, or chunks of bytes"


class Kind(Enum):
    """Kinds of input."""

    BYTES = auto()
    PATH = auto()
    FILE = auto()
    ARRAY = auto()
    PICTURE = auto()
    PARTS = auto()


def kind_of(source: object) -> Kind:
    """Return what a source is. Raises SettingsError for what can't be an image.

    An array or a picture is known without importing NumPy or Pillow: where there is one, they have been imported.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        return Kind.BYTES
    if isinstance(source, str | os.PathLike):
        return Kind.PATH
    if _is_a(source, "numpy", "ndarray"):
        return Kind.ARRAY
    if _is_a(source, "PIL.Image", "Image"):
        return Kind.PICTURE
    if hasattr(source, "read"):
        return Kind.FILE
    if isinstance(source, Iterable):
        return Kind.PARTS
    raise SettingsError("source", f"is of type {type(source).__name__}, {ACCEPTED}")


def _is_a(source: object, module: str, name: str) -> bool:
    kind = getattr(sys.modules.get(module), name, None)
    return kind is not None and isinstance(source, kind)


def is_replayable(source: object) -> bool:
    """Return whether it can be read a second time, which an open file and an iterator can't."""
    return kind_of(source) is not Kind.FILE and not isinstance(source, Iterator)


def chunks_of(source: Any, kind: Kind, chunk_bytes: int) -> Iterator[bytes]:
    """Return an iterator of the bytes of an encoded file, which opens a path when it is first asked.

    The chunks of a caller's own iterable are passed through, whatever their size. It holds none of them: what is being
    made next may be large.
    """
    match kind:
        case Kind.BYTES:
            return _slices(source, chunk_bytes)
        case Kind.PATH:
            return _read_path(source, chunk_bytes)
        case Kind.FILE:
            return map(chunk_in, iter(lambda: source.read(chunk_bytes), b""))
        case Kind.PARTS:
            return map(chunk_in, source)
    raise AssertionError(f"{kind} has no encoded bytes")


def tiles_of(source: Any) -> Iterator[Tile]:
    """Return an iterator of the tiles that a caller has announced by `raw`."""
    if kind_of(source) is not Kind.PARTS:
        raise SettingsError("source", f"is of type {type(source).__name__}, must be an iterable of tiles, as raw says")
    return map(tile_in, source)


def chunk_in(part: object) -> bytes:
    """Return a chunk as bytes. Raises SettingsError where it is none."""
    if isinstance(part, bytes):
        return part
    if isinstance(part, bytearray | memoryview):
        return bytes(part)
    hint = ""
    if isinstance(part, str):
        hint = ": open files in binary mode"
    elif isinstance(part, Tile):
        hint = ": tiles need raw, which says their geometry"
    raise SettingsError("source", f"gives {type(part).__name__}, must give chunks of bytes{hint}")


def tile_in(part: object) -> Tile:
    """Return a tile. Raises SettingsError where it is none."""
    if not isinstance(part, Tile):
        raise SettingsError("source", f"gives {type(part).__name__}, must give tiles, as raw says")
    return part


def shape_of(array: Any) -> tuple[int, int, int]:
    """Return height, width and channels of an array. Raises SettingsError where its samples are no image."""
    shape = tuple(array.shape)
    height, width, channels = shape if len(shape) == 3 else (*shape, 1) if len(shape) == 2 else (0, 0, 0)
    if array.dtype != "uint8" or 0 in (height, width) or channels not in (1, 2, 3, 4):
        hint = "; channels come last" if len(shape) == 3 and channels > 4 and shape[0] <= 4 else ""
        wanted = "must be uint8 (height, width) or (height, width, 1 to 4 channels)"
        raise SettingsError("source", f"is an array of {array.dtype} {shape}, {wanted}{hint}")
    return height, width, channels


def _slices(data: bytes | bytearray | memoryview, size: int) -> Iterator[bytes]:
    """Pieces of bytes that are there as a whole; they are copied one by one."""
    view = memoryview(data)
    flat = view.cast("B") if view.c_contiguous else memoryview(view.tobytes())
    for at in range(0, len(flat), size):
        yield bytes(flat[at : at + size])


def _read_path(path: str | os.PathLike[str], size: int) -> Iterator[bytes]:
    with open(path, "rb") as file:
        while chunk := file.read(size):
            yield chunk
