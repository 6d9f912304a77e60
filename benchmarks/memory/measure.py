"""Conversions whose peak memory is measured and whose results are checked."""

import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.harness import fidelity
from benchmarks.harness.server import ServerProcess
from benchmarks.harness.transfer import send
from benchmarks.memory import peak, tiled_images

MIB = 1 << 20
TARGET_BYTES = {"fast": 48 * MIB, "balanced": 64 * MIB, "best": 96 * MIB}
SLOPE_BYTES_MAX = MIB  # per additional 100 MP
PILLOW_PIXELS_MAX = 100_000_000  # up to this size Pillow decodes the results, and other libraries are measured
EXACT_PIXELS_MAX = 16_000_000  # up to this size JPEG results are compared by pixels, above by means of 8 × 8
PSNR_MIN_DB = {1: 30.0, 8: 36.0}  # of pixels, of means of 8 × 8
SETTLE_SECONDS = 1.2  # the server returns freed memory to the system every second
SERVICE, IN_PROCESS = "service", "in process"
PEERS = {"Pillow": "pillow", "libvips": "vips"}  # names of `peak.TOOLS`


@dataclass(frozen=True)
class Conversion:
    """A conversion that is measured.

    kind      of the source, in `tiled_images`
    format    of the result
    settings  besides the format and the effort
    """

    name: str
    kind: str
    format: str
    efforts: tuple[str, ...] = ("fast", "balanced")
    settings: Mapping[str, Any] = field(default_factory=dict)


SCORED = {"target_score": 70}
CONVERSIONS = (
    Conversion("JPEG → JPEG", "baseline", "jpeg"),
    Conversion("progressive JPEG → JPEG", "progressive", "jpeg"),
    Conversion("PNG → JPEG", "png", "jpeg"),
    Conversion("interlaced PNG → JPEG", "interlaced", "jpeg"),
    Conversion("PNG → PNG", "png", "png"),
    Conversion("JPEG → PNG", "baseline", "png"),
    Conversion("PNG → JPEG, target score", "png", "jpeg", ("fast", "balanced", "best"), SCORED),
    Conversion("JPEG → JPEG, target score", "baseline", "jpeg", ("fast", "balanced", "best"), SCORED),
)
# A scorer holds rows at six scales, which grow with the width of these squares by more than SLOPE_BYTES_MAX.
GROWING = frozenset(one.name for one in CONVERSIONS if one.settings)


@dataclass(frozen=True)
class ConversionResult:
    """A conversion of one image.

    runner          "service", "in process" or another library
    effort          "" for other libraries
    peak_bytes      above the idle process; None if the conversion failed
    reserved_bytes  0 for other libraries
    psnr_db         against the generated image; None if all samples are identical, and for other libraries
    problem         why the result is wrong, or ""
    """

    name: str
    runner: str
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
        """True unless another library was measured."""
        return self.runner in (SERVICE, IN_PROCESS)

    @property
    def ratio(self) -> float | None:
        """The ratio of reserved to measured memory."""
        return self.reserved_bytes / self.peak_bytes if self.is_ours and self.peak_bytes else None

    @property
    def is_valid(self) -> bool:
        """True if the result is right and the memory within its target."""
        fits = self.peak_bytes is not None and self.peak_bytes <= TARGET_BYTES.get(self.effort, sys.maxsize)
        return not self.problem and (fits or not self.is_ours)


# --- checks of results ----------------------------------------------------------------------------------------------


def png_bands(path: Path) -> Iterator[fidelity.Pixels]:
    """Yield the rows of a PNG in bands, decoded by Pillow up to 100 MP and by our own reader above that."""
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
    raise ValueError("an interlaced PNG is not expected here")


def psnr_of(path: Path, format: str, picture: tiled_images.Picture) -> float:
    """Return the PSNR of a complete result against the generated image. Raises ValueError if the sizes differ."""
    if format == "jpeg" and picture.width * picture.height > EXACT_PIXELS_MAX:
        return picture.eighths().psnr(path)
    found = png_bands(path)
    squares = 0
    for drawn in picture.bands():
        band = next(found, None)
        if band is None or band.shape != drawn.shape:
            raise ValueError(f"the result has a band of {None if band is None else band.shape}, not {drawn.shape}")
        squares += int(np.square(band.astype(np.int32) - drawn).sum(dtype=np.int64))
    if next(found, None) is not None:
        raise ValueError("the result has more rows than the source")
    return 10 * math.log10(255**2 * picture.width * picture.height * 3 / squares) if squares else math.inf


def problem_of(psnr: float, source: str, format: str, pixels: int) -> str:
    """Return why a result with that PSNR is wrong, or ""."""
    if (source, format) == ("png", "png"):
        return "" if psnr == math.inf else f"pixels differ, {psnr:.1f} dB"
    minimum = PSNR_MIN_DB[8 if format == "jpeg" and pixels > EXACT_PIXELS_MAX else 1]
    return "" if psnr >= minimum else f"{psnr:.1f} dB, below {minimum} dB"


# --- measuring ----------------------------------------------------------------------------------------------------


def through_service(small: Path, source: Path, result: Path, **settings: Any) -> peak.PeakMemory:
    """Convert a file in a new server, started as users start it, after two small files of the same kind."""
    from compressor.client import Client

    with ServerProcess() as server, Client(server.address) as client:
        for _ in range(2):
            send(client, small, result, **settings)
        time.sleep(SETTLE_SECONDS)
        server.reset_peak()
        idle = server.resident_bytes
        report, seconds, _ = send(client, source, result, **settings)
        highest = server.peak_bytes
    if idle is None or highest is None:
        raise RuntimeError("this system does not report the memory of a process in /proc/PID/status")
    return peak.PeakMemory(max(0, highest - idle), report.reserved_bytes, report.bytes_out, seconds)


def in_process(small: Path, source: Path, result: Path, **settings: Any) -> peak.PeakMemory:
    """Convert a file by `compressor.stream` in a process of its own."""
    return peak.measure("compressor", small, source, result, **settings)


RUNNERS: dict[str, Callable[..., peak.PeakMemory]] = {SERVICE: through_service, IN_PROCESS: in_process}


class MemoryBenchmark:
    """All measurements and their results. `on_progress` is called with the name of the next measurement."""

    def __init__(
        self,
        cache: Path,
        folder: Path,
        on_progress: Callable[[str], None],
        conversions: Sequence[Conversion] = CONVERSIONS,
    ) -> None:
        self._conversions = conversions
        self._cache, self._result, self._on_progress = cache, folder / "result", on_progress
        self._small = tiled_images.Files(cache, 64, 64)
        self.results: list[ConversionResult] = []

    def measure_size(self, megapixels: float) -> None:
        """Measure all conversions of a square image."""
        side = round(math.sqrt(megapixels * 1e6))
        files = tiled_images.Files(self._cache, side, side)
        for conversion in self._conversions:
            self._on_progress(f"{side} × {side}, {conversion.name}")
            for effort in conversion.efforts:
                for runner in RUNNERS if side * side <= PILLOW_PIXELS_MAX else (SERVICE,):
                    self._measure_ours(runner, files, conversion, effort)
            if side * side <= PILLOW_PIXELS_MAX and not conversion.settings:
                for peer in PEERS:
                    self._measure_peer(peer, files, conversion)

    def _measure_ours(self, runner: str, files: tiled_images.Files, conversion: Conversion, effort: str) -> None:
        kind, format = conversion.kind, conversion.format
        source, picture = files[kind], files.picture
        pixels, psnr = picture.width * picture.height, math.inf
        try:
            found: peak.PeakMemory | None = RUNNERS[runner](
                self._small[kind], source, self._result, format=format, effort=effort, **conversion.settings
            )
            psnr = psnr_of(self._result, format, picture)
            problem = problem_of(psnr, kind, format, pixels)
        except Exception as error:  # a failure is a result, and the other conversions are still measured
            found, problem = None, (str(error).strip().splitlines() or [type(error).__name__])[-1]
        exact = None if psnr == math.inf else psnr
        self._add(conversion.name, runner, effort, pixels, found, source, exact, problem)

    def _measure_peer(self, peer: str, files: tiled_images.Files, conversion: Conversion) -> None:
        name, kind, format = conversion.name, conversion.kind, conversion.format
        picture = files.picture
        try:
            found = peak.measure(PEERS[peer], self._small[kind], files[kind], self._result, format=format)
        except RuntimeError:
            return  # it is not installed
        self._add(name, peer, "", picture.width * picture.height, found, files[kind], None, "")

    def _add(
        self,
        name: str,
        runner: str,
        effort: str,
        pixels: int,
        found: peak.PeakMemory | None,
        source: Path,
        psnr: float | None,
        problem: str,
    ) -> None:
        self.results.append(
            ConversionResult(
                name=name,
                runner=runner,
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


# --- the limits -----------------------------------------------------------------------------------------------------


def group_lines(results: Sequence[ConversionResult]) -> dict[tuple[str, str, str], list[ConversionResult]]:
    """Return the results that did not fail by (name, runner, effort), smallest image first."""
    lines: dict[tuple[str, str, str], list[ConversionResult]] = {}
    for one in results:
        if one.peak_bytes is not None:
            lines.setdefault((one.name, one.runner, one.effort), []).append(one)
    return {key: sorted(line, key=lambda one: one.megapixels) for key, line in lines.items()}


def slope(line: Sequence[ConversionResult]) -> float | None:
    """Return the growth of the peak in bytes per additional 100 MP, between the two largest images; None for one image.

    The images are squares, so that it includes the growth with the width.
    """
    if len(line) < 2:
        return None
    one, two = line[-2:]
    return 100 * ((two.peak_bytes or 0) - (one.peak_bytes or 0)) / (two.megapixels - one.megapixels)


def problems_of(results: Sequence[ConversionResult]) -> list[str]:
    """List everything that is wrong or exceeds its target."""
    found = [
        f"{one.name}, {one.runner}, {one.effort}, {one.megapixels:g} MP: {one.problem or 'more memory than the target'}"
        for one in results
        if not one.is_valid
    ]
    for (name, runner, effort), line in group_lines(results).items():
        growth = None if name in GROWING else slope(line)
        if line[-1].is_ours and line[-1].megapixels >= 100 and growth is not None and growth > SLOPE_BYTES_MAX:
            found.append(f"{name}, {runner}, {effort}: {growth / MIB:.1f} MiB per additional 100 MP")
    return found
