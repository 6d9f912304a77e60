"""The HTML elements that a report's sections consist of."""

import html
from collections.abc import Iterable, Sequence

from compressor.humanize import printable


def text(words: object) -> str:
    """Return the text of any value, escaped for use between tags and in attributes."""
    return html.escape(printable(str(words)))


def section(title: str, content: str) -> str:
    """Return a section with a heading; "" where there is no content."""
    return f"<section>\n<h2>{title}</h2>\n{content}\n</section>" if content else ""


def table(
    names: Sequence[str], numbers: int, rows: Iterable[Sequence[str]], foot: Sequence[str] = (), name: str = "totals"
) -> str:
    """Return a table whose cells are HTML.

    numbers  how many columns, from the right, are numbers
    foot     cells of the last row, which sums up the others
    name     the table's class in the style sheet
    """
    first = len(names) - numbers

    def line(cells: Sequence[str], tag: str) -> str:
        marks = (' class="number"' if column >= first else "" for column in range(len(cells)))
        return f"<tr>{''.join(f'<{tag}{mark}>{cell}</{tag}>' for cell, mark in zip(cells, marks, strict=True))}</tr>\n"

    body = "".join(line(row, "td") for row in rows)
    end = f"<tfoot>\n{line(foot, 'td')}</tfoot>\n" if foot else ""
    head = line(names, "th")
    inside = f"<thead>\n{head}</thead>\n<tbody>\n{body}</tbody>\n{end}"
    return f'<div class="wide"><table class="{name}">\n{inside}</table></div>'
