"""The choice of the format `auto`: the fewest bytes at the same score.

What a picture looks like says which one or two results are made. A photograph becomes the lossy format that takes the
fewest bytes for photographs; a drawing is encoded losslessly and lossily. Their measured scores then decide: sizes are
compared as if all had the wanted score, and lossless results have any. Then the winner is corrected as if its format
had been asked for. If it falls short of the wanted score, 4:4:4 and JPEG are tried as well, and last a lossless result.
With `fast` no score is measured, and the table of each encoder stands for it.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence

from compressor.errors import LimitError
from compressor.jpeg import perceptual
from compressor.pipeline import full_chroma, search, target
from compressor.pipeline.features import is_drawing
from compressor.pipeline.search import Decision, SearchTrial
from compressor.pipeline.to_other import steps_of
from compressor.pipeline.variants import Possible, Variant
from compressor.settings import Effort, Format, Settings, Source

TrialAt = Callable[[Variant, float], SearchTrial]

# Formats by their bytes for photographs at the same score, the fewest first (`python -m benchmarks formats`).
BY_BYTES = (Format.AVIF, Format.WEBP, Format.JPEG)
LOSSLESS_BY_BYTES = (Variant(Format.WEBP, lossless=True), Variant(Format.WEBP), Variant(Format.PNG))
SLOPE = 0.05  # logarithm of the size per point of the score, of photographs in any of the formats
DRAWINGS_ABOVE = 8.0  # points that WebP and AVIF of a drawing have above those of a photograph with the same settings
# Of a JPEG source's size: a result that is larger may be larger than a JPEG with the source's own coefficients.
JPEG_MAY_BE_SMALLER = 0.7
# Of 100 - score, as full_chroma.SHORT: so far from the wanted score (11 points below 79, 7 below 86) no lossy result is
# delivered if a lossless one may be. JPEG, which is not corrected, is rarely so far from it.
FAR = 1.5


class Choice:
    """The results that are tried for `auto`, and the choice among them.

    trial_at     make the result of a variant at a distance; nothing of it is kept but the result
    possible     the variants that are possible
    share        of repeated pixels, see `features`
    source       the image
    kept_bytes   size of the source without the metadata that the settings remove; None if it may not be returned
    """

    def __init__(
        self,
        trial_at: TrialAt,
        possible: Possible,
        settings: Settings,
        share: float,
        source: Source,
        kept_bytes: int | None,
    ) -> None:
        self._trial_at, self._possible, self._settings = trial_at, tuple(possible.memory_bytes), settings
        self._share, self._kept_bytes, self._source = share, kept_bytes, source
        self._jpeg_bytes = kept_bytes if source.format == "jpeg" else None
        self._tried: list[tuple[Variant, SearchTrial]] = []
        self._chosen: SearchTrial | None = None
        wanted = settings.target_score
        self._wanted = target.score_of_quality(settings.effective_quality) if wanted is None else wanted

    @property
    def reason(self) -> str:
        """Return what was compared, for people: of each format the chosen result, or the best one."""
        look = "a drawing" if is_drawing(self._share) else "a photograph"
        shown: dict[str, SearchTrial] = {}
        for variant, trial in self._tried:
            if self._chosen is None or shown.get(variant.title) is not self._chosen:
                best = min(shown.get(variant.title, trial), trial, key=self._cost)
                shown[variant.title] = trial if trial is self._chosen else best
        results = [described(title, trial) for title, trial in shown.items()]
        return f"looks like {look} ({self._share:.0%} of its pixels repeat): {', '.join(results)}"

    def decide(self) -> Decision:
        """Return the result to deliver. Raise LimitError if even the smallest one is larger than `max_bytes`."""
        decision = self._decision()
        self._chosen = decision.trial
        return decision

    def _decision(self) -> Decision:
        settings, limit = self._settings, self._settings.max_bytes
        if limit is not None and settings.quality is None and settings.target_score is None:
            return Decision(self._within(limit))
        for variant in self._candidates():
            self._try(variant, self._first_distance(variant))
        if self._is_jpeg_worth_a_trial():
            self._try(Variant(Format.JPEG), self._first_distance(Variant(Format.JPEG)))
        variant, first = self._best()
        best: SearchTrial | None = first
        if not first.is_exact:
            best = self._lossy_result(variant, first)
            if best is None or self._is_short(best, FAR) or self._is_beaten(best):
                best = self._exact() or best
        if best is None:
            finest = max((trial for _, trial in self._tried), key=lambda trial: trial.score)
            reason = f"no result has a score of {self._wanted:g}, the finest one has {finest.score:.1f}"
            if self._kept_bytes is None:
                raise LimitError(f"target_score: {reason}")
            return Decision(None, reason)
        return self._within_limit(best)

    # --- what is tried

    def _lossy(self) -> list[Variant]:
        """Return the possible lossy variants, that with the fewest bytes first."""
        if self._settings.lossless:
            return []
        return [variant for format in BY_BYTES if (variant := Variant(format)) in self._possible]

    def _lossless(self) -> list[Variant]:
        """Return the possible lossless variants, that with the fewest bytes first: PNG where it may have a palette."""
        found = [variant for variant in LOSSLESS_BY_BYTES if variant in self._possible]
        if self._settings.png_colors is not None:
            found.sort(key=lambda variant: variant.format is not Format.PNG)
        found = [one for one in found if one.format is Format.PNG or one.lossless or self._settings.lossless]
        return found + ([Variant(Format.JPEG)] if self._settings.lossless and self._jpeg_bytes is not None else [])

    def _candidates(self) -> list[Variant]:
        """Return the variants that are tried first, at most two."""
        lossy, lossless = self._lossy(), self._lossless()
        if not lossy or (is_drawing(self._share) and not lossless):
            return (lossless or lossy)[:2]
        if is_drawing(self._share):
            return [lossless[0], lossy[0]]
        return lossy[: 1 if lossy[0].format is Format.AVIF else 2]

    def _is_jpeg_worth_a_trial(self) -> bool:
        """Return whether a JPEG with the source's coefficients may be smaller than what has been tried."""
        jpeg = Variant(Format.JPEG)
        if self._jpeg_bytes is None or jpeg not in self._possible or any(one == jpeg for one, _ in self._tried):
            return False
        return self._cost(self._best()[1]) > JPEG_MAY_BE_SMALLER * self._jpeg_bytes

    def _first_distance(self, variant: Variant) -> float:
        settings, wanted = self._settings, self._wanted
        if settings.target_score is not None:
            wanted += target.MARGIN
        if is_drawing(self._share) and variant.format is not Format.JPEG and settings.effort is not Effort.FAST:
            wanted -= DRAWINGS_ABOVE
        steps = steps_of(variant.settings_of(settings))
        finer = settings.target_score is not None
        distance = target.mean_distance(target.loss_of(wanted), settings.effort)
        if settings.target_score is None and wanted == self._wanted:
            distance = perceptual.distance_for(settings.effective_quality, settings.effort)
        return target.stepped(distance, steps, finer=finer)

    def _try(self, variant: Variant, distance: float) -> SearchTrial:
        trial = self._trial_at(variant, distance)
        self._tried.append((variant, trial))
        return trial

    # --- how results are compared

    def _cost(self, trial: SearchTrial) -> float:
        """Return the bytes of a result with the wanted score; its own where no score is measured."""
        if trial.candidate.route.is_exact or not (self._settings.is_search or self._settings.is_corrected):
            return trial.size
        lacking = self._wanted - trial.score
        return trial.size * math.exp(SLOPE * (max(0.0, lacking) if trial.is_exact else lacking))

    def _best(self) -> tuple[Variant, SearchTrial]:
        return min(self._tried, key=lambda tried: self._cost(tried[1]))

    def _exact(self) -> SearchTrial | None:
        """Return the lossless result, or the palette, with the fewest bytes; one is made if there is none yet."""
        found = [trial for _, trial in self._tried if trial.is_exact]
        if not found and (lossless := self._lossless()):
            found = [self._try(lossless[0], target.FINEST)]
        return min(found, key=self._cost, default=None)

    def _is_beaten(self, best: SearchTrial) -> bool:
        """Return whether a lossless result or a palette that has been made takes no more bytes."""
        return any(trial.is_exact and self._cost(trial) <= best.size for _, trial in self._tried)

    # --- the winner

    def _lossy_result(self, variant: Variant, first: SearchTrial) -> SearchTrial | None:
        """Return the lossy result that meets the settings, of the winner or, where that falls short, of others.

        None if no result has the target score.
        """
        results = [self._corrected(variant, first)]
        for other in self._others_than(variant, first):
            if not self._is_short(results[-1], full_chroma.SHORT):
                break
            known = [trial for one, trial in self._tried if one == other]
            results.append(
                self._corrected(other, known[-1] if known else self._try(other, self._first_distance(other)))
            )
        found = [trial for trial in results if trial is not None]
        near = [trial for trial in found if not self._is_short(trial, FAR)]
        if near or not found:
            return min(near, key=self._cost, default=None)
        return max(found, key=lambda trial: trial.score)

    def _others_than(self, variant: Variant, first: SearchTrial) -> list[Variant]:
        """Return what is tried, in this order, if the results of a variant fall short."""
        jpeg, found = Variant(Format.JPEG), list[Variant]()
        for one in dict.fromkeys((variant, jpeg) if jpeg in self._possible else (variant,)):
            if one != variant:
                found.append(one)
            if full_chroma.may_try_444(self._source, one.settings_of(self._settings), first.candidate.route):
                found.append(dataclasses.replace(one, is_444=True))
        return found

    def _is_short(self, trial: SearchTrial | None, factor: float) -> bool:
        """Return whether a result is too far from the wanted score, by a factor; without a score it is not."""
        if trial is None or self._settings.target_score is not None:
            return trial is None
        is_corrected = self._settings.effort is not Effort.FAST
        return is_corrected and full_chroma.is_short(trial.score, self._wanted, factor)

    def _corrected(self, variant: Variant, first: SearchTrial) -> SearchTrial | None:
        """Return the lossy result that meets the settings; None if no result has the target score."""
        settings, own = self._settings, variant.settings_of(self._settings)
        steps = steps_of(own)

        def tried(distance: float) -> SearchTrial:
            return self._try(variant, distance)

        if settings.target_score is not None:
            may_try = full_chroma.may_try_444(self._source, own, first.candidate.route)
            return target.reach_score(
                tried, settings.target_score, settings.effort, may_give_up=may_try, known=[first], steps=steps
            ).best
        if variant.format is Format.JPEG or settings.effort is Effort.FAST:
            return first
        near_score = full_chroma.near_score_444 if variant.is_444 else target.near_score
        return near_score(tried, self._wanted, settings.effort, steps, first)

    def _within_limit(self, best: SearchTrial) -> Decision:
        """Return a result, or one of the same format that `max_bytes` allows."""
        limit = self._settings.max_bytes
        variant = next(one for one, trial in self._tried if trial is best)
        coarser = [trial for one, trial in self._tried if one == dataclasses.replace(variant, is_444=False)]
        notices = []
        if variant.is_444 and coarser:
            notices.append(full_chroma.notice(len(coarser), max(one.score for one in coarser)))
        lossy = self._lossy()
        if limit is None or best.size <= limit or not lossy:  # without any, the caller says that it is too large
            return Decision(best, notices=notices)
        if best.is_exact:
            variant = lossy[0]
        found = self._fitting(variant, limit, [trial for one, trial in self._tried if one == variant])
        asked = self._settings.quality is not None
        wanted = f"quality {self._settings.quality}" if asked else f"a score of {self._wanted:g}"
        needed = f"max_bytes is {limit}, and {wanted} would take {best.size}"
        return Decision(found, notices=[*notices, f"{needed}: the result has a score of {found.score:.1f}"])

    def _fitting(self, variant: Variant, limit: int, known: Sequence[SearchTrial]) -> SearchTrial:
        steps = steps_of(variant.settings_of(self._settings))
        distance = (
            target.next_size_distance(known, limit, has_to_fit=False)
            if known
            else target.first_distance(limit, self._source.width * self._source.height)
        )
        over = max((trial.distance for trial in known if trial.size > limit), default=0.0)
        distance = target.stepped(distance, steps, over)
        return target.fit_bytes(lambda at: self._try(variant, at), limit, distance, known, steps)

    def _within(self, limit: int) -> SearchTrial:
        """Return the result with the best score within `limit` bytes: a lossless one if it fits and is likely to."""
        jpeg, lossless, lossy = Variant(Format.JPEG), self._lossless(), self._lossy()
        first: list[Variant] = []
        if self._jpeg_bytes is not None and jpeg in self._possible:
            first = [jpeg] if self._jpeg_bytes <= search.LOSSLESS_MAY_SAVE * limit else []
        if lossless and (is_drawing(self._share) or not lossy):
            first += lossless[:1]
        for variant in first:
            trial = self._try(variant, target.FINEST)
            if trial.is_exact and (trial.size <= limit or not lossy):
                return trial
        return self._fitting(lossy[0], limit, [])


def described(title: str, trial: SearchTrial) -> str:
    """Return a result for people: "AVIF has 31475 bytes at a score of 78.2"."""
    score = trial.known_score
    return f"{title} has {trial.size} bytes" + (f" at a score of {score:.1f}" if score is not None else "")
