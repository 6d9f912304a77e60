"""The coefficients of a JPEG of any process, and a fingerprint to compare those of two files."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from compressor.bytestream import ByteStream
from compressor.jpeg.frame import Header, Slab
from compressor.jpeg.reader import read_slabs
from compressor.jpeg.scan_search import Coding
from compressor.jpeg.scans import Scans, tables_of
from compressor.jpeg.zero_steps import without_zero_steps
from compressor.kernels import packing
from compressor.pipeline.stages import Stages
from compressor.spool import Spool

PACKED_BLOCKS = 1024  # of a slab, in one call


@dataclass(frozen=True, slots=True)
class Coefficients:
    """The coefficients of a JPEG. Take the slabs first, then ask for `end`, then take the rest.

    slabs    as the file arrives or, if there are several scans, from a spool
    rest     the bytes that follow the image
    end      return the offset in the source at which the image ends
    source   the whole file once the rest has been taken; incomplete if delivery is immediate
    coding   its scans in their order, each with its Huffman tables
    lacking  coefficients that the scans leave out, as `Scans.lacking` names them; "" for a complete file
    """

    header: Header
    slabs: Iterator[Slab]
    rest: Iterator[bytes]
    end: Callable[[], int]
    source: Spool
    coding: Coding
    lacking: str = ""


def read_coefficients(
    stream: ByteStream, header: Header, original: Spool, stages: Stages, charge: Callable[[int], None]
) -> Coefficients:
    """Begin to read coefficients: at once or, if there are several scans, once the whole file has been spooled.

    stream    positioned after the header, copying to `original`
    """
    if header.streams:
        coding = [(header.scan, {key: header.huffman[key] for key in tables_of(header.scan, False)})]
        slabs = without_zero_steps(read_slabs(stream, header), header)
        return Coefficients(header, slabs, stream.drain(), lambda: stream.offset, original, coding)
    for _ in stream.drain():
        pass
    with stages.stage("decode"):
        found = Scans(original, header, charge)
    coding = [(each.scan, each.huffman) for each in found.headers]
    slabs = without_zero_steps(found.slabs(), header)
    return Coefficients(header, slabs, _rest(found, original), lambda: found.end, original, coding, found.lacking)


def _rest(scans: Scans, original: Spool) -> Iterator[bytes]:
    """Yield the bytes after the image; their offset may be known only after the slabs."""
    yield from original.chunks(scans.end)


class Fingerprint:
    """A hash of slabs: equal for two images if and only if all their coefficients are equal.

    They are hashed in their packed form. Packing takes less time than hashing the arrays would, and gives a quarter of
    their bytes or less.
    """

    def __init__(self) -> None:
        self._hash = blake2b(digest_size=32)
        self._packed, self._end = np.empty(PACKED_BLOCKS * packing.BLOCK_BYTES_MAX, np.uint8), np.empty(1, np.int64)

    def add(self, slab: Slab) -> None:
        """Add a slab that is not packed."""
        for first in range(0, len(slab), PACKED_BLOCKS):
            count = min(PACKED_BLOCKS, len(slab) - first)
            size = packing.pack(slab, first, count, count, self._end, self._packed)
            self.add_packed(self._packed[:size].data)

    def add_packed(self, data: memoryview) -> None:
        """Add blocks that are already packed."""
        self._hash.update(data)

    def adding(self, slabs: Iterator[Slab]) -> Iterator[Slab]:
        """Yield slabs, each added first."""
        for slab in slabs:
            self.add(slab)
            yield slab

    def digest(self) -> bytes:
        """Return the BLAKE2b hash of all slabs so far, 32 bytes."""
        return self._hash.digest()
