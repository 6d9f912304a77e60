"""The moov box of an image sequence (ISO/IEC 14496-12 clause 8): its image and alpha tracks, reduced to what displays
them. Samples, their timing and the number of repetitions are kept; dates, names, audio and text are removed."""

import itertools
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from compressor.containers import heif_properties
from compressor.containers.coded import MessageFilter
from compressor.errors import FormatError, LimitError, UnsupportedError
from compressor.parsers import boxes
from compressor.parsers.boxes import Extent, Extents, Fields, make, make_full
from compressor.parsers.heif import Heif
from compressor.spool import Readable

TRACKS_MAX = 64
SAMPLES_MAX = 1 << 16  # of all tracks
IMAGES, AUXILIARY = b"pict", b"auxv"
ALPHA = {b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha", b"urn:mpeg:hevc:2015:auxid:1"}
CODED = {b"av01", b"hvc1"}
# Tables of timing and sync samples: bytes of an entry after the count.
TABLES = {b"stts": 8, b"ctts": 8, b"stss": 4}
IDENTITY = struct.pack(">9I", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
UNDETERMINED = b"\x55\xc4"  # the language "und"

Children = dict[bytes, bytes]
# Returns extents limited to the mdat boxes; raises FormatError, which names their owner, where they are outside.
ExtentCheck = Callable[[list[Extent], str], list[Extent]]


@dataclass
class Track:
    """A track: its boxes without sample sizes and chunk offsets, and the extents of each sample in the source."""

    number: int
    refers_to: list[int]
    head: bytes  # tkhd, edts
    media: bytes  # mdhd, hdlr
    information: bytes  # vmhd, dinf
    tables: bytes
    samples: list[list[Extent]]


@dataclass
class ImageSequence:
    """The reduced moov box."""

    header: bytes
    tracks: list[Track]

    def box(self, first: Sequence[int], wide: bool) -> bytes:
        """Return the moov box.

        first  offset of the first sample of each track in the new file
        wide   whether offsets take 64 bits
        """
        traks = [_trak(track, at, wide) for track, at in zip(self.tracks, first, strict=True)]
        return make(b"moov", self.header, *traks)


def read_sequence(
    heif: Heif, source: Readable, color: bool, messages: MessageFilter, notices: list[str], check: ExtentCheck
) -> ImageSequence | None:
    """Return the reduced moov box of a file, or None where it has none."""
    moov = next((box for box in heif.top if box.kind == b"moov"), None)
    if moov is None:
        return None
    content = boxes.content(heif.title, source, moov)
    header, traks = b"", []
    for kind, data, _ in boxes.children(heif.title, content):
        if kind == b"mvhd":
            header = _movie_header(Fields(heif.title, "mvhd", data))
        elif kind == b"trak":
            traks.append(data)
        elif kind in (b"mvex", b"cmov"):
            raise UnsupportedError(
                f"{heif.title}: can't remove metadata from an image sequence with a {boxes.name(kind)} box"
            )
    if not header or len(traks) > TRACKS_MAX:
        raise FormatError(heif.title, "moov", moov.start, f"no movie header box, or more than {TRACKS_MAX} tracks")
    reader = _Reader(heif, source, color, messages, notices, check)
    found = [track for data in traks if (track := reader.track(data)) is not None]
    shown = {track.number for track in found if not track.refers_to}
    tracks = [track for track in found if shown.issuperset(track.refers_to)]
    if not shown:
        raise FormatError(heif.title, "moov", moov.start, "no image track")
    if len(tracks) < len(traks):
        notices.append(f"tracks other than images and their alpha were removed: {len(traks) - len(tracks)}")
    if sum(length for track in tracks for sample in track.samples for _, length in sample) > source.size:
        raise UnsupportedError(f"{heif.title}: the samples of its tracks overlap")
    return ImageSequence(header, tracks)


def _undated(fields: Fields) -> tuple[int, int, bytes]:
    """Read version, flags and dates of a header box; return version, flags and zeros in place of the dates."""
    version, flags = fields.version()
    if version > 1:
        raise fields.broken(f"has version {version}")
    return version, flags, bytes(len(fields.take(16 if version else 8)))


def _movie_header(fields: Fields) -> bytes:
    """Return the mvhd box (8.2.2) with its timescale, duration, rate and next track ID."""
    version, flags, dates = _undated(fields)
    times = fields.take(12 if version else 8)
    rate = fields.take(6)
    fields.take(10 + 36 + 24)
    return make_full(b"mvhd", version, flags, dates, times, rate, bytes(10), IDENTITY, bytes(24), fields.take(4))


def _track_header(fields: Fields) -> tuple[int, bytes]:
    """Return the track ID and the tkhd box (8.3.2)."""
    version, flags, dates = _undated(fields)
    number = fields.take(4)
    fields.take(4)
    duration = fields.take(8 if version else 4)
    fields.take(8)
    layers = fields.take(6)
    fields.take(2)
    box = make_full(
        b"tkhd", version, flags, dates, number, bytes(4), duration, bytes(8), layers, bytes(2), fields.take(44)
    )
    return int.from_bytes(number, "big"), box


def _media_header(fields: Fields) -> bytes:
    """Return the mdhd box (8.4.2) with an undetermined language."""
    version, flags, dates = _undated(fields)
    return make_full(b"mdhd", version, flags, dates, fields.take(12 if version else 8), UNDETERMINED, bytes(2))


class _Reader:
    def __init__(
        self, heif: Heif, source: Readable, color: bool, messages: MessageFilter, notices: list[str], check: ExtentCheck
    ) -> None:
        self._heif, self._source, self._color, self._messages, self._notices = heif, source, color, messages, notices
        self._check = check
        self._samples = 0

    def _children(self, place: str, data: bytes, needed: Sequence[bytes]) -> Children:
        found: Children = {}
        for kind, content, _ in boxes.children(self._heif.title, data):
            found.setdefault(kind, content)
        if missing := [kind for kind in needed if kind not in found]:
            raise FormatError(self._heif.title, place, None, f"no {boxes.name(missing[0])} box")
        return found

    def _fields(self, kind: bytes, data: bytes) -> Fields:
        return Fields(self._heif.title, boxes.name(kind), data)

    def track(self, data: bytes) -> Track | None:
        """Return a reduced track, None to remove it."""
        trak = self._children("trak", data, (b"tkhd", b"mdia"))
        mdia = self._children("mdia", trak[b"mdia"], (b"mdhd", b"hdlr", b"minf"))
        handler = mdia[b"hdlr"][8:12]
        links = {kind: content for kind, content, _ in boxes.children(self._heif.title, trak.get(b"tref", b""))}
        if handler not in (IMAGES, AUXILIARY) or b"thmb" in links or (handler == AUXILIARY) != (b"auxl" in links):
            return None
        minf = self._children("minf", mdia[b"minf"], (b"dinf", b"stbl"))
        self._check_references(minf[b"dinf"])
        stbl = self._children("stbl", minf[b"stbl"], (b"stsd", b"stts", b"stsc"))
        described = self._description(stbl[b"stsd"], handler)
        if described is None:
            return None
        description, length_bytes = described
        number, head = _track_header(self._fields(b"tkhd", trak[b"tkhd"]))
        head += self._edits(trak.get(b"edts", b""))
        media = _media_header(self._fields(b"mdhd", mdia[b"mdhd"]))
        media += make_full(b"hdlr", 0, 0, bytes(4), handler, bytes(13))
        information = make_full(b"vmhd", 0, 1, bytes(8))
        information += make(b"dinf", make_full(b"dref", 0, 0, struct.pack(">I", 1), make_full(b"url ", 0, 1)))
        tables = description + b"".join(
            self._table(kind, size, stbl[kind]) for kind, size in TABLES.items() if kind in stbl
        )
        samples = [self._needed(sample, length_bytes) for sample in self._located(stbl)]
        targets = links.get(b"auxl", b"")
        refers_to = [int.from_bytes(targets[at : at + 4], "big") for at in range(0, len(targets) - 3, 4)]
        return Track(number, refers_to[:1], head, media, information, tables, samples)

    def _check_references(self, dinf: bytes) -> None:
        dref = self._fields(b"dref", self._children("dinf", dinf, (b"dref",))[b"dref"])
        dref.take(8)
        for _, content, _ in boxes.children(self._heif.title, dref.data, 8):
            if not content[3:4] or not content[3] & 1:
                raise UnsupportedError(f"{self._heif.title}: can't remove metadata from samples in another file")

    def _edits(self, edts: bytes) -> bytes:
        """Return the edit list, which sets how often a sequence is repeated (AV1 Image File Format, 7)."""
        if not edts:
            return b""
        fields = self._fields(b"elst", self._children("edts", edts, (b"elst",))[b"elst"])
        version, flags = fields.version()
        count = fields.take(4)
        entries = fields.take((20 if version else 12) * int.from_bytes(count, "big"))
        return make(b"edts", make_full(b"elst", version, flags, count, entries))

    def _table(self, kind: bytes, size: int, data: bytes) -> bytes:
        fields = self._fields(kind, data)
        head = fields.take(8)
        return make(kind, head, fields.take(size * int.from_bytes(head[4:], "big")))

    def _description(self, data: bytes, handler: bytes) -> tuple[bytes, int] | None:
        """Return the sample description box (8.5.2) and the bytes of a NAL unit length, 0 for AV1; None to drop it."""
        fields = self._fields(b"stsd", data)
        fields.take(8)
        entries = list(boxes.children(self._heif.title, data, 8))
        if len(entries) != 1 or entries[0][0] not in CODED:
            raise UnsupportedError(f"{self._heif.title}: can't remove metadata from samples of this description")
        kind, entry, _ = entries[0]
        sizes = self._fields(kind, entry).take(78)
        # Without the compressor name and reserved fields.
        head = bytes(7) + b"\1" + bytes(16) + sizes[24:28] + sizes[28:36] + bytes(4) + sizes[40:42] + bytes(32)
        kept, length_bytes, purpose = [], 0, b""
        for name, content, _ in boxes.children(self._heif.title, entry, 78):
            left = heif_properties.content(self._heif, name, content, self._color, self._messages, self._notices)
            if name == b"hvcC" and len(content) > 21:
                length_bytes = (content[21] & 3) + 1
            if name == b"auxi":
                purpose = content[4:].split(b"\0")[0]
            if left is not None:
                kept.append(make(name, left))
        if (handler == AUXILIARY and purpose not in ALPHA) or (kind == b"hvc1" and not length_bytes):
            return None
        described = make(kind, head, sizes[74:78], *kept)
        return make_full(b"stsd", 0, 0, struct.pack(">I", 1), described), length_bytes

    def _needed(self, sample: Extent, length_bytes: int) -> list[Extent]:
        data = Extents(self._source, self._check([sample], "a sample"))
        found = self._messages.hevc(data, length_bytes) if length_bytes else self._messages.av1(data)
        if not found:
            raise FormatError(self._heif.title, "mdat", sample[0], "a sample has no coded image")
        return found

    def _located(self, stbl: Children) -> Iterator[Extent]:
        """Yield the extent of each sample (8.7)."""
        kind = b"co64" if b"co64" in stbl else b"stco"
        if kind not in stbl or b"stsz" not in stbl:
            raise UnsupportedError(
                f"{self._heif.title}: can't remove metadata from samples without stsz and stco or co64"
            )
        sizes = self._fields(b"stsz", stbl[b"stsz"])
        sizes.take(4)
        size, count = sizes.number(4), sizes.number(4)
        self._samples += count
        if self._samples > SAMPLES_MAX:
            raise LimitError(f"{self._heif.title}: more than {SAMPLES_MAX} samples")
        chunks = self._fields(kind, stbl[kind])
        chunks.take(4)
        offsets = [chunks.number(8 if kind == b"co64" else 4) for _ in range(chunks.number(4))]
        runs = self._fields(b"stsc", stbl[b"stsc"])
        runs.take(4)
        entries = [(runs.number(4), runs.number(4), runs.number(4)) for _ in range(runs.number(4))]
        left = count
        for (first, each, _), (following, _, _) in itertools.pairwise([*entries, (len(offsets) + 1, 0, 0)]):
            if first < 1 or following < first or following > len(offsets) + 1:
                raise runs.broken("its chunks are out of order")
            for offset in offsets[first - 1 : following - 1]:
                for _ in range(min(each, left)):
                    length = size or sizes.number(4)
                    yield offset, length
                    offset += length
                    left -= 1
        if left:
            raise sizes.broken(f"{left} samples are in no chunk")


def _trak(track: Track, first: int, wide: bool) -> bytes:
    sizes = [sum(length for _, length in sample) for sample in track.samples]
    count = len(sizes)
    stsz = make_full(b"stsz", 0, 0, struct.pack(f">II{count}I", 0, count, *sizes))
    stsc = make_full(b"stsc", 0, 0, struct.pack(">IIII", 1, 1, count, 1))
    stco = make_full(b"co64" if wide else b"stco", 0, 0, struct.pack(">IQ" if wide else ">II", 1, first))
    stbl = make(b"stbl", track.tables, stsc, stsz, stco)
    tref = make(b"tref", make(b"auxl", struct.pack(f">{len(track.refers_to)}I", *track.refers_to)))
    return make(
        b"trak", track.head, tref if track.refers_to else b"",
        make(b"mdia", track.media, make(b"minf", track.information, stbl)),
    )  # fmt: skip
