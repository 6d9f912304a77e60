"""The parts of an upload in their order: `settings`, then `chunk`s or `raw` and `tile`s, then `finish`.

Runs on the call's thread, on any iterable of parts. It guarantees that an upload whose end is not a `finish` of the
right length and checksum raises IncompleteError, however it ended.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import google_crc32c

from compressor.errors import IncompleteError, SettingsError
from compressor.settings import Raw, Settings, Tile


@dataclass(frozen=True, slots=True)
class Finish:
    """The end of an upload.

    total_bytes  of all chunks, or of the pixels of all tiles
    crc32c       of the same bytes; None if the sender does not give it
    """

    total_bytes: int
    crc32c: int | None = None


UploadPart: TypeAlias = Settings | bytes | Raw | Tile | Finish


class Upload:
    """An upload as the pipeline takes it: `settings`, `raw` or None, and `chunks`, which are counted as they are read.

    The constructor reads the first two parts.
    """

    def __init__(self, parts: Iterable[UploadPart]) -> None:
        self._parts = iter(parts)
        self._bytes = 0
        self._crc32c = 0
        first = self._next()
        if not isinstance(first, Settings):
            raise SettingsError("part", f"is {_name(first)}, must be settings first")
        self.settings = first
        second = self._next()
        self.raw = second if isinstance(second, Raw) else None
        self.delivery = first.delivery_of(raw=self.raw is not None)
        self._held: UploadPart | None = None if self.raw else second
        # Bytes of the file, or tiles if there is `raw`. They end only if `finish` agrees with them.
        self.chunks: Iterator[bytes | Tile] = self._walk()

    def _next(self) -> UploadPart:
        for part in self._parts:
            return part
        raise IncompleteError("the upload was cut off: it ended without `finish`")

    def drain(self) -> None:
        """Read what the pipeline left unread, up to `finish`: no result is complete before."""
        for _ in self.chunks:
            pass

    def _walk(self) -> Iterator[bytes | Tile]:
        wanted = Tile if self.raw else bytes
        while True:
            part, self._held = (self._held if self._held is not None else self._next()), None
            if isinstance(part, Finish):
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

    def _verify(self, finish: Finish) -> None:
        if finish.total_bytes != self._bytes:
            raise IncompleteError(f"{self._bytes} bytes arrived, `finish` says {finish.total_bytes}")
        if finish.crc32c is not None and finish.crc32c != self._crc32c:
            raise IncompleteError(f"the CRC-32C is {self._crc32c:08x}, `finish` says {finish.crc32c:08x}")


def _name(part: UploadPart) -> str:
    return "chunk" if isinstance(part, bytes) else type(part).__name__.lower()
