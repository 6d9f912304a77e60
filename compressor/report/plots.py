"""A report's plots, as inline SVG that takes its colors from the page."""

import html
from collections.abc import Sequence

from compressor.humanize import human_bytes, human_format, printable

WIDTH = 440  # so few that text can be read when a phone shrinks the plot to its own width
BAR_WIDTH = 880
ROW = 26
STEP = 0.05  # of the histogram


def share_bar(saved: float, low: float | None = None, high: float | None = None) -> str:
    """Return a bar of all bytes, the saved share colored; with a mark from `low` to `high` where it is an estimate."""
    x = BAR_WIDTH * min(max(1 - saved, 0.0), 1.0)
    parts = [f'<rect class="left" width="{x:.1f}" height="18"/>']
    parts.append(f'<rect class="saved" x="{x:.1f}" width="{BAR_WIDTH - x:.1f}" height="18"/>')
    label = f"{saved:.1%} of the bytes saved"
    if low is not None and high is not None:
        left, right = BAR_WIDTH * (1 - high), BAR_WIDTH * (1 - low)
        parts.append(
            f'<path class="range" fill="none" d="M{left:.1f} 22v6M{left:.1f} 25H{right:.1f}M{right:.1f} 22v6"/>'
        )
        label += f", between {low:.1%} and {high:.1%}"
    return _svg(18 if low is None else 30, label, parts, BAR_WIDTH)


def formats_plot(rows: Sequence[tuple[str, int, int]]) -> str:
    """Return a bar for each (format, bytes before, bytes saved), as long as the bytes before."""
    largest = max((before for _, before, _ in rows), default=0) or 1
    start, length = 75, WIDTH - 75 - 175
    parts = []
    for number, (format, before, saved) in enumerate(rows):
        y = number * ROW
        whole = length * before / largest
        part = length * max(saved, 0) / largest
        name = html.escape(human_format(printable(format)) or "other")
        words = f"{human_bytes(saved)} of {human_bytes(before)} ({saved / max(1, before):.1%})"
        parts += [
            f'<text x="0" y="{y + 17}">{name}</text>',
            f'<rect class="left" x="{start}" y="{y + 4}" width="{max(whole - part, 0):.1f}" height="18"/>',
            f'<rect class="saved" x="{start + whole - part:.1f}" y="{y + 4}" width="{part:.1f}" height="18"/>',
            f'<text x="{start + max(whole, 1) + 10:.1f}" y="{y + 17}">{words}</text>',
        ]
    return _svg(ROW * max(1, len(rows)), "bytes saved by format", parts)


def histogram_plot(counts: Sequence[int]) -> str:
    """Return columns that show how many objects saved how much, in steps of 5 %."""
    height, floor, start = 170, 146, 62
    top = max(1, *counts)
    each = (WIDTH - start) / max(len(counts), 1)
    parts = []
    for value in _round_values(top):
        y = floor - (floor - 12) * value / top
        parts.append(f'<line class="axis" x1="{start}" x2="{WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="quiet" text-anchor="end" x="{start - 8}" y="{y + 4:.1f}">{value:,}</text>')
    for number, count in enumerate(counts):
        x, tall = start + number * each, (floor - 12) * count / top
        span = f"{number * STEP:.0%} to {(number + 1) * STEP:.0%}"
        parts.append(
            f'<rect class="saved" x="{x + 1:.1f}" y="{floor - tall:.1f}" width="{each - 2:.1f}" height="{tall:.1f}">'
            f"<title>saved {span}: {count:,} objects</title></rect>"
        )
        if number % 4 == 0:
            parts.append(
                f'<text class="quiet" text-anchor="middle" x="{x:.1f}" y="{floor + 18}">{number * STEP:.0%}</text>'
            )
    end = f'<text class="quiet" text-anchor="end" x="{WIDTH}" y="{floor + 18}">{len(counts) * STEP:.0%}</text>'
    return _svg(height, "compressed objects by what they saved", [*parts, end])


def median_step(counts: Sequence[int]) -> float:
    """Return the largest lower edge of a step that at least half of the objects reach."""
    above, total = 0, sum(counts)
    for number in range(len(counts) - 1, -1, -1):
        above += counts[number]
        if 2 * above >= total:
            return number * STEP
    return 0.0


def _round_values(top: int) -> range:
    """Return 0 and at most five round numbers up to `top`."""
    step = next(digit * 10**power for power in range(20) for digit in (1, 2, 5) if top < 6 * digit * 10**power)
    return range(0, top + 1, step)


def _svg(height: int, label: str, parts: Sequence[str], width: int = WIDTH) -> str:
    """Return the element; one as wide as BAR_WIDTH has no text, and is stretched to the width of the page."""
    kind = ' class="bar" preserveAspectRatio="none"' if width == BAR_WIDTH else ""
    head = f'<svg viewBox="0 0 {width} {height}"{kind} role="img" aria-label="{html.escape(label)}">'
    return "\n".join((head, *parts, "</svg>"))
