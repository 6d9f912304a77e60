"""PNG files with marks in every chunk, after the image data and after IEND."""

import io
import struct
import zlib

from tests.jpeg_files import photo
from tests.planted import Planted, mark
from tests.planted.exif import EXIF_PLACES, exif
from tests.planted.profiles import rgb_profile

SIGNATURE = b"\x89PNG\r\n\x1a\n"
WIDTH, HEIGHT = 32, 24


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(kind)))


def image_data(mode: str = "RGB") -> bytes:
    """Deflate unfiltered scanlines, badly, so that there is something to gain."""
    pixels, width = photo(WIDTH, HEIGHT, mode).tobytes(), WIDTH * len(mode)
    return zlib.compress(b"".join(b"\0" + pixels[at : at + width] for at in range(0, len(pixels), width)), 1)


def everything(name: str, mode: str = "RGB", *, animated: bool = False, orientation: int = 6) -> Planted:
    """Put a mark into every kind of chunk."""
    hexadecimal = b"\nexif\n%8d\n%s\n" % (16, mark("raw profile").hex().encode())
    profile = rgb_profile(mark("ICC profile")) + mark("after the profile")
    before = {
        "ICC profile": (b"iCCP", mark("name of the profile") + b"\0\0" + zlib.compress(profile)),
        "tEXt": (b"tEXt", b"Author\0" + mark("tEXt")),
        "zTXt": (b"zTXt", b"Description\0\0" + zlib.compress(mark("zTXt"))),
        "iTXt": (b"iTXt", b"Title\0\0\0de\0Titel\0" + mark("iTXt")),
        "XMP": (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0<x:xmpmeta>" + mark("XMP") + b"</x:xmpmeta>"),
        "raw profile": (b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(hexadecimal)),
        "content credentials": (b"caBX", mark("content credentials")),
        "sPLT": (b"sPLT", mark("sPLT") + b"\0\x08" + bytes(6)),
        "suggested palette": (b"PLTE", mark("suggested palette") + bytes(5)),
        "private chunk": (b"prVt", mark("private chunk")),
        "private chunk, safe to copy": (b"prVs", mark("private chunk, safe to copy")),
    }
    after = {
        "text after the image data": (b"tEXt", b"Comment\0" + mark("text after the image data")),
        "private chunk after the image data": (b"prVt", mark("private chunk after the image data")),
    }
    after_profile: tuple[str, ...] = ()
    if mode == "L":
        del before["ICC profile"], before["suggested palette"]  # which have no place in it
    else:
        after_profile = ("name of the profile", "after the profile")
    places = {
        place: mark(place)
        for place in (*before, *after, *after_profile, *EXIF_PLACES, "after the zlib stream", "after IEND")
    }
    data = SIGNATURE + chunk(b"IHDR", struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 0 if mode == "L" else 2, 0, 0, 0))
    if animated:
        data += chunk(b"acTL", struct.pack(">II", 2, 0)) + chunk(b"fcTL", _frame_control(0))
    data += chunk(b"eXIf", exif(orientation)) + b"".join(chunk(*content) for content in before.values())
    coded, stray = image_data(mode), mark("after the zlib stream")
    data += chunk(b"IDAT", coded[:99]) + chunk(b"IDAT", coded[99:] + stray) + chunk(b"IDAT", stray)
    if animated:
        data += chunk(b"fcTL", _frame_control(1)) + chunk(b"fdAT", struct.pack(">I", 2) + coded + stray)
    data += b"".join(chunk(*content) for content in after.values()) + chunk(b"IEND", b"") + mark("after IEND")
    color = frozenset({"ICC profile"}) if mode == "RGB" else frozenset[str]()
    return Planted(name, "png", data, places, color, orientation)


def _frame_control(number: int) -> bytes:
    return struct.pack(">IIIIIHHBB", number, WIDTH, HEIGHT, 0, 0, 1, 10, 0, 0)


def plain(mode: str = "RGB") -> bytes:
    out = io.BytesIO()
    photo(WIDTH, HEIGHT, mode).save(out, "PNG")
    return out.getvalue()


def files() -> list[Planted]:
    return [
        everything("png-rgb"),
        everything("png-grey", "L", orientation=1),
        everything("png-animated", animated=True, orientation=3),
    ]
