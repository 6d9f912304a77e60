"""Conversion of PNG's metadata chunks (W3C PNG clause 11.3) to and from the form that all formats share."""

import re
import struct
import zlib
from collections.abc import Callable, Sequence

from compressor import cicp
from compressor.errors import LimitError
from compressor.metadata import Attachments, lost_colors, tiff_stream
from compressor.png.chunks import METADATA_BYTES_MAX, Chunk
from compressor.png.header import GREY, GREY_ALPHA, PngHeader
from compressor.png.inflate import INFLATE_BYTES
from compressor.png.policy import ANIMATION, CREDENTIALS, PIXELS, kept_chunks
from compressor.png.raw_profile import exif_of
from compressor.settings import Metadata

XMP_KEYWORD = b"XML:com.adobe.xmp"  # XMP specification part 3, 1.1.5
COMMENT = "Comment"  # table 22
# Chunks without a use in another format.
DISPENSABLE = (*PIXELS, *ANIMATION, CREDENTIALS, b"iDOT", b"sRGB", b"sBIT", b"bKGD", b"hIST", b"tIME")
SRGB_GAMMA = 45455  # 1 / 2.2 in units of 1 / 100000 (clause 11.3.2.2)
SRGB_CHROMATICITIES = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)


def read_metadata(header: PngHeader, charge: Callable[[int], object] = lambda count: None) -> Attachments:
    """Return the metadata of the chunks read so far; notices name chunks that have no field.

    charge  as in `ByteStream`: called with the sizes to which compressed chunks inflate
    """
    found: dict[str, bytes | tuple[int, int] | None] = {}
    comments: list[str] = []
    lost: list[str] = []
    notices: list[str] = []
    color_spaces: dict[bytes, Chunk | None] = {}
    raw_profile: bytes | None = None
    inflate = _Inflate(charge)
    for chunk in (*header.chunks, *header.trailing):
        try:
            if chunk.type in (b"tEXt", b"zTXt", b"iTXt"):
                keyword, text = _text(chunk, inflate)
                if keyword == XMP_KEYWORD:
                    found.setdefault("xmp", text.encode())
                elif raw_profile is None and (raw_profile := exif_of(chunk)) is not None:
                    continue
                elif keyword.startswith(b"Raw profile type"):  # of ImageMagick, before eXIf: hexadecimal
                    lost.append(f"{chunk.name} {keyword.decode('latin-1')!r}")
                else:
                    name = keyword.decode("latin-1")
                    comments.append(text if name == COMMENT else f"{name}: {text}")
            elif chunk.type == b"iCCP":
                found.setdefault("icc", inflate(chunk.data[_keyword_end(chunk) + 2 :]))
            elif chunk.type == b"eXIf":
                found.setdefault("exif", tiff_stream(chunk.data))
            elif chunk.type == b"pHYs":
                x, y, unit = struct.unpack(">IIB", chunk.data)
                if unit == 1:
                    found.setdefault("density", (x, y))
                elif x != y and min(x, y) > 0:  # clause 11.3.5.3: without a unit, an aspect ratio
                    found.setdefault("aspect", (x, y))
            elif chunk.type in (b"cICP", b"gAMA", b"cHRM"):
                color_spaces.setdefault(chunk.type, None if _is_srgb(chunk) else chunk)
            elif chunk.type not in DISPENSABLE:
                lost.append(chunk.name)
        except (ValueError, struct.error, zlib.error):
            notices.append(f"{chunk.name} at byte {chunk.offset} can't be read and is not carried over")
    if raw_profile is not None:
        found.setdefault("exif", raw_profile)
    if lost:
        notices.append(f"not carried over from PNG: {', '.join(sorted(set(lost)))}")
    if b"cICP" in color_spaces:  # takes precedence over the others
        profile, color_notices = _code_points(color_spaces[b"cICP"], header.color_type in (GREY, GREY_ALPHA))
        if profile is not None or not color_notices:
            found["icc"] = profile
    elif "icc" in found or any(chunk.type == b"sRGB" for chunk in header.chunks):
        color_notices = ()  # gAMA and cHRM repeat it for older readers (clause 13.13)
    else:
        color_notices = _color_notices(sorted(chunk.name for chunk in color_spaces.values() if chunk is not None))
    notices += color_notices
    return Attachments(
        comments=tuple(comments),
        notices=tuple(notices),
        color_notices=color_notices,
        **found,  # type: ignore[arg-type]
    )


def _color_notices(names: Sequence[str]) -> tuple[str, ...]:
    return (f"the color space ({', '.join(names)}) is not carried over: colors will differ",) if names else ()


def _code_points(chunk: Chunk | None, grey: bool) -> tuple[bytes | None, tuple[str, ...]]:
    """Return an ICC profile equivalent to cICP, or a notice where there is none. chunk: None for sRGB."""
    if chunk is None:
        return None, ()
    primaries, transfer, matrix, full_range = chunk.data
    profile = cicp.profile(primaries, transfer, grey) if (matrix, full_range) == (0, 1) else None
    narrow = "" if full_range else ", narrow range"
    return profile, _color_notices([] if profile else [f"cICP: {cicp.code_points_name(primaries, transfer)}{narrow}"])


def _keyword_end(chunk: Chunk) -> int:
    """Return the index of the null separator after a keyword of 1 to 79 bytes (clause 11.3.3.1)."""
    end = chunk.data.index(0, 0, 80)
    if not end:
        raise ValueError("no keyword")
    return end


def _text(chunk: Chunk, inflate: "_Inflate") -> tuple[bytes, str]:
    """Return keyword and text of tEXt, zTXt or iTXt (clauses 11.3.3.2 to 11.3.3.4)."""
    end = _keyword_end(chunk)
    keyword, rest = chunk.data[:end], chunk.data[end + 1 :]
    if chunk.type == b"tEXt":
        return keyword, rest.decode("latin-1")
    if chunk.type == b"zTXt":
        return keyword, inflate(rest[1:]).decode("latin-1")
    compressed = rest[:1] == b"\1"
    _language, _translated, text = rest[2:].split(b"\0", 2)
    return keyword, (inflate(text) if compressed else text).decode("utf-8")


class _Inflate:
    """Inflates complete zlib streams, up to METADATA_BYTES_MAX in total."""

    def __init__(self, charge: Callable[[int], object]) -> None:
        self._charge = charge
        self._left = METADATA_BYTES_MAX

    def __call__(self, data: bytes) -> bytes:
        inflate, pieces = zlib.decompressobj(), []
        while data and not inflate.eof:
            piece = inflate.decompress(data, INFLATE_BYTES)
            self._left -= len(piece)
            if self._left < 0:
                raise LimitError(f"PNG: compressed metadata of more than {METADATA_BYTES_MAX >> 20} MiB")
            self._charge(2 * len(piece))  # as bytes and as text
            pieces.append(piece)
            data = inflate.unconsumed_tail
        if not inflate.eof:
            raise ValueError("truncated")
        return b"".join(pieces)


def _is_srgb(chunk: Chunk) -> bool:
    """Return whether cICP, gAMA or cHRM describes sRGB, which readers assume without it."""
    if chunk.type == b"gAMA":
        (gamma,) = struct.unpack(">I", chunk.data)
        return bool(abs(gamma - SRGB_GAMMA) <= 500)
    if chunk.type == b"cHRM":
        values = struct.unpack(">8I", chunk.data)
        return all(abs(a - b) <= 500 for a, b in zip(values, SRGB_CHROMATICITIES, strict=True))
    primaries, transfer, matrix, full_range = struct.unpack(">4B", chunk.data)
    return (matrix, full_range) == (0, 1) and cicp.code_points_are_srgb(primaries, transfer)


def late_metadata(header: PngHeader, known: int) -> list[str]:
    """Return a notice of metadata after the image data that was read too late to be written.

    known  number of trailing chunks that had been read before
    """
    chunks = kept_chunks(header.trailing[known:], header.policy)
    names = sorted({chunk.name for chunk in chunks if chunk.type not in DISPENSABLE})
    return [f"metadata after the image data was read too late to be carried over: {', '.join(names)}"] if names else []


def removed_colors(chunks: Sequence[Chunk], policy: Metadata) -> list[str]:
    """Return a notice of the color space that a policy removes from a PNG, unless it is sRGB.

    chunks  of the source, before `policy.kept_chunks`
    """
    found = {chunk.type: chunk for chunk in chunks}
    if policy is Metadata.KEEP or (b"sRGB" in found and b"cICP" not in found):
        return []
    if policy is Metadata.STRIP:
        if b"cICP" not in found and b"iCCP" in found:
            return _removed_profile(found[b"iCCP"])
        names = [name for name in (b"cICP", b"gAMA", b"cHRM") if name in found and not _is_srgb_or_broken(found[name])]
        if names:
            what = ", ".join(name.decode() for name in names)
            return [f"the color space ({what}) was removed: colors will differ"]
    has_color_space = any(name in found for name in (b"cICP", b"iCCP", b"gAMA", b"cHRM"))
    return lost_colors(None, found[b"eXIf"].data) if b"eXIf" in found and not has_color_space else []


def _removed_profile(chunk: Chunk) -> list[str]:
    try:
        return lost_colors(_Inflate(lambda count: None)(chunk.data[_keyword_end(chunk) + 2 :]), None)
    except (ValueError, zlib.error):
        return []  # no reader can use it


def _is_srgb_or_broken(chunk: Chunk) -> bool:
    try:
        return _is_srgb(chunk)
    except struct.error:
        return True  # no reader can use it


def metadata_chunks(attachments: Attachments, *, grey: bool = False) -> tuple[list[Chunk], list[str]]:
    """Return chunks for metadata of another format, and notices of what PNG can't hold.

    grey  whether the image is grey, which requires a profile for grey and not for RGB (clause 11.3.2.3)
    """
    chunks: list[Chunk] = []
    notices: list[str] = []
    if attachments.icc is not None:
        space = attachments.icc[16:20]
        if space == (b"GRAY" if grey else b"RGB "):
            chunks.append(Chunk(b"iCCP", b"ICC Profile\0\0" + zlib.compress(attachments.icc, 9)))
        else:
            name = space.decode("ascii", "replace").strip()
            notices.append(
                f"the ICC profile is for {name or 'unknown'} pixels, which the PNG does not have: not carried over"
            )
    if attachments.density is not None and max(attachments.density) < 1 << 31:
        chunks.append(Chunk(b"pHYs", struct.pack(">IIB", *attachments.density, 1)))
    elif attachments.aspect is not None:
        chunks.append(Chunk(b"pHYs", struct.pack(">IIB", *attachments.aspect, 0)))
    if attachments.exif is not None:
        chunks.append(Chunk(b"eXIf", attachments.exif))
    if attachments.xmp is not None:
        chunks.append(Chunk(b"iTXt", XMP_KEYWORD + b"\0\0\0\0\0" + attachments.xmp))
    for comment in attachments.comments:
        chunks.append(_comment(comment))
    return chunks, notices


def _comment(comment: str) -> Chunk:
    """Return a comment as tEXt where Latin-1 can encode it, else as iTXt; under its keyword where it has one."""
    keyword, text = COMMENT, comment.replace("\0", "")
    match = re.match(r"([A-Za-z][A-Za-z0-9-]*(?: [A-Za-z0-9-]+)*): ", text)
    if match and len(match[1]) <= 79:
        keyword, text = match[1], text[match.end() :]
    try:
        return Chunk(b"tEXt", keyword.encode("latin-1") + b"\0" + text.encode("latin-1"))
    except UnicodeEncodeError:
        return Chunk(b"iTXt", keyword.encode("latin-1") + b"\0\0\0\0\0" + text.encode())
