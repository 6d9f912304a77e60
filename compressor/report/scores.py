"""The SSIMULACRA2 scores of a run's results: their distribution, and the objects with the lowest ones."""

import heapq
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

BINS = 10  # per point: quantiles are exact to 0.1, and 10⁸ objects take no more memory than 10³
WORST_MAX = 10


@dataclass(frozen=True, slots=True)
class Scores:
    """The scores that were measured.

    counts   by format of the result, the number of scores in each bin: bin n holds (n − 1) / BINS < score ≤ n / BINS;
             bin 0 also holds all that are below 0
    sums     by format, the sum of the scores
    minimum  the lowest score
    worst    keys and scores of at most WORST_MAX objects, the lowest first
    """

    counts: Mapping[str, Mapping[int, int]]
    sums: Mapping[str, float]
    minimum: float
    worst: tuple[tuple[str, float], ...]

    @property
    def objects(self) -> int:
        """The number of scores."""
        return sum(sum(bins.values()) for bins in self.counts.values())

    @property
    def percentile_10(self) -> float:
        """The score that a tenth of the objects does not exceed."""
        return self.quantile(0.1)

    @property
    def median(self) -> float:
        """The score that half of the objects do not exceed."""
        return self.quantile(0.5)

    def quantile(self, share: float) -> float:
        """Return the score that at least `share` of the objects do not exceed, rounded up to a bin's end."""
        bins = sum((Counter(bins) for bins in self.counts.values()), Counter[int]())
        left = share * self.objects
        for number in sorted(bins):
            left -= bins[number]
            if left <= 1e-9:
                return max(self.minimum, number / BINS)
        return self.minimum

    def histogram(self, bounds: Sequence[float]) -> dict[str, tuple[list[int], float]]:
        """Return for each format how many scores are at most each of the bounds, and the sum of all scores.

        bounds  multiples of 1 / BINS
        """
        return {
            format: (
                [sum(count for number, count in bins.items() if number <= round(bound * BINS)) for bound in bounds],
                self.sums[format],
            )
            for format, bins in self.counts.items()
        }


class ScoreTally:
    """Scores added up object by object."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter[int]] = {}
        self._sums: defaultdict[str, float] = defaultdict(float)
        self._worst: list[tuple[float, str]] = []  # a heap of negated scores: its first is the best of the worst

    def add(self, key: str, format: str, score: float) -> None:
        """Add an object's score."""
        self._counts.setdefault(format, Counter())[max(0, math.ceil(score * BINS))] += 1
        self._sums[format] += score
        push = heapq.heappush if len(self._worst) < WORST_MAX else heapq.heappushpop
        push(self._worst, (-score, key))

    def scores(self) -> Scores | None:
        """Return what was added until now; None without any score."""
        if not self._worst:
            return None
        worst = sorted((-negated, key) for negated, key in self._worst)
        counts = {format: dict(bins) for format, bins in self._counts.items()}
        return Scores(counts, dict(self._sums), worst[0][0], tuple((key, score) for score, key in worst))
