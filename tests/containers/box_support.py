"""Helpers for the tests of formats made of boxes."""

import io
import random
import tracemalloc
from collections.abc import Iterator

import numpy as np
import pyvips
from PIL import Image

from compressor import containers
from compressor.errors import CompressorError
from compressor.settings import Metadata
from compressor.sniff import sniff
from compressor.spool import BytesSource

POLICIES = (Metadata.COLOR, Metadata.STRIP)


def reduced(data: bytes, policy: Metadata) -> tuple[bytes, list[str]]:
    """Return a file reduced by its container, and the notices."""
    notices: list[str] = []
    return b"".join(containers.without_metadata(sniff(data[:64]), BytesSource(data), policy, notices)), notices


def shown(data: bytes) -> tuple[np.ndarray, int]:
    """Return pixels and Exif orientation as Pillow reads them."""
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image), image.getexif().get(0x112, 1)


def shown_by_vips(data: bytes) -> np.ndarray:
    pixels: np.ndarray = pyvips.Image.new_from_buffer(data, "").numpy()
    return pixels


def mutants(data: bytes, seed: int, count: int) -> Iterator[bytes]:
    """Yield a file truncated, with wrong bytes, with wrong 32-bit integers, with parts removed or repeated."""
    rng = random.Random(seed)
    for end in range(0, len(data), max(1, len(data) // 100)):
        yield data[:end]
    for _ in range(count):
        mutant = bytearray(data)
        for _ in range(rng.choice((1, 1, 2, 8))):
            at = rng.randrange(len(mutant))
            match rng.randrange(4):
                case 0:
                    mutant[at] = rng.randrange(256)
                case 1:
                    mutant[at] ^= 1 << rng.randrange(8)
                case 2:
                    number = rng.choice((0, 1, 7, 8, 9, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, len(data), at))
                    mutant[at : at + 4] = number.to_bytes(4, "big")
                case 3:
                    end = min(len(mutant), at + rng.randrange(1, 40))
                    mutant[at:end] = mutant[at:end] * rng.choice((0, 2)) or b"\0"
        yield bytes(mutant)


def survives(data: bytes) -> bool:
    """Return whether a file ends in one of our errors or in a result that a second run does not change."""
    for policy in POLICIES:
        try:
            result, _ = reduced(data, policy)
        except CompressorError as error:
            assert "\n" not in str(error)
            continue
        again, _ = reduced(result, policy)
        if again != result:
            return False
    containers.unmapped_metadata(sniff(data[:64]), BytesSource(data))
    return True


def peak_bytes(data: bytes) -> int:
    """Return the peak memory of `reduced` without the file and the result."""
    tracemalloc.start()
    try:
        for _ in containers.without_metadata(sniff(data[:64]), BytesSource(data), Metadata.STRIP, []):
            pass
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
