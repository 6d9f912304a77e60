"""Settings from the query and the header fields of a request."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from compressor.accept import accepted_formats
from compressor.errors import SettingsError
from compressor.humanize import parse_size
from compressor.service.http.problem import AcceptError
from compressor.settings import ENUMS, Settings
from compressor.sniff import format_named

QUERY_BYTES_MAX = 8192
YES_AND_NO = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
REPORT = "report"
# Of the header fields that are settings, too: `Compressor-Max-Bytes` is `max_bytes`. Names of fields are in lower case.
FIELD_PREFIX = "compressor-"
TIMEOUT_FIELD = "compressor-timeout"


def _yes_or_no(text: str) -> bool:
    try:
        return YES_AND_NO[text.lower()]
    except KeyError:
        raise ValueError("must be yes or no") from None


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError("must be a whole number") from None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError("must be a number") from None


def _size(text: str) -> int:
    try:
        return parse_size(text)
    except (ValueError, OverflowError):
        raise ValueError("must be a size such as 65536, 200KiB or 2MB") from None


def _share(text: str) -> float:
    try:
        return float(f"{text[:-1]}e-2") if text.endswith("%") else float(text)
    except ValueError:
        raise ValueError("must be a share such as 0.05 or 5%") from None


def _color(text: str) -> tuple[int, int, int]:
    try:
        red, green, blue = (int(part) for part in text.split(","))
    except ValueError:
        raise ValueError("must be red, green and blue such as 255,255,255") from None
    return red, green, blue


@dataclass(frozen=True, slots=True)
class Parameter:
    """A query parameter: how its value is read, its JSON schema, and what it is for."""

    read: Callable[[str], Any]
    schema: Mapping[str, Any]
    description: str


def _enum(name: str, description: str, read: Callable[[str], str] = str) -> Parameter:
    return Parameter(read, {"type": "string", "enum": [value.value for value in ENUMS[name]]}, description)


_YES_OR_NO = {"type": "string", "enum": ["yes", "no"], "default": "no"}

# All settings of docs/settings.md, by name. `Settings` checks their ranges.
PARAMETERS: Mapping[str, Parameter] = {
    "quality": Parameter(_whole, {"type": "integer", "minimum": 1, "maximum": 100}, "Visual quality; 80 by default."),
    "target_score": Parameter(
        _number, {"type": "number", "minimum": 0, "maximum": 100}, "Minimum SSIMULACRA2 score of the result."
    ),
    "max_bytes": Parameter(_size, {"type": "string", "examples": ["200KiB"]}, "Maximum size of the result."),
    "score": Parameter(_yes_or_no, _YES_OR_NO, "Measure the SSIMULACRA2 score of the result."),
    "lossless": Parameter(_yes_or_no, _YES_OR_NO, "Keep coefficients (JPEG) or samples (PNG) exactly."),
    "effort": _enum("effort", "CPU time to spend."),
    "format": _enum(
        "format", "Format of the result. Without it, an Accept field with image types means `auto`.", format_named
    ),
    "delivery": _enum("delivery", "When output begins: `safe` after the result is complete, `immediate` at once."),
    "subsampling": _enum("subsampling", "Subsampling of the chroma components."),
    "metadata": _enum("metadata", "Metadata to keep."),
    "content_credentials": _enum("content_credentials", "What to do with a file that has content credentials."),
    "min_saving": Parameter(
        _share, {"type": "string", "examples": ["5%"]}, "Return the input unless this share of it is saved."
    ),
    "background": Parameter(
        _color, {"type": "string", "examples": ["255,255,255"]}, "Color that transparent pixels get in a JPEG."
    ),
    "accept": Parameter(str, {"type": "string", "examples": ["jpeg,webp"]}, "Formats that `auto` may choose."),
    "archive": Parameter(_yes_or_no, _YES_OR_NO, "JPEG to JPEG XL, of which the same JPEG can be made again."),
    "png_colors": Parameter(
        _whole, {"type": "integer", "minimum": 2, "maximum": 256}, "Reduce a PNG to at most so many colors."
    ),
}


@dataclass(frozen=True, slots=True)
class Query:
    """The settings of a request. report_only: the report instead of the result."""

    settings: Settings
    report_only: bool


def parse_query(query: bytes, fields: Iterable[tuple[str, str]], accept: str | None, *, may_report: bool) -> Query:
    """Return what a query and a header ask for. Raise SettingsError for anything that is not understood.

    fields      names, in lower case, and values of the header fields
    accept      value of the Accept field; None: there is none
    may_report  `report` is a parameter, too
    """
    if len(query) > QUERY_BYTES_MAX:
        raise SettingsError("query", f"has {len(query)} bytes, at most {QUERY_BYTES_MAX} are read")
    given = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    given += [
        (name.removeprefix(FIELD_PREFIX).replace("-", "_"), text)
        for name, text in fields
        if name.startswith(FIELD_PREFIX) and name != TIMEOUT_FIELD
    ]
    texts: dict[str, str] = {}
    for name, text in given:
        if name in texts:
            raise SettingsError(name, "is given twice")
        texts[name] = text
    report = texts.pop(REPORT, None) if may_report else None
    if report not in (None, "json"):
        raise SettingsError(REPORT, f"is {report!r:.80}, must be json")
    values = {name: _value(name, text, may_report) for name, text in texts.items()}
    return Query(_negotiated(values, accept), report is not None)


def _value(name: str, text: str, may_report: bool) -> Any:
    """Return the value of a setting from its text."""
    if name not in PARAMETERS:
        known = ", ".join([*PARAMETERS, *([REPORT] if may_report else [])])
        raise SettingsError(f"{name:.80}", f"is not a parameter; the parameters are {known}")
    try:
        return PARAMETERS[name].read(text)
    except ValueError as error:
        raise SettingsError(name, f"is {text!r:.80}, {error}") from None


def _negotiated(values: dict[str, Any], accept: str | None) -> Settings:
    """Return the settings. The Accept field counts if no format is named, or `auto`."""
    is_open = values.get("format", "auto") == "auto" and "accept" not in values and not values.get("archive")
    if accept is None or not is_open or not names_image_types(accept):
        return Settings(**values)
    try:
        accepted = accepted_formats(accept)
    except SettingsError as error:
        raise AcceptError(error.field, error.problem) from None
    return Settings(**values | {"format": "auto", "accept": accepted})


def names_image_types(accept: str) -> bool:
    """Return whether an Accept field has a range of image types. `*/*` alone, which most clients send, has none."""
    return any(part.strip().lower().startswith("image/") for part in accept.split(","))


assert set(PARAMETERS) == {field.name for field in dataclasses.fields(Settings)}
