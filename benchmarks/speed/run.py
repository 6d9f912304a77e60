"""JPEG at every effort beside Pillow, jpegli and mozjpeg: one image on one core, and on all; in turns.

What is timed is what a user calls, from pixels that the library holds already. Every result is decoded by Pillow and
compared with the source. Decoding is measured beside Pillow's, on one core.
"""

import io
import multiprocessing
import os
import statistics
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from rich.table import Table

from benchmarks.harness import encoders, fidelity, photos, record, scores
from benchmarks.speed import decoding
from benchmarks.speed.decoding import seconds

QUALITY = 85
ROUNDS = 9
SIZE = (6000, 4000)
ODD_SIZE = (2999, 3001)  # no block, vector or band fits the edges
DECODED_SIZE = (3000, 3000)
SCORED = (slice(1000, 1750), slice(1000, 2000))  # the part of a picture that SSIMULACRA2 looks at
SCORE_LOSS_MAX = 3.0  # below Pillow's: quality scales differ by less
PSNR_LOSS_MAX_DB = 0.1  # below Pillow's, with Pillow's own tables
PSNR_MIN_DB = 30.0


@dataclass
class Result:
    """Medians over all rounds; `ratio` of each round's Pillow time to this one's, `ratios` its quartiles.

    ratio  above 1: faster than Pillow's default
    bytes  against Pillow's
    """

    what: str
    scale: str
    cores: int
    size: str
    mp_per_second: float
    ratio: float
    ratios: tuple[float, float]
    bytes: float
    psnr_db: float
    score: float
    problem: str


def bare_kernels(image: fidelity.Pixels) -> encoders.Encode:
    """The kernels alone with Pillow's own tables: Annex K's, scaled, and its typical Huffman codes."""
    from compressor.jpeg import encoder, one_pass, tables, writer
    from compressor.tiles import band_lines

    height, width, channels = image.shape
    frame = writer.frame_for(width, height, channels, "420")
    samples = image.reshape(height, width * channels)
    lines = band_lines(width, 16)

    def encode(quality: int) -> bytes:
        quantization = {tq: tables.quantization_table(quality, chroma=tq > 0) for tq in range(3)}
        bands = (samples[top : top + lines] for top in range(0, height, lines))
        transform = encoder.Transform(frame, list(quantization.values()))
        coder = one_pass.OnePassPixels(frame, transform, tables.standard_codes(3), bands)
        head = writer.header(frame, quantization, coder.codes, ())
        return b"".join([head, *map(bytes, coder.body()), writer.END_OF_IMAGE])

    return encode


BARE = encoders.Encoder("bare kernels", bare_kernels)
EVERY = (
    *encoders.OURS,
    BARE,
    encoders.PILLOW,
    encoders.PILLOW_OPTIMIZE,
    encoders.PILLOW_PROGRESSIVE,
    encoders.JPEGLI_SEQUENTIAL,
    encoders.JPEGLI,
    encoders.MOZJPEG,
)
BY_NAME = {one.name: one for one in EVERY}


def looks(image: fidelity.Pixels, data: bytes) -> tuple[float, float]:
    """PSNR in dB of all of it, SSIMULACRA2 of a part of large ones."""
    result = fidelity.decoded(data)
    part = SCORED if image.shape[0] >= SCORED[0].stop and image.shape[1] >= SCORED[1].stop else (slice(None),) * 2
    files = io.BytesIO(), io.BytesIO()
    for file, pixels in zip(files, (image, result), strict=True):
        Image.fromarray(np.ascontiguousarray(pixels[part])).save(file, "PPM")
    return fidelity.psnr(image, result), scores.ssimulacra2(*files)


def problem_of(name: str, found: tuple[float, float], pillow: tuple[float, float]) -> str:
    """Why this is not the picture that Pillow makes at the same quality, or ""."""
    if name == BARE.name and found[0] < pillow[0] - PSNR_LOSS_MAX_DB:
        return f"{found[0] - pillow[0]:.2f} dB below Pillow's"
    if found[0] < PSNR_MIN_DB:
        return f"{found[0]:.1f} dB"
    return f"SSIMULACRA2 {found[1] - pillow[1]:.1f} off Pillow's" if found[1] < pillow[1] - SCORE_LOSS_MAX else ""


def compare(image: fidelity.Pixels, names: Sequence[str], cores: int, rounds: int) -> list[Result]:
    """Check the output of every encoder, then time them in turns, every other round in the opposite order."""
    held = {name: BY_NAME[name].hold(image) for name in names}
    data = {name: encode(QUALITY) for name, encode in held.items()}
    found = {name: looks(image, one) for name, one in data.items()}
    times: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        for name in names if number % 2 else reversed(names):
            times[name].append(seconds(lambda encode=held[name]: encode(QUALITY)))  # type: ignore[misc]
    height, width = image.shape[:2]
    pillow = encoders.PILLOW.name
    results = []
    for name in names:
        each = [theirs / mine for mine, theirs in zip(times[name], times[pillow], strict=True)]
        quartiles = statistics.quantiles(each, n=4) if rounds > 1 else each * 3
        results.append(
            Result(
                what=name,
                scale=BY_NAME[name].scale,
                cores=cores,
                size=f"{width} × {height}",
                mp_per_second=width * height / 1e6 / statistics.median(times[name]),
                ratio=quartiles[1],
                ratios=(quartiles[0], quartiles[2]),
                bytes=len(data[name]) / len(data[pillow]),
                psnr_db=found[name][0],
                score=found[name][1],
                problem=problem_of(name, found[name], found[pillow]),
            )
        )
    return results


def measure(size: tuple[int, int], names: Sequence[str], cores: int) -> tuple[list[Result], str]:
    """In a process of its own, which has that many cores from its start on: libraries count them when they load."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), limit_cores, (cores,)) as pool:
        return pool.submit(measure_here, size, names, cores).result()


def limit_cores(cores: int) -> None:
    """To the last of those that this process may use."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-cores:])
    os.environ["VIPS_CONCURRENCY"] = str(cores)


def measure_here(size: tuple[int, int], names: Sequence[str], cores: int) -> tuple[list[Result], str]:
    """All encoders on a photograph of `size`, and what it was made of."""
    image, made_of = photos.mosaic(*size)
    return compare(image, names, cores, ROUNDS), made_of


def table_of(results: Sequence[Result], made_of: str) -> Table:
    """A line for each encoder, a section for each size and number of cores."""
    table = record.table(
        f"Encoding RGB at quality {QUALITY} by each encoder's own scale, 4:2:0",
        ("", "size", "scale"),
        ("cores", "MP/s", "against\nPillow", "quartiles", "bytes", "PSNR\ndB", "SSIMU-\nLACRA2"),
        f"laid out of {made_of}; {ROUNDS} rounds; bytes against Pillow's default, not at equal look: see density",
    )
    previous: tuple[str, int] | None = None
    for one in results:
        if previous != (one.size, one.cores):
            table.add_section()
            previous = (one.size, one.cores)
        table.add_row(
            one.what,
            one.size,
            one.scale,
            str(one.cores),
            f"{one.mp_per_second:.0f}" if one.mp_per_second >= 20 else f"{one.mp_per_second:.1f}",
            f"{one.ratio:.2f}×",
            f"{one.ratios[0]:.2f}-{one.ratios[1]:.2f}",
            f"{one.bytes:.3f}",
            f"{one.psnr_db:.2f}",
            f"{one.score:.1f}",
            style="red" if one.problem else "bold" if BY_NAME[one.what].effort else "",
        )
    return table


def run(out: Path) -> bool:
    """Measure, print, save; False where a picture is not what it should be, or decoded otherwise than by Pillow."""
    console = record.console()
    every = [one.name for one in encoders.installed(EVERY)]
    ours = [*(one.name for one in encoders.OURS), BARE.name, encoders.PILLOW.name]
    cores = len(os.sched_getaffinity(0))
    runs = [(SIZE, every, 1), *([(SIZE, every, cores)] if cores > 1 else []), (ODD_SIZE, ours, 1)]
    results: list[Result] = []
    made_of = ""
    for arguments in runs:
        found, made_of = measure(*arguments)
        results += found
    console.print(table_of(results, made_of))
    limit_cores(1)
    decoded = decoding.decodings(DECODED_SIZE)
    decoding.print_decodings(decoded)
    content = {
        "photograph": made_of,
        "quality": QUALITY,
        "rounds": ROUNDS,
        "encoding": [asdict(one) for one in results],
        "decoding": [asdict(one) for one in decoded],
    }
    wrong = [f"{one.what}, {one.size}: {one.problem}" for one in results if one.problem]
    missing = [one.name for one in EVERY if one.name not in every]
    lines = [f"[yellow]Not measured, since not installed: {', '.join(missing)}[/]"] if missing else []
    lines += [f"[red]{line}[/]" for line in wrong]
    console.print("\n".join([*lines, f"[dim]{record.save(out, 'speed', content)}[/]"]), soft_wrap=True)
    return not wrong and not any(one.wrong for one in decoded)
