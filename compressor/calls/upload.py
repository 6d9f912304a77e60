"""The parts of an upload in their order: `settings`, then `chunk`s or `raw` and `tile`s, then `finish`.

Runs on the call's thread, on whatever yields parts, and knows no gRPC. What it promises: an upload that did not end
with a `finish` that agrees in length and checksum raises IncompleteError, however it ended.
"""

from collections.abc import Iterable, Iterator
from typing import TypeAlias

import google_crc32c

from compressor import wire
from compressor.errors import IncompleteError, SettingsError
from compressor.settings import Raw, Settings, Tile
from compressor.v1 import compressor_pb2 as pb

Part: TypeAlias = Settings | bytes | Raw | Tile | pb.Finish


def part_of(request: pb.CompressRequest | pb.InspectRequest) -> tuple[Part, int]:
    """The part that a message carries and the bytes of image or metadata in it. Every `bytes` field is read once: it
    is copied."""
    match request.WhichOneof("part"):
        case "settings":
            return wire.settings_from_proto(request.settings), 0
        case "chunk":
            chunk = request.chunk
            return chunk, len(chunk)
        case "raw":
            raw = wire.raw_from_proto(request.raw)
            return raw, sum(raw.metadata_bytes().values())
        case "tile":
            tile = wire.tile_from_proto(request.tile)
            return tile, len(tile.pixels)
        case "finish":
            return request.finish, 0
    raise SettingsError("part", "is empty, must be one of settings, chunk, raw, tile, finish")


class Upload:
    """What the pipeline is given: `settings`, `raw` or None, and `chunks` or tiles, checked on their way.

    The constructor pulls the first two parts.
    """

    def __init__(self, parts: Iterable[Part]) -> None:
        self._parts = iter(parts)
        self._bytes = 0
        self._crc32c = 0
        first = self._next()
        if not isinstance(first, Settings):
            raise SettingsError("part", f"is {_name(first)}, must be settings first")
        self.settings = first
        second = self._next()
        self.raw = second if isinstance(second, Raw) else None
        self._held: Part | None = None if self.raw else second
        # Bytes of the file, or tiles where `raw` announced them; the end is reached only where `finish` agrees.
        self.chunks: Iterator[bytes | Tile] = self._walk()

    def _next(self) -> Part:
        for part in self._parts:
            return part
        raise IncompleteError("the upload ended without `finish`: it was cut off")

    def drain(self) -> None:
        """Read what the pipeline left, so that nothing is given out before `finish` was seen."""
        for _ in self.chunks:
            pass

    def _walk(self) -> Iterator[bytes | Tile]:
        wanted = Tile if self.raw else bytes
        while True:
            part, self._held = (self._held if self._held is not None else self._next()), None
            if isinstance(part, pb.Finish):
                return self._verify(part)
            if not isinstance(part, wanted):
                raise SettingsError("part", f"is {_name(part)}, must be {'tile' if self.raw else 'chunk'} or finish")
            data = part.pixels if isinstance(part, Tile) else part
            assert isinstance(data, bytes)
            self._bytes += len(data)
            self._crc32c = google_crc32c.extend(self._crc32c, data)
            del data
            yield part
            del part  # or it would be kept while the next one is waited for

    def _verify(self, finish: pb.Finish) -> None:
        if finish.total_bytes != self._bytes:
            raise IncompleteError(f"{self._bytes} bytes arrived, `finish` says {finish.total_bytes}")
        if finish.HasField("crc32c") and finish.crc32c != self._crc32c:
            raise IncompleteError(f"the CRC-32C is {self._crc32c:08x}, `finish` says {finish.crc32c:08x}")


def _name(part: Part) -> str:
    return "chunk" if isinstance(part, bytes) else type(part).__name__.lower()
