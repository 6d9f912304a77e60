"""The results among which the format `auto` chooses: which ones are possible for an image, and their settings."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from compressor.errors import LimitError, SettingsError, UnsupportedError
from compressor.humanize import human_format
from compressor.settings import ACCEPTABLE, Format, Settings, Subsampling


@dataclass(frozen=True, slots=True)
class Variant:
    """A format that `auto` may choose; WebP is one lossily and another one losslessly.

    lossless  keep pixels exactly, although the settings do not ask for it
    is_444    with 4:4:4, which the settings leave open: it needs no more memory than is reserved for the format
    """

    format: Format
    lossless: bool = False
    is_444: bool = False

    @property
    def title(self) -> str:
        """Return the name for people."""
        name = human_format(self.format)
        if self.is_444:
            return f"{name} with 4:4:4"
        return f"lossless {name}" if self.lossless else name

    def settings_of(self, settings: Settings) -> Settings:
        """Return the settings that request this variant alone."""
        more: dict[str, object] = {"lossless": True, "target_score": None, "png_colors": None} if self.lossless else {}
        if self.is_444:
            more["subsampling"] = Subsampling.S444
        return dataclasses.replace(
            settings,
            format=self.format,
            accept=None,
            score=settings.is_measured,
            **more,  # type: ignore[arg-type]
        )


def all_variants(settings: Settings) -> list[Variant]:
    """Return the variants of all formats that the settings accept."""
    accepted = settings.accept or ACCEPTABLE
    found = [Variant(format) for format in accepted]
    if Format.WEBP in accepted and not settings.lossless:
        found.append(Variant(Format.WEBP, lossless=True))
    return found


@dataclass(frozen=True, slots=True)
class Possible:
    """The variants that are possible for an image.

    memory_bytes  by variant, of its route
    excluded      reason by the title of each variant that is not possible
    """

    memory_bytes: Mapping[Variant, int]
    excluded: Mapping[str, str]

    @property
    def reasons(self) -> str:
        """Return the exclusions for people: "JPEG (has alpha), WebP (…)"; "" for none."""
        return ", ".join(f"{title} ({reason})" for title, reason in self.excluded.items())


def possible(
    settings: Settings,
    memory_of: Callable[[Format, Settings], int],
    excluded: Mapping[str, str],
    memory_max: int | None,
) -> Possible:
    """Return which variants are possible.

    memory_of   return the bytes that a route reserves; it raises the error that the route would raise
    excluded    reason by format that is known already
    memory_max  bytes that a request can reserve at all; None: no limit
    """
    found: dict[Variant, int] = {}
    reasons: dict[str, str] = {}
    for variant in all_variants(settings):
        reason = excluded.get(variant.format, "")
        if not reason:
            try:
                memory_bytes = memory_of(variant.format, variant.settings_of(settings))
            except (LimitError, SettingsError, UnsupportedError) as error:
                reason = str(error)
            else:
                if memory_max is None or memory_bytes <= memory_max:
                    found[variant] = memory_bytes
                    continue
                reason = f"needs {memory_bytes} bytes of memory, of which {memory_max} can be reserved"
        reasons[variant.title] = reason
    return Possible(found, reasons)
