"""JPEG files reduced to what a metadata policy keeps: losslessly, entropy-coded data are copied as they are."""

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
from compressor.jpeg.reader import read_rows
from compressor.jpeg.scans import Scans
from compressor.metadata import removed_trailing_bytes
from compressor.settings import Metadata
from compressor.spool import CHUNK_BYTES, Readable
from compressor.t81 import APP0, APP1, APP2, APP15, COM, DNL, EOI, EXP, SOF0, SOI, SOS

SOF15 = SOF0 + 15
LSE = SOF_LS + 1  # of JPEG-LS (T.87, C.2.4)


def image_data(source: Readable, blocks_max: int = 0) -> tuple[list[int] | None, int]:
    """Decode a picture and return of each scan the offset behind its last MCU, and the offset behind the picture.

    blocks_max  in a coefficient row, 0 for no limit; LimitError above it

    What else lies in a scan may be anything. Of a coding process that is not decoded the ends of scans are not known:
    None. Raises FormatError, LimitError and UnsupportedError.
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
        for _ in read_rows(stream, header):
            cores.yield_if_contended()
        return header.scan_ends, stream.offset
    scans = Scans(source, header, ends=True)
    for _ in scans.rows():
        cores.yield_if_contended()
    return header.scan_ends, scans.end


@dataclass(slots=True)
class Part:
    """A range of a file, as a file of its own."""

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
class Picture:
    """A picture behind the first one.

    entry          in the index
    part           of the file
    ends           of its scans, as `image_data` returns them
    reduced_bytes  its size when reduced
    """

    entry: mpf.MpEntry
    part: Part
    ends: list[int] | None
    reduced_bytes: int


class FurtherPictures:
    """The pictures that an index lists behind the first one, each reduced to what colour needs.

    blocks_max  in a coefficient row: pictures are decoded to see where their scans end
    pictures  in the order of the index; none where the index does not fit the file
    lengths   from the sizes in the source to those in the result
    """

    def __init__(self, source: Readable, index: Segment, first_end: int, blocks_max: int) -> None:
        self._source, self._listed, self._blocks_max = source, mpf.entries(index), blocks_max
        self.pictures = self._found(mpf.base(index), first_end)
        self.lengths = {picture.entry.size: picture.reduced_bytes for picture in self.pictures}

    def _found(self, base: int, first_end: int) -> list[Picture]:
        """Find the pictures in the order of the index, which must be that of the file.

        A size that reaches beyond what follows is cut: Pillow's own writer counts those of third pictures wrongly.
        """
        if len(self._listed) < 2 or self._listed[0].offset:
            return []
        starts = [base + entry.offset for entry in self._listed[1:]]
        found = []
        for entry, start, after in zip(self._listed[1:], starts, (*starts[1:], self._source.size), strict=True):
            if not first_end <= start < after <= self._source.size:
                return []
            part = Part(self._source, start, min(entry.size, after - start))
            try:
                ends, _ = image_data(part, self._blocks_max)
                found.append(Picture(entry, part, ends, sum(map(len, _further(part, ends)))))
            except (FormatError, LimitError, UnsupportedError):
                return []
        return found

    def pieces(self) -> Iterator[bytes]:
        """Yield the reduced pictures, one right after the other."""
        for picture in self.pictures:
            yield from _further(picture.part, picture.ends)

    @property
    def notices(self) -> list[str]:
        """Of pictures that are not found where the index says."""
        return [] if self.pictures or len(self._listed) < 2 else [PICTURES_REMOVED]

    @property
    def source_size(self) -> int:
        """Bytes of the pictures in the source."""
        return sum(picture.part.size for picture in self.pictures)

    def index(self, first_bytes: int, at: int) -> bytes:
        """Return the data of an index, which has the same size whatever is in it.

        first_bytes  size of the first picture in the result
        at           offset of the data there
        """
        listed = [replace(self._listed[0], size=first_bytes)]
        offset = first_bytes - at - len(mpf.IDENTIFIER)
        for picture in self.pictures:
            listed.append(replace(picture.entry, size=picture.reduced_bytes, offset=offset & 0xFFFFFFFF))
            offset += picture.reduced_bytes
        return mpf.index_data(listed)

    def head(self, segments: list[Segment]) -> list[Segment]:
        """Return the first picture's metadata segments with room for the index, and the new lengths in XMP."""
        changed = []
        for segment in segments:
            if mpf.is_index(segment):
                if self.pictures and mpf.is_readable(segment):
                    changed.append(Segment(APP2, self.index(0, 0), segment.offset))
            elif segment.marker == APP1 and segment.data.startswith(XMP):
                if self.pictures:  # which the packet is about
                    packet = mpf.with_lengths(segment.data[len(XMP) :], self.lengths)
                    changed.append(Segment(APP1, XMP + packet, segment.offset))
            else:
                changed.append(segment)
        return changed


def _further(part: Part, ends: list[int] | None) -> Iterator[bytes]:
    """Yield a further picture reduced to what colour needs."""
    for piece, _ in reduced(ByteStream(part.chunks()), SegmentReducer(Metadata.COLOR, first=False), ends):
        yield piece


def reduced(
    stream: ByteStream, reducer: SegmentReducer, ends: list[int] | None = None
) -> Iterator[tuple[bytes, Segment | None]]:
    """Yield the pieces of one picture up to EOI, each with the metadata segment that it is or None.

    ends  of each scan, the offset behind its last MCU: what else is in it goes. None: scans stay as they are

    What stands between segments goes, and so do all metadata behind the first scan under COLOR and STRIP.
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
    """Take the data of a scan up to the marker that ends it, and yield those before the offset `end`."""
    for piece in entropy_coded(stream):
        yield piece if end is None else piece[: max(0, len(piece) - max(0, stream.offset - end))]


def _number_of_lines(reader: MarkerReader) -> bytes:
    """Take the DNL segment that may follow a first scan (T.81 B.2.5); it is needed where the frame has no height."""
    if reader.stream.peek(2) != bytes([0xFF, DNL]):
        return b""
    reader.next_marker(end_allowed=True)
    return writer.segment(DNL, reader.parameters())


def size_without_metadata(source: Readable, policy: Metadata) -> int:
    """Return about how many bytes `without_metadata` would yield, at most a few too many: nothing is decoded."""
    return sum(len(piece) for piece, _ in reduced(ByteStream(source.chunks()), SegmentReducer(policy)))


def without_metadata(source: Readable, policy: Metadata, notices: list[str]) -> Iterator[bytes]:
    """Yield a file reduced to what `policy` (COLOR or STRIP) keeps. No sample changes.

    notices  receives what changes how the picture is shown, and what followed it; complete after the last piece

    Under COLOR the pictures that an index (MPF) lists are reduced likewise; else what follows the first one goes.
    Raises FormatError, LimitError and UnsupportedError before the first piece.
    """
    first = SegmentReducer(policy)
    header = read_header(ByteStream(source.chunks()), policy)
    ends, end = image_data(source)
    size, segments = 0, list[Segment]()
    for piece, segment in reduced(ByteStream(source.chunks()), first, ends):
        size += len(piece)
        segments += [] if segment is None else [segment]
    index = mpf.index_of(segments) if policy is Metadata.COLOR else None
    further = None if index is None else FurtherPictures(source, index, end, header.frame.blocks_per_row)
    notices += [*first.notices(), *(further.notices if further else ())]
    notices += removed_trailing_bytes(source.size - end - (further.source_size if further else 0))
    kept = segments if further is None else further.head(segments)
    size += sum(len(segment.data) + 4 for segment in kept) - sum(len(segment.data) + 4 for segment in segments)
    left, written = {segment.offset: segment for segment in kept}, 0
    for piece, segment in reduced(ByteStream(source.chunks()), SegmentReducer(policy), ends):
        if segment is not None:
            segment = left.get(segment.offset)
            if segment is None:
                continue
            if further is not None and mpf.is_index(segment):
                segment = Segment(APP2, further.index(size, written + 4))
            piece = writer.segment(segment.marker, segment.data)
        written += len(piece)
        yield piece
    if further is not None:
        yield from further.pieces()
