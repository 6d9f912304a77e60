"""The progress of a batch run on standard error: a live display on a terminal, lines elsewhere."""

import sys
import threading
import time
from collections import deque
from types import TracebackType
from typing import TYPE_CHECKING, Self

import typer

from compressor.cli.output import error_console
from compressor.humanize import human_bytes, human_seconds, many, printable
from compressor.report.summary import Progress

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live as RichLive

LINE_SECONDS = 10.0  # between the first lines; later ones are rarer
LINE_SECONDS_MAX = 60.0
FRAMES_A_SECOND = 4
RATE_SECONDS = 60.0  # over which rates are measured
RATE_SECONDS_MIN = 1.0  # before that no rate is shown
BAR_COLUMNS = 24


class Rate:
    """The rate of the last minute, in objects and bytes per second, and how long the rest takes at that rate."""

    def __init__(self) -> None:
        self.objects = self.bytes = 0.0
        self._past: deque[tuple[float, Progress]] = deque()

    def update(self, now: float, progress: Progress) -> None:
        """Take a reading; called a few times a second at most."""
        self._past.append((now, progress))
        while len(self._past) > 2 and now - self._past[1][0] >= RATE_SECONDS:
            self._past.popleft()
        then, before = self._past[0]
        if now - then >= RATE_SECONDS_MIN:
            self.objects = (progress.objects - before.objects) / (now - then)
            self.bytes = (progress.bytes_in - before.bytes_in) / (now - then)

    def left_seconds(self, progress: Progress) -> float | None:
        """Return the time left, by bytes if the listing has their sizes, since objects differ in size; None if it is
        unknown, because the listing is not complete or nothing is done yet, and at the end."""
        if progress.total_objects <= progress.objects:
            return None
        if progress.found_bytes and self.bytes > 0:
            return max(0, progress.found_bytes - progress.bytes_in) / self.bytes
        if self.objects > 0:
            return max(0, progress.total_objects - progress.objects) / self.objects
        return None


class Live:
    """Progress on standard error: a live display if that is a terminal, otherwise a line every ten seconds at first,
    and every minute later."""

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._rate = Rate()
        self._started = time.monotonic()
        self._display: RichLive | None = None
        self._ended = threading.Event()
        self._lines = threading.Thread(target=self._write_lines, daemon=True)

    def update(self, progress: Progress) -> None:
        """Show this progress from now on. Cheap: rendering happens on a timer."""
        if self._progress is None:  # the work of earlier runs does not count for the rate
            self._rate.update(time.monotonic(), progress)
        self._progress = progress

    def __enter__(self) -> Self:
        if not sys.stderr.isatty():
            self._lines.start()
            return self
        from rich.live import Live as RichLive

        self._display = RichLive(
            console=error_console(),
            get_renderable=self._frame,
            refresh_per_second=FRAMES_A_SECOND,
            transient=True,
            redirect_stdout=False,  # may be a pipe
        )
        self._display.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._display is not None:
            self._display.stop()
            return
        self._ended.set()
        self._lines.join()
        if self._progress is not None:  # otherwise nothing began
            typer.echo(self._line(), err=True)

    # The rest runs in the display's thread or in ours, never in both at the same time.

    def _now(self) -> Progress:
        progress = self._progress
        if progress is None:
            return Progress()
        self._rate.update(time.monotonic(), progress)
        return progress

    def _write_lines(self) -> None:
        pause = LINE_SECONDS
        while not self._ended.wait(pause):
            typer.echo(self._line(), err=True)
            pause = min(LINE_SECONDS_MAX, pause * 1.25)

    def _line(self) -> str:
        """Return a line for a log, with the same words in the same order once the first object is done."""
        progress = self._now()
        words = [counted(progress)]
        if progress.objects:
            left = self._rate.left_seconds(progress)
            sizes = f"{human_bytes(progress.bytes_in)} → {human_bytes(progress.bytes_out)}"
            words += [f"{sizes}, saved {saved(progress)}", speed(self._rate)]
            words += [f"{whole_seconds(left)} left"] if left is not None else []
            words += [f"{progress.failed:,} failed"]
        words += [f"waiting: {printable(progress.waiting)}"] if progress.waiting else []
        return f"{time.strftime('%H:%M:%S')} batch: {'; '.join(words)}"

    def _frame(self) -> "RenderableType":
        """Return three lines for a terminal of at least 80 columns."""
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        progress = self._now()
        share = share_of(progress)
        head = Table.grid(padding=(0, 2, 0, 0))
        cells: list[RenderableType] = [
            Text("●" if int(time.monotonic() * 2) % 2 else "○", "green"),
            Text(counted(progress), "bold"),
        ]
        if share is not None:
            left = self._rate.left_seconds(progress)
            cells += [ProgressBar(1.0, share, width=BAR_COLUMNS), Text(f"{share:.0%}")]
            cells += [Text(f"{whole_seconds(left)} left" if left is not None else "")]
        head.add_row(*cells)
        sizes = Text("   ").append(f"{human_bytes(progress.bytes_in)} → {human_bytes(progress.bytes_out)}")
        sizes.append(f"   saved {saved(progress)}", "green" if progress.bytes_out < progress.bytes_in else "default")
        last = Text("   ").append(f"{speed(self._rate)}, {whole_seconds(time.monotonic() - self._started)}", "dim")
        if progress.failed:
            last.append(f"   {progress.failed:,} failed", "red")
        if progress.waiting:
            last.append(f"   waiting: {printable(progress.waiting)}", "yellow")
        return Group(head, sizes, last)


def share_of(progress: Progress) -> float | None:
    """Return the finished share, by bytes if the listing has their sizes; None while it is not complete."""
    if not progress.total_objects:
        return None
    if progress.found_bytes:
        return min(1.0, progress.bytes_in / progress.found_bytes)
    return min(1.0, progress.objects / progress.total_objects)


def counted(progress: Progress) -> str:
    """Return how many objects are done, of how many that were found."""
    if progress.total_objects:
        return f"{progress.objects:,} of {many(progress.total_objects)}"
    if progress.listed_all:
        return many(progress.objects)
    if progress.found <= progress.objects:
        return f"{many(progress.objects)}, still listing"
    found = f"{many(progress.found)} found, still listing"
    return f"{progress.objects:,} of {found}" if progress.objects else found


def saved(progress: Progress) -> str:
    """Format what was saved, in bytes and as a share."""
    less = progress.bytes_in - progress.bytes_out
    return f"{human_bytes(less)} ({less / max(1, progress.bytes_in):.1%})"


def speed(rate: Rate) -> str:
    digits = 1 if rate.objects < 10 else 0
    return f"{rate.objects:,.{digits}f} objects/s, {human_bytes(rate.bytes)}/s"


def whole_seconds(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 60 else human_seconds(seconds)
