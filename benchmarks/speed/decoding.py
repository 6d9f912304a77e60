"""Decoding baseline JPEG to coefficients and to pixels, compared with Pillow (libjpeg-turbo) on one core."""

import io
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image
from rich.table import Table

from benchmarks.harness import fidelity, photos, record

ROUNDS = 15


def seconds(call: Callable[[], bytes]) -> float:
    """Return the time that a call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


@dataclass
class DecodingResult:
    """Medians over all rounds. Ratios are the time of Pillow's complete decoding to ours."""

    source: str
    size: str
    pillow_mp_per_second: float
    coefficients_ratio: float
    pixels_ratio: float
    differing_samples: int


def measure(name: str, image: fidelity.Pixels, **options: int | bool) -> DecodingResult:
    """Decode a file in interleaved rounds with Pillow, and compare all pixels with Pillow's."""
    from compressor.bytestream import ByteStream
    from compressor.jpeg.pixels import bands
    from compressor.jpeg.reader import read_header, read_slabs

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
        for _ in read_slabs(source, read_header(source)):
            pass
        return b""

    def pixels() -> bytes:
        source = stream()
        header = read_header(source)
        for _ in bands(header, read_slabs(source, header), 16):
            pass
        return b""

    source, top, differing, expected = stream(), 0, 0, fidelity.decoded(data)
    header = read_header(source)
    for band in bands(header, read_slabs(source, header), 16):
        differing += int((band != expected[top : top + len(band)]).sum())
        top += len(band)
    differing += 0 if top == len(image) else image.size
    rounds = [[seconds(call) for call in (pillow, coefficients, pixels)] for _ in range(ROUNDS)]
    height, width = image.shape[:2]
    return DecodingResult(
        source=name,
        size=f"{width} × {height}",
        pillow_mp_per_second=width * height / 1e6 / statistics.median(theirs for theirs, _, _ in rounds),
        coefficients_ratio=statistics.median(theirs / ours for theirs, ours, _ in rounds),
        pixels_ratio=statistics.median(theirs / ours for theirs, _, ours in rounds),
        differing_samples=differing,
    )


def measure_all(size: tuple[int, int]) -> list[DecodingResult]:
    """Measure the usual kinds of baseline files."""
    image, _ = photos.mosaic(*size)
    kinds = {"4:2:0": 2, "4:2:2": 1, "4:4:4": 0}
    found = [measure(name, image, subsampling=number) for name, number in kinds.items()]
    return [*found, measure("4:2:0, optimized", image, subsampling=2, optimize=True)]


def decoding_table(results: list[DecodingResult]) -> Table:
    """Return a row for each kind of file."""
    table = record.table(
        "Decoding baseline JPEG of quality 85 on one core: Pillow's time / ours",
        ("source", "size"),
        ("Pillow\nMP/s", "to coefficients", "to pixels", "differing\nsamples"),
        f"{ROUNDS} rounds; pixels in bands of 16 lines",
    )
    for one in results:
        table.add_row(
            one.source, one.size, f"{one.pillow_mp_per_second:.0f}", f"{one.coefficients_ratio:.2f}×",
            f"[bold]{one.pixels_ratio:.2f}×[/]", str(one.differing_samples),
        )  # fmt: skip
    return table
