"""Encoders timed in interleaved rounds, and their results checked."""

import io
import multiprocessing
import statistics
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np
from PIL import Image

from benchmarks.harness import encoders, fidelity, judges, photos
from benchmarks.harness.process import limit_cores
from benchmarks.speed.decoding import seconds

QUALITY = 85
ROUNDS = 9
SCORED = (slice(1000, 1750), slice(1000, 2000))  # the part of a large image that SSIMULACRA2 scores
SCORE_LOSS_MAX = 3.0  # below Pillow's; quality scales differ by less
PSNR_LOSS_MAX_DB = 0.1  # below Pillow's, with Pillow's tables
PSNR_MIN_DB = 30.0


@dataclass
class EncodingResult:
    """Medians over all rounds.

    ratio      of the time of Pillow's default to this encoder's in the same round; above 1: faster than Pillow
    quartiles  of this ratio, the first and the third
    bytes      relative to Pillow's default
    """

    encoder: str
    scale: str
    cores: int
    size: str
    mp_per_second: float
    ratio: float
    quartiles: tuple[float, float]
    bytes: float
    psnr_db: float
    score: float
    problem: str


def bare_kernels(image: fidelity.Pixels) -> encoders.Encode:
    """Call the kernels directly with Pillow's tables: Annex K's, scaled, and its typical Huffman codes."""
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
ENCODERS = (
    *encoders.OURS,
    BARE,
    encoders.PILLOW,
    encoders.PILLOW_OPTIMIZE,
    encoders.PILLOW_PROGRESSIVE,
    encoders.JPEGLI_SEQUENTIAL,
    encoders.JPEGLI,
    encoders.MOZJPEG,
)
BY_NAME = {one.name: one for one in ENCODERS}


def score(image: fidelity.Pixels, data: bytes) -> tuple[float, float]:
    """Return the PSNR in dB of the whole image, and the SSIMULACRA2 of it or of a part of a large one."""
    result = fidelity.decoded(data)
    part = SCORED if image.shape[0] >= SCORED[0].stop and image.shape[1] >= SCORED[1].stop else (slice(None),) * 2
    files = io.BytesIO(), io.BytesIO()
    for file, pixels in zip(files, (image, result), strict=True):
        Image.fromarray(np.ascontiguousarray(pixels[part])).save(file, "PPM")
    return fidelity.psnr(image, result), judges.ssimulacra2(*files)


def problem_of(name: str, found: tuple[float, float], pillow: tuple[float, float]) -> str:
    """Return why (PSNR, SSIMULACRA2) are too low compared with Pillow's at the same quality, or ""."""
    if name == BARE.name and found[0] < pillow[0] - PSNR_LOSS_MAX_DB:
        return f"{found[0] - pillow[0]:.2f} dB below Pillow's"
    if found[0] < PSNR_MIN_DB:
        return f"{found[0]:.1f} dB"
    loss = pillow[1] - found[1]
    return f"SSIMULACRA2 is {loss:.1f} below Pillow's" if loss > SCORE_LOSS_MAX else ""


def compare(image: fidelity.Pixels, names: Sequence[str], cores: int, rounds: int) -> list[EncodingResult]:
    """Check the results of all encoders, then time them in interleaved rounds, every other one in reverse order."""
    encode_by_name = {name: BY_NAME[name].hold(image) for name in names}
    data = {name: encode(QUALITY) for name, encode in encode_by_name.items()}
    found = {name: score(image, one) for name, one in data.items()}
    times: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        for name in names if number % 2 else reversed(names):
            times[name].append(seconds(lambda encode=encode_by_name[name]: encode(QUALITY)))  # type: ignore[misc]
    height, width = image.shape[:2]
    pillow = encoders.PILLOW.name
    results = []
    for name in names:
        each = [theirs / mine for mine, theirs in zip(times[name], times[pillow], strict=True)]
        quartiles = statistics.quantiles(each, n=4) if rounds > 1 else each * 3
        results.append(
            EncodingResult(
                encoder=name,
                scale=BY_NAME[name].scale,
                cores=cores,
                size=f"{width} × {height}",
                mp_per_second=width * height / 1e6 / statistics.median(times[name]),
                ratio=quartiles[1],
                quartiles=(quartiles[0], quartiles[2]),
                bytes=len(data[name]) / len(data[pillow]),
                psnr_db=found[name][0],
                score=found[name][1],
                problem=problem_of(name, found[name], found[pillow]),
            )
        )
    return results


def measure(size: tuple[int, int], names: Sequence[str], cores: int) -> tuple[list[EncodingResult], str]:
    """Measure in a new process that is limited to `cores` from its start: libraries count cores when they load."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), limit_cores, (cores,)) as pool:
        return pool.submit(measure_here, size, names, cores).result()


def measure_here(size: tuple[int, int], names: Sequence[str], cores: int) -> tuple[list[EncodingResult], str]:
    """Measure all encoders on an image of `size`; return the results and a description of the image."""
    image, description = photos.mosaic(*size)
    return compare(image, names, cores, ROUNDS), description
