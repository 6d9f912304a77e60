"""ICC profiles: what they are called, and which of them say sRGB."""

import struct

import pytest
from PIL import ImageCms

from compressor import icc

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def matrix_profile(colorants: list[tuple[float, float, float]], curve: bytes, description: bytes = b"Test") -> bytes:
    """Build an RGB profile of version 2 from its colorants and one tone curve."""
    tags = {b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(description) + 1) + description + b"\0" + bytes(79)}
    for signature, values in zip((b"rXYZ", b"gXYZ", b"bXYZ"), colorants, strict=True):
        tags[signature] = b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(65536 * value) for value in values))
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    table, data, offset = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for signature, value in tags.items():
        padded = value + bytes(-len(value) % 4)
        table += struct.pack(">4sII", signature, offset + len(data), len(value))
        data += padded
    header = struct.pack(">I4sI4s4s4s", offset + len(data), b"test", 0x02400000, b"mntr", b"RGB ", b"XYZ ")
    return header.ljust(36, b"\0") + b"acsp" + bytes(88) + table + data


GAMMA = b"curv\0\0\0\0" + struct.pack(">IHH", 1, round(2.2 * 256), 0)
LINEAR = b"curv\0\0\0\0" + struct.pack(">I", 0)
SRGB_XYZ = [tuple(colorant) for colorant in icc.SRGB_COLORANTS]
P3_XYZ = [(0.5151, 0.2412, -0.0011), (0.2920, 0.6922, 0.0419), (0.1571, 0.0666, 0.7841)]


def test_the_srgb_profile_of_littlecms_is_srgb() -> None:
    assert icc.is_srgb(SRGB)
    assert "sRGB" in icc.name(SRGB)
    assert icc.color_space(SRGB) == "RGB"


def test_srgb_colorants_with_a_gamma_of_2_2_are_srgb() -> None:
    assert icc.is_srgb(matrix_profile(SRGB_XYZ, GAMMA))


def test_other_colorants_or_another_curve_are_not_srgb() -> None:
    assert not icc.is_srgb(matrix_profile(P3_XYZ, GAMMA))
    assert not icc.is_srgb(matrix_profile(SRGB_XYZ, LINEAR))


def test_the_name_is_the_description() -> None:
    assert icc.name(matrix_profile(P3_XYZ, GAMMA, b"Display P3")) == "Display P3"


@pytest.mark.parametrize("length", range(0, len(SRGB), 7))
def test_a_profile_that_is_cut_off_is_never_an_error(length: int) -> None:
    cut = SRGB[:length]

    assert icc.name(cut)
    assert icc.is_srgb(cut) in (True, False)
    assert len(icc.color_space(cut)) <= 4
