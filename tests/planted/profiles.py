"""ICC profiles for planted files."""

import struct

from PIL import ImageCms

Colorants = tuple[tuple[float, float, float], ...]

# Colorants of Display P3 adapted to D50, as its ICC profile has them.
P3: Colorants = ((0.5151, 0.2412, -0.0011), (0.2920, 0.6922, 0.0419), (0.1571, 0.0666, 0.7841))
D50 = (0.9642, 1.0, 0.8249)
GAMMA = b"curv\0\0\0\0" + struct.pack(">IHH", 1, round(2.2 * 256), 0)


def rgb_profile(description: bytes, colorants: Colorants = P3, curve: bytes = GAMMA) -> bytes:
    """Build an RGB matrix profile of version 2 that littleCMS accepts."""
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(description) + 1) + description + b"\0" + bytes(78),
        b"cprt": b"text\0\0\0\0none\0",
        b"wtpt": _xyz(D50),
    }
    tags |= {name: _xyz(values) for name, values in zip((b"rXYZ", b"gXYZ", b"bXYZ"), colorants, strict=True)}
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    table, data, offset = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for signature, value in tags.items():
        table += struct.pack(">4sII", signature, offset + len(data), len(value))
        data += value + bytes(-len(value) % 4)
    header = struct.pack(">I4sI4s4s4s", offset + len(data), bytes(4), 0x02400000, b"mntr", b"RGB ", b"XYZ ")
    header += struct.pack(">6H4s", 2026, 1, 1, 0, 0, 0, b"acsp") + bytes(28) + _xyz(D50)[8:]
    return header.ljust(128, b"\0") + table + data


def srgb_profile() -> bytes:
    """Return littleCMS's sRGB profile without the date of today."""
    made = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return made[:24] + struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + made[36:]


def wide_profile(description: bytes) -> bytes:
    """Build one with other colors than sRGB's. In sub-blocks of 255 bytes, as GIF has them, the text is in one."""
    return rgb_profile(b"Wide gamut " + description)


def _xyz(values: tuple[float, ...]) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(65536 * value) for value in values))
