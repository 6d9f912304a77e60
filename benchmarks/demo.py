"""A demonstration in a minute: real photographs and a 100-megapixel image through a running service."""

import math
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.harness import fidelity, generate, photos, record
from benchmarks.harness.server import ServerProcess
from benchmarks.harness.transfer import send

if TYPE_CHECKING:
    from compressor.client import Client

SCORED_PIXELS_MAX = 1_100_000  # SSIMULACRA2 in NumPy takes about two seconds a megapixel
BIG = (10_000, 10_000)
PSNR_MIN_DB = {1: 28.0, 8: 36.0}  # by scale: below it a result at the default quality is broken


@dataclass
class ImageResult:
    """The result of an image.

    psnr_db     None if all pixels are identical
    psnr_scale  1: of pixels; 8: of means of 8 × 8 pixels
    peak_bytes  memory of the server above its idle state
    """

    name: str
    megapixels: float
    bytes_in: int
    bytes_out: int
    seconds: float
    first_byte_seconds: float
    psnr_db: float | None
    psnr_scale: int
    score: float | None
    peak_bytes: int | None
    path: str
    outcome: str

    @property
    def is_valid(self) -> bool:
        """True if the result is similar to its source and not larger."""
        return self.bytes_out <= self.bytes_in and (
            self.psnr_db is None or self.psnr_db >= PSNR_MIN_DB[self.psnr_scale]
        )


def score(source: Path, result: Path) -> float | None:
    """Return the SSIMULACRA2 of a result; None if the image is large or the package not installed."""
    try:
        from ssimulacra2 import compute_ssimulacra2
    except ImportError:
        return None
    with Image.open(source) as image:
        if image.width * image.height > SCORED_PIXELS_MAX:
            return None
    with tempfile.TemporaryDirectory() as folder:
        paths = Path(folder) / "source.png", Path(folder) / "result.png"
        for path, file in zip(paths, (source, result), strict=True):
            Image.fromarray(fidelity.decoded(file.read_bytes())).save(path, compress_level=1)
        return float(compute_ssimulacra2(str(paths[0]), str(paths[1])))


class Demo:
    """Images that are sent through a server, and their results."""

    def __init__(self, server: ServerProcess, client: "Client", folder: Path) -> None:
        self._server = server
        self._client = client
        self._folder = folder
        self.results: list[ImageResult] = []
        self.idle_bytes: int | None = None

    def warm_up(self) -> None:
        """Send two small images, so that no result includes one-time costs; then measure the idle memory."""
        for name in ("small.png", "small.jpg"):
            Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(self._folder / name)
            send(self._client, self._folder / name, self._folder / "result", format="jpeg")
        self.idle_bytes = self._server.resident_bytes

    def photograph(self, path: Path) -> None:
        """Convert a photograph to JPEG with the default settings."""
        result = self._folder / "result"
        self._server.reset_peak()
        report, seconds, first = send(self._client, path, result, format="jpeg", background=(255, 255, 255))
        psnr = fidelity.psnr(fidelity.decoded(path.read_bytes()), fidelity.decoded(result.read_bytes()))
        self._add(path.name, report, (seconds, first), psnr, 1, score(path, result))

    def big(self, path: Path, eighths: fidelity.Eighths, name: str, **settings: Any) -> None:
        """Convert an image that is never in memory as a whole; it is compared at 1/8 scale."""
        result = self._folder / "big.jpg"
        self._server.reset_peak()
        report, seconds, first = send(self._client, path, result, format="jpeg", **settings)
        self._add(name, report, (seconds, first), eighths.psnr(result), 8, None)

    def _add(
        self, name: str, report: Any, seconds: tuple[float, float], psnr: float, scale: int, score: float | None
    ) -> None:
        peak = self._server.peak_bytes
        self.results.append(
            ImageResult(
                name=name,
                megapixels=report.width * report.height / 1e6,
                bytes_in=report.bytes_in,
                bytes_out=report.bytes_out,
                seconds=seconds[0],
                first_byte_seconds=seconds[1],
                psnr_db=None if psnr == math.inf else psnr,
                psnr_scale=scale,
                score=score,
                peak_bytes=None if peak is None or self.idle_bytes is None else max(0, peak - self.idle_bytes),
                path=str(report.path),
                outcome=str(report.outcome),
            )
        )


def in_megabytes(count: int | None, digits: int = 2) -> str:
    return "-" if count is None else f"{count / 1e6:.{digits}f}"


def in_mebibytes(count: int | None) -> str:
    return "-" if count is None else f"{count / (1 << 20):.0f}"


def table_of(results: list[ImageResult]) -> Table:
    """Return a table of at most 100 columns."""
    table = record.table(
        "Through the service to JPEG, with default settings unless noted",
        ("image",),
        ("MP", "before\nMB", "after\nMB", "saved", "PSNR\ndB", "SSIMU-\nLACRA2", "MP/s", "server's\npeak MiB"),
    )
    photographs = [one for one in results if one.psnr_scale == 1]
    for one in photographs:
        add_row(table, one)
    add_total(table, f"{len(photographs)} photographs", photographs)
    for one in results:
        if one.psnr_scale > 1:
            add_row(table, one)
    add_total(table, "all", results)
    return table


def add_row(table: Table, one: ImageResult) -> None:
    """Add a row for an image."""
    saved = 1 - one.bytes_out / one.bytes_in
    psnr = "same" if one.psnr_db is None else f"{one.psnr_db:.1f}{'*' if one.psnr_scale > 1 else ''}"
    table.add_row(
        Text(one.name),
        f"{one.megapixels:.2f}" if one.megapixels < 100 else f"{one.megapixels:.0f}",
        in_megabytes(one.bytes_in),
        in_megabytes(one.bytes_out),
        Text(f"{saved:.1%}", style="bold green" if saved > 0 else "yellow"),
        Text(psnr, style="" if one.is_valid else "bold red"),
        "-" if one.score is None else f"{one.score:.1f}",
        f"{one.megapixels / one.seconds:.1f}",
        f"+{in_mebibytes(one.peak_bytes)}",
    )


def add_total(table: Table, name: str, results: list[ImageResult]) -> None:
    """Add a row with the totals of `results`, between two rules."""
    bytes_in, bytes_out = sum(one.bytes_in for one in results), sum(one.bytes_out for one in results)
    megapixels, seconds = sum(one.megapixels for one in results), sum(one.seconds for one in results)
    peak = max((one.peak_bytes for one in results if one.peak_bytes is not None), default=None)
    table.add_section()
    table.add_row(
        name,
        f"{megapixels:.1f}" if megapixels < 100 else f"{megapixels:.0f}",
        in_megabytes(bytes_in),
        in_megabytes(bytes_out),
        f"{1 - bytes_out / bytes_in:.1%}",
        "",
        "",
        f"{megapixels / seconds:.1f}",
        f"+{in_mebibytes(peak)}",
        style="bold",
    )
    table.add_section()


def summary(results: list[ImageResult], server: ServerProcess, idle_bytes: int | None) -> str:
    """Return the figures that the table does not have, and the next steps."""
    peaks = [one.peak_bytes for one in results if one.peak_bytes is not None]
    last = results[-1]
    lines = ["[dim]* of means of 8 × 8 pixels: no process, not even this check, holds the whole image.[/]"]
    if peaks and idle_bytes is not None:
        pixel_bytes = int(last.megapixels * 1e6 * 3)
        lines.append(
            f"Server: {in_mebibytes(idle_bytes)} MiB when idle, at most {in_mebibytes(max(peaks))} MiB more when busy; "
            f"the pixels of {last.megapixels:.0f} MP alone would take {in_mebibytes(pixel_bytes)} MiB."
        )
    share = last.first_byte_seconds / last.seconds
    lines.append(
        f"It was healthy {server.start_seconds:.1f} s after its start. The first byte of the last result arrived "
        f"{last.first_byte_seconds:.2f} s after the upload began, after {share:.1%} of the total time."
    )
    lines += [
        "",
        "[bold]Next steps[/]",
        "  compressor compress PHOTO.jpg              one file, on this machine",
        "  compressor serve                           the service; metrics on http://127.0.0.1:9464/metrics",
        "  compressor compress --server 127.0.0.1:50051 PHOTO.jpg",
        "  python -m benchmarks speed | bandwidth     figures and their checks; see benchmarks/METHODOLOGY.md",
        "  README.md, ARCHITECTURE.md                 how to use it and how it is built",
    ]
    return "\n".join(lines)


def show(console: Console, demo: Demo, sources: list[Path], folder: Path) -> None:
    """Send all images, with progress in the status of a terminal."""
    with console.status("") as status:
        for number, path in enumerate(sources, 1):
            status.update(f"{number} of {len(sources)} photographs: {path.name}")
            demo.photograph(path)
        status.update(f"generating a PNG of {BIG[0]} × {BIG[1]} pixels, band by band")
        big = folder / "big.png"
        eighths = fidelity.Eighths(*BIG)
        generate.write_png(big, *BIG, on_band=eighths.add)
        status.update(f"sending it: {in_megabytes(big.stat().st_size, 0)} MB")
        demo.big(big, eighths, "generated 100 MP")
        status.update("sending it again: one pass, immediate delivery")
        demo.big(big, eighths, "generated, fast, immediate", effort="fast", delivery="immediate")


def run(out: Path) -> bool:
    """Serve, send and print; return False if a result is larger than its source or not similar to it."""
    from compressor.client import Client

    console = record.console()
    sources = photos.packaged() + photos.from_corpus("camera")
    console.print("Starting [bold]compressor serve[/] …")
    with tempfile.TemporaryDirectory(prefix="compressor-demo-") as name, ServerProcess() as server:
        with Client(server.address) as client:
            demo = Demo(server, client, Path(name))
            demo.warm_up()
            show(console, demo, sources, Path(name))
        console.print(table_of(demo.results))
        console.print(summary(demo.results, server, demo.idle_bytes))
    content = {"idle_bytes": demo.idle_bytes, "start_seconds": server.start_seconds}
    record.save(out, "demo", content | {"images": [asdict(one) for one in demo.results]})
    wrong = [one.name for one in demo.results if not one.is_valid]
    if wrong:
        console.print(f"[bold red]Wrong results:[/] {', '.join(wrong)}")
    return not wrong
