"""BD-rates against Pillow's default by set, judge, range and photograph, and how far we are ahead of the peers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.density.curves import METRICS, RANGES, DensityResults, PhotographSet, bd_rate, mean
from benchmarks.harness import encoders

PILLOW = encoders.PILLOW.name
PEERS = (encoders.MOZJPEG.name, encoders.JPEGLI.name)  # against which our efforts are held
VALIDATION = "validation"  # in the names of sets
ALL_SCORES = "50-90"


def groups(results: DensityResults) -> DensityResults:
    """Return the sets, preceded by the union of those for validation."""
    found = {name: images for name, images in results.items() if name.endswith(VALIDATION)}
    if len(found) < 2:
        return results
    union = {image: measured for images in found.values() for image, measured in images.items()}
    return {VALIDATION: union, **results}


def metrics_of(images: PhotographSet) -> tuple[str, ...]:
    """Return the judges that scored all images."""
    points = [point for measured in images.values() for line in measured.values() for point in line]
    return tuple(metric for metric in METRICS if all(getattr(point, metric) is not None for point in points))


def or_none(figure: float) -> float | None:
    """Round a figure; None for NaN, which JSON does not have."""
    return None if math.isnan(figure) else round(figure, 3)


def bd_rates(results: DensityResults) -> list[dict[str, Any]]:
    """Return every encoder's BD-rates against Pillow's default, in percent, by set, judge and range."""
    rates: list[dict[str, Any]] = []
    for name, images in groups(results).items():
        for encoder in (one for one in next(iter(images.values())) if one != PILLOW):
            for metric in metrics_of(images):
                for range_, limits in RANGES.items():
                    each = {
                        image: 100 * bd_rate(measured[encoder], measured[PILLOW], metric, limits)
                        for image, measured in images.items()
                    }
                    rates.append(
                        {"set": name, "encoder": encoder, "metric": metric, "range": range_}
                        | {"percent": or_none(mean(list(each.values())))}
                        | {"images": {image: or_none(rate) for image, rate in each.items()}}
                    )
    return rates


@dataclass(frozen=True)
class Verdict:
    """One figure by each judge, their mean, and the worst of them.

    figures  by judge; fewer bytes are better, so that the worst is the greatest
    """

    figures: dict[str, float]
    mean: float

    @property
    def worst(self) -> str:
        """Return the name of the judge whose figure is the worst."""
        return max(self.figures, key=lambda metric: self.figures[metric])


Verdicts = dict[str, dict[str, Verdict]]  # by set and encoder


def verdicts(rates: Sequence[dict[str, Any]]) -> Verdicts:
    """Return every encoder's BD-rates over the whole range of scores, in percent."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for rate in rates:
        if rate["range"] == ALL_SCORES and rate["percent"] is not None:
            line = found.setdefault(rate["set"], {}).setdefault(rate["encoder"], {})
            line[rate["metric"]] = rate["percent"]
    return {
        name: {encoder: Verdict(line, mean(list(line.values()))) for encoder, line in lines.items()}
        for name, lines in found.items()
    }


def margins(found: Verdicts, efforts: Sequence[str]) -> Verdicts:
    """Return each effort's BD-rates minus those of the better peer, in points: negative figures are ahead of it.

    The better peer is another one by each judge, and by the mean of the judges. A set without peers is left out.
    """
    result: Verdicts = {}
    for name, lines in found.items():
        peers = [lines[peer] for peer in PEERS if peer in lines]
        for effort in efforts if peers else ():
            if effort in lines:
                figures = {
                    metric: figure - min(peer.figures[metric] for peer in peers if metric in peer.figures)
                    for metric, figure in lines[effort].figures.items()
                    if any(metric in peer.figures for peer in peers)
                }
                ahead = lines[effort].mean - min(peer.mean for peer in peers)
                if figures:
                    result.setdefault(name, {})[effort] = Verdict(figures, ahead)
    return result
