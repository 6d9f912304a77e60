"""TIFF and BigTIFF files, assembled tag by tag (TIFF 6.0), in either byte order."""

import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

BYTE, ASCII, SHORT, LONG, RATIONAL, UNDEFINED = 1, 2, 3, 4, 5, 7
NONE, LZW, JPEG, DEFLATE, PACKBITS = 1, 5, 7, 8, 32773
FORMATS = {BYTE: "B", SHORT: "H", LONG: "I", 16: "Q"}
SIZES = {BYTE: 1, ASCII: 1, SHORT: 2, LONG: 4, RATIONAL: 8, UNDEFINED: 1, 16: 8}

Tags = dict[int, tuple[int, Sequence[int] | bytes]]


@dataclass
class Page:
    """An IFD.

    tags    field type and values by tag; values of one byte as bytes, rationals as pairs in one sequence
    strips  compressed data of each strip or tile; offsets and byte counts are added
    tiled   whether these are tiles
    nested  directories that a tag points to
    spare   bytes after each strip that its byte count includes
    """

    tags: Tags
    strips: Sequence[bytes] = ()
    tiled: bool = False
    nested: "dict[int, list[Page]]" = field(default_factory=dict)
    spare: bytes = b""


class Writer:
    """A file to which data is appended."""

    def __init__(self, order: str, big: bool, gap: bytes) -> None:
        self.order, self.big = order, big
        self.word = "Q" if big else "I"
        self.data = bytearray(16 if big else 8) + gap

    def append(self, data: bytes) -> int:
        self.data += bytes(-len(self.data) % 2)
        at = len(self.data)
        self.data += data
        return at

    def pack(self, format: str, *values: int) -> bytes:
        return struct.pack(self.order + format, *values)

    def directory(self, page: Page) -> tuple[int, int]:
        """Write an IFD and all that it refers to; return its offset and that of its next-IFD field."""
        tags: Tags = dict(page.tags)
        if page.strips:
            offsets = [self.append(strip + page.spare) for strip in page.strips]
            kind = 16 if self.big else LONG
            tags[324 if page.tiled else 273] = (kind, offsets)
            tags[325 if page.tiled else 279] = (LONG, [len(strip) + len(page.spare) for strip in page.strips])
        for tag, inner in page.nested.items():
            tags[tag] = (16 if self.big else LONG, [self.directory(nested)[0] for nested in inner])
        width = 8 if self.big else 4
        entries = b""
        for tag in sorted(tags):
            kind, values = tags[tag]
            data = self._values(kind, values)
            count = len(data) // SIZES[kind]
            place = data.ljust(width, b"\0") if len(data) <= width else self.pack(self.word, self.append(data))
            entries += self.pack("HH" + self.word, tag, kind, count) + place
        at = self.append(self.pack("Q" if self.big else "H", len(tags)) + entries + bytes(width))
        return at, len(self.data) - width

    def _values(self, kind: int, values: Sequence[int] | bytes) -> bytes:
        if isinstance(values, bytes):
            return values
        if kind == RATIONAL:
            return self.pack(f"{len(values)}I", *values)
        return self.pack(f"{len(values)}{FORMATS[kind]}", *values)


def build(pages: Sequence[Page], order: str = "<", big: bool = False, gap: bytes = b"", tail: bytes = b"") -> bytes:
    """Return a file of chained pages; `gap` follows the header, `tail` the last page."""
    writer = Writer(order, big, gap)
    magic = (b"II" if order == "<" else b"MM") + writer.pack("H", 43 if big else 42)
    link = len(magic)
    if big:
        magic += writer.pack("HH", 8, 0)
        link = 8
    writer.data[: len(magic)] = magic
    for page in pages:
        at, following = writer.directory(page)
        size = 8 if big else 4
        writer.data[link : link + size] = writer.pack(writer.word, at)
        link = following
    return bytes(writer.data) + tail


def lzw(data: bytes) -> bytes:
    """Return LZW data (section 13) that clears its table before codes would grow beyond nine bits."""
    codes = []
    for at in range(0, len(data), 250):
        codes += [256, *data[at : at + 250]]
    return packed_bits(np.array([*codes, 257], np.uint16).reshape(1, -1, 1), 9).tobytes()


def packbits(data: bytes, row_bytes: int) -> bytes:
    """Return PackBits data (section 9): literal runs, none across rows."""
    out = b""
    for row in range(0, len(data), row_bytes):
        for at in range(row, min(row + row_bytes, len(data)), 128):
            run = data[at : min(at + 128, row + row_bytes)]
            out += bytes([len(run) - 1]) + run
    return out


def compressed(samples: np.ndarray, compression: int) -> bytes:
    """Return a strip (rows, width, channels) or (rows, row bytes) compressed, in the byte order of its type."""
    data = samples.tobytes()
    if compression == LZW:
        return lzw(data)
    if compression == DEFLATE:
        return zlib.compress(data)
    if compression == PACKBITS:
        return packbits(data, len(data) // len(samples))
    return data


def packed_bits(samples: np.ndarray, bits: int) -> np.ndarray:
    """Return samples (rows, width, channels) of up to 16 bits as bytes (rows, row bytes)."""
    flat = samples.reshape(len(samples), -1).astype(np.uint16)
    each = np.unpackbits(flat[..., None].astype(">u2").view(np.uint8), axis=-1)[..., 16 - bits :]
    return np.packbits(each.reshape(len(flat), -1), axis=1)


def picture(
    samples: np.ndarray, bits: int, *, photometric: int, compression: int = NONE, planar: int = 1,
    order: Literal["<", ">"] = "<", extra: Sequence[int] = (), predictor: int = 1, tile: int = 0,
    rows_per_strip: int = 0, sample_format: int = 1,
    tags: Mapping[int, tuple[int, Sequence[int] | bytes]] | None = None,
) -> Page:  # fmt: skip
    """Return a page of samples (height, width, channels), in an array type of as many bits (8 for fewer)."""
    height, width, channels = samples.shape
    found: Tags = {
        256: (LONG, [width]),
        257: (LONG, [height]),
        258: (SHORT, [bits] * channels),
        259: (SHORT, [compression]),
        262: (SHORT, [photometric]),
        277: (SHORT, [channels]),
        284: (SHORT, [planar]),
    }
    if extra:
        found[338] = (SHORT, list(extra))
    if predictor != 1:
        found[317] = (SHORT, [predictor])
    if sample_format != 1:
        found[339] = (SHORT, [sample_format] * channels)
    if tile:
        found |= {322: (LONG, [tile]), 323: (LONG, [tile])}
    else:
        found[278] = (LONG, [rows_per_strip or height])
    planes = [samples[..., c : c + 1] for c in range(channels)] if planar == 2 else [samples]
    strips = []
    for plane in planes:
        for part in _parts(plane, tile, rows_per_strip or height):
            if predictor == 2:
                part = np.diff(part, axis=1, prepend=np.zeros_like(part[:, :1]))
            whole = part.itemsize * 8 == bits
            data = part.astype(part.dtype.newbyteorder(order)) if whole else packed_bits(part, bits)
            strips.append(compressed(data, compression))
    return Page(found | dict(tags or {}), strips, tiled=tile > 0)


def _parts(plane: np.ndarray, tile: int, rows: int) -> list[np.ndarray]:
    height, width, _ = plane.shape
    if not tile:
        return [plane[top : top + rows] for top in range(0, height, rows)]
    padded = np.pad(plane, ((0, -height % tile), (0, -width % tile), (0, 0)))
    return [
        padded[top : top + tile, left : left + tile]
        for top in range(0, len(padded), tile)
        for left in range(0, padded.shape[1], tile)
    ]
