"""Encoding RGB pixels as JPEG beside Pillow (libjpeg-turbo), one core, in turns: A B A B …

Ratios above 1 mean that we are faster. What is timed is what a user calls: `compressor.compress(array, …)` and
`image.save(…)` from a Pillow image made beforehand. Both results are decoded by Pillow and compared with the source.
"""

import io
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from PIL import Image

from benchmarks import check, photos, record

ROUNDS = 15
PSNR_LOSS_MAX_DB = 0.1
SIZES = ((3000, 3000), (2999, 3001))


@dataclass
class Result:
    """Medians over all rounds; `ratio` is the median of each round's ratio, `ratios` its quartiles."""

    what: str
    beside: str
    size: str
    ours_mp_per_second: float
    pillow_mp_per_second: float
    ratio: float
    ratios: tuple[float, float]
    bytes_ratio: float
    ours_psnr_db: float
    pillow_psnr_db: float

    @property
    def good(self) -> bool:
        """Whether the picture is as good as Pillow's: a fast encoder of something else is no result."""
        return self.ours_psnr_db >= self.pillow_psnr_db - PSNR_LOSS_MAX_DB


def seconds(call: Callable[[], bytes]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def compare(
    what: str, beside: str, image: check.Pixels, ours: Callable[[], bytes], pillow: Callable[[], bytes]
) -> Result:
    """Check the output of both, then time them in turns; the order within a round alternates."""
    data = ours(), pillow()
    quality = [check.psnr(image, check.decoded(one)) for one in data]
    times: list[tuple[float, float]] = []
    for number in range(ROUNDS):
        if number % 2:
            first = seconds(pillow)
            times.append((seconds(ours), first))
        else:
            times.append((seconds(ours), seconds(pillow)))
    height, width = image.shape[:2]
    megapixels = width * height / 1e6
    ratios = statistics.quantiles([theirs / mine for mine, theirs in times], n=4)
    return Result(
        what=what,
        beside=beside,
        size=f"{width} × {height}",
        ours_mp_per_second=megapixels / statistics.median(mine for mine, _ in times),
        pillow_mp_per_second=megapixels / statistics.median(theirs for _, theirs in times),
        ratio=ratios[1],
        ratios=(ratios[0], ratios[2]),
        bytes_ratio=len(data[0]) / len(data[1]),
        ours_psnr_db=quality[0],
        pillow_psnr_db=quality[1],
    )


def pillow_encoder(image: check.Pixels, **options: bool) -> Callable[[], bytes]:
    """Pillow's encoder at quality 85, 4:2:0, from an image that it holds already."""
    held = Image.fromarray(image)

    def encode() -> bytes:
        file = io.BytesIO()
        held.save(file, "JPEG", quality=85, subsampling=2, **options)
        return file.getvalue()

    return encode


def our_encoder(image: check.Pixels, effort: str) -> Callable[[], bytes]:
    """The public API at quality 85, 4:2:0."""
    import compressor

    def encode() -> bytes:
        result = compressor.compress(image, quality=85, effort=effort, subsampling="420", delivery="immediate")
        return bytes(result.data)

    return encode


def bare_kernels(image: check.Pixels) -> Callable[[], bytes]:
    """The kernels alone with Pillow's own tables: Annex K's, scaled, and its typical Huffman codes."""
    from compressor.jpeg import output, tables, writer
    from compressor.tiles import band_lines

    height, width, channels = image.shape
    frame = writer.frame_for(width, height, channels, "420")
    quantization = {0: tables.quantization_table(85, chroma=False), 1: tables.quantization_table(85, chroma=True)}
    samples = image.reshape(height, width * channels)
    lines = band_lines(width, 16)

    def encode() -> bytes:
        bands = (samples[top : top + lines] for top in range(0, height, lines))
        coder = output.OnePassPixels(frame, quantization, bands)
        head = writer.head(frame, quantization, coder.codes, ())
        return b"".join([head, *map(bytes, coder.body()), writer.END_OF_IMAGE])

    return encode


def measure(size: tuple[int, int]) -> tuple[list[Result], str]:
    """All comparisons on a photograph of `size`, and what it was made of."""
    image, made_of = photos.mosaic(*size)
    results = [
        compare("fast", "default", image, our_encoder(image, "fast"), pillow_encoder(image)),
        compare("balanced", "optimize", image, our_encoder(image, "balanced"), pillow_encoder(image, optimize=True)),
        compare("bare kernels", "default", image, bare_kernels(image), pillow_encoder(image)),
    ]
    return results, made_of


def run(out: Path) -> bool:
    """Measure, print, save; False where our picture is worse than Pillow's."""
    console = record.console()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # one core: threads must not help
    results: list[Result] = []
    made_of = ""
    for size in SIZES:
        found, made_of = measure(size)
        results += found
    table = record.table(
        "Encoding RGB at quality 85, 4:2:0, one core",
        ("ours", "Pillow", "size"),
        ("ours\nMP/s", "Pillow\nMP/s", "ratio", "quartiles", "bytes", "PSNR\ndB", "against\nPillow"),
        f"laid out of {made_of}; {ROUNDS} rounds",
    )
    for result in results:
        table.add_row(
            result.what,
            result.beside,
            result.size,
            f"{result.ours_mp_per_second:.0f}",
            f"{result.pillow_mp_per_second:.0f}",
            f"[bold]{result.ratio:.2f}×[/]",
            f"{result.ratios[0]:.2f}-{result.ratios[1]:.2f}",
            f"{result.bytes_ratio:.3f}",
            f"{result.ours_psnr_db:.2f}",
            f"{result.ours_psnr_db - result.pillow_psnr_db:+.2f}{'' if result.good else ' [red]worse[/]'}",
        )
    console.print(table)
    path = record.save(
        out, "speed", {"photograph": made_of, "rounds": ROUNDS, "comparisons": [asdict(r) for r in results]}
    )
    console.print(f"[dim]{path}[/]", soft_wrap=True)
    return all(result.good for result in results)
