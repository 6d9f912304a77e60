"""ICC profiles: their names, and the detection of sRGB."""

import struct

import pytest
from PIL import ImageCms

from compressor import icc
from tests.planted.profiles import GAMMA, rgb_profile

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


LINEAR = b"curv\0\0\0\0" + struct.pack(">I", 0)


def test_the_srgb_profile_of_littlecms_is_srgb() -> None:
    assert icc.profile_is_srgb(SRGB)
    assert "sRGB" in icc.profile_name(SRGB)
    assert icc.color_space(SRGB) == "RGB"


def test_srgb_colorants_with_a_gamma_of_2_2_are_srgb() -> None:
    assert icc.profile_is_srgb(rgb_profile(b"Test", icc.SRGB_COLORANTS, GAMMA))


def test_other_colorants_or_another_curve_are_not_srgb() -> None:
    assert not icc.profile_is_srgb(rgb_profile(b"Test"))
    assert not icc.profile_is_srgb(rgb_profile(b"Test", icc.SRGB_COLORANTS, LINEAR))


def test_an_unknown_curve_type_is_not_srgb() -> None:
    for kind in (5, 0xFFFF):
        curve = b"para\0\0\0\0" + struct.pack(">HH7i", kind, 0, *[1] * 7)
        assert not icc.profile_is_srgb(rgb_profile(b"Test", icc.SRGB_COLORANTS, curve))


def test_the_name_is_the_description() -> None:
    assert icc.profile_name(rgb_profile(b"Display P3")) == "Display P3"


@pytest.mark.parametrize("length", range(0, len(SRGB), 7))
def test_a_truncated_profile_is_never_an_error(length: int) -> None:
    cut = SRGB[:length]

    assert icc.profile_name(cut)
    assert icc.profile_is_srgb(cut) in (True, False)
    assert len(icc.color_space(cut)) <= 4
