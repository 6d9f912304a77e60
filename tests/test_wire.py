"""Round trips of settings, reports and sources through messages."""

import dataclasses
import functools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compressor import wire
from compressor.errors import LimitError, SettingsError
from compressor.footprint import Basis
from compressor.settings import (
    DENSITY_MAX,
    ENUMS,
    ContentCredentials,
    Delivery,
    Effort,
    Format,
    Metadata,
    Outcome,
    Path,
    Raw,
    Report,
    Settings,
    Source,
    Subsampling,
    Tile,
)
from compressor.v1 import compressor_pb2 as pb

BUILD = functools.partial(
    st.builds,
    Settings,
    max_bytes=st.none() | st.integers(1, 1 << 62),
    score=st.booleans(),
    effort=st.sampled_from(Effort),
    format=st.sampled_from(Format),
    delivery=st.none() | st.sampled_from(Delivery),
    subsampling=st.sampled_from(Subsampling),
    metadata=st.sampled_from(Metadata),
    content_credentials=st.sampled_from(ContentCredentials),
    min_saving=st.floats(0, 1, exclude_max=True),
    background=st.none() | st.tuples(*[st.integers(0, 255)] * 3),
)
# A target score excludes a quality and lossless.
SETTINGS = BUILD(quality=st.none() | st.integers(1, 100), lossless=st.booleans()) | BUILD(
    target_score=st.floats(0, 100)
)


@given(SETTINGS)
def test_settings_survive_a_round_trip(settings: Any) -> None:
    message = pb.Settings.FromString(wire.settings_to_proto(settings).SerializeToString())

    assert wire.settings_from_proto(message) == settings


def test_nothing_set_means_the_defaults() -> None:
    assert wire.settings_from_proto(pb.Settings()) == Settings()


def test_every_setting_has_a_field() -> None:
    assert {field.name for field in dataclasses.fields(Settings)} == set(pb.Settings.DESCRIPTOR.fields_by_name)


@pytest.mark.parametrize("kind", [*ENUMS.values(), Outcome, Path])
def test_every_enum_value_has_a_number(kind: Any) -> None:
    prefix = {"ContentCredentials": "CONTENT_CREDENTIALS"}.get(kind.__name__, kind.__name__.upper())
    names = {f"{prefix}_{value.value.upper()}" for value in kind}

    assert names | {f"{prefix}_UNSPECIFIED"} == set(getattr(pb, kind.__name__).keys())


UNKNOWN: Any = 77  # of no enum


@pytest.mark.parametrize("message", [pb.Settings(quality=0), pb.Settings(min_saving=1), pb.Settings(effort=UNKNOWN)])
def test_invalid_settings_in_a_message_are_rejected(message: Any) -> None:
    with pytest.raises(SettingsError):
        wire.settings_from_proto(message)


def test_a_background_out_of_range_is_refused() -> None:
    with pytest.raises(SettingsError, match="background"):
        wire.settings_from_proto(pb.Settings(background=pb.Color(red=256)))


@pytest.mark.parametrize("quality", [None, 75])
def test_sources_survive_a_round_trip(quality: int | None) -> None:
    source = Source(
        format="jpeg", description="JPEG", width=3, height=4, channels=3, quality=quality, reserved_bytes=1 << 40
    )

    assert wire.source_from_proto(wire.source_to_proto(source)) == source


@pytest.mark.parametrize("score, region", [(None, None), (0.0, None), (91.5, "de")])
def test_reports_survive_a_round_trip_with_the_length_that_was_sent(score: float | None, region: str | None) -> None:
    report = Report(
        outcome=Outcome.LARGER,
        reason="asked for",
        bytes_in=1 << 40,
        bytes_out=7,
        source_format="png",
        format="jpeg",
        width=3,
        height=4,
        path=Path.PIXELS,
        score=score,
        encodings=3,
        notices=("no alpha", "no gain map"),
        stage_seconds={"decode": 0.5, "encode": 0.25},
        reserved_bytes=9,
        settings_digest="abc",
        memory_byte_seconds=1.5,
        footprint=Basis(region=region).footprint_of(1.0, 2e9),
    )
    message = wire.report_to_proto(report, 8, 0xFFFFFFFF)

    assert wire.report_from_proto(message) == dataclasses.replace(report, bytes_out=8)
    assert message.crc32c == 0xFFFFFFFF


def test_every_field_of_a_report_has_a_field() -> None:
    fields = {field.name for field in dataclasses.fields(Report)}

    assert fields | {"crc32c"} == set(pb.Report.DESCRIPTOR.fields_by_name)


SIDES = st.integers(0, (1 << 32) - 1)
DENSITIES = st.none() | st.tuples(st.integers(1, DENSITY_MAX), st.integers(1, DENSITY_MAX))
RAW = st.builds(
    Raw,
    width=SIDES,
    height=SIDES,
    channels=SIDES,
    tile_width=SIDES,
    tile_height=SIDES,
    icc_profile=st.none() | st.binary(),
    exif=st.none() | st.binary(),
    xmp=st.none() | st.binary(),
    comments=st.lists(st.text(st.characters(codec="utf-8")), max_size=5).map(tuple),
    density=DENSITIES,
    aspect=DENSITIES,
)


@given(RAW)
def test_raw_survives_a_round_trip(raw: Any) -> None:
    message = pb.Raw.FromString(wire.raw_to_proto(raw).SerializeToString())

    assert wire.raw_from_proto(message) == raw


def test_every_field_of_raw_has_a_field() -> None:
    assert {field.name for field in dataclasses.fields(Raw)} == set(pb.Raw.DESCRIPTOR.fields_by_name)


SHAPE: dict[str, Any] = {"width": 8, "height": 8, "channels": 3, "tile_width": 8, "tile_height": 8}
MOST = wire.RAW_METADATA_BYTES_MAX


def test_metadata_of_one_mebibyte_in_the_most_comments_fit_a_message() -> None:
    each = MOST // wire.RAW_COMMENTS_MAX
    raw = Raw(**SHAPE, comments=("é" * (each // 2),) * wire.RAW_COMMENTS_MAX, density=(1, DENSITY_MAX))

    assert sum(raw.metadata_bytes().values()) == MOST
    request = pb.CompressRequest(raw=wire.raw_to_proto(raw))
    assert request.ByteSize() <= wire.MESSAGE_BYTES_MAX
    assert wire.raw_from_proto(request.raw) == raw


@pytest.mark.parametrize(
    "metadata, field",
    [
        ({"icc_profile": bytes(MOST + 1)}, "icc_profile"),
        ({"exif": bytes(MOST - 1), "icc_profile": b"12"}, "exif"),
        ({"xmp": bytes(MOST - 1), "comments": ("é",)}, "xmp"),
        ({"comments": ("a" * MOST, "b")}, "comments"),
        ({"comments": ("",) * (wire.RAW_COMMENTS_MAX + 1)}, "comments"),
    ],
)
def test_larger_metadata_are_rejected_on_either_side(metadata: Any, field: str) -> None:
    with pytest.raises(LimitError, match=f"raw.{field} has"):
        wire.raw_to_proto(Raw(**SHAPE, **metadata))
    with pytest.raises(LimitError, match=f"raw.{field} has"):
        wire.raw_from_proto(pb.Raw(**SHAPE, **metadata))


@pytest.mark.parametrize(
    "metadata, field",
    [
        ({"exif": "text"}, "exif"),
        ({"icc_profile": memoryview(b"profile")}, "icc_profile"),
        ({"comments": "one text"}, "comments"),
        ({"comments": (b"bytes",)}, "comments"),
        ({"comments": ("\ud800",)}, "comments"),
        ({"density": (0, 1)}, "density"),
        ({"density": (1, DENSITY_MAX + 1)}, "density"),
        ({"aspect": (1.5, 1)}, "aspect"),
        ({"aspect": 1}, "aspect"),
    ],
)
def test_invalid_metadata_are_a_settings_error(metadata: Any, field: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Raw(**SHAPE, **metadata)
    assert caught.value.field == f"raw.{field}"


def test_an_invalid_density_in_a_message_is_rejected() -> None:
    with pytest.raises(SettingsError, match="raw.aspect"):
        wire.raw_from_proto(pb.Raw(**SHAPE, aspect=pb.Density(x=1)))


def test_tiles_survive_a_round_trip() -> None:
    tile = Tile(4, 2, b"abc")

    assert wire.tile_from_proto(wire.tile_to_proto(tile)) == tile


def test_accepted_formats_are_sent_as_a_list() -> None:
    settings = Settings(format=Format.AUTO, accept="image/avif, */*")
    message = wire.settings_to_proto(settings)

    assert list(message.accept) == [pb.FORMAT_JPEG, pb.FORMAT_PNG, pb.FORMAT_AVIF]
    assert wire.settings_from_proto(message) == settings
    with pytest.raises(SettingsError, match="^accept"):
        wire.settings_from_proto(pb.Settings(format=pb.FORMAT_AUTO, accept=[pb.FORMAT_KEEP]))
    with pytest.raises(SettingsError, match="^accept: has 100 formats"):
        wire.settings_from_proto(pb.Settings(format=pb.FORMAT_AUTO, accept=[pb.FORMAT_PNG] * 100))
