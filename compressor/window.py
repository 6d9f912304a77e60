"""Buffered random access, so that many small reads become few large ones."""

from collections.abc import Callable

WINDOW_BYTES = 1 << 16


class Window:
    """Random access to a source in small pieces.

    fetch  returns `count` bytes from `start`, fewer at the end: `Readable.read`, or the equivalent for an open file
    size   of the source
    """

    def __init__(self, fetch: Callable[[int, int], bytes], size: int) -> None:
        self._fetch, self.size = fetch, size
        self._start, self._held = 0, b""

    def read(self, start: int, count: int) -> bytes:
        """Return `count` bytes from `start`, fewer at the end."""
        if count > WINDOW_BYTES:
            return self._fetch(start, count) if start < self.size else b""
        inside = start - self._start
        if not 0 <= inside <= len(self._held) - count:
            self._fill(start)
            inside = 0
        return self._held[inside : inside + count]

    def buffer(self, start: int) -> tuple[bytes, int]:
        """Return buffered bytes and the index of `start` in them, which is their length at the end of the source."""
        if not 0 <= start - self._start < len(self._held):
            self._fill(start)
        return self._held, start - self._start

    def _fill(self, start: int) -> None:
        self._start, self._held = start, self._fetch(start, WINDOW_BYTES) if start < self.size else b""
