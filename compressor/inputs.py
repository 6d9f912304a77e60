"""The kinds of input that are accepted as an image, at all entry points, and their bytes as chunks.

bytes, bytearray, memoryview   an encoded file
str, os.PathLike               the path of an encoded file
a binary file                  an encoded file, read from the current position
a NumPy array                  samples (h, w) or (h, w, 1 to 4) of uint8
a Pillow image                 its samples
any other iterable             chunks of an encoded file, or tiles if the call has `raw`
"""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from compressor.errors import SettingsError
from compressor.settings import Tile

if TYPE_CHECKING:
    import numpy


class BinaryReader(Protocol):
    """A binary file, of which only `read` is used."""

    def read(self, size: int, /) -> bytes: ...


class PillowImage(Protocol):
    """An image of Pillow's, which is not imported for its type alone."""

    info: dict[str | tuple[int, int], Any]

    @property
    def mode(self) -> str: ...

    @property
    def size(self) -> tuple[int, int]: ...

    def getexif(self) -> Any: ...


BytesLike: TypeAlias = bytes | bytearray | memoryview
FileInput: TypeAlias = str | os.PathLike[str] | BytesLike | BinaryReader | Iterable[BytesLike]
Input: TypeAlias = "FileInput | numpy.ndarray[Any, Any] | PillowImage"

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
    """Return the kind of a source. Raises SettingsError for what can't be an image.

    NumPy and Pillow are not imported for that: if the source is one of theirs, they have been imported already.
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
    raise SettingsError("image", f"is of type {type(source).__name__}, {ACCEPTED}")


def _is_a(source: object, module: str, name: str) -> bool:
    kind = getattr(sys.modules.get(module), name, None)
    return kind is not None and isinstance(source, kind)


def is_replayable(source: object) -> bool:
    """Return whether a source can be read from its start again. An open file and an iterator can't."""
    return kind_of(source) is not Kind.FILE and not isinstance(source, Iterator)


class Replayable:
    """Replayable chunks: each iteration calls `chunks` for its own iterator."""

    def __init__(self, chunks: Callable[[], Iterator[bytes]]) -> None:
        self._chunks = chunks

    def __iter__(self) -> Iterator[bytes]:
        return self._chunks()


def chunks_of(source: Any, kind: Kind, chunk_bytes: int) -> Iterator[bytes]:
    """Return an iterator of the bytes of an encoded file. A path is opened when the first chunk is read.

    Chunks of a caller's own iterable keep their size. None is held while the next one is made: it may be large.
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
    """Return an iterator of the tiles that `raw` describes."""
    if kind_of(source) is not Kind.PARTS:
        raise SettingsError(
            "image", f"is of type {type(source).__name__}, must be an iterable of tiles, since raw is given"
        )
    return map(tile_in, source)


def chunk_in(part: object) -> bytes:
    """Return a chunk as bytes. Raises SettingsError if it is not bytes-like."""
    if isinstance(part, bytes):
        return part
    if isinstance(part, bytearray | memoryview):
        return bytes(part)
    hint = ""
    if isinstance(part, str):
        hint = ": open files in binary mode"
    elif isinstance(part, Tile):
        hint = ": tiles need raw, which gives their geometry"
    raise SettingsError("image", f"yields {type(part).__name__}, must yield chunks of bytes{hint}")


def tile_in(part: object) -> Tile:
    """Return a tile. Raises SettingsError if it is something else."""
    if not isinstance(part, Tile):
        raise SettingsError("image", f"yields {type(part).__name__}, must yield tiles, since raw is given")
    return part


def shape_of(array: Any) -> tuple[int, int, int]:
    """Return height, width and channels of an array. Raises SettingsError if its samples can't be an image."""
    shape = tuple(array.shape)
    height, width, channels = shape if len(shape) == 3 else (*shape, 1) if len(shape) == 2 else (0, 0, 0)
    if array.dtype != "uint8" or 0 in (height, width) or channels not in (1, 2, 3, 4):
        hint = "; channels come last" if len(shape) == 3 and channels > 4 and shape[0] <= 4 else ""
        wanted = "must be uint8 (height, width) or (height, width, 1 to 4 channels)"
        raise SettingsError("image", f"is an array of {array.dtype} {shape}, {wanted}{hint}")
    return height, width, channels


def _slices(data: bytes | bytearray | memoryview, size: int) -> Iterator[bytes]:
    """Yield bytes in slices, each of which is copied."""
    view = memoryview(data)
    flat = view.cast("B") if view.c_contiguous else memoryview(view.tobytes())
    for at in range(0, len(flat), size):
        yield bytes(flat[at : at + size])


def _read_path(path: str | os.PathLike[str], size: int) -> Iterator[bytes]:
    with open(path, "rb") as file:
        while chunk := file.read(size):
            yield chunk
