"""Memory that a request reserves: how much, when, and that all of it is released."""

import dataclasses
import itertools
import struct
import zlib
from collections.abc import Iterator

import pytest

from compressor import pipeline
from compressor.errors import BusyError, LimitError
from compressor.memory import Resources
from compressor.png.chunks import serialize_chunk
from compressor.settings import Effort, Settings
from tests.jpeg_files import jpeg
from tests.pipeline.test_pipeline import JPEG, PNG, encoded, photograph

FILES = {
    "baseline": JPEG,
    "progressive": jpeg(175, 121, progressive=True),
    "png": PNG,
}
COMMENT: bytes = b"\xff\xfe" + struct.pack(">H", 60_002) + bytes(60_000)


def with_comments(count: int, after_pixels: bool = False) -> bytes:
    """Return a JPEG with that many comments of 60,000 bytes."""
    at = len(JPEG) - 2 if after_pixels else 2
    return JPEG[:at] + COMMENT * count + JPEG[at:]


@pytest.mark.parametrize("name", FILES)
def test_inspect_reads_no_further_than_the_header(name: str) -> None:
    endless = itertools.chain([FILES[name][:1000]], iter(lambda: pytest.fail("read on"), None))

    source = pipeline.inspect(endless)

    assert source.width in (175, 83) and source.reserved_bytes > 0


@pytest.mark.parametrize("name", FILES)
def test_memory_is_reserved_before_more_than_the_header_is_read(name: str) -> None:
    resources = Resources(overhead=5)
    endless = itertools.chain([FILES[name][:1000]], iter(lambda: pytest.fail("read on"), None))
    with pipeline.stream(endless, resources=resources) as job:
        assert job.source.reserved_bytes == resources.reserved_bytes
        assert job.source.reserved_bytes == pipeline.inspect([FILES[name]]).reserved_bytes + 5
    assert resources.reserved_bytes == 0


def test_an_error_of_the_input_is_raised_and_everything_is_freed() -> None:
    resources = Resources()

    def chunks() -> Iterator[bytes]:
        yield JPEG[:3000]
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        b"".join(pipeline.stream(chunks(), resources=resources))
    assert (resources.reserved_bytes, resources.spooled_bytes) == (0, 0)


@pytest.mark.parametrize("after_pixels", [False, True])
@pytest.mark.parametrize("lossless", [False, True])
def test_metadata_are_charged_before_and_after_the_pixels(after_pixels: bool, lossless: bool) -> None:
    plain = pipeline.compress(JPEG, lossless=lossless).report.reserved_bytes

    with_metadata = pipeline.compress(with_comments(4, after_pixels), lossless=lossless).report.reserved_bytes

    assert 2 * 240_000 <= with_metadata - plain < 2 * 241_000


def test_metadata_that_exceed_the_budget_are_rejected_while_they_are_read() -> None:
    data = with_comments(100)
    pulled = []

    def chunks() -> Iterator[bytes]:
        for at in range(0, len(data), 10_000):
            pulled.append(at)
            yield data[at : at + 10_000]

    with pytest.raises(LimitError, match="budget"):
        pipeline.inspect(chunks(), resources=Resources(memory_budget=1 << 20))
    assert pulled[-1] < 1 << 20


def test_metadata_that_do_not_fit_yet_are_a_busy_error() -> None:
    resources = Resources(memory_budget=2 << 20)
    with resources.reservation() as other:
        other.extend(3 << 19)
        with pytest.raises(BusyError):
            pipeline.inspect([with_comments(10)], resources=resources)


def test_text_chunks_of_a_png_are_charged_before_and_after_the_pixels() -> None:
    text = serialize_chunk(b"tEXt", b"Comment\0" + bytes(100_000))
    plain = encoded(photograph(40, 40), "PNG")
    end = len(plain) - 12
    plain_bytes = pipeline.compress(plain).report.reserved_bytes
    for data in (plain[:33] + text + plain[33:], plain[:end] + text + plain[end:]):
        assert 200_000 <= pipeline.compress(data).report.reserved_bytes - plain_bytes < 201_000


def test_compressed_texts_are_charged_at_their_inflated_size() -> None:
    text = serialize_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(2_000_000)))
    plain = encoded(photograph(40, 40), "PNG")
    data = plain[:33] + text + plain[33:]
    charged = [pipeline.compress(d, format="jpeg").report.reserved_bytes for d in (plain, data)]
    assert 8_000_000 <= charged[1] - charged[0] < 8_020_000
    with pytest.raises(LimitError):
        pipeline.compress(data, format="jpeg", resources=Resources(memory_budget=4 << 20))


def test_two_pass_efforts_and_several_scans_reserve_more() -> None:
    wide = jpeg(4000, 64)
    progressive = jpeg(4000, 64, progressive=True)
    needs = {
        (name, effort): pipeline.inspect([data], dataclasses.replace(Settings(), effort=effort)).reserved_bytes
        for name, data in (("wide", wide), ("progressive", progressive))
        for effort in (Effort.FAST, Effort.BALANCED)
    }
    assert needs["wide", Effort.FAST] < needs["wide", Effort.BALANCED] < needs["progressive", Effort.BALANCED]
