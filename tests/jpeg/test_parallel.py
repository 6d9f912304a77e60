"""Encoding of one image on several threads: the bytes are those of one thread, whatever the distribution of work."""

import gc
import itertools
import threading
import time
import weakref
from collections.abc import Generator, Iterator
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compressor import pipeline
from compressor.cores import CoreScheduler
from compressor.jpeg import parallel, perceptual, static_codes, writer
from compressor.jpeg.encoder import Transform, coded_bytes, final_byte
from compressor.kernels import huffman_encode, mcu_row
from compressor.settings import Delivery, Effort, Format, Settings
from compressor.tiles import Band, BandLifetime
from tests.pipeline.test_pipeline import encoded, photograph, tiled
from tests.reference import huffman_encode as twin


def close(pieces: Iterator[memoryview]) -> None:
    """Close a generator."""
    assert isinstance(pieces, Generator)
    pieces.close()


KINDS = [(1, "444"), (3, "444"), (3, "422"), (3, "420")]


def image(height: int, width: int, channels: int) -> Band:
    """Return flat areas, edges and noise."""
    rng = np.random.default_rng(height * 1000 + width)
    y, x = np.mgrid[:height, :width]
    pixels = (x // 9 * 17 + y // 5 * 29)[..., None] + rng.integers(0, 1 + x[..., None] % 64, (height, width, channels))
    image: Band = (pixels % 256).astype(np.uint8)
    return image


class Image:
    """An image with the parameters of its encoding."""

    def __init__(self, pixels: Band, subsampling: str, quality: int = 85) -> None:
        height, width, channels = pixels.shape
        self.pixels = pixels.reshape(height, -1)
        self.frame = writer.frame_for(width, height, channels, subsampling)
        distance = perceptual.distance_for(quality, Effort.FAST)
        tables = perceptual.quantization_tables(distance, channels)
        self.transform = Transform(self.frame, tables, perceptual.dead_zones(distance, channels))
        self.codes = static_codes.codes_for(distance, channels)

    def bands(self, mcu_rows: int) -> Iterator[Band]:
        lines = mcu_rows * self.transform.lines
        for top in range(0, len(self.pixels), lines):
            yield self.pixels[top : top + lines]

    def reused(self, mcu_rows: int) -> Iterator[Band]:
        """Yield each band in the same memory, which is overwritten before the next."""
        buffer = np.empty_like(self.pixels[: mcu_rows * self.transform.lines])
        for band in self.bands(mcu_rows):
            buffer[: len(band)] = band
            yield buffer[: len(band)]
            buffer[...] = 77

    def coder(self, stable: bool) -> parallel.PixelCoder:
        lifetime = BandLifetime.STABLE if stable else BandLifetime.REUSED
        return parallel.PixelCoder(self.frame, self.codes, self.transform, lifetime)

    def coded(self, threads: int, stable: bool = True, mcu_rows: int = 4) -> bytes:
        bands = self.bands(mcu_rows) if stable else self.reused(mcu_rows)
        with mock.patch.object(parallel, "cores", CoreScheduler(threads)):
            return b"".join(map(bytes, self.coder(stable).code_bands(bands)))


@pytest.mark.parametrize("channels, subsampling", KINDS)
@pytest.mark.parametrize("height, width", [(1, 1), (33, 700), (130, 513), (600, 40), (95, 5000), (17, 17000)])
@pytest.mark.parametrize("quality", [60, 100])
def test_any_number_of_threads_gives_the_same_bytes(
    height: int, width: int, channels: int, subsampling: str, quality: int
) -> None:
    """At quality 100 the bits of a part do not fit its buffer."""
    source = Image(image(height, width, channels), subsampling, quality)
    expected = source.coded(1)
    for threads, stable, mcu_rows in itertools.product((2, 3, 8), (True, False), (1, 5)):
        assert source.coded(threads, stable, mcu_rows) == expected


def test_bits_that_do_not_fit_the_buffer_of_a_part_are_encoded_when_it_is_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = Image(np.random.default_rng(1).integers(0, 256, (200, 700, 3), dtype=np.uint8), "420", 100)
    expected = source.coded(1)
    monkeypatch.setattr(parallel, "part_bytes", lambda lifetime: coded_bytes(6 * 32))  # of one segment
    for threads, stable in itertools.product((2, 3), (True, False)):
        assert source.coded(threads, stable) == expected


@pytest.mark.parametrize("channels, subsampling", KINDS)
@pytest.mark.parametrize("width", [1, 16, 17, 511, 512, 513, 1023, 1040])
def test_the_last_dc_is_computed_without_encoding(width: int, channels: int, subsampling: str) -> None:
    source = Image(image(40, width, channels), subsampling)
    frame, transform = source.frame, source.transform
    workspace, state = parallel.CoderWorkspace(transform), np.zeros(huffman_encode.STATE, np.int64)
    row = np.empty((frame.blocks_per_row, 64), np.int16)
    across = -(-8 * int(frame.layout[0, 1]) // mcu_row.SEGMENT)
    for number in range(across * frame.mcu_rows):
        mcu_row.last_dc(
            source.pixels, number, (frame.layout, transform.segment), transform.quantization,
            workspace.scratch, workspace.blocks, state,
        )  # fmt: skip
        top = number // across * transform.lines
        mcu_row.transform_row(source.pixels, top, frame.layout, transform.quantization, workspace.scratch, row)
        end = min(frame.mcus_per_row, (number % across + 1) * mcu_row.SEGMENT // (8 * frame.h_max))
        blocks = [first + (v - 1) * per_line + end * h - 1 for first, per_line, h, v in frame.layout.tolist()]
        pred = huffman_encode.PRED
        assert state[pred : pred + channels].tolist() == row[blocks, 0].tolist()


@given(st.lists(st.text("01", max_size=200) | st.integers(0, 90).map(lambda n: "1" * n), max_size=12))
@settings(max_examples=200)
def test_bits_encoded_separately_are_joined_and_stuffed_as_if_encoded_together(pieces: list[str]) -> None:
    state, joined = np.zeros(huffman_encode.STATE, np.int64), b""
    for bits in pieces:
        data = twin.whole_bytes(bits)
        raw, out = np.full(len(data) + 40, 0xAA, np.uint8), np.empty(2 * len(data) + 34, np.uint8)
        raw[: len(data)] = np.frombuffer(data, np.uint8)
        rest = bits[8 * len(data) :]
        # Higher bits do not count.
        tail = np.array([int(f"1101{rest}", 2) & 255, len(rest)])
        size = huffman_encode.join(raw, len(data), tail, state, out)
        joined += out[:size].tobytes()
    pending, held = int(state[huffman_encode.PENDING]), int(state[huffman_encode.HELD])

    together = "".join(pieces)
    assert joined == twin.stuff(twin.whole_bytes(together))
    assert held == len(together) % 8
    assert final_byte(pending, held) == twin.stuff(
        twin.whole_bytes(together[len(together) - held :] + "1" * (-held % 8))
    )


@pytest.mark.parametrize("stable", [True, False])
def test_an_error_of_the_source_is_raised_and_all_threads_stop(stable: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    cores = CoreScheduler(3)
    monkeypatch.setattr(parallel, "cores", cores)
    source = Image(image(400, 900, 3), "420")

    def bands() -> Iterator[Band]:
        yield from itertools.islice(source.bands(2), 5)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        b"".join(map(bytes, source.coder(stable).code_bands(bands())))
    assert cores.idle == 3


def test_a_stream_that_is_closed_early_releases_all_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    cores = CoreScheduler(2)
    monkeypatch.setattr(parallel, "cores", cores)
    source = Image(image(800, 900, 3), "420")
    for taken in (1, 3):
        pieces = source.coder(stable=True).code_bands(source.bands(4))
        for _ in range(taken):
            next(pieces)
        close(pieces)
        assert cores.idle == 2


@pytest.mark.parametrize("taken", [3, 1000])
def test_no_memory_is_kept_afterwards_without_a_garbage_collection(taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "cores", CoreScheduler(2))
    source = Image(image(800, 900, 3), "420")
    kept = [weakref.ref(source.pixels)]
    coder = source.coder(stable=True)
    pieces = coder.code_bands(source.bands(4))
    for _ in itertools.islice(pieces, taken):
        pass
    gc.disable()
    try:
        close(pieces)
        del pieces, source
        assert kept[0]() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("stable", [True, False])
def test_other_threads_do_encode(stable: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    who: set[str] = set()
    encode = parallel.BandPart.work

    def work(part: parallel.BandPart, workspace: parallel.CoderWorkspace) -> None:
        who.add(threading.current_thread().name.split("_")[0])
        encode(part, workspace)

    monkeypatch.setattr(parallel.BandPart, "work", work)
    source = Image(image(2000, 900, 3), "420")
    expected = source.coded(1)
    assert not who
    until = time.monotonic() + 20  # other programs may use all cores for a while
    while not any(name.startswith("helper") for name in who) and time.monotonic() < until:
        assert source.coded(2, stable) == expected
    assert "helper" in who


@pytest.mark.parametrize("count", [1, 2, 8])
def test_every_source_gives_the_same_jpeg_on_any_number_of_cores(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = photograph(300, 700)
    raw, parts = tiled(pixels, 64, 40)
    chosen = Settings(effort=Effort.FAST, format=Format.JPEG, delivery=Delivery.IMMEDIATE)
    expected = pipeline.compress(pixels, effort="fast").data
    monkeypatch.setattr(parallel, "cores", CoreScheduler(count))

    found = [
        pipeline.compress(pixels, effort="fast"),
        pipeline.compress(encoded(pixels, "PNG"), effort="fast", format="jpeg"),
        pipeline.compress(encoded(pixels, "PPM"), effort="fast", format="jpeg"),
    ]
    assert {b"".join(pipeline.stream(parts, chosen, raw=raw)), *(result.data for result in found)} == {expected}
    assert all(result.report.cpu_seconds > 0 for result in found)
