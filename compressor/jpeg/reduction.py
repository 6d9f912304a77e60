"""JPEG files reduced to what a metadata policy keeps: losslessly, entropy-coded data are copied as they are."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from compressor.bytestream import ByteStream
from compressor.errors import FormatError, LimitError, UnsupportedError
from compressor.jpeg import gainmap, mpf, writer
from compressor.jpeg.attachments import XMP
from compressor.jpeg.frame import SOF_LS, Segment
from compressor.jpeg.markers import PARAMETERLESS, MarkerReader, entropy_coded, marker_name
from compressor.jpeg.policy import PICTURES_REMOVED, SegmentReducer, read_metadata
from compressor.memory import CHUNK_BYTES, Readable
from compressor.metadata import removed_behind
from compressor.settings import Metadata
from compressor.t81 import APP0, APP1, APP2, APP15, COM, EOI, EXP, SOF0, SOI, SOS

SOF15 = SOF0 + 15
LSE = SOF_LS + 1  # of JPEG-LS (T.87, C.2.4)


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture behind the first one: its entry in the index, its place in the file, and its size when reduced."""

    entry: mpf.Entry
    start: int
    size: int
    reduced_bytes: int


class FurtherPictures:
    """The pictures that an index lists behind the first one, each reduced to what colour needs.

    pictures  in the order of the index; none where the index does not fit the file
    lengths   from the sizes in the source to those in the result
    """

    def __init__(self, source: Readable, index: Segment, first_end: int) -> None:
        self._source, self._listed = source, mpf.entries(index)
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
            size = min(entry.size, after - start)
            try:
                found.append(Picture(entry, start, size, sum(map(len, self._reduced(start, size)))))
            except (FormatError, LimitError, UnsupportedError):
                return []
        return found

    def _reduced(self, start: int, size: int) -> Iterator[bytes]:
        stream = ByteStream(_part(self._source, start, size))
        for piece, _ in reduced(stream, SegmentReducer(Metadata.COLOR, first=False)):
            yield piece

    def pieces(self) -> Iterator[bytes]:
        """Yield the reduced pictures, one right after the other."""
        for picture in self.pictures:
            yield from self._reduced(picture.start, picture.size)

    @property
    def notices(self) -> list[str]:
        """Of pictures that are not found where the index says."""
        return [] if self.pictures or len(self._listed) < 2 else [PICTURES_REMOVED]

    @property
    def source_size(self) -> int:
        """Bytes of the pictures in the source."""
        return sum(picture.size for picture in self.pictures)

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
                    packet = gainmap.with_lengths(segment.data[len(XMP) :], self.lengths)
                    changed.append(Segment(APP1, XMP + packet, segment.offset))
            else:
                changed.append(segment)
        return changed


def _part(source: Readable, start: int, size: int) -> Iterator[bytes]:
    end = start + size
    while start < end and (chunk := source.read(start, min(CHUNK_BYTES, end - start))):
        start += len(chunk)
        yield chunk


def reduced(stream: ByteStream, reducer: SegmentReducer) -> Iterator[tuple[bytes, Segment | None]]:
    """Yield the pieces of one picture up to EOI, each with the metadata segment that it is or None.

    What stands between segments goes, and so do all metadata behind the first scan under COLOR and STRIP.
    """
    reader, code, in_head = MarkerReader(stream), SOI, True
    yield stream.read(2), None
    while code != EOI:
        code = reader.next_marker(end_allowed=True)
        if code == EOI:
            yield writer.END_OF_IMAGE, None
        elif APP0 <= code <= APP15 or code == COM:
            segment = read_metadata(reader, reducer, in_head)
            if segment is not None:
                yield writer.segment(segment.marker, segment.data), segment
        elif code in PARAMETERLESS:
            continue
        elif SOF0 <= code <= SOF15 or SOS <= code <= EXP or code in (SOF_LS, LSE):
            yield writer.segment(code, reader.parameters()), None
        else:
            raise UnsupportedError(f"JPEG: {marker_name(code)} at byte {reader.at} may hold metadata")
        if code == SOS:
            in_head = False
            for piece in entropy_coded(stream):
                yield piece, None


def without_metadata(source: Readable, policy: Metadata, notices: list[str]) -> Iterator[bytes]:
    """Yield a file reduced to what `policy` (COLOR or STRIP) keeps. No sample changes.

    notices  receives what changes how the picture is shown, and what followed it; complete after the last piece

    Under COLOR the pictures that an index (MPF) lists are reduced likewise; else what follows the first one goes.
    Raises FormatError, LimitError and UnsupportedError before the first piece.
    """
    first = SegmentReducer(policy)
    stream, size, segments = ByteStream(source.chunks()), 0, list[Segment]()
    for piece, segment in reduced(stream, first):
        size += len(piece)
        segments += [] if segment is None else [segment]
    index = mpf.index_of(segments) if policy is Metadata.COLOR else None
    further = None if index is None else FurtherPictures(source, index, stream.offset)
    notices += [
        *first.notices(),
        *removed_behind(source.size - stream.offset - (further.source_size if further else 0)),
    ]
    kept = segments if further is None else further.head(segments)
    size += sum(len(segment.data) + 4 for segment in kept) - sum(len(segment.data) + 4 for segment in segments)
    left, written = {segment.offset: segment for segment in kept}, 0
    for piece, segment in reduced(ByteStream(source.chunks()), SegmentReducer(policy)):
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
