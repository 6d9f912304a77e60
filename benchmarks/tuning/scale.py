"""The mean scores of an effort, and the distances at which it has those of libjpeg-turbo with 4:2:0 at each quality.

They are `target.MEAN_SCORES` and `perceptual.SCALES`.
"""

from collections.abc import Sequence

import numpy as np

from benchmarks.harness import encoders
from benchmarks.harness.fidelity import Pixels, decoded
from benchmarks.tuning.candidate import Candidate
from compressor.jpeg import perceptual
from compressor.pipeline import target
from compressor.settings import Effort
from compressor.ssimulacra2 import Ssimulacra2

NEARBY = np.exp([-0.045, -0.015, 0.015, 0.045])
GRID = [float(distance) for distance in np.exp(np.linspace(np.log(0.2), np.log(60), 16))]


def score(source: Pixels, result: Pixels) -> float:
    """Return the SSIMULACRA2 of a result."""
    height, width, channels = source.shape
    scorer = Ssimulacra2(width, height, channels)
    scorer.add(source, result)
    return scorer.score()


def mean_scores(held: Sequence[Pixels], effort: Effort, candidate: Candidate, distances: Sequence[float]) -> np.ndarray:
    """Return the mean SSIMULACRA2 at each distance."""
    means = []
    for distance in distances:
        with candidate.at(float(distance)):
            files = [encoders.ours(effort.value)(pixels)(50) for pixels in held]
        scores = [score(pixels, decoded(data)) for pixels, data in zip(held, files, strict=True)]
        means.append(float(np.mean(scores)))
    return np.array(means)


def fitted_means(held: Sequence[Pixels], effort: Effort, candidate: Candidate) -> tuple[list[float], list[float]]:
    """Return `target.MEAN_SCORES` of an effort, and the weights of `target.ROUNDING`, those of luma first.

    Scores are measured at NEARBY of each of `target.DISTANCES`. Their losses are fitted by lines between these
    distances, and by what rounding multiplies the steps of luma (DC, and the two next frequencies alike) and of Cr by.
    """
    distances = np.outer(target.DISTANCES, NEARBY).ravel()
    means = mean_scores(held, effort, candidate, distances.tolist())
    losses = np.array([target.loss_of(mean) for mean in means])
    nodes = np.log(target.DISTANCES)
    lines = [np.interp(np.log(distances), nodes, row) for row in np.eye(len(nodes))]
    luma, cr = (target.rounding(component, distances, effort) for component in (0, 2))
    columns = [*lines, luma[:, 0], luma[:, 1:].sum(1), cr.sum(1)]
    found = np.linalg.lstsq(np.stack(columns, 1), losses, rcond=None)[0]
    scores = 100 - np.exp(found[: len(nodes)])
    return [round(float(score), 1) for score in scores], [round(float(weight), 3) for weight in found[len(nodes) :]]


def libjpeg_scores(held: Sequence[Pixels]) -> list[float]:
    """Return libjpeg-turbo's mean SSIMULACRA2 at `perceptual.QUALITIES`, without the first and the last."""
    return [
        float(np.mean([score(one, decoded(encoders.PILLOW.encode(one, quality))) for one in held]))
        for quality in perceptual.QUALITIES[1:-1]
    ]


def fitted(wanted: Sequence[float], means: np.ndarray, effort: Effort, above: float) -> list[float]:
    """Return a distance for each of `perceptual.QUALITIES`; the first and the last stay as they are.

    wanted  of `libjpeg_scores`
    means   of `mean_scores` at GRID
    above   by how much the mean score is above libjpeg-turbo's
    """
    falling = np.minimum.accumulate(means)
    inner = np.exp(np.interp(np.array(wanted) + above, falling[::-1], np.log(GRID)[::-1]))
    present = perceptual.SCALES[effort]
    return [present[0], *(round(float(distance), 3) for distance in inner), present[-1]]
