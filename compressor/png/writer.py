"""Encoding of PNG: scanlines are filtered (W3C PNG clause 12.7), deflated and written as they arrive. Lossless."""

import itertools
from collections.abc import Iterable, Iterator

import numpy as np

from compressor import scratch
from compressor.cores import cores
from compressor.kernels.png.filter import filter_rows
from compressor.png.chunks import SIGNATURE, serialize_chunk
from compressor.png.deflate import deflater
from compressor.png.filters import first_choice, seen_pairs
from compressor.png.header import ByteArray, PngHeader, ihdr
from compressor.png.policy import kept_chunks
from compressor.settings import Effort, Metadata

OUTPUT_BYTES = 1 << 18  # of a piece of output and of an IDAT chunk
DEFLATED_BYTES = 1 << 16  # in one call: at level 9 zlib-ng compresses 7 MB/s of photographs


def write(
    header: PngHeader,
    bands: Iterable[ByteArray],
    *,
    effort: Effort = Effort.BALANCED,
    metadata: Metadata = Metadata.KEEP,
    choice: int | None = None,
) -> Iterator[bytes]:
    """Yield the bytes of a PNG, in pieces of at most 256 KiB.

    header  as read, or new. Its trailing chunks are written after the image data and read only when the bands have
            ended, so that both may come from the same reader. Its interlace method is ignored.
    bands   unfiltered scanlines, uint8 (n, row_bytes) or (n, width, samples), any n, `header.height` in all
    choice  of filters, as for `filter_rows`; None: the best one for the first scanlines
    """
    head = (serialize_chunk(chunk.type, chunk.data) for chunk in kept_chunks(header.chunks, metadata))
    yield from _pieces(itertools.chain((SIGNATURE, serialize_chunk(b"IHDR", ihdr(header))), head))
    yield from _image_data(header, bands, effort, choice)
    tail = (serialize_chunk(chunk.type, chunk.data) for chunk in kept_chunks(header.trailing, metadata))
    yield from _pieces(itertools.chain(tail, (serialize_chunk(b"IEND", b""),)))


def _pieces(parts: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the concatenated parts in pieces of at most OUTPUT_BYTES."""
    held = bytearray()
    for part in parts:
        held += part
        while len(held) > OUTPUT_BYTES:
            yield bytes(held[:OUTPUT_BYTES])
            del held[:OUTPUT_BYTES]
    yield bytes(held)


def _image_data(header: PngHeader, bands: Iterable[ByteArray], effort: Effort, choice: int | None) -> Iterator[bytes]:
    """Yield the IDAT chunks."""
    deflate = deflater(effort)
    held = bytearray()
    most = OUTPUT_BYTES - 12
    for piece in _pieces_of_slabs(_filtered(header, bands, effort, choice)):
        held += deflate.compress(piece)
        while len(held) >= most:
            yield serialize_chunk(b"IDAT", held[:most])
            del held[:most]
    held += deflate.flush()
    for at in range(0, len(held), most):
        yield serialize_chunk(b"IDAT", held[at : at + most])


def _pieces_of_slabs(slabs: Iterable[ByteArray]) -> Iterator[memoryview]:
    """Yield the bytes of slabs in pieces that take zlib-ng some 10 ms, and other threads a core in between."""
    for slab in slabs:
        data = memoryview(slab.reshape(-1))
        for at in range(0, len(data), DEFLATED_BYTES):
            yield data[at : at + DEFLATED_BYTES]
            cores.yield_if_contended()


def _filtered(header: PngHeader, bands: Iterable[ByteArray], effort: Effort, choice: int | None) -> Iterator[ByteArray]:
    """Yield filtered scanlines with their filter types, at most a slab at a time; the array is reused."""
    width, distance = header.row_bytes, header.filter_distance
    at_once = header.slab_lines
    out = scratch.empty((at_once, 1 + width), np.uint8)
    above = np.zeros(width, np.uint8)
    seen = seen_pairs()
    count = 0
    for band in bands:
        rows = band.reshape(len(band), width)
        count += len(rows)
        for first in range(0, len(rows), at_once):
            part = rows[first : first + at_once]
            target = out[: len(part)]
            if choice is None:
                choice = first_choice(header, part, effort)
            filter_rows(part, distance, above, choice, seen, target)
            above[:] = part[-1]
            yield target
    if count != header.height:
        raise ValueError(f"{count} scanlines were given for an image of {header.height}")
