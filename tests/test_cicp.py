"""ICC profiles of code points: what Little CMS makes of them."""

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms

from compressor import cicp, icc

SRGB = ImageCms.createProfile("sRGB")
COLORS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (200, 100, 50), (17, 130, 220)]


def in_srgb(profile, colors, mode="RGB"):
    opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    transform = ImageCms.buildTransform(opened, SRGB, mode, "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC)
    image = Image.new(mode, (len(colors), 1))
    image.putdata(colors)
    return np.asarray(ImageCms.applyTransform(image, transform))[0].astype(int)


def test_the_profile_of_srgb_changes_nothing() -> None:
    assert np.abs(in_srgb(cicp.profile(1, 13), COLORS) - COLORS).max() <= 1
    assert icc.profile_is_srgb(cicp.profile(1, 13))
    assert cicp.profile(2, 2) == cicp.profile(1, 2)


def test_display_p3_has_the_colorants_that_others_give_it() -> None:
    """Those of the profile that Apple's devices put into their photographs."""
    expected = {
        b"rXYZ": (0.51512, 0.2412, -0.00105),
        b"gXYZ": (0.29198, 0.69225, 0.04189),
        b"bXYZ": (0.1571, 0.06657, 0.78407),
    }
    profile = cicp.profile(12, 13)

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
        profile = cicp.profile(primaries, 13)
        assert np.abs(in_srgb(profile, [(255, 255, 255), (0, 0, 0)]) - [[255] * 3, [0] * 3]).max() <= 1, primaries


@pytest.mark.parametrize("transfer, gamma", [(4, 2.2), (5, 2.8), (8, 1.0), (17, 2.6)])
@pytest.mark.parametrize("grey", [False, True])
def test_gammas(transfer: int, gamma: float, grey: bool) -> None:
    profile = cicp.profile(1, transfer, grey)
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
def test_what_no_such_profile_can_say_has_a_name(primaries: int, transfer: int, name: str) -> None:
    assert cicp.profile(primaries, transfer) is None
    assert cicp.code_points_name(primaries, transfer) == name
