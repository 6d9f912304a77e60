"""The results of `formats` as tables."""

import math
from collections.abc import Mapping

from rich.table import Table

from benchmarks.formats.measure import AUTO_QUALITY, Row
from benchmarks.harness import record


def formats_table(kind: str, rows: Mapping[str, Row]) -> Table:
    """Return a row for each kind of result."""
    images = max(one.images for one in rows.values())
    table = record.table(
        f"Formats: {images} {kind}",
        ("",),
        ("score", "lowest", "of best JPEG", "of the best", "encodings", "CPU s/MP", "images", "came back as"),
        f"of best JPEG: bytes relative to our JPEG of effort best at quality {AUTO_QUALITY}; of the best: to the best "
        "of all encodings at that quality; both as if the scores were equal",
    )
    for name, one in rows.items():
        table.add_row(
            name,
            f"{one.score:.2f}",
            f"{one.score_min:.1f}",
            "-" if math.isnan(one.against_jpeg) else f"{one.against_jpeg:.3f}",
            f"{one.against_oracle:.3f}",
            f"{one.encodings:.2f}",
            f"{one.cpu_seconds:.2f}",
            f"{one.images}",
            ", ".join(f"{format} {count}" for format, count in one.formats.items()),
            style="bold" if name == "auto" else "",
        )
    return table
