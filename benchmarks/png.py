"""PNG to PNG, lossless: bytes and CPU time of every effort, of oxipng and of Pillow, in interleaved rounds.

python -m benchmarks png [--folder NAME] [--images N] [--rounds N] [--out DIR]

oxipng is called through the PyPI package `pyoxipng` as its users call it, by level alone: 2 is its default. Every
result is decoded by Pillow and compared with the source.
"""

import argparse
import importlib.util
import io
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks import ROOT
from benchmarks.harness import record
from benchmarks.harness.encoders import EFFORTS
from benchmarks.harness.photos import from_corpus

ROUNDS = 3
PAIRS = (("balanced", "oxipng 2"), ("best", "oxipng 4"))  # effort and the level that it is compared with
Recode = Callable[[bytes], bytes]


@dataclass
class FileResult:
    """A tool's result for a file.

    bytes        of the result, or of the source where that is not larger: users keep the smaller file
    cpu_seconds  of the fastest round, all threads
    problem      why it is wrong, or ""
    """

    file: str
    tool: str
    bytes_in: int
    bytes: int
    cpu_seconds: float
    problem: str = ""


def options(words: Sequence[str]) -> argparse.Namespace:
    """Parse the options of this benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks png")
    parser.add_argument("--folder", default="graphics", help="folder of the corpus (graphics, kodak)", metavar="NAME")
    parser.add_argument("--images", type=int, help="only the first N files", metavar="N")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="number of timed rounds", metavar="N")
    return parser.parse_args(words)


def ours(effort: str) -> Recode:
    """Call the public API with its defaults: safe delivery, metadata kept."""

    def recode(data: bytes) -> bytes:
        import compressor

        return bytes(compressor.compress(data, effort=compressor.Effort(effort)).data)

    return recode


def oxipng(level: int) -> Recode:
    """Call oxipng with one of its levels."""

    def recode(data: bytes) -> bytes:
        import oxipng

        return bytes(oxipng.optimize_from_memory(data, level=level))

    return recode


def pillow(data: bytes) -> bytes:
    """Save with Pillow's `optimize`, which keeps color type and bit depth."""
    with Image.open(io.BytesIO(data)) as image:
        file = io.BytesIO()
        image.save(file, "PNG", optimize=True)
    return file.getvalue()


def tools() -> dict[str, Recode]:
    """Return the tools that are installed, by name."""
    found = {effort: ours(effort) for effort in EFFORTS} | {"Pillow, optimize": pillow}
    if importlib.util.find_spec("oxipng") is not None:
        found |= {"oxipng 2": oxipng(2), "oxipng 4": oxipng(4)}
    return found


def pixels(data: bytes) -> NDArray[np.uint16]:
    """Decode with Pillow to RGBA of 16 bits, (height, width, 4). Pillow reduces color of 16 bits to 8."""
    with Image.open(io.BytesIO(data)) as image:
        if image.mode.startswith("I"):
            grey = np.asarray(image).astype(np.uint16)
            return np.dstack([grey, grey, grey, np.full_like(grey, 0xFFFF)])
        return np.asarray(image.convert("RGBA")).astype(np.uint16) * np.uint16(257)


def sources(folder: str) -> list[Path]:
    """Return the PNG files of a folder of the corpus; without a corpus those of the documentation."""
    found = [path for path in from_corpus(folder) if path.suffix.lower() == ".png"]
    return found or sorted((ROOT / "docs").glob("*.png"))


def measure(
    paths: Sequence[Path], recode: dict[str, Recode], rounds: int, on_progress: Callable[[str], None]
) -> list[FileResult]:
    """Recode each file by each tool in every round, every other one in reverse order; check the last results."""
    results = []
    for tool in recode.values():
        tool(paths[0].read_bytes())  # loads libraries
    for path in paths:
        on_progress(path.name)
        data, expected = path.read_bytes(), pixels(path.read_bytes())
        seconds: dict[str, list[float]] = {name: [] for name in recode}
        made: dict[str, bytes] = {}
        for number in range(rounds):
            for name in recode if number % 2 else reversed(recode):
                start = time.process_time()
                made[name] = recode[name](data)
                seconds[name].append(time.process_time() - start)
        for name in recode:
            result = made[name]
            problem = "" if np.array_equal(pixels(result), expected) else "the pixels differ"
            size = min(len(result), len(data))
            results.append(FileResult(path.name, name, len(data), size, min(seconds[name]), problem))
    return results


def totals(results: Sequence[FileResult]) -> dict[str, dict[str, float]]:
    """Return bytes, CPU seconds and the number of files that became smaller, by tool."""
    found: dict[str, dict[str, float]] = {}
    for one in results:
        sums = found.setdefault(one.tool, {"bytes_in": 0, "bytes": 0, "cpu_seconds": 0.0, "smaller": 0})
        sums["bytes_in"] += one.bytes_in
        sums["bytes"] += one.bytes
        sums["cpu_seconds"] += one.cpu_seconds
        sums["smaller"] += one.bytes < one.bytes_in
    return found


def print_tables(results: Sequence[FileResult], rounds: int) -> None:
    """Print the bytes of each file by tool, then the totals."""
    console, sums = record.console(), totals(results)
    by_file: dict[str, dict[str, FileResult]] = {}
    for one in results:
        by_file.setdefault(one.file, {})[one.tool] = one
    table = record.table("Bytes of each file, thousands", ("file",), ("source", *sums))
    for name, row in by_file.items():
        source = next(iter(row.values())).bytes_in
        table.add_row(name, f"{source / 1e3:.1f}", *(f"{row[tool].bytes / 1e3:.1f}" for tool in sums))
    console.print(table)
    caption = f"{len(by_file)} files; CPU time of all threads, the fastest of {rounds} interleaved rounds of each file"
    table = record.table("PNG to PNG", ("",), ("bytes", "of the\nsource", "files\nsmaller", "CPU s"), caption)
    for tool, total in sums.items():
        table.add_row(
            tool,
            f"{total['bytes']:,.0f}",
            f"{total['bytes'] / total['bytes_in']:.3f}",
            f"{total['smaller']:.0f}",
            f"{total['cpu_seconds']:.2f}",
            style="bold" if tool in EFFORTS else "",
        )
    console.print(table)
    for effort, peer in PAIRS:
        if peer in sums:
            size, seconds = (sums[effort][key] / sums[peer][key] for key in ("bytes", "cpu_seconds"))
            console.print(f"{effort}: {size:.4f} of the bytes of {peer}, {seconds:.2f} of its CPU time")
        else:
            console.print(f"[yellow]{peer} is not installed (compressor\\[bench] has it)[/]")


def run(out: Path, words: Sequence[str] = ()) -> bool:
    """Measure, print and save; return False if a result has other pixels than its source."""
    chosen = options(words)
    console, paths = record.console(), sources(chosen.folder)[: chosen.images]
    with console.status("") as status:
        results = measure(paths, tools(), chosen.rounds, record.progress(console, status))
    print_tables(results, chosen.rounds)
    problems = [f"{one.file}, {one.tool}: {one.problem}" for one in results if one.problem]
    content = {"files": [asdict(one) for one in results], "totals": totals(results), "problems": problems}
    saved = record.save(out, "png", content)
    console.print("\n".join([*(f"[red]{line}[/]" for line in problems), f"[dim]{saved}[/]"]), soft_wrap=True)
    return not problems
