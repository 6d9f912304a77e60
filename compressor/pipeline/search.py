"""The result that has a score, or a size: which results are tried for the settings, and which one is delivered."""

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from compressor.errors import LimitError
from compressor.jpeg import perceptual
from compressor.pipeline import full_chroma, target
from compressor.pipeline.candidates import Candidate
from compressor.pipeline.scoring import PERFECT
from compressor.settings import Effort, Format, Settings, Source, Subsampling

# A JPEG up to so much larger than max_bytes may fit after a lossless recompression.
LOSSLESS_MAY_SAVE = 1.3
LOSSY_BY_TABLE = (Format.WEBP, Format.AVIF)  # formats whose encoders have numbers of their own


class SearchTrial:
    """A complete result at a distance; it is scored when its score is first asked for."""

    def __init__(self, distance: float, candidate: Candidate, score: Callable[[Candidate], float]) -> None:
        self.distance, self.candidate = distance, candidate
        self._score = score
        self._found = PERFECT if candidate.route.is_exact else candidate.route.score

    @property
    def size(self) -> int:
        return self.candidate.file.size

    @property
    def is_exact(self) -> bool:
        return self.candidate.route.is_exact or self.candidate.route.quantized

    @property
    def score(self) -> float:
        if self._found is None:
            self._found = self._score(self.candidate)
        return self._found

    @property
    def known_score(self) -> float | None:
        """Return the score if it has been measured."""
        return self._found


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


class Search:
    """The trials for one image, and the choice between them.

    trial_at    make a result at a distance with a subsampling
    source      the image
    kept_bytes  size of the source without the metadata that the settings remove; None if it may not be returned
    steps       see `target.stepped`
    """

    def __init__(
        self,
        trial_at: Callable[[float, Subsampling], SearchTrial],
        settings: Settings,
        source: Source,
        kept_bytes: int | None,
        steps: Sequence[float] = (),
    ) -> None:
        self._steps = steps
        self._trial_at, self._settings, self._source = trial_at, settings, source
        self._kept_bytes = kept_bytes
        self._jpeg_bytes = kept_bytes if source.format == "jpeg" else None
        self._trials: dict[Subsampling, list[SearchTrial]] = {}

    def run(self) -> Decision:
        """Try results until one meets `target_score` or `max_bytes`, or has the score of a quality.

        Raise LimitError if even the smallest result is larger than `max_bytes`, or if no result has the target score,
        the source may not be returned, and there is no `max_bytes`.
        """
        settings = self._settings
        if settings.target_score is not None:
            return self._with_score(settings.target_score)
        if settings.quality is None and settings.max_bytes is not None:
            return Decision(self._finest_within(settings.max_bytes))
        return self._with_quality()

    def _with_quality(self) -> Decision:
        """Return the result of a quality; that of a lossy WebP or AVIF is corrected by its score, but not with FAST.

        It is AVIF with 4:4:4 if 4:2:0 falls short of the score.
        """
        settings, quality = self._settings, self._settings.effective_quality
        wanted = f"quality {quality}"
        first = self._try(target.stepped(perceptual.distance_for(quality, settings.effort), self._steps))
        if settings.format not in LOSSY_BY_TABLE or settings.effort is Effort.FAST:
            return self._limited(first, wanted)
        score = target.score_of_quality(quality)
        best = target.near_score(self._try, score, settings.effort, self._steps, first)
        if not (full_chroma.is_short(best.score, score) and self._may_try_444(first)):
            return self._limited(best, wanted)
        made = len(self._trials[settings.subsampling])
        fine = self._try_444(first.distance)
        fine = full_chroma.near_score_444(self._try_444, score, settings.effort, self._steps, fine)
        if fine.score <= best.score:
            return self._limited(best, wanted)
        return self._limited(fine, wanted, [full_chroma.notice(made, best.score)])

    def _may_try_444(self, first: SearchTrial) -> bool:
        return full_chroma.may_try_444(self._source, self._settings, first.candidate.route)

    def _try(self, distance: float) -> SearchTrial:
        return self._try_with(self._settings.subsampling, distance)

    def _try_444(self, distance: float) -> SearchTrial:
        return self._try_with(Subsampling.S444, distance)

    def _try_with(self, subsampling: Subsampling, distance: float) -> SearchTrial:
        made = self._trials.setdefault(subsampling, [])
        made.append(self._trial_at(distance, subsampling))
        return made[-1]

    def _with_score(self, score: float) -> Decision:
        """Return the smallest result with a score; with 4:4:4 if none, or hardly any, has it with 4:2:0."""
        settings, wanted, notices = self._settings, f"a score of {score:g}", list[str]()
        first = self._try(target.distance_of_score(score, settings.effort, self._steps))
        may_try = self._may_try_444(first)
        found = target.reach_score(
            self._try, score, settings.effort, may_give_up=may_try, known=[first], steps=self._steps
        )
        if found.best is None and may_try:
            made = len(self._trials[settings.subsampling])
            notices.append(full_chroma.notice(made, found.finest.score))
            found = target.reach_score(self._try_444, score, settings.effort, made=made, steps=self._steps)
        if found.best is not None:
            return self._limited(found.best, wanted, notices)
        reason = f"no result has {wanted}, the finest one has {found.finest.score:.1f}"
        limit = settings.max_bytes
        if self._kept_bytes is not None and (limit is None or self._kept_bytes <= limit):
            return Decision(None, reason)
        if limit is None:
            has_finer = self._source.channels >= 3 and settings.subsampling in (Subsampling.S420, Subsampling.S422)
            has_finer = has_finer and settings.format is not Format.WEBP
            raise LimitError(f"target_score: {reason}{'; subsampling 444 may have a higher one' if has_finer else ''}")
        best = self._fit(limit)
        return Decision(best, notices=[f"{reason}; within max_bytes, {limit}, the result has {best.score:.1f}"])

    def _limited(self, best: SearchTrial, wanted: str, notices: Sequence[str] = ()) -> Decision:
        """Return a result that has what is wanted, or the best one within `max_bytes` if that is larger."""
        limit = self._settings.max_bytes
        if limit is None or best.size <= limit or best.candidate.route.format == "png":
            is_kept = best.is_exact and self._jpeg_bytes is not None
            return Decision(best, f"the source is no finer than {wanted}" if is_kept else "", notices)
        needed, best = best.size, self._fit(limit)
        notice = f"max_bytes is {limit}, and {wanted} would take {needed}: the result has a score of {best.score:.1f}"
        is_444 = best in self._trials.get(Subsampling.S444, ())
        return Decision(best, notices=[*(notices if is_444 else ()), notice])

    def _finest_within(self, limit: int) -> SearchTrial:
        """Return the trial with the best score within `limit` bytes: the lossless one of a JPEG if it, or the source,
        fits, and that of a PNG whatever its size."""
        jpeg_bytes = self._jpeg_bytes
        if jpeg_bytes is not None and jpeg_bytes <= LOSSLESS_MAY_SAVE * limit:
            exact = self._try(target.FINEST)
            if min(exact.size, jpeg_bytes) <= limit:
                return exact
        first = self._try(self._first_distance(limit))
        if target.is_close(first, limit) or (first.is_exact and jpeg_bytes is None):
            return first
        return self._fit(limit)

    def _fit(self, limit: int) -> SearchTrial:
        """Return the best result within `limit` bytes, with any subsampling that has been tried."""
        chosen = self._settings.subsampling
        if len(self._trials) == 1:
            return self._fit_with(chosen, limit)
        try:
            fine = self._fit_with(Subsampling.S444, limit)
        except LimitError:
            return self._fit_with(chosen, limit)
        if fine.score >= max(trial.score for trial in self._trials[chosen]):
            return fine
        return max(fine, self._fit_with(chosen, limit), key=lambda trial: trial.score)

    def _fit_with(self, subsampling: Subsampling, limit: int) -> SearchTrial:
        """Return the best result within `limit` bytes, beginning from the trial of the nearest size."""
        trials = self._trials[subsampling]
        finest = min(trials, key=lambda trial: trial.distance)
        if finest.distance <= target.FINEST and finest.size <= limit:
            return finest
        try_ = functools.partial(self._try_with, subsampling)
        if all(trial.distance <= target.FINEST for trial in trials):  # it says little about coarser ones
            return target.fit_bytes(try_, limit, self._first_distance(limit), steps=self._steps)
        nearest = min(trials, key=lambda trial: abs(math.log(trial.size / limit)))
        distance = target.next_size_distance(trials, limit, has_to_fit=False)
        fits = min((trial.distance for trial in trials if trial.size <= limit), default=math.inf)
        over = max((trial.distance for trial in trials if trial.size > limit), default=0.0)
        distance = target.stepped(distance, self._steps, over, fits)
        if self._steps and distance == fits:
            return next(trial for trial in trials if trial.distance == fits)
        return target.fit_bytes(try_, limit, distance, (nearest,), self._steps)

    def _first_distance(self, limit: int) -> float:
        return target.stepped(target.first_distance(limit, self._source.width * self._source.height), self._steps)
