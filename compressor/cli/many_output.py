"""The output of `compressor compress` for several images: a line for each, a progress bar, and a summary."""

import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

from compressor.cli import output
from compressor.cli.compress_many import CompressedImage
from compressor.cli.errors import in_one_line
from compressor.humanize import ENERGY_UNITS, human_bytes, human_range, human_seconds, printable
from compressor.json_records import json_fields
from compressor.settings import Outcome

if TYPE_CHECKING:
    from rich.console import Console


@dataclass
class Sum:
    """A count of images by what became of them; bytes are those of the images that did not fail."""

    files: int = 0
    smaller: int = 0
    failed: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    joules_low: float = 0.0
    joules_high: float = 0.0

    def add(self, image: CompressedImage) -> None:
        """Count an image."""
        self.files += 1
        if image.written is None:
            self.failed += 1
            return
        report = image.written.report
        self.smaller += report.bytes_out < report.bytes_in
        self.bytes_in += report.bytes_in
        self.bytes_out += report.bytes_out
        if report.footprint is not None:
            used = report.footprint.used_energy_joules
            self.joules_low += used.low
            self.joules_high += used.high

    @property
    def kept(self) -> int:
        """Return how many did not get smaller."""
        return self.files - self.smaller - self.failed


class FilesBar(output.Bar):
    """A progress bar of several images, by their bytes, with the name of the one that was begun last."""

    def __init__(self, files: int, total_bytes: int) -> None:
        super().__init__("", total_bytes)
        self._files = files
        self._done = 0

    def watch_file(self, name: str, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the chunks of an image; called by several threads."""
        self._show(f"{self._done}/{self._files}  {printable(name)}")
        for chunk in chunks:
            self._advance(len(chunk))
            yield chunk

    def end_file(self) -> None:
        """Count an image as done."""
        self._done += 1

    def console(self) -> "Console":
        """Return the console for lines: above the bar, if both are on the terminal."""
        if self._progress is not None and sys.stdout.isatty():
            return self._progress.console
        from rich.console import Console

        return Console(highlight=False)

    def print(self, line: str, *, error: bool = False) -> None:
        """Print a line as it is on standard output or standard error, above the bar if that is there."""
        if self._progress is not None and (error or sys.stdout.isatty()):
            self._progress.console.print(line, markup=False, soft_wrap=True)
        else:
            typer.echo(line, err=error)


def print_line(bar: FilesBar, image: CompressedImage, options: Mapping[str, Any]) -> None:
    """Print what became of an image: on standard error if it failed."""
    if options["json"]:
        bar.print(json_line(image))
    if image.error is not None:
        bar.print(f"compressor: {in_one_line(image.error, image.file.name)}", error=True)
    elif not options["json"] and not options["quiet"]:
        print_image(bar.console(), image, options["verbose"])


def print_image(console: "Console", image: CompressedImage, verbose: bool) -> None:
    """Print the line of an image that did not fail, and its notices."""
    from rich.markup import escape

    assert image.written is not None
    report = image.written.report
    target = image.written.name(image.file.name)
    name = image.file.name if image.written.path is None else f"{image.file.name} → {target}"
    color = output.COLORS[report.outcome]
    sizes = f"{human_bytes(report.bytes_in):>8} → {human_bytes(report.bytes_out):>8}"
    words = "" if report.outcome is Outcome.COMPRESSED else f"  [{color}]{report.outcome.value}[/]"
    words += f": {escape(report.reason)}" if words and report.reason else ""
    console.print(f"[{color}]{report.saved:>7.1%}[/]  {sizes}  {escape(printable(name))}{words}", soft_wrap=True)
    for notice in report.notices:
        console.print(f"         [yellow]note[/]  {escape(notice)}", soft_wrap=True)
    if verbose:
        for title, value, remark in output.decisions(report):
            console.print(f"         [dim]{title:<7} {value}  {escape(remark)}[/]", soft_wrap=True)


def json_line(image: CompressedImage) -> str:
    """Return the line of JSON of an image: its report with its names, or an error."""
    if image.written is None:
        assert image.error is not None
        return json.dumps({"source": image.file.name, "target": None, "error": in_one_line(image.error)})
    names = {"source": image.file.name, "target": image.written.name(image.file.name)}
    return json.dumps(names | json_fields(image.written.report))


def print_sum(total: Sum, skipped: Counter[str], seconds: float, jobs: int, dry_run: bool) -> None:
    """Print what became of all images together."""
    from rich.console import Console

    console = Console(highlight=False)
    counts = {"smaller": total.smaller, "not smaller": total.kept, "failed": total.failed}
    words = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count or name == "smaller")
    images = "1 image" if total.files == 1 else f"{total.files:,} images"
    console.print(f"[bold]{images}[/]: {words}{'; dry run, nothing was written' if dry_run else ''}", soft_wrap=True)
    saved = 1 - total.bytes_out / total.bytes_in if total.bytes_in else 0.0
    left_out = ", ".join(f"{count:,} {name}" for name, count in skipped.items() if count)
    rows = [
        ("before", human_bytes(total.bytes_in), ""),
        ("after", human_bytes(total.bytes_out), ""),
        ("saved", f"[bold]{saved:.1%}[/]", human_bytes(total.bytes_in - total.bytes_out)),
        ("took", human_seconds(seconds), f"{jobs} at a time" if jobs > 1 else ""),
        ("used", human_range(total.joules_low, total.joules_high, ENERGY_UNITS), "estimated, not measured"),
    ]
    if total.files > total.failed:
        output.facts(console, rows)
    if left_out:
        console.print(f"  [dim]left out[/]  {left_out}", soft_wrap=True)
