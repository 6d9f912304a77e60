"""Helpers for the tests of all containers: sources in memory, reduced files, pixels of all frames, damage."""

import contextlib
import io
import time
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from PIL import Image, ImageSequence

from compressor import containers
from compressor.errors import CompressorError
from compressor.settings import Metadata

POLICIES = (Metadata.COLOR, Metadata.STRIP)


class Memory:
    """Bytes as a `Readable` that asserts that no read is larger than `most` bytes."""

    def __init__(self, data: bytes, most: int = 1 << 30) -> None:
        self.data, self.size, self.most = data, len(data), most

    def read(self, start: int, count: int) -> bytes:
        assert start >= 0 and 0 <= count <= self.most
        return self.data[start : start + count]

    def chunks(self) -> Iterator[bytes]:
        for at in range(0, self.size, 1 << 18):
            yield self.read(at, 1 << 18)


def reduced(format: str, data: bytes, policy: Metadata = Metadata.STRIP, notices: list[str] | None = None) -> bytes:
    """Return the whole reduced file."""
    found = [] if notices is None else notices
    return b"".join(containers.without_metadata(format, Memory(data), policy, found))


def frames(data: bytes, keys: tuple[str, ...] = ("duration", "loop")) -> list[tuple[Any, ...]]:
    """Return pixels and times of all frames as Pillow decodes them."""
    found = []
    with Image.open(io.BytesIO(data)) as image:
        for frame in ImageSequence.Iterator(image):
            pixels = np.asarray(frame.convert("RGBA") if frame.mode in ("P", "PA") else frame).tobytes()
            found.append((frame.size, frame.mode, pixels, *(frame.info.get(key) for key in keys)))
    return found


def damaged(data: bytes, count: int = 200, seed: int = 7) -> Iterator[bytes]:
    """Yield a file truncated at sampled points, with single bytes changed, and with four bytes set to extremes."""
    rng = np.random.default_rng(seed)
    for end in range(0, len(data), max(1, len(data) // count)):
        yield data[:end]
    for _ in range(count):
        version = bytearray(data)
        for at in rng.integers(0, len(data), int(rng.integers(1, 4))):
            version[at] = int(rng.integers(256))
        yield bytes(version)
    for _ in range(count // 2):
        version = bytearray(data)
        at = int(rng.integers(0, len(data) - 4))
        version[at : at + 4] = (b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f", b"\1\0\0\0")[rng.integers(4)]
        yield bytes(version)


def survives(format: str, data: bytes, check: Callable[[bytes], object] = lambda data: None) -> bool:
    """Reduce a file that may be broken and return whether that was possible. check: called with the result."""
    containers.unmapped_metadata(format, Memory(data))
    try:
        result = reduced(format, data)
    except CompressorError as error:
        assert "\n" not in str(error)
        return False
    assert reduced(format, result) == result
    check(result)
    return True


def seconds(format: str, data: bytes) -> float:
    """Return the CPU time that reducing or rejecting a file takes."""
    started = time.process_time()
    with contextlib.suppress(CompressorError):
        for _ in containers.without_metadata(format, Memory(data), Metadata.STRIP, []):
            pass
    return time.process_time() - started


def peak_bytes(format: str, data: bytes) -> int:
    """Return the memory that reducing a valid file allocates at most; slow for many small allocations."""
    source = Memory(data)
    tracemalloc.start()
    try:
        for _ in containers.without_metadata(format, source, Metadata.STRIP, []):
            pass
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
