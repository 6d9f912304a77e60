"""The common style of the charts: figure, axes, title and legend."""

from pathlib import Path
from typing import Any

INK, PALE, GRID = "#1f2933", "#8b95a1", "#e4e7eb"


def new_figure(width: float, height: float) -> Any:
    """Return a white figure; width and height in inches, of 125 pixels each."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=125, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def style_axes(axes: Any, x_label: str, grid: str = "both") -> None:
    """Keep the bottom spine only, and draw a grid behind the data.

    grid  "both", or the axis whose ticks have lines
    """
    axes.grid(axis=grid, color=GRID, linewidth=1)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(PALE)
    axes.tick_params(length=0, colors=INK)
    axes.set_xlabel(x_label, color=INK)


def save(figure: Any, title: str, handles: list[Any], columns: int, path: Path) -> Path:
    """Add a title and a legend, write a PNG file, and return its path."""
    figure.suptitle(title, x=0.01, ha="left", fontsize=16, fontweight="bold").set_color(INK)
    legend = figure.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False, fontsize=10)
    for text in legend.get_texts():
        text.set_color(INK)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    return path
