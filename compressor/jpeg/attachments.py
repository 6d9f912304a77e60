"""Metadata segments of JPEG to and from the form that all formats share."""

import struct
from collections.abc import Sequence

from compressor.errors import LimitError
from compressor.jpeg import mpf
from compressor.jpeg.frame import Segment
from compressor.metadata import Attachments
from compressor.t81 import APP0, APP1, APP2, APP14, COM

JFIF = b"JFIF\0"  # ITU-T T.871, 10.1
EXIF = b"Exif\0\0"  # Exif 2.32, 4.7.2
EXIF_START, EXIF_BYTES = b"Exif\0", 6  # as read: some files have 0xFF in place of the second zero
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


def attachments_of(segments: Sequence[Segment]) -> Attachments:
    """What the segments of a JPEG say, for another format; what has no place in that is named in the notices.

    Of repeated segments Exif is joined and the last XMP counts, as in Pillow; comments are all kept. The index of
    further pictures (MPF) is not among what is named: whoever drops the pictures says so.
    """
    exif, xmp, density = b"", None, None
    pieces: list[bytes] = []
    comments: list[str] = []
    lost: list[str] = []
    for segment in segments:
        marker, data = segment.marker, segment.data
        if marker == COM:
            comments.append(_text(data.rstrip(b"\0")))
        elif marker == APP0 and data.startswith(JFIF):
            density = _density(data)
        elif marker == APP1 and data.startswith(EXIF_START):
            exif += data[EXIF_BYTES:]
        elif marker == APP1 and data.startswith(XMP):
            xmp = data[len(XMP) :]
        elif marker == APP2 and data.startswith(ICC):
            pieces.append(data[len(ICC) :])
        elif not (data.startswith(ADOBE) and marker == APP14) and not mpf.is_index(segment):
            lost.append(_name(segment))
    icc = joined_icc(pieces)
    notices = ["the ICC profile is incomplete: not carried over"] if icc is None and pieces else []
    if lost:
        notices.append(f"not carried over from JPEG: {', '.join(sorted(set(lost)))}")
    return Attachments(
        icc=icc,
        exif=exif or None,
        xmp=xmp or None,
        comments=tuple(comment for comment in comments if comment),
        density=density,
        notices=tuple(notices),
    )


def _name(segment: Segment) -> str:
    """A segment for people: its marker and the word that it begins with, as "APP13 (Photoshop 3.0)"."""
    marker = "COM" if segment.marker == COM else f"APP{segment.marker - APP0}"
    if segment.marker == APP1 and segment.data.startswith(EXTENDED_XMP):
        return f"{marker} (extended XMP)"
    word = segment.data[:32].partition(b"\0")[0]
    return f"{marker} ({word.decode()})" if word.isascii() and word.decode("ascii").isprintable() and word else marker


def _text(comment: bytes) -> str:
    """A comment, which T.81 gives no encoding: UTF-8 if it can be."""
    try:
        return comment.decode()
    except UnicodeDecodeError:
        return comment.decode("latin-1")


def _density(jfif: bytes) -> tuple[int, int] | None:
    """Pixels per metre from a JFIF segment; None where it says an aspect ratio alone (T.871, 10.1)."""
    if len(jfif) < 12:
        return None
    unit, x, y = struct.unpack_from(">BHH", jfif, 7)
    scale = {1: 1 / 0.0254, 2: 100.0}.get(unit, 0.0)
    found = round(x * scale), round(y * scale)
    return found if min(found) > 0 else None


def _single(marker: int, data: bytes, name: str, notices: list[str]) -> list[Segment]:
    if len(data) > SEGMENT_DATA_MAX:
        notices.append(f"{name} has {len(data)} bytes, too many for a JPEG segment: not carried over")
        return []
    return [Segment(marker, data)]


def _jfif(density: tuple[int, int] | None) -> Segment:
    """APP0 with the density in dots per centimetre, or an aspect ratio of 1:1 where there is none."""
    unit, x, y = (0, 1, 1) if density is None else (2, *(max(1, min(65535, round(d / 100))) for d in density))
    return Segment(APP0, JFIF + struct.pack(">HBHHBB", 0x0101, unit, x, y, 0, 0))


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
