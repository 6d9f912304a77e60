"""Encoding of PNG: scanlines are filtered (W3C PNG clause 12.7), deflated and written as they arrive. Lossless."""

import itertools
from collections.abc import Iterable, Iterator

import numpy as np

from compressor import scratch
from compressor.cores import cores
from compressor.png.chunks import SIGNATURE, serialize_chunk
from compressor.png.deflate import PIECE_BYTES, deflater
from compressor.png.filters import RowFilter, best_choice, level
from compressor.png.header import ByteArray, PngHeader, ihdr
from compressor.png.policy import kept_chunks
from compressor.settings import Effort, Metadata

OUTPUT_BYTES = 1 << 18  # of a piece of output and of an IDAT chunk
SLABS_OF_CHOICE = 4  # for which FAST chooses filters, by the first of them


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
    choice  of filters, as for `RowFilter`; None: the best one for the first slab of scanlines, with FAST for the
            first slab of every SLABS_OF_CHOICE
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
    deflate = deflater(effort, level(effort, choice))
    held = bytearray()
    most = OUTPUT_BYTES - 12
    for piece in _pieces_of_slabs(_filtered(header, bands, effort, choice), PIECE_BYTES[effort]):
        held += deflate.compress(piece)
        while len(held) >= most:
            yield serialize_chunk(b"IDAT", held[:most])
            del held[:most]
    held += deflate.flush()
    for at in range(0, len(held), most):
        yield serialize_chunk(b"IDAT", held[at : at + most])


def _pieces_of_slabs(slabs: Iterable[ByteArray], most: int) -> Iterator[memoryview]:
    """Yield the bytes of slabs, at most what is compressed at a time, and yield the core in between."""
    for slab in slabs:
        data = memoryview(slab.reshape(-1))
        for at in range(0, len(data), most):
            yield data[at : at + most]
            cores.yield_if_contended()


def _filtered(header: PngHeader, bands: Iterable[ByteArray], effort: Effort, choice: int | None) -> Iterator[ByteArray]:
    """Yield filtered scanlines with their filter types, a slab at a time; the array is reused."""
    width = header.row_bytes
    out = scratch.empty((header.slab_lines, 1 + width), np.uint8)
    above = np.zeros(width, np.uint8)
    filtered = None if choice is None else RowFilter(header, choice)
    for number, rows in enumerate(_slabs(header, bands)):
        if filtered is None or (choice is None and effort is Effort.FAST and number % SLABS_OF_CHOICE == 0):
            # With FAST a quarter, the last one: the next slabs follow it.
            tried = rows[-max(1, len(rows) // 4) :] if effort is Effort.FAST else rows
            filtered = RowFilter(header, best_choice(header, tried, effort))
        target = out[: len(rows)]
        filtered(rows, above, target)
        above[:] = rows[-1]
        yield target


def _slabs(header: PngHeader, bands: Iterable[ByteArray]) -> Iterator[ByteArray]:
    """Yield the scanlines a slab at a time, in whatever bands they come: filters are chosen by slabs, and a second run
    has to choose the same. The array may be reused.
    """
    width, most = header.row_bytes, header.slab_lines
    held = scratch.empty((most, width), np.uint8)
    filled = count = 0
    for band in bands:
        rows = band.reshape(len(band), width)
        count += len(rows)
        while len(rows):
            if not filled and len(rows) >= most:
                yield rows[:most]
                rows = rows[most:]
                continue
            part, rows = rows[: most - filled], rows[most - filled :]
            held[filled : filled + len(part)] = part
            filled += len(part)
            if filled == most:
                yield held
                filled = 0
    if filled:
        yield held[:filled]
    if count != header.height:
        raise ValueError(f"{count} scanlines were given for an image of {header.height}")
