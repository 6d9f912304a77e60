"""The CPU time that a request will take, as expected from those before it."""

from compressor.settings import Effort, Settings, Source

FIXED_SECONDS = 0.002  # of any image
# Seconds per pixel until a request of a kind has ended: those of JPEG to JPEG (`python -m benchmarks speed`).
FIRST_RATES = {Effort.FAST: 8e-9, Effort.BALANCED: 14e-9, Effort.BEST: 40e-9}
WEIGHT = 0.125  # of the last request of a kind

_rates: dict[tuple[str, str, Effort, bool], float] = {}  # seconds per pixel of each kind, of this process


def _kind(source: Source, settings: Settings) -> tuple[str, str, Effort, bool]:
    return source.format, settings.format.value, settings.effort, settings.lossless


def expected_seconds(source: Source, settings: Settings) -> float:
    """Return the CPU seconds that a request is expected to take."""
    rate = _rates.get(_kind(source, settings), FIRST_RATES[settings.effort])
    return FIXED_SECONDS + rate * source.width * source.height


def learn(source: Source, settings: Settings, seconds: float) -> None:
    """Count a request that took `seconds` of CPU time."""
    kind = _kind(source, settings)
    rate = max(0.0, seconds - FIXED_SECONDS) / max(1, source.width * source.height)
    _rates[kind] = (1 - WEIGHT) * _rates.get(kind, FIRST_RATES[settings.effort]) + WEIGHT * rate
