"""PNG scanlines, a band at a time: inflate, undo the filters, expand to 8-bit pixels. No more than a band is held."""

import hashlib
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from compressor.bytestream import ByteStream
from compressor.errors import FormatError
from compressor.kernels.png.pixels import color_key, expand_bits, look_up, reduce16
from compressor.kernels.png.unfilter import unfilter
from compressor.png import interlace
from compressor.png.chunks import METADATA_BYTES_MAX, Chunk, ImageData, read_data, read_start, skip_data
from compressor.png.header import GREY, PALETTE, SAMPLES, PngHeader, read_header, take
from compressor.png.inflate import INFLATE_BYTES, Inflate
from compressor.png.policy import ANIMATION, CREDENTIALS, Passed, is_needed
from compressor.spool import Spool

Bytes = NDArray[np.uint8]


def scanlines(
    stream: ByteStream, header: PngHeader, lines: int, spool: Callable[[], Spool] | None = None
) -> Iterator[Bytes]:
    """The unfiltered scanlines, (n, row_bytes) with n = `lines` but for the last; the array is reused.

    spool  makes one, for the compressed data of an interlaced image: it is read to its end before the first line

    Samples are as in the file: packed where smaller than a byte, big-endian where 16 bits. When the iterator ends,
    `header.trailing` and `header.notices` are complete and the stream stands behind IEND.
    """
    if not header.interlaced:
        return _sequential(stream, header, lines)
    if spool is None:
        raise ValueError("an interlaced image needs a spool")
    return _interlaced(stream, header, lines, spool)


def _interlaced(stream: ByteStream, header: PngHeader, lines: int, spool: Callable[[], Spool]) -> Iterator[Bytes]:
    """The whole input first, then the lines."""
    assert header.image_data is not None
    compressed = spool()
    data = ImageData(stream, header.image_data, compressed.write)
    inflate = Inflate(data)
    starts = interlace.survey(header, data, inflate)
    _finish(stream, header, data, inflate)
    yield from interlace.bands(header, starts, compressed, lines)


def _sequential(stream: ByteStream, header: PngHeader, lines: int) -> Iterator[Bytes]:
    """The lines as they come in."""
    assert header.image_data is not None
    data = ImageData(stream, header.image_data)
    inflate = Inflate(data)
    width = header.row_bytes
    lines = min(lines, header.height)
    at_once = max(1, min(lines, INFLATE_BYTES // (1 + width)))
    filtered = np.empty(at_once * (1 + width), np.uint8)
    band = np.empty((lines, width), np.uint8)
    above = np.zeros(width, np.uint8)
    for top in range(0, header.height, lines):
        rows = band[: min(lines, header.height - top)]
        for first in range(0, len(rows), at_once):
            part = rows[first : first + at_once]
            source = filtered[: len(part) * (1 + width)]
            missing = inflate.fill(source)
            if missing:
                row = top + first + (source.size - missing) // (1 + width)
                problem = f"the zlib stream ends in row {row} of {header.height}"
                raise FormatError("PNG", "IDAT", inflate.offset, problem)
            status = unfilter(source, header.filter_distance, rows[first - 1] if first else above, part)
            if status < 0:
                bad = -1 - status
                problem = f"row {top + first + bad} has filter type {source[bad * (1 + width)]}, expected 0 to 4"
                raise FormatError("PNG", "IDAT", inflate.offset, problem)
        above[:] = rows[-1]
        yield rows
    _finish(stream, header, data, inflate)


def _finish(stream: ByteStream, header: PngHeader, data: ImageData, inflate: Inflate) -> None:
    """The end of the image data and the chunks from there to IEND. Frames of an animation are not held."""
    garbage_bytes = inflate.finish()
    if garbage_bytes:
        # As libpng does: nothing of the image is missing.
        header.notices.append(f"{garbage_bytes} bytes behind the compressed image data were dropped")
    assert data.after is not None
    start, further = data.after, 0
    left, passed, old = METADATA_BYTES_MAX - header.metadata_bytes, Passed(), list[Chunk]()
    while start.type != b"IEND":
        if start.type == b"IDAT":
            raise FormatError("PNG", "IDAT", start.offset, "out of place: image data must not be interrupted")
        header.credentials |= start.type == CREDENTIALS
        if start.type in ANIMATION:
            further += start.type == b"fcTL"
            skip_data(stream, start)
        elif not is_needed(start.type, header.policy):
            old += passed.skip(stream, start)
        else:
            chunk, right = read_data(stream, start, left)
            left = max(0, left - len(chunk.data) - 128)
            take(header, header.trailing, chunk, right)
        start = read_start(stream, start.name)
    if not any(chunk.type == b"eXIf" for chunk in (*header.chunks, *header.trailing)):
        header.trailing += old
    if further and not header.animated:
        header.notices.append(f"{further} further frames, which no acTL announces, were dropped")
    skip_data(stream, start)


def pixel_buffers(header: PngHeader, lines: int) -> tuple[Bytes, Bytes]:
    """What `to_pixels` needs for so many lines, each empty where it does not."""
    lines = min(lines, header.height)
    made = header.bit_depth == 16 or header.color_type == PALETTE or header.transparency is not None
    out = np.empty((lines if made else 0, header.width, header.channels), np.uint8)
    return out, np.empty((lines if header.bit_depth < 8 else 0, header.width), np.uint8)


def to_pixels(header: PngHeader, rows: Bytes, buffers: tuple[Bytes, Bytes] | None = None) -> Bytes:
    """Scanlines as 8-bit pixels, (n, width, header.channels).

    16-bit samples are rounded, palettes looked up, a transparent colour becomes alpha. No gamma is applied. The result
    is a view of `rows` where samples are 8 bits already, else of the first of the `buffers`.
    """
    n, width, depth, samples = len(rows), header.width, header.bit_depth, SAMPLES[header.color_type]
    out, wide = (buffer[:n] for buffer in buffers or pixel_buffers(header, n))
    if depth == 16:
        key = np.frombuffer(header.transparency or b"", ">u2").astype(np.uint16)
        reduce16(rows, samples, key, out)
        return out
    if depth < 8:
        scale = 1 if header.color_type == PALETTE else 255 // ((1 << depth) - 1)
        expand_bits(rows, depth, scale, wide)
        rows = wide
    if header.color_type == PALETTE:
        look_up(rows, colors(header), out)
        return out
    pixels = rows.reshape(n, width, samples)
    if header.transparency is None:
        return pixels
    # Of the key's 16 bits those above the depth do not count (clause 11.3.1.1).
    most = (1 << depth) - 1
    scale = 255 // most if header.color_type == GREY else 1
    color_key(pixels, ((np.frombuffer(header.transparency, ">u2") & most) * scale).astype(np.uint8), out)
    return out


def colors(header: PngHeader) -> Bytes:
    """The palette as (256, channels); entries that are missing are black and opaque, as libpng has them."""
    table = np.zeros((256, header.channels), np.uint8)
    entries = np.frombuffer(header.palette, np.uint8).reshape(-1, 3)
    table[: len(entries), :3] = entries
    if header.transparency is not None:
        alpha = np.frombuffer(header.transparency, np.uint8)
        table[:, 3] = 255
        table[: len(alpha), 3] = alpha
    return table


def digest(header: PngHeader) -> "hashlib.blake2b":
    """To be updated with every band of scanlines: equal for two PNGs where all that makes their pixels is equal."""
    shape = (header.width, header.height, header.bit_depth, header.color_type, header.palette, header.transparency)
    return hashlib.blake2b(repr(shape).encode(), digest_size=32)


def read_digest(stream: ByteStream, lines: int = 16) -> bytes:
    """The digest of a whole PNG."""
    header = read_header(stream)
    result = digest(header)
    for rows in scanlines(stream, header, lines):
        result.update(rows.data)
    return result.digest()


__all__ = [
    "Chunk",
    "PngHeader",
    "colors",
    "digest",
    "pixel_buffers",
    "read_digest",
    "read_header",
    "scanlines",
    "to_pixels",
]
