"""Peak memory over the size of the image: every native conversion, through the service and in process, beside peers.

python -m benchmarks memory [--megapixels 1,4,16,100,400] [--cache DIR] [--out DIR] [--json]
"""

import argparse
import json
import math
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich.table import Table
from rich.text import Text

from benchmarks.harness import record
from benchmarks.harness.server import ServerProcess
from benchmarks.memory import peak, tiled_images

MIB = 1 << 20
TARGET_BYTES = {"fast": 48 * MIB, "balanced": 64 * MIB}
SLOPE_BYTES_MAX = MIB  # for 100 MP more
PILLOW_PIXELS_MAX = 100_000_000  # up to there Pillow decodes what we check; peers and we in process are measured
EXACT_PIXELS_MAX = 16_000_000  # up to there a JPEG is compared pixel by pixel, above in means of 8 x 8
LOOKS_FINE_DB = {1: 30.0, 8: 36.0}
SETTLE_SECONDS = 1.2  # the server gives freed memory back every second
# name, kind of the source in `repeated`, format of the result
CLASSES = (
    ("JPEG → JPEG", "baseline", "jpeg"),
    ("progressive JPEG → JPEG", "progressive", "jpeg"),
    ("PNG → JPEG", "png", "jpeg"),
    ("interlaced PNG → JPEG", "interlaced", "jpeg"),
    ("PNG → PNG", "png", "png"),
    ("JPEG → PNG", "baseline", "png"),
)
SERVICE, IN_PROCESS = "service", "in process"
PEERS = {"Pillow": "pillow", "libvips": "vips"}


@dataclass(frozen=True)
class Row:
    """A conversion.

    by              "service", "in process" or a peer
    effort          "" for peers
    peak_bytes      above the idle process; None where it was refused
    reserved_bytes  0 for peers
    psnr_db         against what was drawn; None where all samples are the same, or peers
    problem         why the result is not what it should be, or ""
    """

    name: str
    by: str
    effort: str
    megapixels: float
    peak_bytes: int | None
    reserved_bytes: int
    seconds: float
    bytes_in: int
    bytes_out: int
    psnr_db: float | None
    problem: str

    @property
    def is_ours(self) -> bool:
        return self.by in (SERVICE, IN_PROCESS)

    @property
    def ratio(self) -> float | None:
        """Reserved to measured."""
        return self.reserved_bytes / self.peak_bytes if self.is_ours and self.peak_bytes else None

    @property
    def is_good(self) -> bool:
        """The result is right, and its memory within the target."""
        fits = self.peak_bytes is not None and self.peak_bytes <= TARGET_BYTES.get(self.effort, sys.maxsize)
        return not self.problem and (fits or not self.is_ours)


# --- a result is right --------------------------------------------------------------------------------------------


def bands_of_png(path: Path) -> Iterator[tiled_images.Pixels]:
    """The rows of a PNG, by Pillow up to 100 MP, above that by our own reader."""
    with Image.open(path) as image:
        width, height = image.size
        if width * height <= PILLOW_PIXELS_MAX:
            pixels = np.asarray(image.convert("RGB"))
            for top in range(0, height, tiled_images.UNIT_ROWS):
                yield pixels[top : top + tiled_images.UNIT_ROWS]
            return
    from compressor import png
    from compressor.bytestream import ByteStream

    with path.open("rb") as file:
        stream = ByteStream(iter(lambda: file.read(peak.CHUNK_BYTES), b""))
        header = png.read_header(stream)
        for rows in png.scanlines(stream, header, tiled_images.UNIT_ROWS, refuse_to_spool):
            yield png.to_pixels(header, rows).reshape(-1, width, 3)


def refuse_to_spool() -> Any:
    raise ValueError("we write no interlaced PNG")


def psnr_of(path: Path, format: str, picture: tiled_images.Picture) -> float:
    """Of a result against what was drawn, for all of it. Raises ValueError where it is of another size."""
    if format == "jpeg" and picture.width * picture.height > EXACT_PIXELS_MAX:
        return picture.eighths().psnr(path)
    found = bands_of_png(path)
    squares = 0
    for drawn in picture.bands():
        band = next(found, None)
        if band is None or band.shape != drawn.shape:
            raise ValueError(f"where {drawn.shape} was drawn, the result has {None if band is None else band.shape}")
        squares += int(np.square(band.astype(np.int32) - drawn).sum(dtype=np.int64))
    if next(found, None) is not None:
        raise ValueError("the result has more rows than were drawn")
    return 10 * math.log10(255**2 * picture.width * picture.height * 3 / squares) if squares else math.inf


def problem_of(psnr: float, source: str, format: str, pixels: int) -> str:
    """Why a result with that PSNR is not what was asked for, or ""."""
    if (source, format) == ("png", "png"):
        return "" if psnr == math.inf else f"pixels differ, {psnr:.1f} dB"
    least = LOOKS_FINE_DB[8 if format == "jpeg" and pixels > EXACT_PIXELS_MAX else 1]
    return "" if psnr >= least else f"{psnr:.1f} dB, not {least} dB"


# --- measuring ----------------------------------------------------------------------------------------------------


def through_service(small: Path, source: Path, result: Path, **settings: Any) -> peak.Peak:
    """Convert it in a server of its own, as users start it, after two small ones of the same kind."""
    from benchmarks.demo import send
    from compressor.client import Client

    with ServerProcess() as server, Client(server.address) as client:
        for _ in range(2):
            send(client, small, result, **settings)
        time.sleep(SETTLE_SECONDS)
        server.reset_peak()
        idle = server.resident_bytes
        report, seconds, _ = send(client, source, result, **settings)
        most = server.peak_bytes
    if idle is None or most is None:
        raise RuntimeError("this system does not tell the memory of a process in /proc/PID/status")
    return peak.Peak(max(0, most - idle), report.reserved_bytes, report.bytes_out, seconds)


def in_process(small: Path, source: Path, result: Path, **settings: Any) -> peak.Peak:
    """`compressor.stream` in a process of its own."""
    return peak.measure("compressor", small, source, result, **settings)


WAYS: dict[str, Callable[..., peak.Peak]] = {SERVICE: through_service, IN_PROCESS: in_process}


class Benchmark:
    """Measures, and keeps the rows. told: called with a line about what is measured next."""

    def __init__(self, cache: Path, folder: Path, told: Callable[[str], None]) -> None:
        self._cache, self._result, self._told = cache, folder / "result", told
        self._small = tiled_images.Files(cache, 64, 64)
        self.rows: list[Row] = []

    def size(self, megapixels: float) -> None:
        """All conversions of a square picture."""
        side = round(math.sqrt(megapixels * 1e6))
        files = tiled_images.Files(self._cache, side, side)
        for name, kind, format in CLASSES:
            self._told(f"{side} × {side}, {name}")
            for effort in TARGET_BYTES:
                for by in WAYS if side * side <= PILLOW_PIXELS_MAX else (SERVICE,):
                    self._ours(by, files, (name, kind, format), effort)
            if side * side <= PILLOW_PIXELS_MAX:
                for by in PEERS:
                    self._peer(by, files, (name, kind, format))

    def _ours(self, by: str, files: tiled_images.Files, what: tuple[str, str, str], effort: str) -> None:
        name, kind, format = what
        source, picture = files[kind], files.picture
        pixels, psnr = picture.width * picture.height, math.inf
        try:
            found: peak.Peak | None = WAYS[by](self._small[kind], source, self._result, format=format, effort=effort)
            psnr = psnr_of(self._result, format, picture)
            problem = problem_of(psnr, kind, format, pixels)
        except Exception as error:  # a row that failed is a result, and the others are wanted too
            found, problem = None, (str(error).strip().splitlines() or [type(error).__name__])[-1]
        self._add(name, by, effort, pixels, found, source, None if psnr == math.inf else psnr, problem)

    def _peer(self, by: str, files: tiled_images.Files, what: tuple[str, str, str]) -> None:
        name, kind, format = what
        picture = files.picture
        try:
            found = peak.measure(PEERS[by], self._small[kind], files[kind], self._result, format=format)
        except RuntimeError:
            return  # it is not installed
        self._add(name, by, "", picture.width * picture.height, found, files[kind], None, "")

    def _add(
        self,
        name: str,
        by: str,
        effort: str,
        pixels: int,
        found: peak.Peak | None,
        source: Path,
        psnr: float | None,
        problem: str,
    ) -> None:
        self.rows.append(
            Row(
                name=name,
                by=by,
                effort=effort,
                megapixels=pixels / 1e6,
                peak_bytes=found.peak_bytes if found else None,
                reserved_bytes=found.reserved_bytes if found else 0,
                seconds=found.seconds if found else 0.0,
                bytes_in=source.stat().st_size,
                bytes_out=found.bytes_out if found else 0,
                psnr_db=psnr,
                problem=problem,
            )
        )


# --- what came of it ----------------------------------------------------------------------------------------------


def lines_of(rows: Sequence[Row]) -> dict[tuple[str, str, str], list[Row]]:
    """(name, by, effort) → its rows, smallest first; those that failed left out."""
    lines: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        if row.peak_bytes is not None:
            lines.setdefault((row.name, row.by, row.effort), []).append(row)
    return {key: sorted(line, key=lambda row: row.megapixels) for key, line in lines.items()}


def slope(line: Sequence[Row]) -> float | None:
    """Bytes of peak for 100 MP more, between the two largest; None with one. Squares: with the width it grows a bit."""
    if len(line) < 2:
        return None
    one, two = line[-2:]
    return 100 * ((two.peak_bytes or 0) - (one.peak_bytes or 0)) / (two.megapixels - one.megapixels)


def table_of(rows: Sequence[Row]) -> Table:
    """A row for each conversion, a column for each size."""
    sizes = sorted({row.megapixels for row in rows})
    caption = (
        "Targets: 48 MiB fast, 64 MiB balanced, 1 MiB for 100 MP more. r/m: reserved to measured, largest size. "
        "MP/s: on the clock, largest size."
    )
    columns = [*(f"{size:.3g} MP" for size in sizes), "r/m", "+100 MP", "MP/s"]
    table = record.table("Peak memory above idle, MiB", ("", "by", "effort"), columns, caption)
    previous = ""
    for (name, by, effort), line in lines_of(rows).items():
        if previous not in ("", name):
            table.add_section()
        by_size = {row.megapixels: row for row in line}
        cells = [cell(by_size[size]) if size in by_size else Text("-") for size in sizes]
        rise, ratio = slope(line), line[-1].ratio
        table.add_row(
            "" if previous == name else name,
            by,
            effort,
            *cells,
            "-" if ratio is None else f"{ratio:.2f}",
            "-" if rise is None else f"{rise / MIB:+.2f}",
            f"{line[-1].megapixels / line[-1].seconds:.0f}",
            style="" if line[-1].is_ours else "dim",
        )
        previous = name
    return table


def cell(row: Row) -> Text:
    """The peak of a conversion, red where it is not good."""
    return Text(f"{(row.peak_bytes or 0) / MIB:.1f}", style="" if row.is_good else "bold red")


def problems(rows: Sequence[Row]) -> list[str]:
    """A line for everything that is not as it should be."""
    found = [
        f"{row.name}, {row.by}, {row.effort}, {row.megapixels:g} MP: {row.problem or 'more memory than the target'}"
        for row in rows
        if not row.is_good
    ]
    for (name, by, effort), line in lines_of(rows).items():
        rise = slope(line)
        if line[-1].is_ours and line[-1].megapixels >= 100 and rise is not None and rise > SLOPE_BYTES_MAX:
            found.append(f"{name}, {by}, {effort}: {rise / MIB:.1f} MiB for 100 MP more")
    return found


def megapixels(text: str) -> list[float]:
    """From "1,4,16"."""
    sizes = [float(word) for word in text.split(",")]
    if not all(0 < size <= 4290 for size in sizes):
        raise argparse.ArgumentTypeError("a size is above 0 and at most 4290 megapixels, what JPEG can hold")
    return sorted(sizes)


def options(words: Sequence[str]) -> argparse.Namespace:
    """The command line of this benchmark, without what all of them take."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks memory")
    default = [1.0, 4.0, 16.0, 100.0, 400.0]
    parser.add_argument("--megapixels", type=megapixels, default=default, help="sizes, with commas", metavar="N,N,…")
    parser.add_argument(
        "--cache", type=Path, default=tiled_images.default_folder(), help="folder that keeps the pictures"
    )
    parser.add_argument("--json", action="store_true", help="print the results as JSON, no table")
    return parser.parse_args(words)


def run(out: Path, words: Sequence[str] = ()) -> bool:
    """Measure, show, keep, draw; False where a result is wrong or takes more than its target."""
    from benchmarks.memory import plot

    chosen = options(words)
    console = record.console()
    chosen.cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="result-", dir=chosen.cache) as folder:
        with console.status("") as status:
            told = status.update if console.is_terminal else lambda text: print(text, file=sys.stderr, flush=True)
            benchmark = Benchmark(chosen.cache, Path(folder), told)
            for size in chosen.megapixels:
                benchmark.size(size)
    rows = benchmark.rows
    wrong = problems(rows)
    results = {"targets": TARGET_BYTES, "rows": [asdict(row) for row in rows], "problems": wrong}
    path = record.save(out, "memory", results)
    picture = plot.draw(rows, path.with_suffix(".png"))
    if chosen.json:
        print(json.dumps(results))
    else:
        console.print(table_of(rows))
        console.print("\n".join([*(f"[red]{line}[/]" for line in wrong), f"{path}", f"{picture}"]))
    return not wrong
