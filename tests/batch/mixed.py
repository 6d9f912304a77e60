"""Objects as found in buckets: images of all kinds, broken ones, other files, and keys that need escaping."""

import io
import itertools
import json
import random
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from tests.batch.support import picture
from tests.corpus import CORPUS

# Expected outcomes:
SMALLER = "smaller"  # an image that becomes smaller
IMAGE = "image"  # an image that becomes smaller or keeps its bytes
SAME = "same"  # keeps its bytes: not an image that can be compressed
EMPTY = "empty"
BROKEN = "broken"  # keeps its bytes, and fails
GARBLED = "garbled"  # accepted by some decoders: becomes smaller or keeps its bytes

Content = tuple[bytes, str]

EXIF_ROTATED = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"  # orientation 6
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"/></x:xmpmeta>'


def saved(seed: int, mode: str, format: str, **options: Any) -> bytes:
    sink = io.BytesIO()
    pixels = picture(seed)
    if mode == "I;16":
        image = Image.fromarray(pixels[..., 0].astype(np.uint16) * 257 + seed % 3)
    elif mode in ("RGBA", "LA"):
        image = Image.fromarray(pixels).convert(mode)
        image.putalpha(Image.fromarray(pixels[..., 1]))
    else:
        image = Image.fromarray(pixels).convert(mode)
    image.save(sink, format, **options)
    return sink.getvalue()


def jpeg(mode: str = "RGB", expected: str = SMALLER, **options: Any) -> Callable[[int], Content]:
    return lambda seed: (saved(seed, mode, "JPEG", **{"quality": 95, **options}), expected)


def png(mode: str = "RGB", expected: str = SMALLER) -> Callable[[int], Content]:
    return lambda seed: (saved(seed, mode, "PNG", compress_level=0), expected)


def either(seed: int) -> str:
    return ("JPEG", "PNG")[seed // len(KINDS) % 2]


def cut(seed: int) -> Content:
    whole = saved(seed, "RGB", either(seed), quality=95)
    return whole[: len(whole) * 2 // 3], BROKEN


def garbled(seed: int) -> Content:
    data = bytearray(saved(seed, "RGB", either(seed), quality=95))
    rng = random.Random(seed)
    for _ in range(9):
        data[rng.randrange(len(data) // 3, len(data))] = rng.randrange(256)
    return bytes(data), GARBLED


def wrong_magic(seed: int) -> Content:
    return b"\xff\xd9" + saved(seed, "RGB", "JPEG")[2:], SAME


def only_a_signature(seed: int) -> Content:
    return (b"\xff\xd8\xff\xe0" if either(seed) == "JPEG" else b"\x89PNG\r\n\x1a\n") + bytes(seed % 7), BROKEN


def text(seed: int) -> Content:
    return f"Object number {seed}.\n".encode() * (1 + seed % 50), SAME


def as_json(seed: int) -> Content:
    return json.dumps({"number": seed, "of": ["mixed", "objects"]}).encode(), SAME


def archive(seed: int) -> Content:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as file:
        file.writestr("photo.jpg", saved(seed, "RGB", "JPEG"))
    return sink.getvalue(), SAME


KINDS: tuple[tuple[str, Callable[[int], Content]], ...] = (
    ("baseline.jpg", jpeg()),
    ("progressive.jpg", jpeg(progressive=True)),
    ("rgb.png", png()),
    ("gray.jpg", jpeg("L")),
    ("cut.jpg", cut),
    ("444.jpg", jpeg(subsampling=0)),
    ("422.jpg", jpeg(subsampling=1)),
    ("restarts.jpg", jpeg(restart_marker_blocks=3)),
    ("text.txt", text),
    ("exif.jpg", jpeg(exif=EXIF_ROTATED)),
    ("icc.jpg", jpeg(icc_profile=ICC, expected=IMAGE)),
    ("xmp.jpg", jpeg(xmp=XMP)),
    ("palette.png", png("P", IMAGE)),
    ("cmyk.jpg", jpeg("CMYK", IMAGE)),
    ("low quality.jpg", jpeg(quality=20, expected=IMAGE)),
    ("alpha.png", png("RGBA")),
    ("gray.png", png("L")),
    ("gray alpha.png", png("LA", IMAGE)),
    ("one bit.png", png("1", IMAGE)),
    ("16 bit.png", png("I;16", IMAGE)),
    ("empty", lambda seed: (b"", EMPTY)),
    ("garbled.jpg", garbled),
    ("no jpeg.jpg", wrong_magic),
    ("signature only.png", only_a_signature),
    ("some.json", as_json),
    ("some.zip", archive),
    ("a.webp", lambda seed: (saved(seed, "RGB", "WEBP"), SAME)),
    ("a.gif", lambda seed: (saved(seed, "RGB", "GIF"), SAME)),
    ("jpeg named.png", jpeg()),
    ("png without a name", png()),
)

# Keys are text to some stores, paths to others, and parts of URLs to all. The numbers of folders and kinds are coprime.
FOLDERS = (
    "photos/2024/{n}",
    "with space/{n} ",
    "ünïcode/日本 😀/{n}",
    "new\nline/{n}\n",
    "100%/a+b#{n}?x=1&y=2;",
    "%41%2F/{n}%20",
    "deep/" * 9 + "{n}",
    'quote\'s "and" <&>/{n}',
    "UPPER and lower/{n}",
    "..dots../{n}..",
    "{n}",
)


def mixed(count: int, seed: int = 0) -> Iterator[tuple[str, bytes, str]]:
    """Yield `count` objects: key, bytes and expected outcome. Kinds and names alternate."""
    folders = itertools.cycle(FOLDERS)
    for number in range(count):
        name, make = KINDS[number % len(KINDS)]
        data, expected = make(seed + number)
        yield next(folders).format(n=f"{number:05}") + f" {name}", data, expected


def photographs() -> Iterator[tuple[str, bytes, str]]:
    """Yield files of cameras and PNGs of all forms, if the corpus exists."""
    for path in sorted(CORPUS.glob("camera/*.jpg")):
        yield f"camera/{path.name}", path.read_bytes(), SMALLER
    for path in sorted(CORPUS.glob("pngsuite/*.png")):
        data = path.read_bytes()
        broken = BROKEN if data.startswith(b"\x89PNG\r\n\x1a\n") else SAME  # some have a broken signature
        yield f"pngsuite/{path.name}", data, broken if path.name.startswith("x") else IMAGE


def huge(side: int = 20_000) -> Iterator[bytes]:
    """Yield a PNG of side × side gray pixels, in pieces: 400 megapixels, with many equal rows."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(kind)))

    yield b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
    deflate = zlib.compressobj(1)
    rng = np.random.default_rng(1)
    rows = [b"\0" + rng.integers(0, 32, side, dtype=np.uint8).repeat(8)[:side].tobytes() for _ in range(16)]
    for y in range(side):
        if data := deflate.compress(rows[y // 64 % 16]):
            yield chunk(b"IDAT", data)
    yield chunk(b"IDAT", deflate.flush()) + chunk(b"IEND", b"")
