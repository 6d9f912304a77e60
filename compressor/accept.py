"""The formats that a caller accepts: listed, or in the value of an HTTP Accept field."""

import re
from collections.abc import Sequence

from compressor.errors import SettingsError
from compressor.sniff import format_named

FORMATS = ("jpeg", "png", "webp", "avif")  # in this order
LENGTH_MAX = 4096  # characters of an Accept field
WEIGHT = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?")  # RFC 9110, 12.4.2
WILDCARDS = ("image/*", "*/*")
# Formats that a wildcard stands for: browsers that show neither WebP nor AVIF send wildcards, too.
SHOWN_BY_ALL = ("jpeg", "png")


def accepted_formats(value: object) -> list[str]:
    """Return which of FORMATS are accepted, in their order.

    value  their names; names separated by commas; or the value of an Accept field (RFC 9110, 12.5.1), which has a slash

    Raise SettingsError if it is none of these, or accepts none of FORMATS.
    """
    if isinstance(value, str) and "/" in value:
        found = _of_field(value)
    else:
        words = value.split(",") if isinstance(value, str) else value
        names = {format_named(str(word)) for word in words} if isinstance(words, Sequence) else {""}
        if not names <= set(FORMATS):
            raise SettingsError("accept", f"is {value!r:.80}, must be some of {', '.join(FORMATS)}")
        found = [format for format in FORMATS if format in names]
    if not found:
        raise SettingsError("accept", f"is {value!r:.80}, which names none of {', '.join(FORMATS)}")
    return found


def _of_field(value: str) -> list[str]:
    """Return the formats of an Accept field. Of several ranges that match a format, the most specific one counts; one
    with a weight of 0 excludes, and all other weights count the same."""
    if len(value) > LENGTH_MAX:
        raise SettingsError("accept", f"has {len(value)} characters, at most {LENGTH_MAX} are read")
    weights: dict[str, float] = {}
    for part in value.split(","):
        media_range, *parameters = (word.strip().lower() for word in part.split(";"))
        weight = "1"
        for parameter in parameters:
            name, _, given = parameter.partition("=")
            weight = given.strip() if name.strip() == "q" else weight
        if not WEIGHT.fullmatch(weight):
            raise SettingsError("accept", f"has the weight {weight!r:.20}, must be from 0 to 1")
        kind, _, name = media_range.partition("/")
        weights[f"image/{format_named(name)}" if kind == "image" else media_range] = float(weight)

    def is_accepted(format: str) -> bool:
        ranges = (f"image/{format}", *(WILDCARDS if format in SHOWN_BY_ALL else ()))
        return weights.get(next((one for one in ranges if one in weights), ""), 0.0) > 0

    return [format for format in FORMATS if is_accepted(format)]
