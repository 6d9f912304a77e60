"""The output of a batch run: its progress, and at the end its summary."""

import shlex
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Self

import typer

from compressor.cli.output import error_console, facts
from compressor.humanize import ENERGY_UNITS, human_bytes, human_formats, human_range, human_seconds, printable
from compressor.ledger.records import ObjectOutcome, Reason
from compressor.ledger.totals import Total
from compressor.report.summary import Problem, Progress, Projection, Summary

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live as RichLive
    from rich.table import Table

LINE_SECONDS = 10.0  # between log lines
FRAMES_A_SECOND = 4
RATE_SECONDS = 60.0  # over which rates are measured
RATE_SECONDS_MIN = 1.0  # before that no rate is shown
BAR_COLUMNS = 24
EXAMPLES_MAX = 3  # for each class of failures
COLORS = {
    ObjectOutcome.COMPRESSED: "green",
    ObjectOutcome.STRIPPED: "green",
    ObjectOutcome.UNARCHIVED: "green",
    ObjectOutcome.COPIED: "default",
    ObjectOutcome.KEPT: "default",
    ObjectOutcome.SKIPPED: "yellow",
    ObjectOutcome.FAILED: "red",
}


# --- while it runs ------------------------------------------------------------------------------------------------


class Rate:
    """The rate of the last minute, in objects and bytes per second, and how long the rest takes at that rate."""

    def __init__(self, total_objects: int | None, total_bytes: int | None) -> None:
        self.objects = self.bytes = 0.0
        self._totals = total_objects, total_bytes
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
        """Return the time left, by bytes if their total is known, since objects differ in size; None if unknown."""
        objects, bytes_ = self._totals
        if bytes_ is not None and self.bytes > 0:
            return max(0, bytes_ - progress.bytes_in) / self.bytes
        if objects is not None and self.objects > 0:
            return max(0, objects - progress.objects) / self.objects
        return None


class Live:
    """Progress on standard error: a live display if that is a terminal, otherwise a line every ten seconds.

    total_objects, total_bytes  of the whole run; None while the listing is not complete
    """

    def __init__(self, total_objects: int | None, total_bytes: int | None) -> None:
        self._total_objects = total_objects
        self._total_bytes = total_bytes
        self._progress: Progress | None = None
        self._rate = Rate(total_objects, total_bytes)
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
        typer.echo(self._line(), err=True)

    # The rest runs in the display's thread or in ours, never in both at the same time.

    def _now(self) -> Progress:
        progress = self._progress
        if progress is None:
            return Progress()
        self._rate.update(time.monotonic(), progress)
        return progress

    def _write_lines(self) -> None:
        while not self._ended.wait(LINE_SECONDS):
            typer.echo(self._line(), err=True)

    def _line(self) -> str:
        """Return a line for a log, always with the same words in the same order."""
        progress = self._now()
        left = self._rate.left_seconds(progress)
        words = [
            f"{counted(progress, self._total_objects)}",
            f"{human_bytes(progress.bytes_in)} → {human_bytes(progress.bytes_out)}, saved {saved(progress)}",
            f"{speed(self._rate)}",
            *([f"{whole_seconds(left)} left"] if left is not None else []),
            f"{progress.failed:,} failed",
            *([f"waiting: {printable(progress.waiting)}"] if progress.waiting else []),
        ]
        return f"{time.strftime('%H:%M:%S')} batch: {'; '.join(words)}"

    def _frame(self) -> "RenderableType":
        """Return three lines for a terminal of at least 80 columns."""
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        progress = self._now()
        share = self._share(progress)
        head = Table.grid(padding=(0, 2, 0, 0))
        cells: list[RenderableType] = [
            Text("●" if int(time.monotonic() * 2) % 2 else "○", "green"),
            Text(counted(progress, self._total_objects), "bold"),
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

    def _share(self, progress: Progress) -> float | None:
        """Return the finished share, by bytes if their total is known."""
        for done, total in (
            (progress.bytes_in, self._total_bytes),
            (progress.objects, self._total_objects),
        ):
            if total:
                return min(1.0, done / total)
        return None


def counted(progress: Progress, total_objects: int | None) -> str:
    if total_objects is not None:
        return f"{progress.objects:,} of {many(total_objects)}"
    return f"{many(progress.objects)}{'' if progress.listed_all else ', still listing'}"


def saved(progress: Progress) -> str:
    """Format what was saved, in bytes and as a share."""
    less = progress.bytes_in - progress.bytes_out
    return f"{human_bytes(less)} ({less / max(1, progress.bytes_in):.1%})"


def speed(rate: Rate) -> str:
    digits = 1 if rate.objects < 10 else 0
    return f"{rate.objects:,.{digits}f} objects/s, {human_bytes(rate.bytes)}/s"


def whole_seconds(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 60 else human_seconds(seconds)


def many(objects: int) -> str:
    return f"{objects:,} object{'' if objects == 1 else 's'}"


# --- when it has ended --------------------------------------------------------------------------------------------


def print_summary(console: "Console", summary: Summary) -> None:
    """Print what a run saved, the outcomes of its objects, its failures, and what can be done about them."""
    from rich.markup import escape

    places = f"[bold]{escape(printable(summary.source))}[/]"
    if summary.target and summary.target != summary.source:
        places += f" → [bold]{escape(printable(summary.target))}[/]"
    remark = {"dry run": "  dry run: nothing was written", "in place": "  in place"}
    ended = "  [yellow]interrupted[/]" if summary.interrupted else ""
    console.print(f"{places}{remark.get(summary.mode, '')}{ended}", soft_wrap=True)
    if summary.keep is not None and summary.mode == "in place":
        kept = f"originals are kept unchanged in [bold]{escape(printable(summary.keep))}[/], with their metadata"
        console.print(kept, soft_wrap=True)
    facts(console, headline(summary))
    if summary.totals:
        console.print()
        console.print(outcome_table(summary))
    if summary.failed:
        console.print()
        print_failures(console, summary)
    notices = sorted(summary.notices.items(), key=lambda item: -item[1])
    kinds = {False: "[cyan]note[/]", True: "[yellow]lost[/]"}  # about the run, or about objects
    counts = [(kinds[objects > 0], what, f", {many(objects)}" if objects else "") for what, objects in notices]
    lines = [f"  {kind}  {escape(printable(what))}{count}" for kind, what, count in counts]
    lines += [f"  [cyan]next[/]  {escape(step)}" for step in next_steps(summary)]
    for line in ("", *lines) if lines else ():
        console.print(line, soft_wrap=True)


def headline(summary: Summary) -> Iterable[tuple[str, str, str]]:
    """Yield names, values and remarks of the first lines."""
    if summary.projection is not None:
        yield projected(summary.projection)
    else:
        color = "green" if summary.saved_bytes > 0 else "yellow"
        yield "before", human_bytes(summary.bytes_in), many(summary.objects)
        done = f"{summary.count(ObjectOutcome.COMPRESSED):,} of them compressed"
        if stripped := summary.count(ObjectOutcome.STRIPPED):
            done += f", {stripped:,} stripped of metadata"
        if unarchived := summary.count(ObjectOutcome.UNARCHIVED):
            done += f", {unarchived:,} unarchived"
        yield "after", human_bytes(summary.bytes_out), done
        yield "saved", f"[{color} bold]{summary.saved:.1%}[/]", human_bytes(summary.saved_bytes)
    if (scores := summary.scores) is not None:
        rest = f"median {scores.median:.1f}: SSIMULACRA2 of {many(scores.objects)}"
        yield "score", f"{scores.minimum:.1f}", f"lowest; 10th percentile {scores.percentile_10:.1f}, {rest}"
    seconds = max(summary.wall_seconds, 1e-9)
    codec = sum(summary.stage_seconds.values())
    rate = f"{summary.objects / seconds:,.1f} objects/s, {human_bytes(summary.bytes_in / seconds)}/s"
    yield "took", human_seconds(summary.wall_seconds), rate
    spent = f"{human_seconds(codec)} in the codec, {human_seconds(summary.other_seconds)} in everything else"
    yield "CPU", human_seconds(codec + summary.other_seconds), spent
    if summary.footprint is not None:
        used = summary.footprint.used_energy_joules
        avoided = summary.avoided_per_year(summary.footprint.avoided_energy_joules_per_gb_year)
        yield "used", human_range(used.low, used.high, ENERGY_UNITS), "estimated, not measured: CPU and memory"
        if avoided.high > 0:
            text = f"per year, estimated, once originals are deleted from {summary.footprint.storage_class}"
            yield "avoids", human_range(avoided.low, avoided.high, ENERGY_UNITS), text


def projected(projection: Projection) -> tuple[str, str, str]:
    """Return a name, a value and a remark such as "1.20 TB of 3.90 TB (1.13 to 1.28 TB), from 1,000 of 48,000"."""
    share, margin, others = projection.rounded().partition(" ± ")
    value = f"[green bold]{share}[/]{margin}{others}"
    size = f"{human_bytes(projection.saved_bytes)} of {human_bytes(projection.bytes_in)}"
    if projection.low == projection.high:
        return "saves", value, f"{size}, from all {many(projection.objects)}"
    span = f"{human_bytes(projection.low)} to {human_bytes(projection.high)}"
    sampled = f"from {projection.sampled_objects:,} of {many(projection.objects)}"
    return "saves", value, f"{size} ({span}), {sampled}"


def outcome_table(summary: Summary) -> "Table":
    """Return a table of totals by outcome, reason and format."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    for name in ("  outcome", "format"):
        table.add_column(name)
    numbers = ("objects", "bytes") if summary.restores else ("objects", "before", "after", "saved", "")
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    for total in summary.by_outcome():
        table.add_row(Text(f"  {reasoned(total)}", COLORS[total.outcome]), *cells_of(total)[: 1 + len(numbers)])
    return table


def reasoned(total: Total) -> str:
    return f"{total.outcome}: {total.reason.as_text}" if total.reason else str(total.outcome)


def cells_of(total: Total) -> tuple[str, ...]:
    """Return the cells of a row: format, objects, bytes before; for compressed objects also after, saved, and share."""
    formats = human_formats(printable(total.format), printable(total.result_format)) or "other"
    row = formats, f"{total.objects:,}", human_bytes(total.bytes_in)
    if not total.outcome.changed:
        return (*row, "", "", "")
    share = total.saved_bytes / max(1, total.bytes_in)
    return (*row, human_bytes(total.bytes_out), human_bytes(total.saved_bytes), f"{share:.1%}")


def print_failures(console: "Console", summary: Summary, outcome: ObjectOutcome = ObjectOutcome.FAILED) -> None:
    """Print each class of failures, or of another outcome, with its number and a few examples, new ones first."""
    from rich.markup import escape

    examples: dict[Reason, list[Problem]] = {}
    for problem in sorted(summary.problems, key=lambda one: one.known):
        examples.setdefault(problem.reason, []).append(problem)
    for total in summary.by_failure(outcome):
        known = summary.known_failures.get(total.reason, 0) if outcome is ObjectOutcome.FAILED else 0
        remark = f", {known:,} of them known" if known else ""
        reason = escape(total.reason.as_text or "unknown")
        head = f"  [{COLORS[outcome]}]{outcome}[/]  {total.objects:,}  [bold]{reason}[/]"
        console.print(head + remark, soft_wrap=True)
        shown = examples.get(total.reason, [])[:EXAMPLES_MAX]
        for problem in shown:
            known_mark = " [dim](known)[/]" if problem.known else ""
            console.print(f"    {escape(printable(problem.key))}{known_mark}", soft_wrap=True)
            console.print(f"      [dim]{escape(printable(problem.error))}[/]", soft_wrap=True)
        if shown and total.objects > len(shown):
            console.print(f"    [dim]and {total.objects - len(shown):,} more[/]")


def next_steps(summary: Summary) -> Iterable[str]:
    """Yield what can be done now, the most urgent first."""

    def of(*reasons: Reason) -> int:
        return sum(total.objects for total in summary.totals if total.reason in reasons)

    if summary.interrupted:
        yield "repeat the command to resume the run"
    elif again := of(Reason.THROTTLED, Reason.UNAVAILABLE):
        what = "the store or the compression service was unavailable for"
        yield f"{what} {many(again)}: repeat the command later"
    if denied := of(Reason.DENIED):
        yield f"access to {many(denied)} was denied: the credentials must allow reading and writing"
    if exists := of(Reason.EXISTS):
        yield f"the destination had other content for {many(exists)}: --overwrite replaces it"
    if summary.missing:
        what = f"{many(summary.missing)} that could not be processed as images were not copied"
        yield f"{what}: their metadata could not be removed; --unstrippable copy copies them anyway"
    if taken := of(Reason.KEY_TAKEN):
        yield f"other objects have the keys that {many(taken)} would get: give them other names, and repeat"
    if not_atomic := of(Reason.NOT_ATOMIC):
        yield f"this store can't replace {many(not_atomic)} atomically: --allow-non-atomic replaces them anyway"
    if (
        summary.mode == "in place"
        and summary.keep is not None
        and summary.count(ObjectOutcome.COMPRESSED, ObjectOutcome.STRIPPED)
    ):
        ledger, kept = printable(shlex.quote(summary.ledger)), printable(summary.keep)
        yield f"compressor ledger restore {ledger}  puts back the originals, kept under {kept}"
    if summary.problems_more > 0 and summary.ledger:
        yield f"compressor ledger failures {printable(shlex.quote(summary.ledger))}  lists all failures"
    if summary.failed and not summary.new_failures and not summary.accept_failures:
        yield "all failures are known: --accept-failures makes the command exit with 0"
    if summary.mode == "dry run" and not summary.interrupted:
        yield "repeat the command without --dry-run to carry it out"
