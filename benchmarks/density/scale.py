"""The quality scale: our scores at each quality compared with those of libjpeg-turbo's 4:2:0, which Pillow writes."""

import math
from collections.abc import Callable, Sequence

from benchmarks.density.curves import DensityResults, PhotographSet, Point, curve, mean
from benchmarks.density.rates import PILLOW, groups, metrics_of
from benchmarks.harness.judges import BY_NAME

Scale = dict[str, dict[str, dict[int, float]]]  # by set, encoder and quality
Deviations = dict[str, dict[str, dict[str, dict[int, float]]]]  # in percent, by set, encoder, judge and quality
Figure = Callable[[Point, Sequence[Point], str], float]  # from our point, Pillow's and a judge

DIFFERENCE_MAX = 1.5  # between our mean SSIMULACRA2 at a quality and libjpeg-turbo's
DEFICIT_MAX = 5.0  # in percent of libjpeg-turbo's bytes, by any judge
QUALITIES = range(30, 96)
IMAGES_MIN = 18  # the limits apply to the mean of a set, not to single photographs


def quality_scale(results: DensityResults, efforts: Sequence[str]) -> Scale:
    """Return the mean SSIMULACRA2 of Pillow's results, and how much that of each effort differs."""
    scale: Scale = {}
    for name, images in groups(results).items():
        means = {
            encoder: {
                points[0].quality: round(sum(point.ssimulacra2 for point in points) / len(points), 3)
                for points in zip(*(measured[encoder] for measured in images.values()), strict=True)
            }
            for encoder in (PILLOW, *efforts)
        }
        scale[name] = {PILLOW: means[PILLOW]} | {
            effort: {quality: round(score - means[PILLOW][quality], 3) for quality, score in means[effort].items()}
            for effort in efforts
        }
    return scale


def bytes_for(ours: Point, pillow: Sequence[Point], metric: str) -> float:
    """Return the bytes of Pillow's result with our score; NaN if that is not finite."""
    score = ours.score(metric)
    return math.exp(curve(tuple(pillow), metric).extended(score)) if math.isfinite(score) else math.nan


def deficit(ours: Point, pillow: Sequence[Point], metric: str) -> float:
    """Return how many percent fewer bytes than at our quality Pillow needs for our score; negative: more bytes."""
    at = next(point for point in pillow if point.quality == ours.quality)
    return 100 * (1 - bytes_for(ours, pillow, metric) / at.bytes)


def excess(ours: Point, pillow: Sequence[Point], metric: str) -> float:
    """Return how many percent more bytes than Pillow we need for our score; negative: fewer bytes."""
    return 100 * (ours.bytes / bytes_for(ours, pillow, metric) - 1)


def means_by_quality(results: DensityResults, efforts: Sequence[str], figure: Figure) -> Deviations:
    """Return the mean of a figure, `deficit` or `excess`, over the photographs of each set."""
    return {
        name: {
            effort: {metric: _means(images, effort, metric, figure) for metric in metrics_of(images)}
            for effort in efforts
        }
        for name, images in groups(results).items()
    }


def _means(images: PhotographSet, effort: str, metric: str, figure: Figure) -> dict[int, float]:
    found: dict[int, list[float]] = {}
    for measured in images.values():
        for point in measured[effort]:
            found.setdefault(point.quality, []).append(figure(point, measured[PILLOW], metric))
    return {quality: round(mean(each), 2) for quality, each in found.items() if not math.isnan(mean(each))}


def scale_problems(results: DensityResults, scale: Scale, deficits: Deviations) -> list[str]:
    """List the qualities at which our mean score is not that of libjpeg-turbo, for sets of sufficient size."""
    problems = []
    for name, images in groups(results).items():
        if len(images) < IMAGES_MIN:
            continue
        for effort, by_metric in deficits[name].items():
            problems += [
                f"{name}, {effort}: SSIMULACRA2 at quality {quality} differs by {difference:+.1f} from libjpeg-turbo's"
                for quality, difference in scale[name][effort].items()
                if quality in QUALITIES and abs(difference) > DIFFERENCE_MAX
            ]
            for metric, by_quality in by_metric.items():
                low = {q: percent for q, percent in by_quality.items() if q in QUALITIES and percent > DEFICIT_MAX}
                if low:
                    problems.append(
                        f"{name}, {effort}: libjpeg-turbo reaches our {BY_NAME[metric].title} with up to "
                        f"{max(low.values()):.1f} % fewer bytes, at quality {', '.join(map(str, low))}"
                    )
    return problems
