"""A tornado chart: the change of the net as one input goes from its low to its high value."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.footprint.sensitivity import Bar

INK, PALE, GRID = "#1f2933", "#8b95a1", "#e4e7eb"
LOW, HIGH = "#e69f00", "#0072b2"  # Okabe and Ito's palette, safe for color blindness


def draw(bars: Mapping[str, Sequence[Bar]], centers: Mapping[str, float], path: Path) -> Path:
    """Write a PNG file: one panel per case, the widest bar on top, the central case as a line."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    figure = Figure(figsize=(12.8, 5.6), dpi=125, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    panels: Any = figure.subplots(1, len(bars))
    for axes, (name, found) in zip(panels, bars.items(), strict=True):
        _panel(axes, found, centers[name], name)
    figure.suptitle(
        "Estimated net CO2e per GB saved for a year: one input varied at a time", x=0.01, ha="left", fontsize=16
    ).set(color=INK, fontweight="bold")
    handles = [Patch(color=LOW, label="input at its low value"), Patch(color=HIGH, label="input at its high value")]
    legend = figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False, fontsize=10)
    for text in legend.get_texts():
        text.set_color(INK)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    return path


def _panel(axes: Any, bars: Sequence[Bar], center: float, name: str) -> None:
    for place, bar in enumerate(bars):
        for net, value, color in ((bar.net_at_low, bar.low, LOW), (bar.net_at_high, bar.high, HIGH)):
            axes.barh(place, net - center, left=center, height=0.62, color=color, zorder=3)
            if net != center or (bar.net_at_low == bar.net_at_high and color == LOW):
                right = net > center or (net == center and color == HIGH)
                axes.annotate(
                    f"{value:.3g}",
                    (net, place),
                    xytext=(4 if right else -4, 0),
                    textcoords="offset points",
                    ha="left" if right else "right",
                    va="center",
                    fontsize=9,
                    color=INK,
                )
    axes.axvline(center, color=INK, linewidth=1, zorder=4)
    axes.set_yticks(range(len(bars)), [bar.name for bar in bars])
    axes.invert_yaxis()
    ends = [net for bar in bars for net in (bar.net_at_low, bar.net_at_high)]
    margin = 0.16 * (max(ends) - min(ends))
    axes.set_xlim(min(0.0, *ends) - margin, max(ends) + margin)
    axes.grid(axis="x", color=GRID, linewidth=1)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(PALE)
    axes.tick_params(length=0, colors=INK)
    axes.set_xlabel("estimated net avoided, g CO2e", color=INK)
    axes.set_title(f"{name}: central {center:.2g} g", loc="left", fontsize=12, color=INK)
