"""Conversion of JPEG's metadata segments to and from the form that all formats share."""

import struct
from collections.abc import Sequence

from compressor.errors import LimitError
from compressor.jpeg import mpf
from compressor.jpeg.frame import Segment
from compressor.metadata import Attachments
from compressor.t81 import APP0, APP1, APP2, APP14, COM

JFIF = b"JFIF\0"  # ITU-T T.871, 10.1
EXIF = b"Exif\0\0"  # Exif 2.32, 4.7.2
EXIF_START, EXIF_BYTES = b"Exif\0", 6  # when reading: some files have 0xFF instead of the second zero
XMP = b"http://ns.adobe.com/xap/1.0/\0"  # XMP specification part 3, 1.1.3
EXTENDED_XMP = b"http://ns.adobe.com/xmp/extension/\0"  # 1.1.3.1
PHOTOSHOP = b"Photoshop 3.0\0"  # XMP specification part 3, 1.1.3: image resources, including IPTC
GAIN_MAP = b"urn:iso:std:iso:ts:21496:-1\0"  # ISO 21496-1: metadata of a gain map among the additional images
ICC = b"ICC_PROFILE\0"  # ICC.1:2022, B.4
ADOBE = b"Adobe"  # Adobe technical note 5116, section 18
SEGMENT_DATA_MAX = 65533
ICC_PIECE_MAX = SEGMENT_DATA_MAX - len(ICC) - 2


def segments_for(attachments: Attachments) -> tuple[list[Segment], list[str]]:
    """Return the segments of a new JPEG (JFIF first), and notices of metadata that it can't carry."""
    notices = list(attachments.notices)
    segments = [_jfif(attachments.density, attachments.aspect)]
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


def has_gain_map(segments: Sequence[Segment]) -> bool:
    """Return whether the first picture of a file has a gain map among its additional images."""
    if mpf.index_of(segments) is None:
        return False
    return any(mpf.NAMESPACE in segment.data or segment.data.startswith(GAIN_MAP) for segment in segments)


def attachments_of(segments: Sequence[Segment]) -> Attachments:
    """Return the metadata in a JPEG's segments, for another format. Segments that it can't carry are named in the
    notices.

    Of repeated segments Exif is joined and the last XMP counts, as in Pillow; comments are all kept. The index of
    additional images (MPF) is not named: that is left to the code that drops the pictures.
    """
    exif, xmp, density, aspect = b"", None, None, None
    pieces: list[bytes] = []
    comments: list[str] = []
    lost: list[str] = []
    for segment in segments:
        marker, data = segment.marker, segment.data
        if marker == COM:
            comments.append(_text(data.rstrip(b"\0")))
        elif marker == APP0 and data.startswith(JFIF):
            density, aspect = _density(data), _aspect(data)
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
        aspect=aspect,
        notices=tuple(notices),
    )


def _name(segment: Segment) -> str:
    """Return a segment's name for people: its marker and the word that it begins with, as "APP13 (Photoshop 3.0)"."""
    marker = "COM" if segment.marker == COM else f"APP{segment.marker - APP0}"
    if segment.marker == APP1 and segment.data.startswith(EXTENDED_XMP):
        return f"{marker} (extended XMP)"
    word = segment.data[:32].partition(b"\0")[0]
    return f"{marker} ({word.decode()})" if word.isascii() and word.decode("ascii").isprintable() and word else marker


def _text(comment: bytes) -> str:
    """Decode a comment. T.81 specifies no encoding: UTF-8 if it is valid, else Latin-1."""
    try:
        return comment.decode()
    except UnicodeDecodeError:
        return comment.decode("latin-1")


def _density(jfif: bytes) -> tuple[int, int] | None:
    """Return the pixels per meter in a JFIF segment; None if it has only an aspect ratio (T.871, 10.1)."""
    if len(jfif) < 12:
        return None
    unit, x, y = struct.unpack_from(">BHH", jfif, 7)
    scale = {1: 1 / 0.0254, 2: 100.0}.get(unit, 0.0)
    found = round(x * scale), round(y * scale)
    return found if min(found) > 0 else None


def _aspect(jfif: bytes) -> tuple[int, int] | None:
    """Return the horizontal and vertical density in a JFIF segment without a unit, if they differ; else None."""
    if len(jfif) < 12:
        return None
    unit, x, y = struct.unpack_from(">BHH", jfif, 7)
    return (x, y) if unit == 0 and x != y and min(x, y) > 0 else None


def _single(marker: int, data: bytes, name: str, notices: list[str]) -> list[Segment]:
    if len(data) > SEGMENT_DATA_MAX:
        notices.append(f"{name} has {len(data)} bytes, too many for a JPEG segment: not carried over")
        return []
    return [Segment(marker, data)]


def _jfif(density: tuple[int, int] | None, aspect: tuple[int, int] | None) -> Segment:
    """Return APP0 with the density in dots per centimeter, else without a unit the aspect ratio, 1:1 if unknown."""
    unit, x, y = 0, *(aspect or (1, 1))
    if density is not None:
        unit, (x, y) = 2, (round(d / 100) for d in density)
    elif max(x, y) > 65535:
        scale = 65535 / max(x, y)
        x, y = round(x * scale), round(y * scale)
    x, y = (max(1, min(65535, d)) for d in (x, y))
    return Segment(APP0, JFIF + struct.pack(">HBHHBB", 0x0101, unit, x, y, 0, 0))


def joined_icc(pieces: Sequence[bytes]) -> bytes | None:
    """Join the pieces of a profile in the order of their numbers. Each piece begins with its number and their count
    (ICC.1:2022, B.4). Return None if one is missing, repeated or has another count, as libjpeg does
    (jpeg_read_icc_profile)."""
    if any(len(piece) < 2 for piece in pieces):
        return None
    ordered = sorted(pieces, key=lambda piece: piece[0])
    if not ordered or [piece[:2] for piece in ordered] != [
        bytes([n, len(ordered)]) for n in range(1, len(ordered) + 1)
    ]:
        return None
    return b"".join(piece[2:] for piece in ordered) or None
