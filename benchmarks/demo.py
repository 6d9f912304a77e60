"""What it is for, in a minute: real photographs and 100 megapixels through a running service, and what that saved."""

import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
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

if TYPE_CHECKING:
    from compressor.client import Client

CHUNK_BYTES = 1 << 18
SCORED_PIXELS_MAX = 1_100_000  # SSIMULACRA2 in NumPy takes about two seconds a megapixel
BIG = (10_000, 10_000)
LOOKS_FINE_DB = {1: 28.0, 8: 36.0}  # by scale: below it a picture at the default quality is broken


@dataclass
class Row:
    """What became of an image.

    psnr_db     None where all pixels are the same
    psnr_scale  8: of means of 8x8 pixels
    peak_bytes  the server's, above its idle state
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
    def good(self) -> bool:
        """Never larger, and a picture that looks like its source."""
        return self.bytes_out <= self.bytes_in and (
            self.psnr_db is None or self.psnr_db >= LOOKS_FINE_DB[self.psnr_scale]
        )


def chunks_of(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def send(client: "Client", source: Path, result: Path, **settings: Any) -> tuple[Any, float, float]:
    """Stream a file through the service into another; the report, seconds in all and to the first byte."""
    from compressor.settings import Settings

    start = time.perf_counter()
    first = 0.0
    with client.stream(chunks_of(source), Settings(**settings)) as stream, result.open("wb") as file:
        for chunk in stream:
            first = first or time.perf_counter() - start
            file.write(chunk)
    return stream.report, time.perf_counter() - start, first


def score(source: Path, result: Path) -> float | None:
    """SSIMULACRA2, where the package is there and the image is small."""
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
    """Sends images through a server and keeps what came of it."""

    def __init__(self, server: ServerProcess, client: "Client", folder: Path) -> None:
        self._server = server
        self._client = client
        self._folder = folder
        self.rows: list[Row] = []
        self.idle_bytes: int | None = None

    def warm_up(self) -> None:
        """Two small images, so that the first rows do not pay for what happens once; then idle is what it is."""
        for name in ("small.png", "small.jpg"):
            Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(self._folder / name)
            send(self._client, self._folder / name, self._folder / "result", format="jpeg")
        self.idle_bytes = self._server.resident_bytes

    def photograph(self, path: Path) -> None:
        """A photograph with the default settings; JPEG comes out."""
        result = self._folder / "result"
        self._server.reset_peak()
        report, seconds, first = send(self._client, path, result, format="jpeg", background=(255, 255, 255))
        psnr = fidelity.psnr(fidelity.decoded(path.read_bytes()), fidelity.decoded(result.read_bytes()))
        self._add(path.name, report, (seconds, first), psnr, 1, score(path, result))

    def big(self, path: Path, eighths: fidelity.Eighths, name: str, **settings: Any) -> None:
        """A picture that nobody here holds whole: looked at in eighths."""
        result = self._folder / "big.jpg"
        self._server.reset_peak()
        report, seconds, first = send(self._client, path, result, format="jpeg", **settings)
        self._add(name, report, (seconds, first), eighths.psnr(result), 8, None)

    def _add(
        self, name: str, report: Any, seconds: tuple[float, float], psnr: float, scale: int, score: float | None
    ) -> None:
        peak = self._server.peak_bytes
        self.rows.append(
            Row(
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


def table_of(rows: list[Row]) -> Table:
    """100 columns at most."""
    table = record.table(
        "Through the service, default settings but for what is said; JPEG comes out",
        ("image",),
        ("MP", "before\nMB", "after\nMB", "saved", "PSNR\ndB", "SSIMU-\nLACRA2", "MP/s", "server's\npeak MiB"),
    )
    photographs = [row for row in rows if row.psnr_scale == 1]
    for row in photographs:
        add(table, row)
    add_total(table, f"{len(photographs)} photographs", photographs)
    for row in rows:
        if row.psnr_scale > 1:
            add(table, row)
    add_total(table, "all", rows)
    return table


def add(table: Table, row: Row) -> None:
    """A line for an image."""
    saved = 1 - row.bytes_out / row.bytes_in
    psnr = "same" if row.psnr_db is None else f"{row.psnr_db:.1f}{'*' if row.psnr_scale > 1 else ''}"
    table.add_row(
        Text(row.name),
        f"{row.megapixels:.2f}" if row.megapixels < 100 else f"{row.megapixels:.0f}",
        in_megabytes(row.bytes_in),
        in_megabytes(row.bytes_out),
        Text(f"{saved:.1%}", style="bold green" if saved > 0 else "yellow"),
        Text(psnr, style="" if row.good else "bold red"),
        "-" if row.score is None else f"{row.score:.1f}",
        f"{row.megapixels / row.seconds:.1f}",
        f"+{in_mebibytes(row.peak_bytes)}",
    )


def add_total(table: Table, name: str, rows: list[Row]) -> None:
    """A line for all of `rows`, between two rules."""
    bytes_in, bytes_out = sum(row.bytes_in for row in rows), sum(row.bytes_out for row in rows)
    megapixels, seconds = sum(row.megapixels for row in rows), sum(row.seconds for row in rows)
    peak = max((row.peak_bytes for row in rows if row.peak_bytes is not None), default=None)
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


def ending(rows: list[Row], server: ServerProcess, idle_bytes: int | None) -> str:
    """What the table does not say, and where to go next."""
    peaks = [row.peak_bytes for row in rows if row.peak_bytes is not None]
    fast = rows[-1]
    lines = ["[dim]* of means of 8 × 8 pixels: the whole picture is held by nobody, not even by this check.[/]"]
    if peaks and idle_bytes is not None:
        whole = int(rows[-1].megapixels * 1e6 * 3)
        lines.append(
            f"Server: {in_mebibytes(idle_bytes)} MiB idle, at most {in_mebibytes(max(peaks))} MiB more while it "
            f"worked; {fast.megapixels:.0f} MP of pixels alone would be {in_mebibytes(whole)} MiB."
        )
    share = fast.first_byte_seconds / fast.seconds
    lines.append(
        f"Healthy {server.start_seconds:.1f} s after its start. The last image's first byte came back "
        f"{fast.first_byte_seconds:.2f} s after its upload began: {share:.1%} of the time it took."
    )
    lines += [
        "",
        "[bold]Where to go next[/]",
        "  compressor compress PHOTO.jpg              one file, here",
        "  compressor serve                           the service; metrics on http://127.0.0.1:9464/metrics",
        "  compressor compress --server 127.0.0.1:50051 PHOTO.jpg",
        "  python -m benchmarks speed | bandwidth     figures, with their checks; benchmarks/METHODOLOGY.md",
        "  README.md, ARCHITECTURE.md                 how to use it, and how it is built",
    ]
    return "\n".join(lines)


def show(console: Console, demo: Demo, sources: list[Path], folder: Path) -> None:
    """All images, with a word on a terminal about which one it is."""
    with console.status("") as status:
        for number, path in enumerate(sources, 1):
            status.update(f"{number} of {len(sources)} photographs: {path.name}")
            demo.photograph(path)
        status.update(f"making a PNG of {BIG[0]} × {BIG[1]} pixels, band by band")
        big = folder / "big.png"
        eighths = fidelity.Eighths(*BIG)
        generate.write_png(big, *BIG, look=eighths.add)
        status.update(f"sending it: {in_megabytes(big.stat().st_size, 0)} MB")
        demo.big(big, eighths, "generated 100 MP")
        status.update("sending it once more: one pass, bytes leave as they are made")
        demo.big(big, eighths, "the same, fast, immediate", effort="fast", delivery="immediate")


def run(out: Path) -> bool:
    """Serve, send, show; False where a result is larger than its source, or does not look like it."""
    from compressor.client import Client

    console = record.console()
    sources = photos.packaged() + photos.from_corpus("camera")
    # In a process of its own: a server that compiles them keeps the compiler's memory, which would hide its rise.
    console.print("Compiling the kernels, where this machine has none yet …")
    subprocess.run([sys.executable, "-m", "compressor.cli", "warmup"], check=True, stderr=subprocess.DEVNULL)
    console.print("Starting [bold]compressor serve[/] …")
    with tempfile.TemporaryDirectory(prefix="compressor-demo-") as name, ServerProcess() as server:
        with Client(server.address) as client:
            demo = Demo(server, client, Path(name))
            demo.warm_up()
            show(console, demo, sources, Path(name))
        console.print(table_of(demo.rows))
        console.print(ending(demo.rows, server, demo.idle_bytes))
    results = {"idle_bytes": demo.idle_bytes, "start_seconds": server.start_seconds}
    record.save(out, "demo", results | {"images": [asdict(row) for row in demo.rows]})
    bad = [row.name for row in demo.rows if not row.good]
    if bad:
        console.print(f"[bold red]Not as promised:[/] {', '.join(bad)}")
    return not bad
