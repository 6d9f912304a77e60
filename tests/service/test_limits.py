"""The limits of a server's settings: values outside them are refused at start, by name."""

import dataclasses
import math
import re
import subprocess
import sys
import typing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compressor import pipeline
from compressor.errors import SettingsError
from compressor.memory import Resources
from compressor.service.config import OTHER_VALUES, ServerConfig
from compressor.service.limits import LIMITS, WINDOWS_IN_BUDGET
from compressor.service.serve import serve
from compressor.service.server import resources_of
from compressor.settings import Settings
from compressor.sniff import FORMAT_SUFFIXES
from tests import ROOT
from tests.service.fake_pipeline import fake_codec
from tests.service.running import LOCAL

NAMES = sorted(LIMITS)
ROOM = {"memory_budget": 1 << 50}  # for any window


def values_of(name: str) -> Any:
    low, high = LIMITS[name]
    return st.integers(int(low), int(high)) if isinstance(low, int) else st.floats(low, high)


def others(name: str) -> Any:
    """Return values that are outside the limits, not finite, or no numbers of the kind."""
    low, high = LIMITS[name]
    whole = st.integers(max_value=math.ceil(low) - 1) | st.integers(min_value=math.floor(high) + 1)
    below = st.floats(max_value=low, exclude_max=True, allow_nan=False)
    above = st.floats(min_value=high, exclude_min=True, allow_nan=False)
    odd: st.SearchStrategy[Any] = st.sampled_from([math.nan, math.inf, -math.inf, True, False, "1", b"1", []])
    fraction = st.floats(low, high) if isinstance(low, int) else st.nothing()
    huge = st.just(10**400)  # no float holds it
    missing = st.nothing() if None in OTHER_VALUES.get(name, ()) else st.none()
    return whole | below | above | odd | fraction | huge | missing


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_a_number_within_its_limits_is_accepted(name: str, data: Any) -> None:
    value = data.draw(values_of(name))
    config = {name: value, "window_bytes": 1 << 14} if name == "memory_budget" else ROOM | {name: value}

    assert getattr(ServerConfig(**config), name) == value


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_any_other_value_is_refused_by_name(name: str, data: Any) -> None:
    value = data.draw(others(name))
    with pytest.raises(SettingsError, match=re.escape("must be")) as caught:
        ServerConfig(**(ROOM | {name: value}))
    assert caught.value.field == name


def test_the_table_has_every_number_of_the_configuration() -> None:
    kinds = typing.get_type_hints(ServerConfig)
    numbers = {name for name, kind in kinds.items() if {int, float} & {kind, *typing.get_args(kind)}}

    assert numbers == LIMITS.keys()
    defaults = ServerConfig()
    assert all(getattr(defaults, name) in others for name, others in OTHER_VALUES.items())


def test_the_documentation_has_every_row_of_the_table() -> None:
    page = (ROOT / "docs" / "service.md").read_text()
    table = page.partition("| setting | from | to |")[2].partition("\n\n")[0]

    rows = re.findall(r"^\| (`[^|]+`) \|", table, re.MULTILINE)

    assert set(re.findall(r"\w+", " ".join(rows))) == LIMITS.keys()


def test_a_window_is_a_part_of_the_budget_at_most() -> None:
    budget = 64 << 20
    ServerConfig(memory_budget=budget, window_bytes=budget // WINDOWS_IN_BUDGET)
    with pytest.raises(SettingsError, match="window_bytes: is 16777217, must be at most 16777216, a quarter"):
        ServerConfig(memory_budget=budget, window_bytes=budget // WINDOWS_IN_BUDGET + 1)


@pytest.mark.parametrize("chosen", [Settings(), Settings(score=True), Settings(quality=90, score=True)], ids=str)
def test_the_smallest_budget_suffices_for_a_small_image(chosen: Settings) -> None:
    """A BMP takes the most: it may become a PNG, of which two kinds are tried."""
    row = b"\x10\x80\xf0" * 64
    pixels = b"".join(bytes([line]) * 3 + row[3:] for line in range(64))
    bmp = b"BM" + (54 + len(pixels)).to_bytes(4, "little") + bytes(4) + (54).to_bytes(4, "little")
    bmp += (40).to_bytes(4, "little") + (64).to_bytes(4, "little") * 2 + b"\x01\x00\x18\x00" + bytes(24) + pixels
    config = ServerConfig(memory_budget=int(LIMITS["memory_budget"][0]))

    with pipeline.stream([bmp], chosen, resources=resources_of(config)) as stream:
        assert len(b"".join(stream)) > 0
    short = Resources(memory_budget=2 << 20, overhead=resources_of(config).overhead)
    with pytest.raises(Exception, match="whole memory budget"), pipeline.stream([bmp], chosen, resources=short) as it:
        b"".join(it)


@pytest.mark.parametrize("name", ["address", "metrics_address"])
@pytest.mark.parametrize(
    "address",
    ["", "localhost", ":50051", "localhost:", "localhost:http", "localhost:65536", "localhost:-1", "unix:/", 7],
)
def test_an_address_is_a_host_and_a_port(name: str, address: Any) -> None:
    with pytest.raises(SettingsError, match="must be HOST:PORT") as caught:
        ServerConfig(**{name: address})
    assert caught.value.field == name


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("name", ["address", "metrics_address"])
@pytest.mark.parametrize(
    "address, problem",
    [
        ("nowhere.invalid:0", "Name or service not known|Temporary failure|No address"),
        ("192.0.2.1:0", "not an address of this machine"),  # RFC 5737: of no machine
        (f"{'x' * 300}:0", "label|name"),
    ],
)
def test_a_host_that_is_not_here_is_refused_at_start(name: str, address: str, problem: str, workers: int) -> None:
    with pytest.raises(SettingsError, match=problem) as caught:
        serve(ServerConfig(**(LOCAL | {name: address, "workers": workers})), codec=fake_codec())
    assert caught.value.field == name


@pytest.mark.parametrize("formats", [(), ("gif", "psd"), ("",)])
def test_the_allowed_formats_are_known_ones(formats: Any) -> None:
    with pytest.raises(SettingsError, match="must be of jpeg, png") as caught:
        ServerConfig(formats=formats)
    assert caught.value.field == "formats"
    assert ServerConfig(formats=tuple(FORMAT_SUFFIXES)).formats == tuple(FORMAT_SUFFIXES)
    assert ServerConfig(formats=("JPG", ".heic", "tif")).formats == ("jpeg", "heif", "tiff")


@pytest.mark.parametrize(
    "words, flag",
    [
        ("--idle-seconds nan", "--idle-seconds is nan"),
        ("--max-concurrent-calls 0", "--max-concurrent-calls is 0"),
        ("--memory-budget 1KiB", "--memory-budget is 1024"),
        ("--formats jpeg,psd", "--formats has 'psd'"),
    ],
)
def test_the_command_ends_with_2_and_one_line(words: str, flag: str) -> None:
    command = [sys.executable, "-m", "compressor.cli", "serve", *words.split()]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120)

    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith(f"compressor: {flag}") and ran.stderr.count("\n") == 1


def test_a_copy_is_checked_too() -> None:
    with pytest.raises(SettingsError, match="grace_seconds"):
        dataclasses.replace(ServerConfig(), grace_seconds=-1.0)
