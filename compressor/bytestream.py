"""A buffered reader of an input that arrives in chunks of any size; every byte has an offset."""

from collections.abc import Callable, Iterable, Iterator


class ByteStream:
    """Reads from an iterator of byte chunks, and pulls a chunk only when the previous ones are consumed.

    offset  of the next byte to read, from the start of the input
    size    bytes pulled from the iterator so far, plus `start`
    copy    called with every chunk that is pulled, to keep the source for a second pass, or None
    charge  called with the size of data that will stay in memory, before it is read

    `start` is the offset of the first byte, where the chunks begin inside a file.
    """

    def __init__(
        self,
        chunks: Iterable[bytes],
        copy: Callable[[bytes], object] | None = None,
        start: int = 0,
        charge: Callable[[int], object] = lambda count: None,
    ) -> None:
        self._chunks: Iterator[bytes] = iter(chunks)
        self._buffer = b""
        self._start = start  # offset of the buffer's first byte
        self._marked: list[bytes] | None = None
        self._room = 0
        self.offset = self.size = start
        self.copy = copy
        self.charge = charge

    def _pull(self) -> bytes:
        for chunk in self._chunks:
            if chunk:
                self.size += len(chunk)
                if self.copy is not None:
                    self.copy(chunk)
                return chunk
        return b""

    def peek(self, count: int) -> bytes:
        """Return the next `count` bytes without consuming them, fewer only at the end of the input."""
        at = self.offset - self._start
        while len(self._buffer) - at < count:
            chunk = self._pull()
            if not chunk:
                break
            self._buffer = self._buffer[at:] + chunk
            self._start, at = self.offset, 0
        return self._buffer[at : at + count]

    def read(self, count: int) -> bytes:
        """Read `count` bytes, fewer only at the end of the input."""
        at = self.offset - self._start
        taken = self._buffer[at : at + count]
        if len(taken) < count:
            taken = self.peek(count)
        if self._marked is None:
            self.offset += len(taken)
        else:
            self._consume(taken)
        return taken

    def skip(self, count: int) -> None:
        """Pass over `count` bytes that have been peeked at."""
        if self._marked is None:
            self.offset += count
        else:
            self.read(count)

    def read_charged(self, count: int) -> bytes:
        """Charge for `count` bytes, which stay in memory with the image, and read them."""
        self.charge(count)
        pieces = []
        while count and (piece := self.read_some(count)):
            pieces.append(piece)
            count -= len(piece)
        return b"".join(pieces)

    def read_some(self, limit: int) -> bytes:
        """Read what is buffered: at least one byte and at most `limit`, b"" at the end of the input."""
        if self.offset == self.size:
            self._buffer, self._start = self._pull(), self.offset
        at = self.offset - self._start
        taken = self._buffer[at : at + limit]
        self._consume(taken)
        return taken

    def _consume(self, data: bytes) -> None:
        self.offset += len(data)
        if self._marked is not None:
            self._room -= len(data)
            self._marked.append(data)
            if self._room < 0:
                self._marked = None

    def mark(self, before: bytes, limit: int) -> None:
        """Mark the current position for `reset`.

        before  the bytes read right before, which `reset` returns to as well
        limit   bytes that can be read before the mark becomes invalid
        """
        self._marked, self._room = [before], limit

    def reset(self) -> bool:
        """Return to the mark. Return False, without effect, where it is invalid."""
        if self._marked is None:
            return False
        self._buffer = b"".join([*self._marked, self._buffer[self.offset - self._start :]])
        self.offset = self._start = self.size - len(self._buffer)
        self._marked = None
        return True

    def clear_mark(self) -> None:
        """Remove the mark."""
        self._marked = None

    def drain(self) -> Iterator[bytes]:
        """Read the rest of the input, chunk by chunk."""
        while chunk := self.read_some(1 << 18):
            yield chunk
