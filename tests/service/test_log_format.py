"""The formats of the log: one line a record, whatever is in it."""

import json
import logging
import os
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compressor.errors import SettingsError
from compressor.service import request_id
from compressor.service.log_format import (
    CUT,
    FORMATS,
    INDENT,
    TEXT_CHARACTERS_MAX,
    FieldsMessage,
    formatter_of,
    log_to_stderr,
    logfmt,
)
from tests.service.logs import parse_logfmt

HOSTILE = 'a\n2026-01-01 INFO forged="1" \\ \r\x00\x1b[2J\x7f\x85\u2028\ud800 b'


def line_of(format: str, message: object, error: BaseException | None = None) -> str:
    """Return a record as it is logged."""
    trace = (type(error), error, error.__traceback__) if error else None
    record = logging.LogRecord("name", logging.INFO, "file", 1, message, (), trace)
    return formatter_of(format).format(record)


def read(format: str, line: str) -> dict[str, Any]:
    return dict(json.loads(line) if format == "json" else parse_logfmt(line))


@given(st.dictionaries(st.sampled_from(["a", "b_c"]), st.text(st.characters(codec=None, exclude_categories=[]))))
def test_logfmt_gives_every_text_back_and_is_visible_ascii(fields: dict[str, str]) -> None:
    line = logfmt(fields)

    assert parse_logfmt(line) == fields
    assert all(" " <= character <= "~" for character in line)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("message", [HOSTILE, FieldsMessage("request", {"peer": HOSTILE})])
def test_a_record_is_one_line_without_control_characters(format: str, message: object) -> None:
    line = line_of(format, message)

    assert line.isprintable()
    if format != "text":
        fields = read(format, line)
        assert HOSTILE in (fields.get("message"), fields.get("peer"))
        assert set(fields) - {"message", "peer"} == {"time", "level", "logger", "pid", "event"}


@pytest.mark.parametrize("format", ["json", "logfmt"])
def test_a_traceback_is_a_field_of_its_line(format: str) -> None:
    try:
        raise ValueError(HOSTILE)
    except ValueError as error:
        line = line_of(format, "unexpected", error)

    assert line.isprintable()
    assert "Traceback" in read(format, line)["exception"] and "ValueError" in read(format, line)["exception"]


def test_a_traceback_in_text_is_on_indented_lines_and_bounded() -> None:
    try:
        raise ValueError("x" * 40_000 + HOSTILE)
    except ValueError as error:
        first, *others = line_of("text", "unexpected", error).split("\n")

    assert first.endswith(f"name[{os.getpid()}]: unexpected")
    assert all(line.startswith(INDENT) and line.isprintable() for line in others)
    assert any("forged" in line for line in others)
    assert sum(line.count("x") for line in others) <= TEXT_CHARACTERS_MAX


@pytest.mark.parametrize("format", FORMATS)
def test_a_long_message_is_cut(format: str) -> None:
    line = line_of(format, "x" * (TEXT_CHARACTERS_MAX + 1000))

    assert CUT in line and line.count("x") <= TEXT_CHARACTERS_MAX


@pytest.mark.parametrize("format", FORMATS)
def test_a_message_on_behalf_of_a_request_has_its_id(format: str) -> None:
    token = request_id.current.set("id-1")
    try:
        line = line_of(format, "unexpected")
    finally:
        request_id.current.reset(token)

    assert "id-1" in line and "id-1" not in line_of(format, "unexpected")


def test_times_are_utc_with_microseconds() -> None:
    formatter = formatter_of("json")
    record = logging.LogRecord("name", logging.INFO, "file", 1, "m", (), None)
    times = []
    for created in (1_700_000_000.25, 1_700_000_000.75, 1_700_000_001.0):
        record.created = created
        times.append(json.loads(formatter.format(record))["time"])

    assert times == ["2023-11-14T22:13:20.250000Z", "2023-11-14T22:13:20.750000Z", "2023-11-14T22:13:21.000000Z"]


@pytest.mark.parametrize("names, field", [(("xml", "info"), "log_format"), (("json", "loud"), "log_level")])
def test_an_unknown_name_is_a_settings_error(names: tuple[str, str], field: str) -> None:
    with pytest.raises(SettingsError) as caught:
        log_to_stderr(*names)

    assert caught.value.field == field
