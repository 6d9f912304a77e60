"""The input as readers see it: chunks of any size come in, any number of bytes is taken, every byte has an offset."""

from collections.abc import Callable, Iterable, Iterator


class ByteStream:
    """Reads from an iterator of byte chunks, pulling one only when the ones before are used up.

    offset  of the next byte that will be taken, from the start of the input
    size    offset behind the bytes pulled from the iterator so far
    copy    called with every chunk that is pulled, or None: where the source is kept for a second look
    hold    called with the size of what will be kept in memory, before it is read: where memory is accounted for

    `start` is the offset of the first byte, where the chunks begin inside a file.
    """

    def __init__(
        self,
        chunks: Iterable[bytes],
        copy: Callable[[bytes], object] | None = None,
        start: int = 0,
        hold: Callable[[int], object] = lambda count: None,
    ) -> None:
        self._chunks: Iterator[bytes] = iter(chunks)
        self._buffer = b""
        self._at = 0
        self._remembered: list[bytes] | None = None
        self._room = 0
        self.size = start
        self.copy = copy
        self.hold = hold

    @property
    def offset(self) -> int:
        """Offset of the next byte to be taken."""
        return self.size - (len(self._buffer) - self._at)

    def _pull(self) -> bytes:
        for chunk in self._chunks:
            if chunk:
                self.size += len(chunk)
                if self.copy is not None:
                    self.copy(chunk)
                return chunk
        return b""

    def peek(self, count: int) -> bytes:
        """The next `count` bytes without taking them; fewer only where the input ends."""
        while len(self._buffer) - self._at < count:
            chunk = self._pull()
            if not chunk:
                break
            self._buffer = self._buffer[self._at :] + chunk
            self._at = 0
        return self._buffer[self._at : self._at + count]

    def read(self, count: int) -> bytes:
        """Take `count` bytes; fewer only where the input ends."""
        taken = self.peek(count)
        self._take(taken)
        return taken

    def keep(self, count: int) -> bytes:
        """Take `count` bytes that stay in memory while the image is worked on."""
        self.hold(count)
        pieces = []
        while count and (piece := self.some(count)):
            pieces.append(piece)
            count -= len(piece)
        return b"".join(pieces)

    def some(self, limit: int) -> bytes:
        """Take what is at hand: at least one byte, at most `limit`; b"" where the input ends."""
        if self._at == len(self._buffer):
            self._buffer, self._at = self._pull(), 0
        taken = self._buffer[self._at : self._at + limit]
        self._take(taken)
        return taken

    def _take(self, data: bytes) -> None:
        self._at += len(data)
        if self._remembered is not None:
            self._room -= len(data)
            self._remembered.append(data)
            if self._room < 0:
                self._remembered = None

    def remember(self, before: bytes, limit: int) -> None:
        """Remember what is taken from now on, for `go_back`, and what was taken right before.

        limit  bytes from now on; when more are taken, all is forgotten
        """
        self._remembered, self._room = [before], limit

    def go_back(self) -> bool:
        """Let what is remembered come again; False where it was forgotten, which changes nothing."""
        if self._remembered is None:
            return False
        self._buffer = b"".join([*self._remembered, self._buffer[self._at :]])
        self._at, self._remembered = 0, None
        return True

    def forget(self) -> None:
        """Remember nothing any more."""
        self._remembered = None

    def drain(self) -> Iterator[bytes]:
        """Take all that is left, chunk by chunk."""
        while chunk := self.some(1 << 18):
            yield chunk
