"""The allow-list of source formats: any other file is rejected by its first bytes."""

import dataclasses
import io
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

from compressor import pipeline
from compressor.calls.codec import pipeline_codec
from compressor.client import Client
from compressor.errors import FormatError, UnsupportedError
from compressor.memory import Resources
from compressor.service.config import ServerConfig
from compressor.service.worker import config_from
from compressor.settings import Format, Settings
from tests.service.running import Running


def file_of(format: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (64, 48), (200, 30, 30)).save(file, format)
    return file.getvalue()


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    """Run a server that decodes JPEG and PNG."""
    codec = pipeline_codec(Resources(memory_budget=256 << 20, overhead=1 << 20))
    with Running(codec, formats=("jpeg", "png")) as running:
        yield running


@pytest.mark.parametrize("format", ["JPEG", "PNG"])
def test_files_of_allowed_formats_are_compressed(running: Any, format: str) -> None:
    with Client(running.address, timeout=60) as client:
        assert client.compress(file_of(format)).report.source_format == format.lower()
        assert client.inspect(file_of(format)).format == format.lower()


@pytest.mark.parametrize("format", ["WEBP", "GIF", "TIFF", "BMP"])
@pytest.mark.parametrize("settings", [{}, {"format": "png"}, {"format": "auto"}, {"archive": True}], ids=str)
def test_files_of_other_formats_are_rejected(running: Any, format: str, settings: Any) -> None:
    with Client(running.address, timeout=60) as client:
        problem = f"{format.replace('WEBP', 'WebP')} is not accepted here, only JPEG, PNG"
        with pytest.raises(UnsupportedError, match=problem):
            client.compress(file_of(format), **settings)
        with pytest.raises(UnsupportedError, match=problem):
            client.inspect(file_of(format))
    assert 'compressor_requests_total{code="UNIMPLEMENTED",path="none"}' in running.scrape()


def test_the_suffix_and_what_is_inside_do_not_count(running: Any) -> None:
    """A GIF with a JPEG after its first bytes is a GIF."""
    with Client(running.address, timeout=60) as client:
        with pytest.raises(UnsupportedError, match="GIF is not accepted"):
            client.compress(b"GIF89a" + file_of("JPEG"))
        with pytest.raises(FormatError, match="no known image format"):
            client.compress(b"junk" * 99)
        with pytest.raises(UnsupportedError, match="JPEG XL is not accepted"):
            client.unarchive(b"\xff\x0a" + bytes(99))


def test_raw_samples_are_not_a_file(running: Any) -> None:
    with Client(running.address, timeout=60) as client:
        assert client.compress(np.zeros((48, 64, 3), np.uint8)).report.source_format == "raw"


def test_no_decoder_sees_a_file_that_is_not_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    from compressor import raster

    def fail(*args: object) -> None:
        raise AssertionError("a decoder was called")

    monkeypatch.setattr(raster, "open", fail)
    with pytest.raises(AssertionError, match="a decoder"):
        pipeline.inspect([file_of("WEBP")], Settings(format=Format.PNG))
    with pytest.raises(UnsupportedError, match="WebP is not accepted here, only AVIF, JPEG"):
        pipeline.inspect([file_of("WEBP")], Settings(format=Format.PNG), formats={"jpeg", "avif"})
    read = []

    def chunks() -> Iterator[bytes]:
        for start in range(0, 1 << 20, 1 << 12):
            read.append(start)
            yield (file_of("WEBP") + bytes(1 << 20))[start : start + (1 << 12)]

    with pytest.raises(UnsupportedError), pipeline.stream(chunks(), formats={"jpeg"}) as stream:
        b"".join(stream)
    assert len(read) == 1


def test_a_worker_gets_the_same_list() -> None:
    """The configuration is sent as JSON, which has no tuples."""
    config = ServerConfig(workers=2, formats=("png",), reflection="off")

    assert config_from(json.loads(json.dumps(dataclasses.asdict(config)))) == config
