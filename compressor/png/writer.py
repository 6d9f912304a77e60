"""PNG out: scanlines filtered row by row (W3C PNG clause 12.7), deflated and framed as they come. Lossless."""

import itertools
from collections.abc import Iterable, Iterator

import numpy as np

from compressor.kernels.png.filter import filter_rows
from compressor.png.chunks import SIGNATURE, frame
from compressor.png.deflate import deflater
from compressor.png.filters import Bytes, first_choice, scratch
from compressor.png.header import PngHeader, ihdr
from compressor.png.policy import kept
from compressor.settings import Effort, Metadata

OUTPUT_BYTES = 1 << 18  # of one piece of output; an IDAT chunk fills it
FILTER_BYTES = 1 << 18  # filtered and deflated at a time


def write(
    header: PngHeader,
    bands: Iterable[Bytes],
    *,
    effort: Effort = Effort.BALANCED,
    metadata: Metadata = Metadata.KEEP,
    choice: int | None = None,
) -> Iterator[bytes]:
    """The bytes of a PNG, in pieces of at most 256 KiB.

    header  as read, or new: its chunks come before the image data, its trailing ones behind; those are looked at
            only when the bands have ended, so both may come from the reader that is being read
            what they say of interlacing counts for nothing: the scanlines are written as they come
    bands   unfiltered scanlines, uint8 (n, row_bytes) or (n, width, samples), any n, `header.height` in all
    choice  of filters, as `filter_rows` takes it; None: what is best for the first scanlines
    """
    head = (frame(chunk.type, chunk.data) for chunk in kept(header.chunks, metadata))
    yield from _pieces(itertools.chain((SIGNATURE, frame(b"IHDR", ihdr(header))), head))
    yield from _image_data(header, bands, effort, choice)
    tail = (frame(chunk.type, chunk.data) for chunk in kept(header.trailing, metadata))
    yield from _pieces(itertools.chain(tail, (frame(b"IEND", b""),)))


def _pieces(parts: Iterable[bytes]) -> Iterator[bytes]:
    """The parts joined, and cut where they are long."""
    held = bytearray()
    for part in parts:
        held += part
        while len(held) > OUTPUT_BYTES:
            yield bytes(held[:OUTPUT_BYTES])
            del held[:OUTPUT_BYTES]
    yield bytes(held)


def _image_data(header: PngHeader, bands: Iterable[Bytes], effort: Effort, choice: int | None) -> Iterator[bytes]:
    """The IDAT chunks."""
    deflate = deflater(effort)
    held = bytearray()
    most = OUTPUT_BYTES - 12
    for filtered in _filtered(header, bands, effort, choice):
        held += deflate.compress(filtered.data)
        while len(held) >= most:
            yield frame(b"IDAT", bytes(held[:most]))
            del held[:most]
    held += deflate.flush()
    for at in range(0, len(held), most):
        yield frame(b"IDAT", bytes(held[at : at + most]))


def _filtered(header: PngHeader, bands: Iterable[Bytes], effort: Effort, choice: int | None) -> Iterator[Bytes]:
    """Scanlines with their filter types, some at a time; the array is reused."""
    width = header.row_bytes
    at_once = max(1, min(header.height, FILTER_BYTES // (1 + width)))
    out = np.zeros((at_once, 1 + width), np.uint8)
    above = np.zeros(width, np.uint8)
    seen = scratch()
    count = 0
    for band in bands:
        rows = band.reshape(len(band), width)
        count += len(rows)
        for first in range(0, len(rows), at_once):
            part = rows[first : first + at_once]
            target = out[: len(part)]
            if choice is None:
                choice = first_choice(header, part, effort)
            filter_rows(part, header.filter_distance, above, choice, seen, target)
            above[:] = part[-1]
            yield target
    if count != header.height:
        raise ValueError(f"{count} scanlines were given for an image of {header.height}")
