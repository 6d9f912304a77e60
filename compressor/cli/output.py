"""The command line's output: where results go, tables, bars and lines for people."""

import dataclasses
import json
import os
import stat
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from compressor.cli.options import UsageError
from compressor.humanize import ENERGY_UNITS, human_bytes, human_format, human_range, human_seconds, printable
from compressor.json_records import json_fields
from compressor.settings import Outcome, Report, Settings, Source
from compressor.settings import Path as CodingPath
from compressor.sniff import FORMAT_SUFFIXES

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

STANDARD = "-"  # standard input or output, in place of a file's name
# Of formats that can be written.
SUFFIXES = {format: FORMAT_SUFFIXES[format] for format in ("jpeg", "png", "webp", "avif", "jxl")}
PATH_TITLES = {
    CodingPath.NONE: "not decoded",
    CodingPath.LOSSLESS: "lossless",
    CodingPath.COEFFICIENTS: "requantized, without decoding to pixels",
    CodingPath.PIXELS: "decoded to pixels",
}
COLORS = {Outcome.COMPRESSED: "green", Outcome.UNCHANGED: "yellow", Outcome.LARGER: "red"}
PROGRESS_AFTER_SECONDS = 1.0


# --- files --------------------------------------------------------------------------------------------------------


def with_suffix_of(name: str, format: str) -> str:
    """Return `name` with a suffix of `format`; unchanged if it already has one or the format has none."""
    suffixes = SUFFIXES.get(format, ())
    path = Path(name)
    return name if not suffixes or path.suffix.lower() in suffixes else path.stem + suffixes[0]


def unarchived_target(source: str, out: str | None) -> Path:
    """Return the path of the JPEG of an archive: NAME.jpg for NAME.jxl and for NAME.jpg.jxl, next to it if `out` is
    None, or in the folder `out`; otherwise the file `out`."""
    if out is not None and not Path(out).is_dir():
        return Path(os.path.realpath(out))
    if source == STANDARD:
        raise UsageError(f"{out} is a folder; an image from standard input needs a file name")
    from compressor.batch.result_keys import archive_key

    name = archive_key(Path(source).name, "jpeg")
    return Path(source).with_name(name) if out is None else Path(out) / name


def check_target(source: str, path: Path, force: bool) -> None:
    """Raise UsageError if `path` is the source, or, without `force`, another file."""
    if not path.exists():
        return
    if source != STANDARD and Path(source).exists() and path.samefile(source):
        raise UsageError(f"{path} is the input, which is never modified; give the result another name")
    if path.is_file() and not force:
        raise UsageError(f"{path} exists; --force overwrites it")


def shown_path(path: Path) -> str:
    """Return a path as people expect it: relative if it is in the working directory or below it."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") and path.is_absolute() else relative


def is_stream(out: str | None) -> bool:
    """Return whether `out` is standard output, a device or a pipe, to which no file can be renamed."""
    if out is None or out == STANDARD:
        return out == STANDARD
    try:
        mode = os.stat(out).st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


# --- progress -----------------------------------------------------------------------------------------------------


class Bar:
    """A progress bar on standard error, if that is a terminal, after PROGRESS_AFTER_SECONDS."""

    def __init__(self, name: str, total_bytes: int | None) -> None:
        self._name = name
        self._total_bytes = total_bytes
        self._bytes = 0
        self._lock = threading.Lock()
        self._ended = False
        self._progress: Progress | None = None
        self._timer = threading.Timer(PROGRESS_AFTER_SECONDS, self._start)
        self._timer.daemon = True

    def _start(self) -> None:
        from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        with self._lock:
            if self._ended:
                return
            self._progress = Progress(
                SpinnerColumn(),
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                DownloadColumn(),
                TimeElapsedColumn(),
                console=error_console(),
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._task = self._progress.add_task(self._name, total=self._total_bytes, completed=self._bytes)
            self._progress.start()

    def watch(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the chunks, and show how many bytes have been read. Begins again if the input is read again."""
        self._bytes = 0
        for chunk in chunks:
            self._advance(len(chunk))
            yield chunk

    def _advance(self, count: int) -> None:
        """Show `count` more bytes as read."""
        with self._lock:
            self._bytes += count
        if self._progress is not None:
            self._progress.update(self._task, completed=self._bytes)

    def _show(self, name: str) -> None:
        """Show another name."""
        self._name = name
        if self._progress is not None:
            self._progress.update(self._task, description=name)

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        with self._lock:
            self._ended = True
            if self._progress is not None:
                self._progress.stop()


def is_terminal() -> bool:
    """Return whether standard output is a terminal."""
    return sys.stdout.isatty()


# --- reports ------------------------------------------------------------------------------------------------------


def error_console() -> "Console":
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def with_footprint(report: Report) -> Report:
    """Return a report with an estimate of what the work used. A service has made its own."""
    if report.footprint is not None:
        return report
    from compressor.footprint import Basis

    footprint = Basis().footprint_of(report.cpu_seconds, report.memory_byte_seconds)
    return dataclasses.replace(report, footprint=footprint)


def record_as_json(record: Report | Source) -> str:
    """Return one line of JSON."""
    return json.dumps(json_fields(record))


def facts(console: "Console", rows: Iterable[tuple[str, str, str]]) -> None:
    """Print rows of a name, a value and a remark, in columns."""
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    for name, value, remark in rows:
        table.add_row(f"  [dim]{name}[/]", value, f"[dim]{remark}[/]")
    console.print(table)


def print_report(
    console: "Console",
    names: tuple[str, str],
    report: Report,
    settings: Settings,
    seconds: float,
    *,
    remark: str = "",
    verbose: bool = False,
) -> None:
    """Print the outcome for an image.

    names    of the input and of the output; "-" for the standard ones, and the same twice for one that stays in place
    seconds  wall-clock time, from the first byte read to the last one written
    remark   what became of the result; "" for a new file
    verbose  print `decisions`, too
    """
    from rich.markup import escape

    color = COLORS[report.outcome]
    reason = f": {report.reason}" if report.reason else ""
    outcome = "" if report.outcome is Outcome.COMPRESSED else f"  [{color}]{report.outcome.value}[/]{escape(reason)}"
    outcome += f"  [dim]{escape(remark)}[/]" if remark else ""
    before = "stdin" if names[0] == STANDARD else printable(names[0])
    after = "stdout" if names[1] == STANDARD else printable(names[1])
    arrow = "" if names[0] == names[1] != STANDARD else f" → [bold]{escape(after)}[/]"
    console.print(f"[bold]{escape(before)}[/]{arrow}{outcome}", soft_wrap=True)
    megapixels = report.width * report.height / 1e6
    rows = [
        ("before", human_bytes(report.bytes_in), f"{human_format(report.source_format)}, {extent(report)}"),
        ("after", human_bytes(report.bytes_out), described(report, settings)),
        ("saved", f"[{color} bold]{report.saved:.1%}[/]", human_bytes(report.bytes_in - report.bytes_out)),
        ("took", human_seconds(seconds), f"{megapixels / seconds:.1f} MP/s, {PATH_TITLES[report.path]}"),
    ]
    if report.score is not None:
        target = "" if settings.target_score is None else f", target {settings.target_score:g}"
        encodings = f", {report.encodings} encodings" if report.encodings > 1 else ""
        rows.append(("score", f"{report.score:.1f}", f"SSIMULACRA2{target}{encodings}"))
    if report.format_reason:
        rows.append(("format", human_format(report.format), report.format_reason))
    rows += decisions(report)[1:] if verbose else []
    if report.footprint is not None:
        used = report.footprint.used_energy_joules
        rows.append(("used", human_range(used.low, used.high, ENERGY_UNITS), "estimated, not measured"))
    facts(console, rows)
    for notice in report.notices:
        console.print(f"  [yellow]note[/]  {escape(notice)}", soft_wrap=True)


def decisions(report: Report) -> list[tuple[str, str, str]]:
    """Return what was decided for an image, and what that took: rows of a name, a value and a remark."""
    took = {name: seconds for name, seconds in report.stage_seconds.items() if seconds >= 0.005}
    stages = ", ".join(f"{name} {human_seconds(seconds)}" for name, seconds in took.items())
    encodings = "1 encoding" if report.encodings == 1 else f"{report.encodings} encodings"
    return [
        ("route", PATH_TITLES[report.path], report.format_reason),
        ("tried", encodings, ""),
        ("memory", human_bytes(report.reserved_bytes), "reserved, from the header"),
        ("CPU", human_seconds(report.cpu_seconds), stages),
    ]


def print_unarchived(console: "Console", names: tuple[str, str], report: Report, seconds: float) -> None:
    """Print what was made of an archive; the parameters are those of `print_report`."""
    from rich.markup import escape

    before, after = ("stdin" if names[0] == STANDARD else names[0], "stdout" if names[1] == STANDARD else names[1])
    console.print(f"[bold]{escape(before)}[/] → [bold]{escape(after)}[/]", soft_wrap=True)
    rows = [
        ("archive", human_bytes(report.bytes_in), f"{human_format(report.source_format)}, {extent(report)}"),
        ("again", human_bytes(report.bytes_out), human_format(report.format)),
        ("took", human_seconds(seconds), f"{report.width * report.height / 1e6 / seconds:.1f} MP/s"),
    ]
    facts(console, rows)


def described(report: Report, settings: Settings) -> str:
    """Return the format of the result and what its size was chosen for: "JPEG, quality 80, at most 200 KiB"."""
    words = [human_format(report.format)]
    lossy = report.outcome is not Outcome.UNCHANGED and report.path in (CodingPath.COEFFICIENTS, CodingPath.PIXELS)
    if lossy and report.format != "png":
        if settings.quality is not None or not settings.is_search:
            words.append(f"quality {settings.effective_quality}")
        if settings.max_bytes is not None:
            words.append(f"at most {human_bytes(settings.max_bytes)}")
    return ", ".join(words)


def print_source(console: "Console", name: str, source: Source, bytes_in: int | None) -> None:
    """Print an image as it was recognized."""
    from rich.markup import escape

    console.print(f"[bold]{escape(name)}[/]  {escape(source.description)}", soft_wrap=True)
    pixels = source.width * source.height
    rows: list[tuple[str, str, str]] = []
    if pixels:  # not of a format that can't be read
        rows.append(("size", extent(source), f"{pixels / 1e6:.2f} MP, {source.channels} channels"))
    if bytes_in is not None:
        rows.append(("file", human_bytes(bytes_in), f"{8 * bytes_in / pixels:.2f} bits per pixel" if pixels else ""))
    if source.quality is not None:
        rows.append(("quality", f"about {source.quality}", "on libjpeg's scale, from its quantization tables"))
    rows.append(("memory", human_bytes(source.reserved_bytes), "reserved to compress it with the default settings"))
    facts(console, rows)


def extent(image: Report | Source) -> str:
    return f"{image.width} × {image.height}"
