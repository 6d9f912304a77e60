"""A plot of peak memory by megapixels: both axes logarithmic, one panel per effort, other libraries in grey."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness import chart
from benchmarks.harness.chart import INK, PALE
from benchmarks.memory.measure import GROWING, MIB, SERVICE, TARGET_BYTES, ConversionResult, group_lines

FLOOR_MIB = 0.25  # smaller values are noise
LABEL_RATIO = 1.36  # between adjacent labels, so that they do not overlap
# Okabe and Ito's palette, safe for color blindness.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
MARKERS = ("o", "s", "^", "D", "v", "P")
TITLES = {"fast": "fast: one pass", "balanced": "balanced: two passes"}
PEER_STYLES = {"Pillow": "-", "libvips": (0, (1, 1.4))}
PEER_CLASSES = ("JPEG → JPEG", "progressive JPEG → JPEG", "PNG → JPEG")


def draw(results: Sequence[ConversionResult], path: Path) -> Path:
    """Write a PNG file of 1,600 × 860 pixels."""
    figure = chart.new_figure(12.8, 6.9)
    panels: Any = figure.subplots(1, len(TITLES), sharey=True)
    lines = group_lines(results)
    names = list(dict.fromkeys(one.name for one in results if one.name not in GROWING))
    sizes = sorted({one.megapixels for one in results})
    handles: list[Any] = []
    for axes, (effort, title) in zip(panels, TITLES.items(), strict=True):
        _frame(axes, title, sizes)
        _target(axes, TARGET_BYTES[effort], sizes)
        _peers(axes, lines)
        drawn = [
            _line(axes, lines[name, SERVICE, effort], name, COLORS[n % 6], MARKERS[n % 6])
            for n, name in enumerate(names)
            if (name, SERVICE, effort) in lines
        ]
        handles = handles or drawn
    panels[0].set_ylabel("peak memory above the idle process, MiB", color=INK)
    return chart.save(figure, "Peak memory of a conversion by image size", handles, 6, path)


def _frame(axes: Any, title: str, sizes: list[float]) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(sizes[0] * 0.8, sizes[-1] * 1.6)
    axes.set_ylim(FLOOR_MIB, 2000)
    axes.set_xticks(sizes, [f"{size:g}" for size in sizes], minor=False)
    axes.set_xticks([], minor=True)
    ticks = [0.25, 1, 4, 16, 64, 256, 1024]
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_yticks([], minor=True)
    chart.style_axes(axes, "megapixels (squares)")
    axes.set_title(title, loc="left", fontsize=12, color=INK)


def _target(axes: Any, target: int, sizes: list[float]) -> None:
    axes.axhline(target / MIB, color="#c0392b", linewidth=1.3, linestyle=(0, (6, 3)))
    axes.annotate(
        f"target {target // MIB} MiB",
        (sizes[0], target / MIB),
        xytext=(0, 4),
        textcoords="offset points",
        color="#c0392b",
        fontsize=9.5,
    )


def _peers(axes: Any, lines: dict[tuple[str, str, str], list[ConversionResult]]) -> None:
    """Draw other libraries in grey, with labels at their ends; skip lines that end close to another."""
    ends: list[tuple[float, float, str]] = []
    for peer, style in PEER_STYLES.items():
        placed: list[float] = []
        for name in PEER_CLASSES:
            x, y = _points(lines.get((name, peer, ""), []))
            if not x or any(abs(y[-1] / other - 1) < 0.2 for other in placed):
                continue
            placed.append(y[-1])
            axes.plot(x, y, color=PALE, linestyle=style, linewidth=1.6, zorder=1.5)
            ends.append((y[-1], x[-1], f"{peer}, {name.removesuffix(' → JPEG')}"))
    at = 0.0
    for y_end, x_end, label in sorted(ends):
        at = max(y_end, at * LABEL_RATIO)
        text = axes.annotate(label, (x_end, at), xytext=(7, 0), textcoords="offset points", fontsize=9, va="center")
        text.set(color="#5f6b78", bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6})


def _points(line: list[ConversionResult]) -> tuple[list[float], list[float]]:
    """Return the megapixels and the MiB of a line."""
    return [one.megapixels for one in line], [max(FLOOR_MIB, (one.peak_bytes or 0) / MIB) for one in line]


def _line(axes: Any, line: list[ConversionResult], name: str, color: str, marker: str) -> Any:
    x, y = _points(line)
    return axes.plot(x, y, color=color, marker=marker, markersize=6, linewidth=2, label=name, zorder=3)[0]
