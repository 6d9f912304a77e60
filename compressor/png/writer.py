"""PNG out: scanlines filtered row by row (W3C PNG clause 12.7), deflated and framed as they come. Lossless."""

import itertools
import zlib
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from compressor.kernels.pngfilter import filter_rows
from compressor.png.chunks import SIGNATURE, frame
from compressor.png.header import PALETTE, Header, ihdr
from compressor.png.metadata import kept
from compressor.settings import Effort, Metadata

OUTPUT_BYTES = 1 << 18  # of one piece of output; an IDAT chunk fills it
FILTER_BYTES = 1 << 18  # filtered and deflated at a time
# zlib 1.2.13, memLevel 9, share of the filtered bytes and MB/s on three Kodak images | a 1.2 MP camera crop:
#   level 1  0.50 0.70 0.46  40 | 0.187 90        level 6  0.47 0.73 0.43  11 | 0.137 19
#   level 3  0.48 0.70 0.45  28 | 0.159 47        level 9  0.46 0.73 0.43   5 | 0.121  1
# Z_FILTERED is within 1 % on these but 3 % worse on the second at 6 and 9 (3 to 8 % better on scanned text).
LEVELS = {Effort.FAST: 3, Effort.BALANCED: 6, Effort.BEST: 9}


def write(
    header: Header,
    bands: Iterable[NDArray[np.uint8]],
    *,
    effort: Effort = Effort.BALANCED,
    metadata: Metadata = Metadata.KEEP,
) -> Iterator[bytes]:
    """The bytes of a PNG, in pieces of at most 256 KiB.

    header  as read, or new: its chunks come before the image data, its trailing ones behind; those are looked at
            only when the bands have ended, so both may come from the reader that is being read
            what they say of interlacing counts for nothing: the scanlines are written as they come
    bands   unfiltered scanlines, uint8 (n, row_bytes) or (n, width, samples), any n, `header.height` in all
    """
    head = (frame(chunk.type, chunk.data) for chunk in kept(header.chunks, metadata))
    yield from _pieces(itertools.chain((SIGNATURE, frame(b"IHDR", ihdr(header))), head))
    yield from _image_data(header, bands, effort)
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


def _image_data(header: Header, bands: Iterable[NDArray[np.uint8]], effort: Effort) -> Iterator[bytes]:
    """The IDAT chunks."""
    deflate = zlib.compressobj(LEVELS[effort], zlib.DEFLATED, 15, 9)
    held = bytearray()
    most = OUTPUT_BYTES - 12
    for filtered in _filtered(header, bands):
        held += deflate.compress(filtered.data)
        while len(held) >= most:
            yield frame(b"IDAT", bytes(held[:most]))
            del held[:most]
    held += deflate.flush()
    for at in range(0, len(held), most):
        yield frame(b"IDAT", bytes(held[at : at + most]))


def _filtered(header: Header, bands: Iterable[NDArray[np.uint8]]) -> Iterator[NDArray[np.uint8]]:
    """Scanlines with their filter types, some at a time; the array is reused."""
    width = header.row_bytes
    at_once = max(1, min(header.height, FILTER_BYTES // (1 + width)))
    out = np.zeros((at_once, 1 + width), np.uint8)
    above = np.zeros(width, np.uint8)
    # Neighbouring indices or packed samples say nothing about each other's value: filters only add noise (12.7).
    plain = header.color_type == PALETTE or header.bit_depth < 8
    count = 0
    for band in bands:
        rows = band.reshape(len(band), width)
        count += len(rows)
        for first in range(0, len(rows), at_once):
            part = rows[first : first + at_once]
            target = out[: len(part)]
            if plain:
                target[:, 1:] = part
            else:
                filter_rows(part, header.filter_distance, above, target)
            above[:] = part[-1]
            yield target
    if count != header.height:
        raise ValueError(f"{count} scanlines were given for an image of {header.height}")
