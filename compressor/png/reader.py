"""Decoding of PNG scanlines, a slab at a time: inflate, unfilter, expand to 8-bit pixels. Only one band is held."""

from collections.abc import Callable, Iterator

import numpy as np
from zlib_ng.zlib_ng import adler32, crc32

from compressor import scratch
from compressor.bytestream import ByteStream
from compressor.errors import FormatError
from compressor.kernels.png.pixels import color_key, expand_bits, look_up, reduce16
from compressor.kernels.png.unfilter import unfilter
from compressor.png import interlace
from compressor.png.chunks import METADATA_BYTES_MAX, Chunk, ImageData, read_chunk, read_chunk_header, skip_chunk
from compressor.png.header import GREY, PALETTE, SAMPLES, ByteArray, PngHeader, add_chunk, read_header
from compressor.png.inflate import Inflate
from compressor.png.policy import ANIMATION, CREDENTIALS, SkippedMetadata, is_needed
from compressor.spool import Spool


def scanlines(
    stream: ByteStream, header: PngHeader, lines: int, spool: Callable[[], Spool] | None = None
) -> Iterator[ByteArray]:
    """Yield the unfiltered scanlines, (n, row_bytes) with n = `lines` except for the last; the array is reused.

    spool  returns a new spool for the compressed data of an interlaced image, which is read entirely before the first
           line

    Samples are as in the file: packed below 8 bits, big-endian with 16 bits. When the iterator ends, `header.trailing`
    and `header.notices` are complete and the stream is after IEND.
    """
    if not header.interlaced:
        return _sequential(stream, header, lines)
    if spool is None:
        raise ValueError("an interlaced image needs a spool")
    return _interlaced(stream, header, lines, spool)


def _interlaced(stream: ByteStream, header: PngHeader, lines: int, spool: Callable[[], Spool]) -> Iterator[ByteArray]:
    """Read the whole input, then yield the scanlines."""
    assert header.image_data is not None
    compressed = spool()
    data = ImageData(stream, header.image_data, compressed.write)
    inflate = Inflate(data)
    starts = interlace.survey(header, data, inflate)
    _finish(stream, header, data, inflate)
    yield from interlace.bands(header, starts, compressed, lines)


def _sequential(stream: ByteStream, header: PngHeader, lines: int) -> Iterator[ByteArray]:
    """Yield the scanlines as they are read."""
    assert header.image_data is not None
    data = ImageData(stream, header.image_data)
    inflate = Inflate(data)
    width, distance = header.row_bytes, header.filter_distance
    lines = min(lines, header.height)
    slabs = -(-lines // header.slab_lines)  # of a band, equally high
    at_once = -(-lines // slabs)
    filtered = scratch.empty((at_once * (1 + width),), np.uint8)
    band = scratch.empty((lines, width), np.uint8)
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
            status = unfilter(source, distance, rows[first - 1] if first else above, part)
            if status < 0:
                bad = -1 - status
                problem = f"row {top + first + bad} has filter type {source[bad * (1 + width)]}, expected 0 to 4"
                raise FormatError("PNG", "IDAT", inflate.offset, problem)
        above[:] = rows[-1]
        yield rows
    _finish(stream, header, data, inflate)


def _finish(stream: ByteStream, header: PngHeader, data: ImageData, inflate: Inflate) -> None:
    """Read the end of the image data and the chunks up to IEND, without holding animation frames."""
    garbage_bytes = inflate.finish()
    if garbage_bytes:
        # As in libpng: the image is complete.
        header.notices.append(f"{garbage_bytes} bytes after the compressed image data were dropped")
    assert data.following is not None
    start, extra_frames = data.following, 0
    left, skipped, old = METADATA_BYTES_MAX - header.metadata_bytes, SkippedMetadata(), list[Chunk]()
    while start.type != b"IEND":
        if start.type == b"IDAT":
            raise FormatError("PNG", "IDAT", start.offset, "misplaced: IDAT chunks must be consecutive")
        header.credentials |= start.type == CREDENTIALS
        if start.type in ANIMATION:
            extra_frames += start.type == b"fcTL"
            skip_chunk(stream, start)
        elif not is_needed(start.type, header.policy):
            old += skipped.skip(stream, start)
        else:
            chunk, crc_valid = read_chunk(stream, start, left)
            left = max(0, left - len(chunk.data) - 128)
            add_chunk(header, header.trailing, chunk, crc_valid)
        start = read_chunk_header(stream, start.name)
    if not any(chunk.type == b"eXIf" for chunk in (*header.chunks, *header.trailing)):
        header.trailing += old
    if extra_frames and not header.animated:
        header.notices.append(f"{extra_frames} additional frames, without an acTL, were dropped")
    skip_chunk(stream, start)


def pixel_buffers(header: PngHeader, lines: int) -> tuple[ByteArray, ByteArray]:
    """Return the buffers that `to_pixels` needs for a number of lines, empty where it does not need one."""
    lines = min(lines, header.height)
    made = header.bit_depth == 16 or header.color_type == PALETTE or header.transparency is not None
    out = scratch.empty((lines if made else 0, header.width, header.channels), np.uint8)
    return out, scratch.empty((lines if header.bit_depth < 8 else 0, header.width), np.uint8)


def to_pixels(header: PngHeader, rows: ByteArray, buffers: tuple[ByteArray, ByteArray] | None = None) -> ByteArray:
    """Return scanlines as 8-bit pixels, (n, width, header.channels).

    16-bit samples are rounded, palette indices looked up, and a transparent color becomes alpha. No gamma is applied.
    The result is a view of `rows` where samples have 8 bits, else of the first of the `buffers`.
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
    # Bits of the key above the bit depth are ignored (clause 11.3.1.1).
    most = (1 << depth) - 1
    scale = 255 // most if header.color_type == GREY else 1
    color_key(pixels, ((np.frombuffer(header.transparency, ">u2") & most) * scale).astype(np.uint8), out)
    return out


def colors(header: PngHeader) -> ByteArray:
    """Return the palette as (256, channels); missing entries are opaque black, as in libpng."""
    table = np.zeros((256, header.channels), np.uint8)
    entries = np.frombuffer(header.palette, np.uint8).reshape(-1, 3)
    table[: len(entries), :3] = entries
    if header.transparency is not None:
        alpha = np.frombuffer(header.transparency, np.uint8)
        table[:, 3] = 255
        table[: len(alpha), 3] = alpha
    return table


class Checksum:
    """CRC-32 and Adler-32 of samples, to compare those of two images.

    They find defects of an encoder, not forgeries: BLAKE2b would take a fifth of the time of `fast` for a drawing.

    form  what the samples mean, which has to be equal, too
    """

    def __init__(self, form: object) -> None:
        self._crc, self._adler = 0, 1
        self.update(repr(form).encode())

    def update(self, data: bytes | memoryview) -> None:
        """Add samples."""
        self._crc, self._adler = crc32(data, self._crc), adler32(data, self._adler)

    def digest(self) -> tuple[int, int]:
        """Return the checksums of all samples so far."""
        return self._crc, self._adler


def checksum(header: PngHeader) -> Checksum:
    """Return a checksum to update with all scanlines: equal for PNGs of the same form with the same samples."""
    return Checksum(
        (header.width, header.height, header.bit_depth, header.color_type, header.palette, header.transparency)
    )


def read_checksum(stream: ByteStream, lines: int = 16) -> tuple[int, int]:
    """Return the checksum of a PNG's scanlines."""
    header = read_header(stream)
    result = checksum(header)
    for rows in scanlines(stream, header, lines):
        result.update(rows.data)
    return result.digest()


__all__ = [
    "Checksum",
    "Chunk",
    "PngHeader",
    "checksum",
    "colors",
    "pixel_buffers",
    "read_checksum",
    "read_header",
    "scanlines",
    "to_pixels",
]
