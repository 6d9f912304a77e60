"""Lossless removal of a JPEG file's metadata by a policy: entropy-coded data is copied."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from compressor.bytestream import ByteStream
from compressor.cores import cores
from compressor.errors import FormatError, LimitError, UnsupportedError
from compressor.jpeg import mpf, writer
from compressor.jpeg.attachments import XMP
from compressor.jpeg.frame import SOF_LS, Segment
from compressor.jpeg.headers import read_header
from compressor.jpeg.markers import PARAMETERLESS, MarkerReader, entropy_coded, marker_name
from compressor.jpeg.policy import PICTURES_REMOVED, SegmentReducer, read_metadata
from compressor.jpeg.reader import read_slabs
from compressor.jpeg.scans import Scans
from compressor.metadata import removed_trailing_bytes
from compressor.settings import Metadata
from compressor.spool import CHUNK_BYTES, Readable
from compressor.t81 import APP0, APP1, APP2, APP15, COM, DNL, EOI, EXP, SOF0, SOI, SOS

SOF15 = SOF0 + 15
LSE = SOF_LS + 1  # of JPEG-LS (T.87, C.2.4)


def image_data(source: Readable, blocks_max: int = 0) -> tuple[list[int] | None, int]:
    """Decode a picture. Return the offset after the last MCU of each scan, and the offset after the picture.

    blocks_max  limit of blocks in an MCU row, LimitError above it; 0 for none

    Other bytes of a scan may be anything. The ends of scans are None for a coding process that can't be decoded. Raise
    FormatError, LimitError and UnsupportedError.
    """
    stream = ByteStream(source.chunks())
    header = read_header(stream, Metadata.STRIP)
    if header.obstacle:
        stream = ByteStream(source.chunks())
        for _ in reduced(stream, SegmentReducer(Metadata.STRIP)):
            pass
        return None, stream.offset
    if blocks_max and header.frame.blocks_per_row > blocks_max:
        raise LimitError(f"JPEG: rows of {header.frame.blocks_per_row} blocks, at most {blocks_max} are decoded here")
    if header.streams:
        for _ in read_slabs(stream, header):
            cores.yield_if_contended()
        return header.scan_ends, stream.offset
    scans = Scans(source, header, ends=True)
    for _ in scans.slabs():
        cores.yield_if_contended()
    return header.scan_ends, scans.end


@dataclass(slots=True)
class FileRange:
    """A range of a file that is read as a file of its own."""

    source: Readable
    start: int
    size: int

    def read(self, start: int, count: int) -> bytes:
        """Return `count` bytes from `start` on; fewer at the end."""
        return self.source.read(self.start + start, max(0, min(count, self.size - start)))

    def chunks(self) -> Iterator[bytes]:
        """Yield all of them."""
        start = 0
        while chunk := self.read(start, CHUNK_BYTES):
            start += len(chunk)
            yield chunk


@dataclass(frozen=True, slots=True)
class AdditionalPicture:
    """A picture after the first one.

    entry          entry in the index
    extent         its range of the file
    ends           ends of its scans, as `image_data` returns them
    reduced_bytes  reduced size
    """

    entry: mpf.MpEntry
    extent: FileRange
    ends: list[int] | None
    reduced_bytes: int


class AdditionalPictures:
    """The pictures that an index lists after the first one, each reduced by COLOR.

    blocks_max  limit of blocks in an MCU row: pictures are decoded to find the ends of their scans
    pictures    in the order of the index; none if the index does not match the file
    lengths     size in the source → size in the result
    """

    def __init__(self, source: Readable, index: Segment, first_end: int, blocks_max: int) -> None:
        self._source, self._listed, self._blocks_max = source, mpf.entries(index), blocks_max
        self.pictures = self._found(mpf.base(index), first_end)
        self.lengths = {picture.entry.size: picture.reduced_bytes for picture in self.pictures}

    def _found(self, base: int, first_end: int) -> list[AdditionalPicture]:
        """Find the pictures in the order of the index, which must be that of the file.

        A size that exceeds the available bytes is reduced: Pillow's writer counts those of third pictures wrongly.
        """
        if len(self._listed) < 2 or self._listed[0].offset:
            return []
        starts = [base + entry.offset for entry in self._listed[1:]]
        found = []
        for entry, start, after in zip(self._listed[1:], starts, (*starts[1:], self._source.size), strict=True):
            if not first_end <= start < after <= self._source.size:
                return []
            extent = FileRange(self._source, start, min(entry.size, after - start))
            try:
                ends, _ = image_data(extent, self._blocks_max)
                found.append(AdditionalPicture(entry, extent, ends, sum(map(len, _reduced_additional(extent, ends)))))
            except (FormatError, LimitError, UnsupportedError):
                return []
        return found

    def pieces(self) -> Iterator[bytes]:
        """Yield the reduced pictures, one after the other without gaps."""
        for picture in self.pictures:
            yield from _reduced_additional(picture.extent, picture.ends)

    @property
    def notices(self) -> list[str]:
        """A notice if the pictures are not where the index says."""
        return [] if self.pictures or len(self._listed) < 2 else [PICTURES_REMOVED]

    @property
    def source_size(self) -> int:
        """Bytes of the pictures in the source."""
        return sum(picture.extent.size for picture in self.pictures)

    def index(self, first_bytes: int, at: int) -> bytes:
        """Return the data of an index. Its size does not depend on the values.

        first_bytes  size of the first picture in the result
        at           offset of the data in the result
        """
        listed = [replace(self._listed[0], size=first_bytes)]
        offset = first_bytes - at - len(mpf.IDENTIFIER)
        for picture in self.pictures:
            listed.append(replace(picture.entry, size=picture.reduced_bytes, offset=offset & 0xFFFFFFFF))
            offset += picture.reduced_bytes
        return mpf.index_data(listed)

    def head(self, segments: list[Segment]) -> list[Segment]:
        """Return the first picture's metadata segments with space for the index, and new lengths in XMP."""
        changed = []
        for segment in segments:
            if mpf.is_index(segment):
                if self.pictures and mpf.is_readable(segment):
                    changed.append(Segment(APP2, self.index(0, 0), segment.offset))
            elif segment.marker == APP1 and segment.data.startswith(XMP):
                if self.pictures:  # the packet describes them
                    packet = mpf.with_lengths(segment.data[len(XMP) :], self.lengths)
                    changed.append(Segment(APP1, XMP + packet, segment.offset))
            else:
                changed.append(segment)
        return changed


def _reduced_additional(extent: FileRange, ends: list[int] | None) -> Iterator[bytes]:
    """Yield an additional picture reduced by COLOR."""
    for piece, _ in reduced(ByteStream(extent.chunks()), SegmentReducer(Metadata.COLOR, first=False), ends):
        yield piece


def reduced(
    stream: ByteStream, reducer: SegmentReducer, ends: list[int] | None = None
) -> Iterator[tuple[bytes, Segment | None]]:
    """Yield the pieces of one picture up to EOI, each with the metadata segment in it or None.

    ends  of each scan, the offset after its last MCU: later bytes are removed. None: scans are copied unchanged

    Bytes between segments are removed, and under COLOR and STRIP all metadata after the first scan.
    """
    reader, code, scans = MarkerReader(stream), SOI, 0
    yield stream.read(2), None
    while code != EOI:
        code = reader.next_marker(end_allowed=True)
        if code == EOI:
            yield writer.END_OF_IMAGE, None
        elif APP0 <= code <= APP15 or code == COM:
            segment = read_metadata(reader, reducer, in_head=not scans)
            if segment is not None:
                yield writer.segment(segment.marker, segment.data), segment
        elif code in PARAMETERLESS:
            continue
        elif SOF0 <= code <= SOF15 or SOS <= code <= EXP or code in (SOF_LS, LSE):
            yield writer.segment(code, reader.parameters()), None
        else:
            raise UnsupportedError(f"JPEG: {marker_name(code)} at byte {reader.at} may hold metadata")
        if code == SOS:
            scans += 1
            for piece in _scan_data(stream, None if ends is None else ends[scans - 1]):
                yield piece, None
            if ends is not None and scans == len(ends):
                yield _number_of_lines(reader) + writer.END_OF_IMAGE, None
                return


def _scan_data(stream: ByteStream, end: int | None) -> Iterator[bytes]:
    """Take the data of a scan up to the marker that ends it. Yield the bytes before offset `end`."""
    for piece in entropy_coded(stream):
        yield piece if end is None else piece[: max(0, len(piece) - max(0, stream.offset - end))]


def _number_of_lines(reader: MarkerReader) -> bytes:
    """Return the DNL segment if one follows the first scan (T.81 B.2.5). It is needed if the frame has no height."""
    if reader.stream.peek(2) != bytes([0xFF, DNL]):
        return b""
    reader.next_marker(end_allowed=True)
    return writer.segment(DNL, reader.parameters())


def size_without_metadata(source: Readable, policy: Metadata) -> int:
    """Return about how many bytes `without_metadata` would yield, without decoding: at most a few too many."""
    return sum(len(piece) for piece, _ in reduced(ByteStream(source.chunks()), SegmentReducer(policy)))


def without_metadata(source: Readable, policy: Metadata, notices: list[str]) -> Iterator[bytes]:
    """Yield a file reduced by `policy` (COLOR or STRIP). No sample changes.

    notices  receives removals that change how the picture is shown, and trailing data; complete after the last piece

    Under COLOR the pictures that an index (MPF) lists are reduced, too; otherwise all data after the first one are
    removed. Raise FormatError, LimitError and UnsupportedError before the first piece.
    """
    first = SegmentReducer(policy)
    header = read_header(ByteStream(source.chunks()), policy)
    ends, end = image_data(source)
    size, segments = 0, list[Segment]()
    for piece, segment in reduced(ByteStream(source.chunks()), first, ends):
        size += len(piece)
        segments += [] if segment is None else [segment]
    index = mpf.index_of(segments) if policy is Metadata.COLOR else None
    additional = None if index is None else AdditionalPictures(source, index, end, header.frame.blocks_per_row)
    notices += [*first.notices(), *(additional.notices if additional else ())]
    notices += removed_trailing_bytes(source.size - end - (additional.source_size if additional else 0))
    kept = segments if additional is None else additional.head(segments)
    size += sum(len(segment.data) + 4 for segment in kept) - sum(len(segment.data) + 4 for segment in segments)
    left, written = {segment.offset: segment for segment in kept}, 0
    for piece, segment in reduced(ByteStream(source.chunks()), SegmentReducer(policy), ends):
        if segment is not None:
            segment = left.get(segment.offset)
            if segment is None:
                continue
            if additional is not None and mpf.is_index(segment):
                segment = Segment(APP2, additional.index(size, written + 4))
            piece = writer.segment(segment.marker, segment.data)
        written += len(piece)
        yield piece
    if additional is not None:
        yield from additional.pieces()
