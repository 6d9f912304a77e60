"""Plots of rate-distortion curves: one row per judge, bytes on the left, bytes relative to Pillow on the right."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.density.curves import RANGES, Curve, DensityResults, Float64s, PhotographSet
from benchmarks.density.rates import PILLOW, groups, metrics_of
from benchmarks.density.table import is_ours
from benchmarks.harness import chart
from benchmarks.harness.chart import INK, PALE
from benchmarks.harness.judges import BY_NAME

STEPS = 81  # scores at which the curves are compared
# Ours are solid lines in Okabe and Ito's palette; the others are grey and brown, distinguished by their dashes.
OURS = {"fast": "#e69f00", "balanced": "#0072b2", "best": "#d55e00"}
PEERS: dict[str, tuple[str, Any]] = {
    "Pillow": (PALE, "-"),
    "Pillow, progressive": (PALE, (0, (5, 2))),
    "mozjpeg": ("#8c6d46", (0, (1, 1.4))),
    "jpegli, sequential": (INK, (0, (1, 1.4))),
    "jpegli": (INK, (0, (5, 2))),
}
NAMES = {
    "ms_ssim": "MS-SSIM of luma",
    "butteraugli": "butteraugli, 3-norm (less is better)",
    "ssimulacra2": "SSIMULACRA2",
    "cvvdp": "ColorVideoVDP, JOD",
}
TICKS = {
    "ms_ssim": (0.95, 0.96, 0.97, 0.98, 0.985, 0.99, 0.993, 0.995, 0.997, 0.998, 0.999),
    "butteraugli": (3.0, 2.5, 2.0, 1.5, 1.25, 1.0, 0.8, 0.6, 0.5, 0.4),
    "ssimulacra2": (50, 60, 70, 80, 90),
    "cvvdp": (9.2, 9.3, 9.4, 9.5, 9.6, 9.7, 9.8, 9.9, 9.95),
}


def ends_of(images: PhotographSet, metric: str) -> Float64s:
    """Return the lowest and highest score that all encoders cover within 50 to 90 in SSIMULACRA2: (photographs, 2)."""
    ends = []
    for measured in images.values():
        curves = {name: Curve(points, metric) for name, points in measured.items()}
        scale, limits = Curve(measured[PILLOW], "ssimulacra2"), RANGES["50-90"]
        low, high = (
            curves[PILLOW].score_at(size) for size in scale.sizes(np.clip(limits, scale.scores[0], scale.scores[-1]))
        )
        ends.append(
            (
                max(low, *(curve.scores[0] for curve in curves.values())),
                min(high, *(curve.scores[-1] for curve in curves.values())),
            )
        )
    return np.array(ends)


def means(images: PhotographSet, metric: str) -> tuple[Float64s, dict[str, Float64s]]:
    """Return scores, and the mean ln(bytes) of every encoder at each of them.

    The range is one that nearly all photographs cover; only photographs that cover all of it count.
    """
    ends = ends_of(images, metric)
    low, high = np.quantile(ends[:, 0], 0.9, method="lower"), np.quantile(ends[:, 1], 0.1, method="higher")
    covered = (ends[:, 0] <= low) & (ends[:, 1] >= high)
    grid = np.linspace(low, high, STEPS)
    within = [measured for measured, inside in zip(images.values(), covered, strict=True) if inside]
    sums = {
        name: sum((Curve(measured[name], metric).sizes(grid) for measured in within), np.zeros(STEPS))
        for name in next(iter(images.values()))
    }
    return grid, {name: total / max(1, len(within)) for name, total in sums.items()}


def draw(results: DensityResults, path: Path) -> Path:
    """Write a PNG file with the curves of the first set."""
    name, images = next(iter(groups(results).items()))
    metrics = metrics_of(images)
    figure = chart.new_figure(12.8, 1.0 + 4.4 * len(metrics))
    panels: Any = figure.subplots(len(metrics), 2, squeeze=False)
    handles: list[Any] = []
    for (left, right), metric in zip(panels, metrics, strict=True):
        grid, sizes = means(images, metric)
        _frame(left, "geometric mean of kB per photograph", NAMES[metric])
        _frame(right, NAMES[metric], "difference of bytes from Pillow's default at equal score, %")
        _score_axis(left.yaxis, left.set_ylim, metric, grid)
        _score_axis(right.xaxis, right.set_xlim, metric, grid)
        left.set_xscale("log")
        ticks = [10, 20, 30, 50, 100, 200, 300, 500]
        left.set_xticks(ticks, [str(tick) for tick in ticks])
        left.set_xticks([], minor=True)
        drawn = np.concatenate([line[np.isfinite(line)] for line in sizes.values()])
        if drawn.size:
            left.set_xlim(math.exp(drawn.min()) / 1e3 * 0.95, math.exp(drawn.max()) / 1e3 * 1.05)
        handles = [_line(left, right, grid, line, sizes[PILLOW], label) for label, line in sizes.items()]
    title = f"Bytes and visual quality, 4:2:0: {name}, {len(images)} images"
    return chart.save(figure, title, handles, 4, path)


def _frame(axes: Any, x_label: str, y_label: str) -> None:
    chart.style_axes(axes, x_label)
    axes.set_ylabel(y_label, color=INK)


def _score_axis(axis: Any, set_limits: Any, metric: str, grid: Float64s) -> None:
    """Set the ticks. Scores are plotted on rising scales and labeled with the judge's own figures."""
    values = TICKS[metric]
    axis.set_ticks([BY_NAME[metric].rising(value) for value in values], [f"{value:g}" for value in values])
    margin = 0.02 * (grid[-1] - grid[0])
    set_limits(grid[0] - margin, grid[-1] + margin)


def _line(left: Any, right: Any, grid: Float64s, sizes: Float64s, pillow: Float64s, label: str) -> Any:
    ours = is_ours(label)
    color, dashes = (OURS[label], "-") if ours else PEERS[label]
    style = {"color": color, "linestyle": dashes, "linewidth": 2.2 if ours else 1.6, "zorder": 3 if ours else 2}
    left.plot(np.exp(sizes) / 1e3, grid, **style)
    return right.plot(grid, 100 * np.expm1(sizes - pillow), label=label, **style)[0]
