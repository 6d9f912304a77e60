"""JPEG at every effort, Pillow, jpegli and mozjpeg: one image on one core, then on all cores; rounds are interleaved.

What is timed is the call that a user makes, with pixels that the library already holds. Every result is decoded by
Pillow and compared with the source. Decoding is compared with Pillow's, on one core.
"""

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.table import Table

from benchmarks.harness import encoders, record
from benchmarks.harness.process import limit_cores
from benchmarks.speed import decoding
from benchmarks.speed.measure import BARE, BY_NAME, ENCODERS, QUALITY, ROUNDS, EncodingResult, measure

SIZE = (6000, 4000)
ODD_SIZE = (2999, 3001)  # not a multiple of a block, a vector or a band
DECODED_SIZE = (3000, 3000)


def encoding_table(results: Sequence[EncodingResult], description: str) -> Table:
    """Return a row for each encoder, and a section for each size and number of cores."""
    table = record.table(
        f"Encoding RGB at quality {QUALITY} of each encoder's own scale, 4:2:0",
        ("", "size", "scale"),
        ("cores", "MP/s", "vs\nPillow", "quartiles", "bytes", "PSNR\ndB", "SSIMU-\nLACRA2"),
        f"assembled from {description}; {ROUNDS} rounds; bytes relative to Pillow's default, but visual quality is not "
        "equal: see density",
    )
    previous: tuple[str, int] | None = None
    for one in results:
        if previous != (one.size, one.cores):
            table.add_section()
            previous = (one.size, one.cores)
        table.add_row(
            one.encoder,
            one.size,
            one.scale,
            str(one.cores),
            f"{one.mp_per_second:.0f}" if one.mp_per_second >= 20 else f"{one.mp_per_second:.1f}",
            f"{one.ratio:.2f}×",
            f"{one.quartiles[0]:.2f}-{one.quartiles[1]:.2f}",
            f"{one.bytes:.3f}",
            f"{one.psnr_db:.2f}",
            f"{one.score:.1f}",
            style="red" if one.problem else "bold" if BY_NAME[one.encoder].effort else "",
        )
    return table


def run(out: Path) -> bool:
    """Measure, print and save; return False if a result is wrong or decoded differently from Pillow."""
    console = record.console()
    available = [one.name for one in encoders.installed(ENCODERS)]
    ours = [*(one.name for one in encoders.OURS), BARE.name, encoders.PILLOW.name]
    cores = len(os.sched_getaffinity(0))
    runs = [(SIZE, available, 1), *([(SIZE, available, cores)] if cores > 1 else []), (ODD_SIZE, ours, 1)]
    results: list[EncodingResult] = []
    description = ""
    for arguments in runs:
        found, description = measure(*arguments)
        results += found
    console.print(encoding_table(results, description))
    limit_cores(1)
    decoded = decoding.measure_all(DECODED_SIZE)
    console.print(decoding.decoding_table(decoded))
    content = {
        "photograph": description,
        "quality": QUALITY,
        "rounds": ROUNDS,
        "encoding": [asdict(one) for one in results],
        "decoding": [asdict(one) for one in decoded],
    }
    problems = [f"{one.encoder}, {one.size}: {one.problem}" for one in results if one.problem]
    missing = [one.name for one in ENCODERS if one.name not in available]
    lines = [f"[yellow]Not measured, since not installed: {', '.join(missing)}[/]"] if missing else []
    lines += [f"[red]{line}[/]" for line in problems]
    console.print("\n".join([*lines, f"[dim]{record.save(out, 'speed', content)}[/]"]), soft_wrap=True)
    return not problems and not any(one.differing_samples for one in decoded)
