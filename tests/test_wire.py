"""Settings, reports and sources as messages, and back."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compressor import wire
from compressor.errors import SettingsError
from compressor.footprint import Basis
from compressor.settings import (
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

SETTINGS = st.builds(
    Settings,
    quality=st.integers(1, 100),
    target_score=st.none() | st.floats(0, 100),
    max_bytes=st.none() | st.integers(1, 1 << 62),
    lossless=st.booleans(),
    effort=st.sampled_from(Effort),
    format=st.sampled_from(Format),
    delivery=st.none() | st.sampled_from(Delivery),
    subsampling=st.sampled_from(Subsampling),
    metadata=st.sampled_from(Metadata),
    content_credentials=st.sampled_from(ContentCredentials),
    min_saving=st.floats(0, 1, exclude_max=True),
    background=st.none() | st.tuples(*[st.integers(0, 255)] * 3),
)


@given(SETTINGS)
def test_settings_survive_the_way(settings):
    message = pb.Settings.FromString(wire.settings_to_proto(settings).SerializeToString())

    assert wire.settings_from_proto(message) == settings


def test_nothing_set_means_the_defaults():
    assert wire.settings_from_proto(pb.Settings()) == Settings()


def test_every_setting_travels():
    assert {field.name for field in dataclasses.fields(Settings)} == set(pb.Settings.DESCRIPTOR.fields_by_name)


@pytest.mark.parametrize("kind", [*ENUMS.values(), Outcome, Path])
def test_every_enum_value_travels(kind):
    prefix = {"ContentCredentials": "CONTENT_CREDENTIALS"}.get(kind.__name__, kind.__name__.upper())
    names = {f"{prefix}_{value.value.upper()}" for value in kind}

    assert names | {f"{prefix}_UNSPECIFIED"} == set(getattr(pb, kind.__name__).keys())


@pytest.mark.parametrize("message", [pb.Settings(quality=0), pb.Settings(min_saving=1), pb.Settings(effort=77)])
def test_what_settings_refuse_is_refused(message):
    with pytest.raises(SettingsError):
        wire.settings_from_proto(message)


def test_a_background_out_of_range_is_refused():
    with pytest.raises(SettingsError, match="background"):
        wire.settings_from_proto(pb.Settings(background=pb.Color(red=256)))


@pytest.mark.parametrize("quality", [None, 75])
def test_sources_survive_the_way(quality):
    source = Source(
        format="jpeg", description="JPEG", width=3, height=4, channels=3, quality=quality, reserved_bytes=1 << 40
    )

    assert wire.source_from_proto(wire.source_to_proto(source)) == source


@pytest.mark.parametrize("score, region", [(None, None), (0.0, None), (91.5, "de")])
def test_reports_survive_the_way_with_the_length_that_was_sent(score, region):
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
        notices=("no alpha", "no gain map"),
        stage_seconds={"decode": 0.5, "encode": 0.25},
        reserved_bytes=9,
        settings_digest="abc",
        memory_byte_seconds=1.5,
        footprint=Basis(region=region).of(1.0, 2e9),
    )
    message = wire.report_to_proto(report, 8, 0xFFFFFFFF)

    assert wire.report_from_proto(message) == dataclasses.replace(report, bytes_out=8)
    assert message.crc32c == 0xFFFFFFFF


def test_every_field_of_a_report_travels():
    fields = {field.name for field in dataclasses.fields(Report)}

    assert fields | {"crc32c"} == set(pb.Report.DESCRIPTOR.fields_by_name)


def test_raw_and_tiles_survive_the_way():
    raw = Raw(width=5, height=6, channels=3, tile_width=4, tile_height=2)
    tile = Tile(4, 2, b"abc")

    assert wire.raw_from_proto(wire.raw_to_proto(raw)) == raw
    assert wire.tile_from_proto(wire.tile_to_proto(tile)) == tile
