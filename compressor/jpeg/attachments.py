"""Metadata segments of JPEG to and from the form that all formats share, and which of them a policy keeps."""

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence

from compressor.bytestream import ByteStream
from compressor.errors import LimitError
from compressor.jpeg import mpf, writer
from compressor.jpeg.frame import Segment
from compressor.jpeg.markers import PARAMETERLESS, MarkerReader, entropy_coded
from compressor.metadata import Attachments, orientation, orientation_exif
from compressor.settings import Metadata
from compressor.t81 import APP0, APP1, APP2, APP13, APP14, APP15, COM, EOI, SOI, SOS

JFIF = b"JFIF\0"  # ITU-T T.871, 10.1
JFIF_BYTES = 14  # ITU-T T.871, 10.1: up to the thumbnail
EXIF = b"Exif\0\0"  # Exif 2.32, 4.7.2
XMP = b"http://ns.adobe.com/xap/1.0/\0"  # XMP specification part 3, 1.1.3
EXTENDED_XMP = b"http://ns.adobe.com/xmp/extension/\0"  # 1.1.3.1
PHOTOSHOP = b"Photoshop 3.0\0"  # XMP specification part 3, 1.1.3: image resources, IPTC among them
GAIN_MAP = b"urn:iso:std:iso:ts:21496:-1\0"  # ISO 21496-1: what the gain map among the further pictures means
ICC = b"ICC_PROFILE\0"  # ICC.1:2022, B.4
ADOBE = b"Adobe"  # Adobe technical note 5116, section 18
SEGMENT_DATA_MAX = 65533
ICC_PIECE_MAX = SEGMENT_DATA_MAX - len(ICC) - 2


def segments_for(attachments: Attachments) -> tuple[list[Segment], list[str]]:
    """The segments of a new JPEG (JFIF first), and notices of what it can't carry."""
    notices = list(attachments.notices)
    segments = [_jfif(attachments.density)]
    if attachments.exif is not None:
        segments += _single(APP1, EXIF + attachments.exif, "Exif", notices)
    if attachments.xmp is not None:
        segments += _single(APP1, XMP + attachments.xmp, "XMP", notices)
    if attachments.icc is not None:
        pieces = [attachments.icc[at : at + ICC_PIECE_MAX] for at in range(0, len(attachments.icc), ICC_PIECE_MAX)]
        if len(pieces) > 255:
            raise LimitError(f"the ICC profile has {len(attachments.icc)} bytes, too many for JPEG")
        for number, piece in enumerate(pieces, 1):
            segments.append(Segment(APP2, ICC + bytes([number, len(pieces)]) + piece))
    for comment in attachments.comments:
        segments += _single(COM, comment.encode(), "a comment", notices)
    return segments, notices


def _single(marker: int, data: bytes, name: str, notices: list[str]) -> list[Segment]:
    if len(data) > SEGMENT_DATA_MAX:
        notices.append(f"{name} has {len(data)} bytes, too many for a JPEG segment: not carried over")
        return []
    return [Segment(marker, data)]


def _jfif(density: tuple[int, int] | None) -> Segment:
    """APP0 with the density in dots per centimetre, or an aspect ratio of 1:1 where there is none."""
    unit, x, y = (0, 1, 1) if density is None else (2, *(max(1, min(65535, round(d / 100))) for d in density))
    return Segment(APP0, JFIF + struct.pack(">HBHHBB", 0x0101, unit, x, y, 0, 0))


def kept(segments: Sequence[Segment], policy: Metadata) -> list[Segment]:
    """What a JPEG made from a JPEG still has; JFIF and Adobe say what the components mean and always stay, JFIF without
    its thumbnail.

    COLOR keeps the index of further pictures as well: a gain map among them changes how the first one looks.
    """
    if policy is Metadata.KEEP:
        return list(segments)
    left: list[Segment] = []
    for segment in segments:
        if segment.marker == APP0 and segment.data.startswith(JFIF):
            whole = len(segment.data) >= JFIF_BYTES
            left.append(Segment(APP0, segment.data[: JFIF_BYTES - 2] + b"\0\0") if whole else segment)
        elif segment.marker == APP14 and segment.data.startswith(ADOBE):
            left.append(segment)
        elif policy is Metadata.COLOR and segment.marker == APP2:
            if segment.data.startswith((ICC, mpf.IDENTIFIER, GAIN_MAP)):
                left.append(segment)
        elif policy is Metadata.COLOR and segment.marker == APP1 and segment.data.startswith(EXIF):
            turned = orientation(segment.data[len(EXIF) :])
            if turned != 1:
                left.append(Segment(APP1, EXIF + orientation_exif(turned)))
    return left


def without_metadata(chunks: Callable[[], Iterable[bytes]], policy: Metadata) -> Iterator[bytes]:
    """A file reduced to what `policy` keeps, else as it is. An index of further pictures follows; where it goes, so do
    they.

    chunks  gives the bytes of the file, one that a reader has accepted, from the start: it is read twice
    """
    size, was_at, is_at = 0, None, 0
    stream = ByteStream(chunks())
    for piece, index_at in _reduced(stream, policy):
        if index_at is not None and was_at is None:
            was_at, is_at = index_at, size + 4
        size += len(piece)
    shift = (size - stream.offset) - (is_at - (was_at or 0))
    stream = ByteStream(chunks())
    for piece, index_at in _reduced(stream, policy):
        if piece and index_at is not None and index_at == was_at:
            yield writer.segment(APP2, mpf.moved(Segment(APP2, piece[4:]), size, shift))
        else:
            yield piece
    if was_at is None or policy is not Metadata.STRIP:
        yield from stream.drain()


def _reduced(stream: ByteStream, policy: Metadata) -> Iterator[tuple[bytes, int | None]]:
    """Pieces of a file up to EOI; with the one that was or is an index of pictures, where its data begin in the file.
    What readers pass over between segments goes."""
    reader, code = MarkerReader(stream), SOI
    yield stream.read(2), None
    while code != EOI:
        code = reader.next_marker(end_allowed=True)
        if code == EOI:
            yield bytes([0xFF, EOI]), None
        elif code not in PARAMETERLESS:
            segment = Segment(code, reader.parameters())
            is_metadata = APP0 <= code <= APP15 or code == COM
            left = kept([segment], policy) if is_metadata else [segment]
            index = mpf.index_of([segment])
            yield b"".join(writer.segment(s.marker, s.data) for s in left), None if index is None else reader.at + 4
        if code == SOS:
            for piece in entropy_coded(stream):
                yield piece, None


def read_attachments(segments: Sequence[Segment]) -> Attachments:
    """What the segments of a JPEG say, in the form that all formats share; what does not fit is named."""
    found = {
        name: [s.data[len(start) :] for s in segments if s.marker == marker and s.data.startswith(start)]
        for name, marker, start in (
            ("JFIF", APP0, JFIF), ("Exif", APP1, EXIF), ("XMP", APP1, XMP), ("extended XMP", APP1, EXTENDED_XMP),
            ("Photoshop's resources (IPTC)", APP13, PHOTOSHOP), ("ICC", APP2, ICC),
        )
    }  # fmt: skip
    icc = joined_icc(found["ICC"])
    notices = ["the ICC profile is incomplete and was left out"] if icc is None and found["ICC"] else []
    for name in ("extended XMP", "Photoshop's resources (IPTC)"):
        if size := sum(map(len, found[name])):
            notices.append(f"{name}, {size} bytes, can't be carried over")
    comments = (s.data.rstrip(b"\0") for s in segments if s.marker == COM)
    return Attachments(
        icc=icc,
        exif=next(iter(found["Exif"]), None),
        xmp=next(iter(found["XMP"]), None),
        comments=tuple(_text(comment) for comment in comments if comment),
        density=_density(next(iter(found["JFIF"]), b"")),
        notices=tuple(notices),
    )


def joined_icc(pieces: Sequence[bytes]) -> bytes | None:
    """A profile from its pieces, each behind its number and how many there are (ICC.1:2022, B.4): in the order of their
    numbers. None where one is missing, comes twice or counts otherwise, as in libjpeg (jpeg_read_icc_profile)."""
    if any(len(piece) < 2 for piece in pieces):
        return None
    ordered = sorted(pieces, key=lambda piece: piece[0])
    if not ordered or [piece[:2] for piece in ordered] != [
        bytes([n, len(ordered)]) for n in range(1, len(ordered) + 1)
    ]:
        return None
    return b"".join(piece[2:] for piece in ordered) or None


def _text(comment: bytes) -> str:
    """A comment, which T.81 gives no encoding: UTF-8 if it can be."""
    try:
        return comment.decode()
    except UnicodeDecodeError:
        return comment.decode("latin-1")


def _density(jfif: bytes) -> tuple[int, int] | None:
    """Pixels per metre, from what follows JFIF's name; None for an aspect ratio (ITU-T T.871, 10.1)."""
    if len(jfif) < 7:
        return None
    unit, x, y = struct.unpack_from(">BHH", jfif, 2)
    per_metre = {1: 10000 / 254, 2: 100}.get(unit)
    return (round(x * per_metre), round(y * per_metre)) if per_metre and x and y else None
