"""Distances of `perceptual.SCALES`: where an effort has the mean score of libjpeg-turbo with 4:2:0 at each quality."""

from collections.abc import Sequence

import numpy as np

from benchmarks.harness import encoders
from benchmarks.harness.fidelity import Pixels, decoded
from benchmarks.tuning.candidate import Candidate
from compressor.jpeg import perceptual
from compressor.settings import Effort
from compressor.ssimulacra2 import Ssimulacra2

GRID = np.exp(np.linspace(np.log(0.2), np.log(60), 16))


def score(source: Pixels, result: Pixels) -> float:
    """Return the SSIMULACRA2 of a result."""
    height, width, channels = source.shape
    scorer = Ssimulacra2(width, height, channels)
    scorer.add(source, result)
    return scorer.score()


def mean_scores(held: Sequence[Pixels], effort: Effort, candidate: Candidate) -> np.ndarray:
    """Return the mean SSIMULACRA2 at each distance of GRID."""
    means = []
    for distance in GRID:
        with candidate.at(float(distance)):
            files = [encoders.ours(effort.value)(pixels)(50) for pixels in held]
        scores = [score(pixels, decoded(data)) for pixels, data in zip(held, files, strict=True)]
        means.append(float(np.mean(scores)))
    return np.array(means)


def libjpeg_scores(held: Sequence[Pixels]) -> list[float]:
    """Return libjpeg-turbo's mean SSIMULACRA2 at `perceptual.QUALITIES`, without the first and the last."""
    return [
        float(np.mean([score(one, decoded(encoders.PILLOW.encode(one, quality))) for one in held]))
        for quality in perceptual.QUALITIES[1:-1]
    ]


def fitted(wanted: Sequence[float], means: np.ndarray, effort: Effort, above: float) -> list[float]:
    """Return a distance for each of `perceptual.QUALITIES`; the first and the last stay as they are.

    wanted  of `libjpeg_scores`
    means   of `mean_scores`
    above   by how much the mean score is above libjpeg-turbo's
    """
    falling = np.minimum.accumulate(means)
    inner = np.exp(np.interp(np.array(wanted) + above, falling[::-1], np.log(GRID)[::-1]))
    present = perceptual.SCALES[effort]
    return [present[0], *(round(float(distance), 3) for distance in inner), present[-1]]
