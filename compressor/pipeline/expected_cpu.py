"""The CPU time that a request will take, as expected from those before it."""

from dataclasses import dataclass

from compressor.settings import Effort, Settings, Source

FIXED_SECONDS = 0.002  # of any image
# Seconds per pixel until a request of a kind has ended: those of JPEG to JPEG (`python -m benchmarks speed`).
FIRST_RATES = {Effort.FAST: 8e-9, Effort.BALANCED: 14e-9, Effort.BEST: 40e-9}
SCORING_RATE = 40e-9  # seconds per pixel of scoring, both pictures decoded
SEARCH_ENCODINGS = 3  # and as many scores
WEIGHT = 0.125  # of the last request of a kind
PIXELS_MIN = 1 << 18  # of an image that is learned from: what a smaller one takes says little about its pixels


@dataclass(slots=True)
class PixelRate:
    """Seconds per pixel of a kind of request: the least so far, at most that of FIRST_RATES, and a mean of the last."""

    least: float
    mean: float


_Kind = tuple[str, str, Effort, bool, bool, bool, bool, bool]
_rates: dict[_Kind, PixelRate] = {}  # of this process


def _kind(source: Source, settings: Settings) -> _Kind:
    measured, search = settings.is_measured, settings.is_tried
    exact = settings.lossless, settings.archive, settings.png_colors is not None
    return source.format, settings.format.value, settings.effort, *exact, measured, search


def _first(settings: Settings) -> PixelRate:
    """Return the rate of a kind that no request has been counted of. A search may need no encoding at all."""
    rate = FIRST_RATES[settings.effort]
    if settings.is_tried:
        return PixelRate(0.0, SEARCH_ENCODINGS * (rate + SCORING_RATE))
    if settings.score and not settings.lossless:
        return PixelRate(rate, rate + SCORING_RATE)
    return PixelRate(rate, rate)


def expected_seconds(source: Source, settings: Settings) -> tuple[float, float]:
    """Return the CPU seconds that a request takes at least, and those that it is expected to take.

    Requests are rejected by the former only. Files that take long do not raise it: if they did, those of one client
    could make those of all others be rejected.
    """
    pixels = source.width * source.height
    rate = _rates.get(_kind(source, settings)) or _first(settings)
    return rate.least * pixels, FIXED_SECONDS + rate.mean * pixels


def learn(source: Source, settings: Settings, seconds: float) -> None:
    """Count a request that took `seconds` of CPU time."""
    pixels = source.width * source.height
    if pixels < PIXELS_MIN:
        return
    found = max(0.0, seconds - FIXED_SECONDS) / pixels
    rate = _rates.setdefault(_kind(source, settings), _first(settings))
    rate.least = min(rate.least, found)
    rate.mean += WEIGHT * (found - rate.mean)
