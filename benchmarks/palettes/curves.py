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
    size         bytes of the file
    recoded      bytes after our lossless compression, which leaves pixels and palette as they are
    cpu_seconds  from the source to the file
    """

    colors: int
    score: float
    size: int
    recoded: int
    cpu_seconds: float


def front(points: Sequence[Point], sizes: str) -> tuple[Floats, Floats]:
    """Return scores, rising, and the logarithms of the fewest bytes that have at least these scores.

    A result is left out if another one with more colors takes fewer bytes and has a higher score: nobody would keep it.

    sizes  "size" or "recoded"
    """
    kept: list[tuple[float, float]] = []
    for point in sorted(points, key=lambda point: (-point.score, getattr(point, sizes))):
        bytes_log = float(np.log(getattr(point, sizes)))
        if not kept or bytes_log < kept[-1][1]:
            kept.append((point.score, bytes_log))
    scores, logs = np.array(kept[::-1]).T
    return scores, logs


def difference(ours: Sequence[Point], peer: Sequence[Point], sizes: str) -> float | None:
    """Return our bytes relative to the peer's at equal score, minus 1: the mean over the scores that both reach.

    The logarithm of the bytes is interpolated linearly in the score, as in G. Bjøntegaard's measure (VCEG-M33) with
    straight lines. None if no score is common.
    """
    if not ours or not peer:
        return None
    own, other = front(ours, sizes), front(peer, sizes)
    least, most = max(own[0][0], other[0][0]), min(own[0][-1], other[0][-1])
    if least > most:
        return None
    scores = np.linspace(least, most, 200)
    return float(np.exp(np.mean(np.interp(scores, *own) - np.interp(scores, *other))) - 1)
