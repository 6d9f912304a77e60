"""WebP (RFC 9649): RIFF chunks around VP8 and VP8L bitstreams."""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from compressor import icc
from compressor.containers import notes
from compressor.containers.kept import Kept
from compressor.errors import FormatError, LimitError
from compressor.metadata import lost_colors, orientation, orientation_exif
from compressor.settings import Metadata
from compressor.spool import Readable
from compressor.window import Window

TITLE = "WebP"
CHUNKS_MAX = 1 << 20
RIFF_BYTES_MAX = 0xFFFFFFFE
HEADER_BYTES = 12  # "RIFF", size, "WEBP"
VP8X_BYTES, ANIM_BYTES, ANMF_BYTES = 10, 6, 16

# Flags of VP8X (2.7.1).
ANIMATION, XMP, EXIF, ALPHA, ICC = 0x02, 0x04, 0x08, 0x10, 0x20
IMAGES = (b"VP8 ", b"VP8L")
KNOWN = (*IMAGES, b"VP8X", b"ALPH", b"ANIM", b"ANMF")
FLAGGED = {b"ICCP": ICC, b"EXIF": EXIF, b"XMP ": XMP}


class Chunk(NamedTuple):
    """A chunk by its type and where its data are in the file."""

    type: bytes
    start: int
    size: int


class Layout(NamedTuple):
    """The chunks of a file that matter, None for those that it does not have.

    header     data of VP8X, b"" for the simple formats
    alpha      of a still picture in VP8
    image      of a still picture
    animation  data of ANIM; the frames are in `frames`
    behind     number of bytes behind the RIFF chunk
    """

    header: bytes
    profile: Chunk | None
    exif: Chunk | None
    alpha: Chunk | None
    image: Chunk | None
    animation: bytes
    frames: Kept
    credentials: bool
    behind: int


def without_metadata(source: Readable, policy: Metadata, notices: list[str]) -> Iterator[bytes]:
    """Yield the file reduced to what `policy` keeps; an extended file stays one (see `containers`)."""
    window = Window(source.read, source.size)
    layout = _layout(window)
    if layout.credentials:
        notes.note_credentials(notices)
    profile = _profile(window, layout, policy, notices)
    turned = 1
    if layout.exif is not None:
        exif = window.at(layout.exif.start, min(layout.exif.size, notes.EXIF_BYTES_MAX))
        turned = orientation(exif)
        notices += [] if layout.profile else lost_colors(None, exif)

    kept = Kept(TITLE)
    if layout.image is not None:
        if layout.alpha is not None:
            _keep(kept, layout.alpha._replace(size=_alpha_bytes(window, layout.alpha, layout.image)))
        _keep(kept, layout.image)
    head = b""
    if layout.header:
        flags = layout.header[0] & (ALPHA | ANIMATION) | (ICC if profile else 0) | (EXIF if turned != 1 else 0)
        head = _chunk(b"VP8X", bytes([flags, 0, 0, 0]) + layout.header[4:])
    head += _chunk(b"ICCP", profile) if profile else b""
    head += _chunk(b"ANIM", layout.animation) if layout.animation else b""
    tail = _chunk(b"EXIF", orientation_exif(turned)) if turned != 1 else b""
    size = 4 + len(head) + kept.size + layout.frames.size + len(tail)
    if size > RIFF_BYTES_MAX:
        raise LimitError(f"{TITLE}: {size} bytes, at most {RIFF_BYTES_MAX}")
    notes.note_behind(layout.behind, notices)
    yield b"RIFF" + struct.pack("<I", size) + b"WEBP" + head
    yield from kept.pieces(source)
    yield from layout.frames.pieces(source)
    if tail:
        yield tail


def uncarried(source: Readable) -> list[str]:
    """Name what has no field in `metadata.Attachments` (see `containers`)."""
    window, names = Window(source.read, source.size), []
    flags, seen, end = 0, set[bytes](), source.size
    try:
        end = _riff_end(window)
        for chunk in _chunks(window, HEADER_BYTES, end):
            if chunk.type == b"VP8X" and chunk.size and not flags:
                flags = window.at(chunk.start, 1)[0]
            elif chunk.type == b"C2PA":
                names.append(notes.CREDENTIALS)
            elif chunk.type == b"ANMF":
                parts = _chunks(window, chunk.start + ANMF_BYTES, chunk.start + chunk.size)
                names += [f"chunk {notes.four_cc(part.type)}" for part in parts if part.type not in KNOWN][:1]
            elif chunk.type not in KNOWN and (chunk.type in seen or not flags & FLAGGED.get(chunk.type, 0)):
                names.append(f"chunk {notes.four_cc(chunk.type)}")
            seen |= FLAGGED.keys() & {chunk.type}
            names = notes.named(names)
            if len(names) == notes.NAMES_MAX:
                break
    except (FormatError, LimitError):
        pass
    if source.size > end:
        names.append(notes.behind(source.size - end))
    return notes.named(names)


def _riff_end(window: Window) -> int:
    """Return where the RIFF chunk ends, its padding included, and the file at the latest."""
    head = window.at(0, HEADER_BYTES)
    if len(head) < HEADER_BYTES or head[:4] != b"RIFF" or head[8:] != b"WEBP":
        raise FormatError(TITLE, "RIFF", 0, "not the header of a WebP file")
    (size,) = struct.unpack_from("<I", head, 4)
    return int(min(8 + size + (size & 1), window.size))


def _chunks(window: Window, start: int, end: int) -> Iterator[Chunk]:
    """Yield the chunks between two offsets; FormatError where one is cut off."""
    for _ in range(CHUNKS_MAX):
        if start + 8 > end:
            return
        kind, size = struct.unpack("<4sI", window.at(start, 8))
        if start + 8 + size > end:
            raise FormatError(TITLE, notes.four_cc(kind), start, f"{size} bytes of data, {end - start - 8} are left")
        yield Chunk(kind, start + 8, size)
        start += 8 + size + (size & 1)
    raise LimitError(f"{TITLE}: more than {CHUNKS_MAX} chunks")


def _layout(window: Window) -> Layout:
    end = _riff_end(window)
    chunks = _chunks(window, HEADER_BYTES, end)
    first = next(chunks, None)
    if first is None or first.type not in (*IMAGES, b"VP8X"):
        raise FormatError(TITLE, "RIFF", HEADER_BYTES, "the first chunk is neither an image nor VP8X")
    if first.type in IMAGES:  # whatever follows is ignored by readers
        return Layout(
            header=b"",
            profile=None,
            exif=None,
            alpha=None,
            image=first,
            animation=b"",
            frames=Kept(TITLE),
            credentials=_credentials(chunks),
            behind=window.size - end,
        )
    if first.size < VP8X_BYTES:
        raise FormatError(TITLE, "VP8X", first.start, f"{first.size} bytes, {VP8X_BYTES} are needed")
    header = window.at(first.start, VP8X_BYTES)
    found: dict[bytes, Chunk] = {}
    frames, credentials = Kept(TITLE), False
    for chunk in chunks:
        if chunk.type == b"ALPH" and b"ALPH" in found and not found.keys() & set(IMAGES):
            raise FormatError(TITLE, "ALPH", chunk.start, "a second one for one picture")
        credentials |= chunk.type == b"C2PA"
        if chunk.type == b"ANMF" and header[0] & ANIMATION:
            if b"ANIM" not in found:
                raise FormatError(TITLE, "ANMF", chunk.start, "a frame before ANIM")
            _keep_frame(frames, window, chunk)
        elif chunk.type == b"ALPH" and found.keys() & set(IMAGES):
            continue  # alpha comes before its picture
        elif chunk.type in KNOWN or chunk.type in FLAGGED:
            found.setdefault(chunk.type, chunk)
    image = min((found[kind] for kind in IMAGES if kind in found), key=lambda chunk: chunk.start, default=None)
    animation = b""
    if header[0] & ANIMATION:
        if not frames.size or found[b"ANIM"].size < ANIM_BYTES:
            raise FormatError(TITLE, "ANIM", None, "an animation without frames or parameters")
        animation, image = window.at(found[b"ANIM"].start, ANIM_BYTES), None
    elif image is None:
        raise FormatError(TITLE, "VP8X", None, "no image follows")
    return Layout(
        header=header,
        profile=found.get(b"ICCP") if header[0] & ICC else None,  # readers look for it only where the flag is set
        exif=found.get(b"EXIF") if header[0] & EXIF else None,
        alpha=found.get(b"ALPH") if image is not None and image.type == b"VP8 " else None,
        image=image,
        animation=animation,
        frames=frames,
        credentials=credentials,
        behind=window.size - end,
    )


def _credentials(chunks: Iterator[Chunk]) -> bool:
    try:
        return any(chunk.type == b"C2PA" for chunk in chunks)
    except (FormatError, LimitError):
        return False


def _keep_frame(frames: Kept, window: Window, frame: Chunk) -> None:
    """Keep a frame's parameters, without reserved bits, its alpha and its image (2.7.1.2)."""
    if frame.size < ANMF_BYTES:
        raise FormatError(TITLE, "ANMF", frame.start, f"{frame.size} bytes, at least {ANMF_BYTES} are needed")
    alpha = None
    for part in _chunks(window, frame.start + ANMF_BYTES, frame.start + frame.size):
        if part.type in IMAGES:
            break
        if part.type == b"ALPH":
            if alpha is not None:
                raise FormatError(TITLE, "ALPH", part.start, "a second one for one picture")
            alpha = part
    else:
        raise FormatError(TITLE, "ANMF", frame.start, "a frame without an image")
    if alpha is not None:
        alpha = alpha._replace(size=_alpha_bytes(window, alpha, part)) if part.type == b"VP8 " else None
    parts = [part] if alpha is None else [alpha, part]
    parameters = window.at(frame.start, ANMF_BYTES)
    size = ANMF_BYTES + sum(8 + chunk.size + (chunk.size & 1) for chunk in parts)
    frames.add(struct.pack("<4sI", b"ANMF", size) + parameters[:15] + bytes([parameters[15] & 3]))
    for chunk in parts:
        _keep(frames, chunk)


def _alpha_bytes(window: Window, alpha: Chunk, image: Chunk) -> int:
    """Return how many bytes of an alpha chunk are used, as far as that is known without decoding (2.7.1.3)."""
    key_frame = window.at(image.start, 10)
    if alpha.size == 0 or len(key_frame) < 10 or window.at(alpha.start, 1)[0] & 3:  # compressed
        return alpha.size
    width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", key_frame, 6))
    return min(alpha.size, 1 + int(width * height))


def _profile(window: Window, layout: Layout, policy: Metadata, notices: list[str]) -> bytes:
    """Return the ICC profile that stays, b"" for none."""
    if layout.profile is None:
        return b""
    if policy is Metadata.COLOR and layout.profile.size > notes.ICC_BYTES_MAX:
        raise LimitError(f"{TITLE}: an ICC profile of {layout.profile.size} bytes, at most {notes.ICC_BYTES_MAX}")
    profile = icc.whole(window.at(layout.profile.start, min(layout.profile.size, notes.ICC_BYTES_MAX)))
    if policy is Metadata.COLOR:
        return profile
    notes.note_profile(profile, notices)
    return b""


def _keep(kept: Kept, chunk: Chunk) -> None:
    kept.add(struct.pack("<4sI", chunk.type, chunk.size))
    kept.keep(chunk.start, chunk.size)
    kept.add(bytes(chunk.size & 1))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack("<4sI", kind, len(data)) + data + bytes(len(data) & 1)
