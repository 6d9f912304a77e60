"""4:4:4 where 4:2:0 falls short of a score, if `subsampling` leaves it open.

Pixels become a JPEG with 4:4:4 only for a target score, AVIF for the score of a quality as well. Where saturated colors
meet, no 4:2:0 has a high score, however many bytes it takes.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

from compressor.pipeline import target
from compressor.pipeline.routes import Route
from compressor.settings import Effort, Format, Settings, Source, Subsampling

# Of 100 - score, relative to that of the wanted score: 3.2 points below 79, 2.1 below 86. On 36 of 37 photographs the
# corrected AVIF is at most 1.3 points below; the other one lacks 7 points at 60, 14 at 80, and 20 at 90.
SHORT = 1.15
T = TypeVar("T", bound=target.Trial)


def falls_back_to_444(channels: int, settings: Settings) -> bool:
    """Return whether pixels of so many channels are encoded with 4:4:4 where 4:2:0 falls short."""
    if channels < 3 or settings.subsampling is not Subsampling.AUTO or settings.format is Format.WEBP:
        return False
    is_by_quality = settings.format is Format.AVIF and settings.effort is not Effort.FAST
    return settings.target_score is not None or is_by_quality


def may_try_444(source: Source, settings: Settings, first: Route) -> bool:
    """Return whether 4:4:4 may be tried after the results of this route fall short.

    A JPEG made from a JPEG has its subsampling, and AVIF of a drawing has 4:4:4 anyway.
    """
    has_own = source.format == "jpeg" and settings.format is not Format.AVIF
    return not has_own and not first.chose_444 and falls_back_to_444(source.channels, settings)


def is_short(score: float, wanted: float, factor: float = SHORT) -> bool:
    """Return whether a score is so far below the wanted one that 4:4:4 is worth a trial, or by another factor."""
    return 100 - score > factor * max(100 - wanted, target.LEAST_LOSS)


def near_score_444(
    trial_at: Callable[[float], T], wanted: float, effort: Effort, steps: Sequence[float], first: T
) -> T:
    """Return the result with 4:4:4 that is better for a score, as `target.near_score`, but corrected twice if needed:
    scores of saturated colors do not rise as the mean does."""
    best = target.near_score(trial_at, wanted, effort, steps, first)
    if best is first or not is_short(best.score, wanted):
        return best
    return target.near_score(trial_at, wanted, effort, steps, best)


def notice(made: int, score: float) -> str:
    """Return the notice on a result with 4:4:4, after so many with 4:2:0, of which the best one has a score."""
    return f"subsampling is 4:4:4: with 4:2:0 the best of {made} results has {score:.1f}"
