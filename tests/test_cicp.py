"""ICC profiles of code points, evaluated by Little CMS."""

import io
import struct
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from compressor import cicp, icc

SRGB = ImageCms.createProfile("sRGB")
COLORS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (200, 100, 50), (17, 130, 220)]


def profile_of(primaries: int, transfer: int, grey: bool = False) -> bytes:
    """Return the profile of code points that have one."""
    profile = cicp.profile(primaries, transfer, grey)
    assert profile is not None
    return profile


def in_srgb(profile: bytes, colors: list[Any], mode: str = "RGB") -> np.ndarray:
    opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    transform = ImageCms.buildTransform(opened, SRGB, mode, "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC)
    image = Image.new(mode, (len(colors), 1))
    image.putdata(colors)
    converted: np.ndarray = np.asarray(ImageCms.applyTransform(image, transform))[0].astype(int)
    return converted


def test_the_profile_of_srgb_changes_nothing() -> None:
    assert np.abs(in_srgb(profile_of(1, 13), COLORS) - COLORS).max() <= 1
    assert icc.profile_is_srgb(profile_of(1, 13))
    assert cicp.profile(2, 2) == cicp.profile(1, 2)


def test_display_p3_has_apples_colorants() -> None:
    """The colorants are those of the profile in photographs from Apple's devices."""
    expected = {
        b"rXYZ": (0.51512, 0.2412, -0.00105),
        b"gXYZ": (0.29198, 0.69225, 0.04189),
        b"bXYZ": (0.1571, 0.06657, 0.78407),
    }
    profile = profile_of(12, 13)

    for tag, numbers in expected.items():
        at, size = next(
            struct.unpack_from(">II", profile, at + 4) for at in range(132, 300, 12) if profile[at : at + 4] == tag
        )
        found = [value / 65536 for value in struct.unpack(">3i", profile[at + 8 : at + size])]
        np.testing.assert_allclose(found, numbers, atol=2e-5)
    assert icc.profile_name(profile) == "Display P3"
    assert not icc.profile_is_srgb(profile)
    assert len(profile) < 600


def test_white_is_white_in_every_profile() -> None:
    for primaries in cicp.PRIMARIES:
        profile = profile_of(primaries, 13)
        assert np.abs(in_srgb(profile, [(255, 255, 255), (0, 0, 0)]) - [[255] * 3, [0] * 3]).max() <= 1, primaries


@pytest.mark.parametrize("transfer, gamma", [(4, 2.2), (5, 2.8), (8, 1.0), (17, 2.6)])
@pytest.mark.parametrize("grey", [False, True])
def test_profiles_apply_the_gamma_of_their_code_points(transfer: int, gamma: float, grey: bool) -> None:
    profile = profile_of(1, transfer, grey)
    found = in_srgb(profile, [150], "L") if grey else in_srgb(profile, [(150, 150, 150)])
    linear = (150 / 255) ** gamma

    assert np.abs(found - 255 * (1.055 * linear ** (1 / 2.4) - 0.055)).max() <= 1.5


@pytest.mark.parametrize(
    "primaries, transfer, name",
    [
        (9, 16, "BT.2020 with PQ"),
        (9, 18, "BT.2020 with HLG"),
        (12, 16, "Display P3 with PQ"),
        (2, 16, "unspecified primaries with PQ"),
        (77, 13, "primaries 77 of H.273"),
        (1, 99, "BT.709 with curve 99 of H.273"),
    ],
)
def test_code_points_without_a_profile_have_a_name(primaries: int, transfer: int, name: str) -> None:
    assert cicp.profile(primaries, transfer) is None
    assert cicp.code_points_name(primaries, transfer) == name
