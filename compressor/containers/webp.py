"""WebP (RFC 9649): RIFF chunks around VP8 and VP8L bitstreams."""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from compressor import icc
from compressor.containers import notes
from compressor.containers.container import Container
from compressor.containers.piece_table import PieceTable
from compressor.errors import FormatError, LimitError
from compressor.humanize import human_format
from compressor.metadata import lost_colors, orientation, orientation_exif
from compressor.settings import Metadata
from compressor.window import Window

TITLE = human_format("webp")
CHUNKS_MAX = 1 << 20
RIFF_BYTES_MAX = 0xFFFFFFFE
HEADER_BYTES = 12  # "RIFF", size, "WEBP"
VP8X_BYTES, ANIM_BYTES, ANMF_BYTES = 10, 6, 16

# Flags of VP8X (2.7.1).
ANIMATION, XMP, EXIF, ALPHA, ICC = 0x02, 0x04, 0x08, 0x10, 0x20
IMAGES = (b"VP8 ", b"VP8L")
KNOWN = (*IMAGES, b"VP8X", b"ALPH", b"ANIM", b"ANMF")
FLAGGED = {b"ICCP": ICC, b"EXIF": EXIF, b"XMP ": XMP}


class RiffChunk(NamedTuple):
    """A chunk: its type, and the offset and size of its data in the file."""

    type: bytes
    start: int
    size: int


class Layout(NamedTuple):
    """The chunks to read of a file, None for those that it does not have.

    header          data of VP8X, b"" for the simple formats
    alpha           of a still image in VP8
    image           of a still image
    animation       data of ANIM; the frames are in `frames`
    trailing_bytes  after the RIFF chunk
    """

    header: bytes
    profile: RiffChunk | None
    exif: RiffChunk | None
    alpha: RiffChunk | None
    image: RiffChunk | None
    animation: bytes
    frames: PieceTable
    credentials: bool
    trailing_bytes: int


class WebpContainer(Container):
    """A WebP file."""

    def without_metadata(self, policy: Metadata, notices: list[str]) -> Iterator[bytes]:
        """Yield image, alpha, animation and, with COLOR, the ICC profile; an extended file remains one."""
        window = Window(self._source.read, self._source.size)
        layout = _layout(window)
        if layout.credentials:
            notes.note_credentials(notices)
        profile = _profile(window, layout, policy, notices)
        oriented = 1
        if layout.exif is not None:
            exif = window.read(layout.exif.start, min(layout.exif.size, notes.EXIF_BYTES_MAX))
            oriented = orientation(exif)
            notices += [] if layout.profile else lost_colors(None, exif)

        kept = PieceTable(TITLE)
        if layout.image is not None:
            if layout.alpha is not None:
                _keep(kept, layout.alpha._replace(size=_alpha_bytes(window, layout.alpha, layout.image)))
            _keep(kept, layout.image)
        head = b""
        if layout.header:
            flags = layout.header[0] & (ALPHA | ANIMATION) | (ICC if profile else 0) | (EXIF if oriented != 1 else 0)
            head = _chunk(b"VP8X", bytes([flags, 0, 0, 0]) + layout.header[4:])
        head += _chunk(b"ICCP", profile) if profile else b""
        head += _chunk(b"ANIM", layout.animation) if layout.animation else b""
        tail = _chunk(b"EXIF", orientation_exif(oriented)) if oriented != 1 else b""
        size = 4 + len(head) + kept.size + layout.frames.size + len(tail)
        if size > RIFF_BYTES_MAX:
            raise LimitError(f"{TITLE}: {size} bytes, at most {RIFF_BYTES_MAX}")
        notes.note_trailing_bytes(layout.trailing_bytes, notices)
        yield b"RIFF" + struct.pack("<I", size) + b"WEBP" + head
        yield from kept.chunks(self._source)
        yield from layout.frames.chunks(self._source)
        if tail:
            yield tail

    def unmapped_metadata(self) -> list[str]:
        window, names = Window(self._source.read, self._source.size), []
        flags, seen, end = 0, set[bytes](), self._source.size
        try:
            end = _riff_end(window)
            for chunk in _chunks(window, HEADER_BYTES, end):
                if chunk.type == b"VP8X" and chunk.size and not flags:
                    flags = window.read(chunk.start, 1)[0]
                elif chunk.type == b"C2PA":
                    names.append(notes.CREDENTIALS)
                elif chunk.type == b"ANMF":
                    parts = _chunks(window, chunk.start + ANMF_BYTES, chunk.start + chunk.size)
                    names += [f"chunk {notes.four_cc(part.type)}" for part in parts if part.type not in KNOWN][:1]
                elif chunk.type not in KNOWN and (chunk.type in seen or not flags & FLAGGED.get(chunk.type, 0)):
                    names.append(f"chunk {notes.four_cc(chunk.type)}")
                seen |= FLAGGED.keys() & {chunk.type}
                names = notes.first_names(names)
                if len(names) == notes.NAMES_MAX:
                    break
        except (FormatError, LimitError):
            pass
        if self._source.size > end:
            names.append(notes.trailing_bytes(self._source.size - end))
        return notes.first_names(names)


def _riff_end(window: Window) -> int:
    """Return the end offset of the RIFF chunk with its padding, at most that of the file."""
    head = window.read(0, HEADER_BYTES)
    if len(head) < HEADER_BYTES or head[:4] != b"RIFF" or head[8:] != b"WEBP":
        raise FormatError(TITLE, "RIFF", 0, "not the header of a WebP file")
    (size,) = struct.unpack_from("<I", head, 4)
    return int(min(8 + size + (size & 1), window.size))


def _chunks(window: Window, start: int, end: int) -> Iterator[RiffChunk]:
    """Yield the chunks between two offsets. Raises FormatError where one is truncated."""
    for _ in range(CHUNKS_MAX):
        if start + 8 > end:
            return
        kind, size = struct.unpack("<4sI", window.read(start, 8))
        if start + 8 + size > end:
            raise FormatError(TITLE, notes.four_cc(kind), start, f"{size} bytes of data, {end - start - 8} are left")
        yield RiffChunk(kind, start + 8, size)
        start += 8 + size + (size & 1)
    raise LimitError(f"{TITLE}: more than {CHUNKS_MAX} chunks")


def _layout(window: Window) -> Layout:
    end = _riff_end(window)
    chunks = _chunks(window, HEADER_BYTES, end)
    first = next(chunks, None)
    if first is None or first.type not in (*IMAGES, b"VP8X"):
        raise FormatError(TITLE, "RIFF", HEADER_BYTES, "the first chunk is neither an image nor VP8X")
    if first.type in IMAGES:  # readers ignore what follows
        return Layout(
            header=b"",
            profile=None,
            exif=None,
            alpha=None,
            image=first,
            animation=b"",
            frames=PieceTable(TITLE),
            credentials=_credentials(chunks),
            trailing_bytes=window.size - end,
        )
    if first.size < VP8X_BYTES:
        raise FormatError(TITLE, "VP8X", first.start, f"{first.size} bytes, {VP8X_BYTES} are needed")
    header = window.read(first.start, VP8X_BYTES)
    found: dict[bytes, RiffChunk] = {}
    frames, credentials = PieceTable(TITLE), False
    for chunk in chunks:
        if chunk.type == b"ALPH" and b"ALPH" in found and not found.keys() & set(IMAGES):
            raise FormatError(TITLE, "ALPH", chunk.start, "a second one for one image")
        credentials |= chunk.type == b"C2PA"
        if chunk.type == b"ANMF" and header[0] & ANIMATION:
            if b"ANIM" not in found:
                raise FormatError(TITLE, "ANMF", chunk.start, "a frame before ANIM")
            _keep_frame(frames, window, chunk)
        elif chunk.type == b"ALPH" and found.keys() & set(IMAGES):
            continue  # alpha precedes its image
        elif chunk.type in KNOWN or chunk.type in FLAGGED:
            found.setdefault(chunk.type, chunk)
    image = min((found[kind] for kind in IMAGES if kind in found), key=lambda chunk: chunk.start, default=None)
    animation = b""
    if header[0] & ANIMATION:
        if not frames.size or found[b"ANIM"].size < ANIM_BYTES:
            raise FormatError(TITLE, "ANIM", None, "an animation without frames or parameters")
        animation, image = window.read(found[b"ANIM"].start, ANIM_BYTES), None
    elif image is None:
        raise FormatError(TITLE, "VP8X", None, "no image follows")
    return Layout(
        header=header,
        profile=found.get(b"ICCP") if header[0] & ICC else None,  # readers expect it only where the flag is set
        exif=found.get(b"EXIF") if header[0] & EXIF else None,
        alpha=found.get(b"ALPH") if image is not None and image.type == b"VP8 " else None,
        image=image,
        animation=animation,
        frames=frames,
        credentials=credentials,
        trailing_bytes=window.size - end,
    )


def _credentials(chunks: Iterator[RiffChunk]) -> bool:
    try:
        return any(chunk.type == b"C2PA" for chunk in chunks)
    except (FormatError, LimitError):
        return False


def _keep_frame(frames: PieceTable, window: Window, frame: RiffChunk) -> None:
    """Keep a frame's parameters without reserved bits, its alpha and its image (2.7.1.2)."""
    if frame.size < ANMF_BYTES:
        raise FormatError(TITLE, "ANMF", frame.start, f"{frame.size} bytes, at least {ANMF_BYTES} are needed")
    alpha = None
    for part in _chunks(window, frame.start + ANMF_BYTES, frame.start + frame.size):
        if part.type in IMAGES:
            break
        if part.type == b"ALPH":
            if alpha is not None:
                raise FormatError(TITLE, "ALPH", part.start, "a second one for one image")
            alpha = part
    else:
        raise FormatError(TITLE, "ANMF", frame.start, "a frame without an image")
    if alpha is not None:
        alpha = alpha._replace(size=_alpha_bytes(window, alpha, part)) if part.type == b"VP8 " else None
    parts = [part] if alpha is None else [alpha, part]
    parameters = window.read(frame.start, ANMF_BYTES)
    size = ANMF_BYTES + sum(8 + chunk.size + (chunk.size & 1) for chunk in parts)
    frames.append(struct.pack("<4sI", b"ANMF", size) + parameters[:15] + bytes([parameters[15] & 3]))
    for chunk in parts:
        _keep(frames, chunk)


def _alpha_bytes(window: Window, alpha: RiffChunk, image: RiffChunk) -> int:
    """Return how many bytes of an alpha chunk are used; all of them where it is compressed (2.7.1.3)."""
    key_frame = window.read(image.start, 10)
    if alpha.size == 0 or len(key_frame) < 10 or window.read(alpha.start, 1)[0] & 3:  # compressed
        return alpha.size
    width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", key_frame, 6))
    return min(alpha.size, 1 + int(width * height))


def _profile(window: Window, layout: Layout, policy: Metadata, notices: list[str]) -> bytes:
    """Return the ICC profile to keep, b"" for none."""
    if layout.profile is None:
        return b""
    if policy is Metadata.COLOR and layout.profile.size > notes.ICC_BYTES_MAX:
        raise LimitError(f"{TITLE}: an ICC profile of {layout.profile.size} bytes, at most {notes.ICC_BYTES_MAX}")
    profile = icc.trimmed(window.read(layout.profile.start, min(layout.profile.size, notes.ICC_BYTES_MAX)))
    if policy is Metadata.COLOR:
        return profile
    notes.note_profile(profile, notices)
    return b""


def _keep(kept: PieceTable, chunk: RiffChunk) -> None:
    kept.append(struct.pack("<4sI", chunk.type, chunk.size))
    kept.copy(chunk.start, chunk.size)
    kept.append(bytes(chunk.size & 1))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack("<4sI", kind, len(data)) + data + bytes(len(data) & 1)
