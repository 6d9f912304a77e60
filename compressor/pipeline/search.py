"""The result that has a score, or a size: which results are tried for the settings, and which one is delivered."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from compressor.jpeg import perceptual
from compressor.pipeline import target
from compressor.pipeline.candidates import Candidate
from compressor.pipeline.scoring import PERFECT
from compressor.settings import Path, Settings

# A JPEG up to so much larger than max_bytes may fit after a lossless recompression.
LOSSLESS_MAY_SAVE = 1.3


class SearchTrial:
    """A complete result at a distance; it is scored when its score is first asked for."""

    def __init__(self, distance: float, candidate: Candidate, score: Callable[[Candidate], float]) -> None:
        self.distance, self.candidate = distance, candidate
        self._score, self._found = score, None if not self.is_exact else PERFECT

    @property
    def size(self) -> int:
        return self.candidate.file.size

    @property
    def is_exact(self) -> bool:
        return shows_the_source(self.candidate)

    @property
    def score(self) -> float:
        if self._found is None:
            self._found = self._score(self.candidate)
        return self._found

    @property
    def known_score(self) -> float | None:
        """Return the score if it has been measured."""
        return self._found


def shows_the_source(candidate: Candidate) -> bool:
    """Return whether a result shows the source's own samples by construction."""
    return candidate.route.path is Path.LOSSLESS or candidate.route.format == "png"


@dataclass(frozen=True, slots=True)
class Decision:
    """The end of a search.

    trial    to deliver; None for the source
    reason   why the source is delivered
    notices  on what the search could not do
    """

    trial: SearchTrial | None
    reason: str = ""
    notices: Sequence[str] = ()


def search(
    trial_at: Callable[[float], SearchTrial], settings: Settings, jpeg_bytes: int | None, pixels: int
) -> Decision:
    """Try results until one meets `target_score` or `max_bytes`.

    jpeg_bytes  size of a JPEG source that may be returned, without the metadata that the settings remove; else None
    pixels      of the image

    Raise LimitError if even the smallest result is larger than `max_bytes`.
    """
    trials: list[SearchTrial] = []

    def tried(distance: float) -> SearchTrial:
        trials.append(trial_at(distance))
        return trials[-1]

    limit, effort = settings.max_bytes, settings.effort
    best: SearchTrial | None
    if settings.target_score is not None:
        wanted = f"a score of {settings.target_score:g}"
        found = target.reach_score(tried, settings.target_score, effort)
        best = found.best
        if best is None:
            return Decision(None, f"no result has {wanted}, the finest one has {found.finest.score:.1f}")
    elif settings.quality is not None:
        wanted = f"quality {settings.quality}"
        best = tried(perceptual.distance_for(settings.quality, effort))
    else:
        assert limit is not None
        return Decision(finest_within(limit, tried, trials, jpeg_bytes, pixels))
    if limit is None or best.size <= limit or best.candidate.route.format == "png":
        is_kept = best.is_exact and jpeg_bytes is not None
        return Decision(best, f"the source is no finer than {wanted}" if is_kept else "")
    needed, distance = best.size, target.next_size_distance(trials, limit, has_to_fit=False)
    best = target.fit_bytes(tried, limit, distance, tuple(trials[-1:]))
    notice = f"max_bytes is {limit}, and {wanted} would take {needed}: the result has a score of {best.score:.1f}"
    return Decision(best, notices=[notice])


def finest_within(
    limit: int,
    tried: Callable[[float], SearchTrial],
    trials: Sequence[SearchTrial],
    jpeg_bytes: int | None,
    pixels: int,
) -> SearchTrial:
    """Return the trial with the best score within `limit` bytes: the lossless one of a JPEG if it, or the source,
    fits, and that of a PNG whatever its size."""
    distance = target.first_distance(limit, pixels)
    if jpeg_bytes is not None and jpeg_bytes <= LOSSLESS_MAY_SAVE * limit:
        exact = tried(target.FINEST)
        if min(exact.size, jpeg_bytes) <= limit:
            return exact
    first = tried(distance)
    if target.is_close(first, limit) or (first.is_exact and jpeg_bytes is None):
        return first
    distance = target.next_size_distance(trials, limit, has_to_fit=False)
    return target.fit_bytes(tried, limit, distance, tuple(trials))
