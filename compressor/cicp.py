"""Coding-independent code points of color (ITU-T H.273), as in `nclx` of AVIF and cICP of PNG: their names, and
equivalent ICC profiles."""

import struct

import numpy as np

# Table 2: name, and chromaticities x, y of red, green, blue and white.
D65, C, DCI = (0.3127, 0.329), (0.31, 0.316), (0.314, 0.351)
Chromaticities = tuple[tuple[float, float], tuple[float, float], tuple[float, float], tuple[float, float]]
BT709: Chromaticities = ((0.64, 0.33), (0.3, 0.6), (0.15, 0.06), D65)
SMPTE170: Chromaticities = ((0.63, 0.34), (0.31, 0.595), (0.155, 0.07), D65)
PRIMARIES: dict[int, tuple[str, Chromaticities]] = {
    1: ("BT.709", BT709),
    4: ("BT.470 M", ((0.67, 0.33), (0.21, 0.71), (0.14, 0.08), C)),
    5: ("BT.601 625", ((0.64, 0.33), (0.29, 0.6), (0.15, 0.06), D65)),
    6: ("BT.601 525", SMPTE170),
    7: ("SMPTE 240M", SMPTE170),
    8: ("generic film", ((0.681, 0.319), (0.243, 0.692), (0.145, 0.049), C)),
    9: ("BT.2020", ((0.708, 0.292), (0.17, 0.797), (0.131, 0.046), D65)),
    11: ("DCI-P3", ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06), DCI)),
    12: ("Display P3", ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06), D65)),
    22: ("EBU 3213", ((0.63, 0.34), (0.295, 0.605), (0.155, 0.077), D65)),
}
UNSPECIFIED = 2
# Table 3. The television curves (1, 6, 14, 15) are those of cameras; displays and browsers use the sRGB curve for them.
SRGB_LIKE = {1, UNSPECIFIED, 6, 13, 14, 15}
GAMMAS = {4: 2.2, 5: 2.8, 8: 1.0, 17: 2.6}
HDR = {16: "PQ", 18: "HLG"}
# parametricCurveType with function type 3 (ICC.1:2022, 10.18): g, a, b, c, d of IEC 61966-2-1.
SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)

# Chromatic adaptation to D50, the white of profiles (ICC.1:2022, E.3).
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
D50 = (0.9642, 1.0, 0.8249)


def code_points_name(primaries: int, transfer: int) -> str:
    """Return the name of color primaries and transfer characteristics: "BT.2020 with PQ"."""
    name = PRIMARIES[primaries][0] if primaries in PRIMARIES else f"primaries {primaries} of H.273"
    name = "unspecified primaries" if primaries == UNSPECIFIED else name
    if transfer in SRGB_LIKE:
        return name
    if transfer in HDR:
        return f"{name} with {HDR[transfer]}"
    return f"{name} with " + (
        f"a gamma of {GAMMAS[transfer]:g}" if transfer in GAMMAS else f"curve {transfer} of H.273"
    )


def code_points_are_srgb(primaries: int, transfer: int) -> bool:
    """Return whether code points are equivalent to sRGB, which readers assume for an image without any."""
    return primaries in (1, UNSPECIFIED) and transfer in SRGB_LIKE


def profile(primaries: int, transfer: int, grey: bool = False) -> bytes | None:
    """Return an equivalent ICC profile, None where none exists: for HDR, and for unknown code points.

    grey  whether the profile is for grey samples, for which only the curve matters
    """
    if primaries == UNSPECIFIED:
        primaries = 1
    if primaries not in PRIMARIES or not (transfer in SRGB_LIKE or transfer in GAMMAS):
        return None
    curve = _curve(3, *SRGB_CURVE) if transfer in SRGB_LIKE else _curve(0, GAMMAS[transfer])
    if grey:
        return _profile(b"GRAY", f"grey, {code_points_name(primaries, transfer)}", [(b"kTRC", curve)])
    matrix, adaptation = _to_d50(PRIMARIES[primaries][1])
    tags = [(tag, _numbers(b"XYZ ", matrix[:, column])) for column, tag in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))]
    tags += [(tag, curve) for tag in (b"rTRC", b"gTRC", b"bTRC")]
    tags.append((b"chad", _numbers(b"sf32", adaptation.reshape(-1))))
    return _profile(b"RGB ", code_points_name(primaries, transfer), tags)


def _to_d50(chromaticities: Chromaticities) -> tuple[np.ndarray, np.ndarray]:
    """Return the matrix from linear RGB to XYZ with D50 white, and the chromatic adaptation matrix in it."""
    xyz = np.array([[x / y, 1, (1 - x - y) / y] for x, y in chromaticities]).T
    colors, white = xyz[:, :3], xyz[:, 3]
    to_xyz = colors * np.linalg.solve(colors, white)
    scale = np.diag(BRADFORD @ np.array(D50) / (BRADFORD @ white))
    adaptation = np.linalg.inv(BRADFORD) @ scale @ BRADFORD
    return adaptation @ to_xyz, adaptation


def _numbers(kind: bytes, values: "np.ndarray | tuple[float, ...]") -> bytes:
    """Return tag data with s15Fixed16 numbers."""
    return kind + bytes(4) + _fixed(values)


def _curve(kind: int, *values: float) -> bytes:
    """Return a parametricCurveType (10.18)."""
    return b"para" + bytes(4) + struct.pack(">HH", kind, 0) + _fixed(values)


def _fixed(values: "np.ndarray | tuple[float, ...]") -> bytes:
    return struct.pack(f">{len(values)}i", *(round(float(value) * 65536) for value in values))


def _text(text: str) -> bytes:
    """Return a multiLocalizedUnicodeType (10.15) in English."""
    data = text.encode("utf-16-be")
    return struct.pack(">4sIII2s2sII", b"mluc", 0, 1, 12, b"en", b"US", len(data), 28) + data


def _profile(space: bytes, name: str, tags: list[tuple[bytes, bytes]]) -> bytes:
    """Return a display profile of version 4.3 (clause 7); equal tags give equal bytes."""
    tags = [(b"desc", _text(name)), (b"cprt", _text("CC0")), (b"wtpt", _numbers(b"XYZ ", D50)), *tags]
    table, data, places = [], b"", {}
    first = 128 + 4 + 12 * len(tags)
    for tag, content in tags:
        if content not in places:
            places[content] = first + len(data)
            data += content + bytes(-len(content) % 4)
        table.append(struct.pack(">4sII", tag, places[content], len(content)))
    body = struct.pack(">I", len(tags)) + b"".join(table) + data
    header = struct.pack(">I4sI4s4s4s", 128 + len(body), bytes(4), 0x04300000, b"mntr", space, b"XYZ ")
    header += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + _fixed(D50)
    return header.ljust(128, b"\0") + body
