"""The choices that settings offer, and the types of settings as keywords.

A setting of one of these enumerations may be given as a member or by its value: `Effort.FAST` or "fast".
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Literal, TypedDict

from compressor.sniff import format_named


class Format(StrEnum):
    """Format of the output. KEEP: the source's; for raw samples JPEG, or PNG if they have alpha. AUTO: the accepted one
    that takes the fewest bytes."""

    KEEP = "keep"
    JPEG = "jpeg"
    PNG = "png"
    WEBP = "webp"
    AVIF = "avif"
    AUTO = "auto"

    @classmethod
    def _missing_(cls, value: object) -> "Format | None":
        """Return the format that another spelling names: "JPG", ".webp"."""
        name = format_named(value) if isinstance(value, str) else ""
        return next((format for format in cls if format.value == name), None)


class Effort(StrEnum):
    """CPU time to spend. FAST: one pass, output from the first rows on. BALANCED: two passes. BEST: rate-distortion
    optimized."""

    FAST = "fast"
    BALANCED = "balanced"
    BEST = "best"


class Delivery(StrEnum):
    """When output starts. SAFE: once the result is complete, smaller and verified. IMMEDIATE: as it is encoded."""

    SAFE = "safe"
    IMMEDIATE = "immediate"


class Subsampling(StrEnum):
    """Subsampling of the chroma components. AUTO: the source's if it has any, else 4:2:0; 4:4:4 where only that has a
    wanted score."""

    AUTO = "auto"
    S420 = "420"
    S422 = "422"
    S444 = "444"


class Metadata(StrEnum):
    """Metadata to keep. KEEP: all. COLOR: what affects rendering: ICC profile, orientation. STRIP: orientation only."""

    KEEP = "keep"
    COLOR = "color"
    STRIP = "strip"


class ContentCredentials(StrEnum):
    """Treatment of files with content credentials (C2PA), whose signature does not match a changed file.

    DROP: remove them, with a notice. UNCHANGED: return the file as it is.
    """

    DROP = "drop"
    UNCHANGED = "unchanged"


class SettingsFields(TypedDict, total=False):
    """The fields of `Settings` as keywords, with every type that they may be given in.

    For the signatures of functions that pass settings on: `**settings: Unpack[SettingsFields]`.
    """

    quality: int | None
    target_score: float | None
    max_bytes: int | None
    score: bool
    lossless: bool
    effort: Effort | Literal["fast", "balanced", "best"]
    format: Format | Literal["keep", "jpeg", "png", "webp", "avif", "auto"]
    delivery: Delivery | Literal["safe", "immediate"] | None
    subsampling: Subsampling | Literal["auto", "420", "422", "444"]
    metadata: Metadata | Literal["keep", "color", "strip"]
    content_credentials: ContentCredentials | Literal["drop", "unchanged"]
    min_saving: float
    background: Sequence[int] | None
    accept: Sequence[str] | None
    archive: bool
    png_colors: int | None
