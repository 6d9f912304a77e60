"""The output of a route, in pieces of a useful size."""

from collections.abc import Iterable, Iterator

from compressor.pipeline.routes import Route
from compressor.spool import CHUNK_BYTES

FLUSH_BYTES = 1 << 16  # output is joined to pieces of at least this size, except for the first bytes


def pieces_of(route: Route) -> Iterator[bytes | memoryview]:
    """Yield the head, then the body."""
    yield route.head()
    yield from route.body()


def coalesced(pieces: Iterable[bytes | memoryview]) -> Iterator[bytes]:
    """Yield the same bytes in chunks of FLUSH_BYTES to CHUNK_BYTES; the first piece is not held back."""
    held: list[bytes] = []
    size = 0
    for number, piece in enumerate(pieces):
        for at in range(0, len(piece), CHUNK_BYTES):
            part = bytes(piece[at : at + CHUNK_BYTES])
            if size + len(part) > CHUNK_BYTES:
                # Keep no reference while the reader is slow: it would hold several hundred KiB in every stalled call.
                joined, held, size = b"".join(held), [], 0
                yield joined
                del joined
            held.append(part)
            size += len(part)
        if size >= FLUSH_BYTES or (size and number == 1):
            joined, held, size = b"".join(held), [], 0
            yield joined
            del joined
    if held:
        yield b"".join(held)
