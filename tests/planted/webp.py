"""WebP files with marks in all chunks of RFC 9649, in unknown chunks, and in every gap between them."""

import io
import struct

import numpy as np
from PIL import Image

from tests.planted import Planted, mark
from tests.planted.profiles import wide_profile

ALPHA, EXIF_XMP, ICC, ANIMATION = 0x10, 0x0C, 0x20, 0x02
SIDES = (31, 24)  # an odd width makes chunks of odd size likely


def chunk(kind: bytes, data: bytes, padding: bytes = b"\0") -> bytes:
    """Build a chunk."""
    return struct.pack("<4sI", kind, len(data)) + data + padding * (len(data) & 1)


def riff(*chunks: bytes) -> bytes:
    """Build a file."""
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def vp8x(flags: int, width: int = SIDES[0], height: int = SIDES[1]) -> bytes:
    """Build the header of an extended file."""
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return chunk(b"VP8X", bytes([flags, 0, 0, 0]) + sides)


def chunks_of(data: bytes) -> dict[bytes, bytes]:
    """Return the data of a file's chunks by their types."""
    found, at = {}, 12
    while at + 8 <= len(data):
        kind, size = struct.unpack_from("<4sI", data, at)
        found[kind] = data[at + 8 : at + 8 + size]
        at += 8 + size + (size & 1)
    return found


def picture(alpha: bool, lossless: bool, seed: int = 1) -> dict[bytes, bytes]:
    """Encode a small picture and return its chunks."""
    width, height = SIDES
    rng = np.random.default_rng(seed)
    pixels = np.stack([np.add.outer(np.arange(height) * k, np.arange(width) * 3) % 256 for k in (2, 5, 7, 9)], 2)
    pixels = (pixels // 2 + rng.integers(0, 9, pixels.shape)).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels if alpha else pixels[:, :, :3]).save(out, "WEBP", lossless=lossless, quality=70)
    return chunks_of(out.getvalue())


def exif(orientation: int, text: bytes) -> bytes:
    """Build Exif with an orientation, a description, and bytes after them."""
    entries = struct.pack("<HHII", 0x010E, 2, len(text) + 1, 38) + struct.pack("<HHIHH", 0x0112, 3, 1, orientation, 0)
    return struct.pack("<2sHIH", b"II", 42, 8, 2) + entries + bytes(4) + text + b"\0"


def image_chunks(found: dict[bytes, bytes]) -> bytes:
    """Put the chunks of a picture together again."""
    return b"".join(chunk(kind, found[kind]) for kind in (b"ALPH", b"VP8 ", b"VP8L") if kind in found)


def still(name: str, alpha: bool, lossless: bool, orientation: int) -> Planted:
    """Build an extended file of one picture."""
    found = picture(alpha, lossless)
    marks = {
        place: mark(f"webp {name} {place}")
        for place in ("ICC profile", "after the profile", "EXIF", "XMP", "chunk ABCD", "C2PA", "second EXIF",
                      "after RIFF")
    }  # fmt: skip
    data = riff(
        vp8x(ICC | EXIF_XMP | (ALPHA if alpha else 0)),
        chunk(b"ICCP", wide_profile(marks["ICC profile"]) + marks["after the profile"], b"\x55"),
        chunk(b"ABCD", marks["chunk ABCD"]),
        image_chunks(found),
        chunk(b"EXIF", exif(orientation, marks["EXIF"]), b"\x55"),
        chunk(b"EXIF", exif(3, marks["second EXIF"])),
        chunk(b"XMP ", b"<x:xmpmeta>" + marks["XMP"] + b"</x:xmpmeta>"),
        chunk(b"C2PA", b"jumb" + marks["C2PA"]),
    )
    return Planted(
        f"webp-{name}", "webp", data + marks["after RIFF"], marks, frozenset({"ICC profile"}), orientation
    )  # fmt: skip


def simple(lossless: bool) -> Planted:
    """Build a file in a simple form with chunks that do not belong there."""
    name = "simple-lossless" if lossless else "simple-lossy"
    marks = {place: mark(f"webp {name} {place}") for place in ("EXIF without VP8X", "chunk ABCD", "after RIFF")}
    data = riff(
        image_chunks(picture(False, lossless)),
        chunk(b"EXIF", exif(6, marks["EXIF without VP8X"])),  # readers look for it in extended files only
        chunk(b"ABCD", marks["chunk ABCD"]),
    )
    return Planted(f"webp-{name}", "webp", data + marks["after RIFF"], marks)


def frame(found: dict[bytes, bytes], first: bytes, second: bytes) -> bytes:
    """Build an animation's frame with two unknown chunks after its picture."""
    width, height = SIDES
    parameters = bytes(6) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    parameters += (80).to_bytes(3, "little") + b"\x02"
    return chunk(b"ANMF", parameters + image_chunks(found) + chunk(b"ABCD", first) + chunk(b"WXYZ", second))


def animated() -> Planted:
    """Build an animation."""
    places = ("ICC profile", "EXIF", "XMP", "after the loop count", "in a frame", "in a frame's second chunk",
              "in the second frame", "between frames", "after RIFF")  # fmt: skip
    marks = {place: mark(f"webp animated {place}") for place in places}
    data = riff(
        vp8x(ICC | EXIF_XMP | ALPHA | ANIMATION),
        chunk(b"ICCP", wide_profile(marks["ICC profile"])),
        chunk(b"ANIM", struct.pack("<IH", 0xFF102030, 3) + marks["after the loop count"]),
        frame(picture(True, False), marks["in a frame"], marks["in a frame's second chunk"]),
        chunk(b"EFGH", marks["between frames"]),
        frame(picture(False, True, 2), marks["in the second frame"], b"x"),
        chunk(b"EXIF", exif(1, marks["EXIF"])),
        chunk(b"XMP ", marks["XMP"]),
    )
    return Planted("webp-animated", "webp", data + marks["after RIFF"], marks, frozenset({"ICC profile"}))


def files() -> list[Planted]:
    """Return all of them."""
    return [
        still("lossy", alpha=False, lossless=False, orientation=1),
        still("lossy-alpha-turned", alpha=True, lossless=False, orientation=6),
        still("lossless-turned", alpha=True, lossless=True, orientation=8),
        simple(lossless=False),
        simple(lossless=True),
        animated(),
    ]
