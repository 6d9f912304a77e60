"""JPEG beside Pillow (libjpeg-turbo), encoding and decoding, one core, in turns: A B A B …

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
    from compressor.jpeg import encoder, output, tables, writer
    from compressor.tiles import band_lines

    height, width, channels = image.shape
    frame = writer.frame_for(width, height, channels, "420")
    quantization = {tq: tables.quantization_table(85, chroma=tq > 0) for tq in range(3)}
    samples = image.reshape(height, width * channels)
    lines = band_lines(width, 16)

    def encode() -> bytes:
        bands = (samples[top : top + lines] for top in range(0, height, lines))
        transform = encoder.Transform(frame, list(quantization.values()))
        coder = output.OnePassPixels(frame, transform, tables.standard_codes(3), bands)
        head = writer.head(frame, quantization, coder.codes, ())
        return b"".join([head, *map(bytes, coder.body()), writer.END_OF_IMAGE])

    return encode


@dataclass
class Decoding:
    """Medians over all rounds; ratios against Pillow's whole decoding. `wrong` counts samples that differ."""

    what: str
    size: str
    pillow_mp_per_second: float
    coefficients_ratio: float
    pixels_ratio: float
    wrong: int


def decoding(what: str, image: check.Pixels, **options: int | bool) -> Decoding:
    """To coefficients and to pixels, in turns with Pillow, from the same bytes; all pixels are compared with its."""
    from compressor.bytestream import ByteStream
    from compressor.jpeg.pixels import bands
    from compressor.jpeg.reader import read_header, read_rows

    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=85, **options)
    data = file.getvalue()

    def stream() -> ByteStream:
        return ByteStream(data[at : at + (1 << 18)] for at in range(0, len(data), 1 << 18))

    def pillow() -> bytes:
        Image.open(io.BytesIO(data)).load()
        return b""

    def coefficients() -> bytes:
        source = stream()
        for _ in read_rows(source, read_header(source)):
            pass
        return b""

    def pixels() -> bytes:
        source = stream()
        header = read_header(source)
        for _ in bands(header, read_rows(source, header), 16):
            pass
        return b""

    source, top, wrong, expected = stream(), 0, 0, check.decoded(data)
    header = read_header(source)
    for band in bands(header, read_rows(source, header), 16):
        wrong += int((band != expected[top : top + len(band)]).sum())
        top += len(band)
    wrong += 0 if top == len(image) else image.size
    rounds = [[seconds(call) for call in (pillow, coefficients, pixels)] for _ in range(ROUNDS)]
    height, width = image.shape[:2]
    return Decoding(
        what=what,
        size=f"{width} × {height}",
        pillow_mp_per_second=width * height / 1e6 / statistics.median(theirs for theirs, _, _ in rounds),
        coefficients_ratio=statistics.median(theirs / ours for theirs, ours, _ in rounds),
        pixels_ratio=statistics.median(theirs / ours for theirs, _, ours in rounds),
        wrong=wrong,
    )


def decodings(size: tuple[int, int]) -> list[Decoding]:
    """The usual kinds of baseline file."""
    image, _ = photos.mosaic(*size)
    kinds = {"4:2:0": 2, "4:2:2": 1, "4:4:4": 0}
    found = [decoding(name, image, subsampling=number) for name, number in kinds.items()]
    return [*found, decoding("4:2:0, optimized", image, subsampling=2, optimize=True)]


def print_decodings(results: list[Decoding]) -> None:
    table = record.table(
        "Decoding a baseline JPEG of quality 85, one core, Pillow's time / ours",
        ("source", "size"),
        ("Pillow\nMP/s", "to coefficients", "to pixels", "samples that\ndiffer"),
        f"{ROUNDS} rounds; pixels in bands of 16 lines",
    )
    for one in results:
        table.add_row(
            one.what, one.size, f"{one.pillow_mp_per_second:.0f}", f"{one.coefficients_ratio:.2f}×",
            f"[bold]{one.pixels_ratio:.2f}×[/]", str(one.wrong),
        )  # fmt: skip
    record.console().print(table)


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
    decoded = decodings(SIZES[0])
    print_decodings(decoded)
    content = {
        "photograph": made_of,
        "rounds": ROUNDS,
        "comparisons": [asdict(r) for r in results],
        "decoding": [asdict(one) for one in decoded],
    }
    path = record.save(out, "speed", content)
    console.print(f"[dim]{path}[/]", soft_wrap=True)
    return all(result.good for result in results) and not any(one.wrong for one in decoded)
