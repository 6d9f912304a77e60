"""Bytes at equal score, from results with several numbers of colors."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass
class Point:
    """A result with at most `colors` colors.

    score        SSIMULACRA2
    ms_ssim      of luma, -10 log10 of what it lacks to 1
    size         bytes of the file
    recoded      bytes after our lossless compression, which leaves pixels and palette as they are
    cpu_seconds  from the source to the file
    """

    colors: int
    score: float
    ms_ssim: float
    size: int
    recoded: int
    cpu_seconds: float


def front(points: Sequence[Point], sizes: str, scores: str) -> tuple[Floats, Floats]:
    """Return scores, rising, and the logarithms of the fewest bytes that have at least these scores.

    A result is left out if another one with more colors takes fewer bytes and has a higher score: nobody would keep it.

    sizes   "size" or "recoded"
    scores  "score" or "ms_ssim"
    """
    kept: list[tuple[float, float]] = []
    for point in sorted(points, key=lambda point: (-getattr(point, scores), getattr(point, sizes))):
        bytes_log = float(np.log(getattr(point, sizes)))
        if not kept or bytes_log < kept[-1][1]:
            kept.append((getattr(point, scores), bytes_log))
    rising, logs = np.array(kept[::-1]).T
    return rising, logs


def difference(ours: Sequence[Point], peer: Sequence[Point], sizes: str, scores: str = "score") -> float | None:
    """Return our bytes relative to the peer's at equal score, minus 1: the mean over the scores that both reach.

    The logarithm of the bytes is interpolated linearly in the score, as in G. Bjøntegaard's measure (VCEG-M33) with
    straight lines. None if no score is common.
    """
    if not ours or not peer:
        return None
    own, other = front(ours, sizes, scores), front(peer, sizes, scores)
    least, most = max(own[0][0], other[0][0]), min(own[0][-1], other[0][-1])
    if least > most:
        return None
    common = np.linspace(least, most, 200)
    return float(np.exp(np.mean(np.interp(common, *own) - np.interp(common, *other))) - 1)
