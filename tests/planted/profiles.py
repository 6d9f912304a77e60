"""ICC profiles for planted files."""

import struct

# Colorants of Display P3 adapted to D50, as its ICC profile has them.
P3 = ((0.5151, 0.2412, -0.0011), (0.2920, 0.6922, 0.0419), (0.1571, 0.0666, 0.7841))
GAMMA = b"curv\0\0\0\0" + struct.pack(">IHH", 1, round(2.2 * 256), 0)


def rgb_profile(
    description: bytes, colorants: tuple[tuple[float, float, float], ...] = P3, curve: bytes = GAMMA
) -> bytes:
    """Build an RGB matrix profile of version 2."""
    tags = {b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(description) + 1) + description + b"\0" + bytes(79)}
    tags[b"wtpt"] = b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061)
    for signature, values in zip((b"rXYZ", b"gXYZ", b"bXYZ"), colorants, strict=True):
        tags[signature] = b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(65536 * value) for value in values))
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    table, data, offset = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for signature, value in tags.items():
        table += struct.pack(">4sII", signature, offset + len(data), len(value))
        data += value + bytes(-len(value) % 4)
    header = struct.pack(">I4sI4s4s4s", offset + len(data), b"test", 0x02400000, b"mntr", b"RGB ", b"XYZ ")
    header = header.ljust(36, b"\0") + b"acsp"
    header = header.ljust(68, b"\0") + struct.pack(">3i", 63190, 65536, 54061)
    return header.ljust(128, b"\0") + table + data
