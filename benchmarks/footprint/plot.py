"""A tornado chart: the change of the net as one input goes from its low to its high value."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.footprint.sensitivity import Bar
from benchmarks.harness import chart
from benchmarks.harness.chart import INK

LOW, HIGH = "#e69f00", "#0072b2"  # Okabe and Ito's palette, safe for color blindness


def draw(bars: Mapping[str, Sequence[Bar]], centers: Mapping[str, float], path: Path) -> Path:
    """Write a PNG file: one panel per case, the widest bar on top, the central case as a line."""
    from matplotlib.patches import Patch

    figure = chart.new_figure(12.8, 5.6)
    panels: Any = figure.subplots(1, len(bars))
    for axes, (name, found) in zip(panels, bars.items(), strict=True):
        _panel(axes, found, centers[name], name)
    title = "Estimated net CO2e per GB saved for a year: one input varied at a time"
    handles = [Patch(color=LOW, label="input at its low value"), Patch(color=HIGH, label="input at its high value")]
    return chart.save(figure, title, handles, 2, path)


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
    chart.style_axes(axes, "estimated net avoided, g CO2e", grid="x")
    axes.set_title(f"{name}: central {center:.2g} g", loc="left", fontsize=12, color=INK)
