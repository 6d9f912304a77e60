"""Validation of a complete image: its properties, and whether all of it can be decoded."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from compressor import icc, png, raster
from compressor.bytestream import ByteStream
from compressor.cores import cores
from compressor.jpeg.attachments import attachments_of
from compressor.jpeg.reader import read_header, read_slabs
from compressor.jpeg.scans import read_scans
from compressor.memory import Resources
from compressor.metadata import Attachments, orientation
from compressor.settings import Metadata
from compressor.sniff import PREFIX, sniff
from compressor.spool import Spool
from compressor.tiles import band_lines


@dataclass(frozen=True, slots=True)
class Probe:
    """The properties that a result has in common with its source.

    orientation  1 … 8, as in Exif
    icc          the ICC profile
    """

    format: str
    width: int
    height: int
    orientation: int
    icc: bytes | None


def probe(spool: Spool, resources: Resources, *, decode: bool, policy: Metadata = Metadata.KEEP) -> Probe:
    """Read the header and, with `decode`, everything to the end of the image.

    policy  metadata of a JPEG or PNG that it removes are skipped: they may exceed the limit

    An image of another format is in memory as a whole, as in `raster`.

    Memory is not charged to the byte budget: the caller reserves it.
    Raise FormatError, UnsupportedError or LimitError.
    """
    spools: list[Spool] = []

    def another() -> Spool:
        spools.append(resources.spool())
        return spools[-1]

    try:
        stream = ByteStream(spool.chunks())
        kind = sniff(stream.peek(PREFIX))
        if kind == "jpeg":
            header = read_header(stream, policy)
            slabs: Iterator[Any] = read_slabs(stream, header) if header.streams else read_scans(spool, header)
            _drain(slabs, decode)
            frame = header.frame
            return _probe_of(kind, frame.width, frame.height, attachments_of(header.segments))
        if kind == "png":
            found = png.read_header(stream, policy)
            _drain(png.scanlines(stream, found, band_lines(found.width, 1), another), decode)
            return _probe_of(kind, found.width, found.height, png.read_metadata(found, lambda count: None))
        return _probe_by_pillow(spool, kind, decode)
    finally:
        for used in spools:
            used.close()


def _probe_by_pillow(spool: Spool, kind: str, decode: bool) -> Probe:
    opened = raster.open(spool.file(), kind)
    try:
        _drain(opened.bands(band_lines(opened.width, 1)), decode)
        return _probe_of(kind, opened.width, opened.height, opened.metadata)
    finally:
        opened.close()


def _drain(items: Iterator[Any], decode: bool) -> None:
    if decode:
        for _ in items:
            cores.yield_if_contended()


def _probe_of(kind: str, width: int, height: int, attachments: Attachments) -> Probe:
    profile = None if attachments.icc is None else icc.trimmed(attachments.icc)
    return Probe(kind, width, height, orientation(attachments.exif), profile)
