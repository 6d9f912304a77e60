"""Reports and sources as JSON: one form for the command line and for HTTP."""

import dataclasses
from enum import Enum
from typing import Any

from compressor.settings import Report, Source


def json_fields(record: Report | Source) -> dict[str, Any]:
    """Return the fields of a record in the types of JSON, and for a report the values computed from them."""
    fields = dataclasses.asdict(record)
    if isinstance(record, Report):
        fields |= {"cpu_seconds": record.cpu_seconds, "saved": record.saved}
    return {name: value.value if isinstance(value, Enum) else value for name, value in fields.items()}
