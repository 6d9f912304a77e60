"""The CPU time that a request will take, as expected from those before it."""

from dataclasses import dataclass

from compressor.settings import Effort, Settings, Source

FIXED_SECONDS = 0.002  # of any image
# Seconds per pixel until a request of a kind has ended: those of JPEG to JPEG (`python -m benchmarks speed`).
FIRST_RATES = {Effort.FAST: 8e-9, Effort.BALANCED: 14e-9, Effort.BEST: 40e-9}
WEIGHT = 0.125  # of the last request of a kind
PIXELS_MIN = 1 << 18  # of an image that is learned from: what a smaller one takes says little about its pixels


@dataclass(slots=True)
class PixelRate:
    """Seconds per pixel of a kind of request: the least so far, at most that of FIRST_RATES, and a mean of the last."""

    least: float
    mean: float


_rates: dict[tuple[str, str, Effort, bool], PixelRate] = {}  # of this process


def _kind(source: Source, settings: Settings) -> tuple[str, str, Effort, bool]:
    return source.format, settings.format.value, settings.effort, settings.lossless


def expected_seconds(source: Source, settings: Settings) -> tuple[float, float]:
    """Return the CPU seconds that a request takes at least, and those that it is expected to take.

    Requests are rejected by the former only. Files that take long do not raise it: if they did, those of one client
    could make those of all others be rejected.
    """
    first, pixels = FIRST_RATES[settings.effort], source.width * source.height
    rate = _rates.get(_kind(source, settings)) or PixelRate(first, first)
    return rate.least * pixels, FIXED_SECONDS + rate.mean * pixels


def learn(source: Source, settings: Settings, seconds: float) -> None:
    """Count a request that took `seconds` of CPU time."""
    pixels = source.width * source.height
    if pixels < PIXELS_MIN:
        return
    first, found = FIRST_RATES[settings.effort], max(0.0, seconds - FIXED_SECONDS) / pixels
    rate = _rates.setdefault(_kind(source, settings), PixelRate(first, first))
    rate.least = min(rate.least, found)
    rate.mean += WEIGHT * (found - rate.mean)
