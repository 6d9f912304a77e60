"""The rate-distortion trellis of the docstring of `compressor.kernels.trellis`, in float64, without omissions."""

import math
from collections.abc import Sequence


def symbols(values: Sequence[int]) -> list[tuple[int, int]]:
    """Return (symbol, number of its additional bits) of the values of positions 1 .. 63 (T.81 F.1.2.2)."""
    out, run = [], 0
    for value in values:
        if value == 0:
            run += 1
            continue
        while run > 15:
            out.append((0xF0, 0))
            run -= 16
        ssss = math.floor(math.log2(abs(value))) + 1
        out.append((16 * run + ssss, ssss))
        run = 0
    return [*out, (0x00, 0)] if run else out


def rates(lengths: Sequence[float]) -> tuple[list[list[float]], list[float]]:
    """Return the tables of the trellis: bits of a coefficient by its distance (1 to 63) from the one before and by its
    size (1 to 10); and by d (0 to 63) the least number of additional bits if it is d farther away."""

    def bits(distance: int, ssss: int) -> float:
        return sum(lengths[symbol] + more for symbol, more in symbols([0] * (distance - 1) + [1 << (ssss - 1)]))

    rate = [[bits(distance, ssss) for ssss in range(1, 11)] for distance in range(1, 64)]
    margin = [min(bits(n + d, ssss) - bits(n, ssss) for n in range(1, 17) for ssss in range(1, 11)) for d in range(64)]
    return rate, margin


def distortion(x: float, value: int) -> float:
    return (abs(x) - abs(value)) ** 2 * (1.1 if value == 0 else 1.0)


def cost(x: Sequence[float], values: Sequence[int], weight: float, lengths: Sequence[float]) -> float:
    """Return the cost of a block of 64, which is to be minimized; DC does not count."""
    bits = sum(lengths[symbol] + appended for symbol, appended in symbols(values[1:]))
    return sum(map(distortion, x[1:], values[1:])) + weight * bits


def candidates(x: float) -> set[int]:
    """Return the values other than zero that are tried for a coefficient."""
    m = min(round(abs(x)), 1023)
    if m == 0:
        return set()
    sizes_less = {2**ssss - 1 for ssss in range(1, 11) if 2**ssss <= m < 2 ** (ssss + 1)}
    return {int(math.copysign(v, x)) for v in {m, m - 1} | sizes_less if v}


def least_cost(x: Sequence[float], weight: float, lengths: Sequence[float]) -> float:
    """Return the cost of the best values: over all positions of the last non-zero value, and of the one before it."""
    zeroed = [0.0, *(distortion(x[k], 0) for k in range(1, 64))]
    ending = {0: 0.0}  # position of the last non-zero value → least cost of all up to it
    for k in range(1, 64):
        for v in candidates(x[k]):
            for j in range(k):
                if j in ending:
                    run = [0] * (k - j - 1)
                    bits = sum(lengths[symbol] + appended for symbol, appended in symbols([*run, v]))
                    total = ending[j] + sum(zeroed[j + 1 : k]) + distortion(x[k], v) + weight * bits
                    ending[k] = min(ending.get(k, math.inf), total)
    return min(total + sum(zeroed[k + 1 :]) + (weight * lengths[0x00] if k < 63 else 0) for k, total in ending.items())
