"""The error tree: classes and messages."""

import pytest

from compressor import errors

ERRORS = [
    errors.FormatError("PNG", "IDAT", 57, "checksum is 0, expected 1"),
    errors.FormatError("JPEG", "SOS", None, "no scan"),
    errors.SettingsError("quality", "is 0, must be from 1 to 100"),
    errors.UnsupportedError("12-bit samples"),
    errors.LimitError("70000 pixels wide, the limit is 65535"),
    errors.BusyError("no room for 5 MiB", 1.5),
    errors.SpoolError("/var/tmp", "No space left on device", 5.0),
    errors.IncompleteError("ended after 10 of 20 bytes"),
    errors.IdleError("nothing arrived for 60 s"),
    errors.DeadlineError("the deadline can't be met"),
    errors.CallError("DEADLINE_EXCEEDED", "after 5 s"),
]


def test_every_error_has_an_example_here() -> None:
    classes = {value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)}

    assert {type(error) for error in ERRORS} == classes - {errors.CompressorError}


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_errors_derive_from_the_root_and_have_one_line(error: errors.CompressorError) -> None:
    base = errors.BusyError if isinstance(error, errors.SpoolError) else errors.CompressorError
    assert type(error).__bases__ == (base,)
    assert str(error) and "\n" not in str(error)


def test_format_errors_say_where() -> None:
    located, unlocated = ERRORS[:2]
    assert isinstance(located, errors.FormatError)

    assert str(located) == "PNG: IDAT at byte 57: checksum is 0, expected 1"
    assert str(unlocated) == "JPEG: SOS: no scan"
    assert (located.format, located.place, located.offset) == ("PNG", "IDAT", 57)
    assert located.problem == "checksum is 0, expected 1"


def test_an_offset_of_zero_is_in_the_message() -> None:
    assert str(errors.FormatError("PNG", "signature", 0, "missing")) == "PNG: signature at byte 0: missing"


def test_settings_errors_name_the_field() -> None:
    error = errors.SettingsError("max_bytes", "is 0, must be at least 1")

    assert (error.field, str(error)) == ("max_bytes", "max_bytes: is 0, must be at least 1")


def test_busy_errors_say_when_to_retry() -> None:
    error = errors.BusyError("full", 2.5)

    assert (str(error), error.retry_after_seconds) == ("full", 2.5)
