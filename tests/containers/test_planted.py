"""Planted WebP, GIF, BMP and PNM files: only marks that a policy keeps are left, and the image does not change."""

import io

import pytest
from PIL import Image

from compressor import containers
from compressor.metadata import orientation
from compressor.settings import Metadata
from tests.containers.harness import POLICIES, Memory, damaged, frames, reduced, survives
from tests.planted import Planted, marks_in
from tests.planted.bmp import files as bmp_files
from tests.planted.gif import files as gif_files
from tests.planted.pnm import files as pnm_files
from tests.planted.webp import files as webp_files

FILES = [*webp_files(), *gif_files(), *bmp_files(), *pnm_files()]
PLANTED = pytest.mark.parametrize("planted", FILES, ids=lambda planted: planted.name)


def exif_of(data: bytes) -> bytes | None:
    with Image.open(io.BytesIO(data)) as image:
        exif = image.info.get("exif")
    return None if exif is None else exif.removeprefix(b"Exif\0\0")


@PLANTED
def test_every_mark_is_in_the_source_and_its_image_can_be_decoded(planted: Planted) -> None:
    assert marks_in(planted, planted.data) == set(planted.marks)
    assert frames(planted.data)
    assert orientation(exif_of(planted.data)) == planted.orientation


@PLANTED
@pytest.mark.parametrize("policy", POLICIES)
def test_only_marks_that_the_policy_keeps_are_left(planted: Planted, policy: Metadata) -> None:
    result = reduced(planted.format, planted.data, policy)

    assert marks_in(planted, result) == (set(planted.color) if policy is Metadata.COLOR else set())


@PLANTED
@pytest.mark.parametrize("policy", POLICIES)
def test_pixels_timing_loops_and_orientation_are_kept(planted: Planted, policy: Metadata) -> None:
    result = reduced(planted.format, planted.data, policy)

    assert frames(result) == frames(planted.data)
    assert orientation(exif_of(result)) == planted.orientation


@PLANTED
@pytest.mark.parametrize("policy", POLICIES)
def test_a_second_run_changes_nothing_and_adds_no_notice(planted: Planted, policy: Metadata) -> None:
    result, notices = reduced(planted.format, planted.data, policy), list[str]()

    assert reduced(planted.format, result, policy, notices) == result
    assert notices == []
    assert containers.unmapped_metadata(planted.format, Memory(result)) == (
        ["additional images"] if planted.name == "pnm-several" else []
    )


@PLANTED
def test_color_keeps_an_embedded_profile_and_strip_reports_it(planted: Planted) -> None:
    place = next(iter(planted.color), None)
    notices: dict[Metadata, list[str]] = {policy: [] for policy in POLICIES}
    for policy in POLICIES:
        reduced(planted.format, planted.data, policy, notices[policy])

    named = [notice for notice in notices[Metadata.STRIP] if notice.startswith("the ICC profile (Wide gamut MARK")]
    assert len(named) == (place is not None)
    assert not [notice for notice in notices[Metadata.COLOR] if notice.startswith("the ICC profile")]


@PLANTED
def test_damage_ends_in_a_clear_error_or_a_valid_file(planted: Planted) -> None:
    valid = [survives(planted.format, version) for version in damaged(planted.data)]

    assert not all(valid)  # a file truncated within its image is rejected
