"""Files sent through a running service."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from compressor.client import Client

CHUNK_BYTES = 1 << 18


def read_chunks(path: Path) -> Iterator[bytes]:
    """Yield the bytes of a file."""
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def send(client: "Client", source: Path, result: Path, **settings: Any) -> tuple[Any, float, float]:
    """Stream a file through the service into another; return the report, and the seconds to the end and to the first
    byte of the result.
    """
    from compressor.settings import Settings

    start = time.perf_counter()
    first = 0.0
    with client.stream(read_chunks(source), Settings(**settings)) as stream, result.open("wb") as file:
        for chunk in stream:
            first = first or time.perf_counter() - start
            file.write(chunk)
    return stream.report, time.perf_counter() - start, first
