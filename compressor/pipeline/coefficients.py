"""Where coefficient rows come from, whatever the process of a JPEG, and how two images' rows are compared."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from compressor.bytestream import ByteStream
from compressor.jpeg.frame import Header, Row
from compressor.jpeg.reader import read_rows
from compressor.jpeg.scan_search import Coding
from compressor.jpeg.scans import Scans, tables_of
from compressor.jpeg.zero_steps import without_zero_steps
from compressor.kernels import packing
from compressor.pipeline.stages import Stages
from compressor.spool import Spool

PACKED_BLOCKS = 1024  # of a row, by one call


@dataclass(frozen=True, slots=True)
class Coefficients:
    """A JPEG whose coefficient rows can be had: as it arrives, or in several scans from a spool.

    rest     what follows the image, to be taken after the rows
    end      where in the source the image ends; asked for between the rows and the rest
    source   the whole file, once the rest has been taken; where delivery is immediate it is not there
    coding   its scans in their order, each with its Huffman tables
    lacking  coefficients that the scans leave out, as `Scans.lacking` names them; "" for a complete file
    """

    header: Header
    rows: Iterator[Row]
    rest: Iterator[bytes]
    end: Callable[[], int]
    source: Spool
    coding: Coding
    lacking: str = ""


def read_coefficients(
    stream: ByteStream, header: Header, original: Spool, stages: Stages, hold: Callable[[int], None]
) -> Coefficients:
    """As the file arrives, or, where a row needs several scans, from the spool when all of it is there.

    stream    behind the header, copying to `original`
    """
    if header.streams:
        coding = [(header.scan, {key: header.huffman[key] for key in tables_of(header.scan, False)})]
        rows = without_zero_steps(read_rows(stream, header), header)
        return Coefficients(header, rows, stream.drain(), lambda: stream.offset, original, coding)
    for _ in stream.drain():
        pass
    with stages.stage("decode"):
        found = Scans(original, header, hold)
    coding = [(each.scan, each.huffman) for each in found.headers]
    rows = without_zero_steps(found.rows(), header)
    return Coefficients(header, rows, _behind(found, original), lambda: found.end, original, coding, found.lacking)


def _behind(scans: Scans, original: Spool) -> Iterator[bytes]:
    """Yield what follows the image; where that begins may be known only after its rows."""
    yield from original.chunks(scans.end)


class Fingerprint:
    """Of coefficient rows: those of two images are the same where all rows are. It is that of their packed form, which
    is made faster than the whole arrays are hashed, and is a quarter of them or less."""

    def __init__(self) -> None:
        self._hash = blake2b(digest_size=32)
        self._packed = np.empty(PACKED_BLOCKS * packing.BLOCK_BYTES_MAX, np.uint8)

    def add(self, row: Row) -> None:
        for first in range(0, len(row), PACKED_BLOCKS):
            size = packing.pack(row, first, min(PACKED_BLOCKS, len(row) - first), self._packed)
            self.add_packed(self._packed[:size].data)

    def add_packed(self, data: memoryview) -> None:
        """The same where a row's blocks are packed already."""
        self._hash.update(data)

    def digest(self) -> bytes:
        return self._hash.digest()
