"""The server under test with a fake pipeline and with the real one, and images for each."""

import importlib.util
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import grpc
import numpy as np
import pytest
from PIL import Image

from compressor.client import Client
from compressor.memory import Resources
from compressor.v1 import compressor_pb2_grpc as rpc
from tests.service.fake_pipeline import Counts, counted, fake_codec, file_of
from tests.service.flaky import flaky
from tests.service.running import Running

__all__ = ["flaky"]

PIPELINES = ["fake"] + (["pipeline"] if importlib.util.find_spec("compressor.pipeline") else [])


@dataclass
class Service(Running):
    """A running server and images for it.

    small, large  files of some hundred bytes and some megabytes
    broken        a file with an invalid header
    """

    name: str
    config: dict[str, Any] = field(default_factory=dict)
    small: bytes = b""
    large: bytes = b""
    broken: bytes = b""
    counts: Counts = field(default_factory=Counts)

    def __post_init__(self) -> None:
        if self.name == "fake":
            codec = fake_codec()
            self.small, self.large, self.broken = file_of(700), file_of(4 << 20), b"JUNK" + bytes(96)
        else:
            from compressor.calls.codec import pipeline_codec

            codec = pipeline_codec(Resources(memory_budget=256 << 20, overhead=1 << 20))
            self.small, self.large = png(32, 24), png(1500, 1000)
            self.broken = b"\xff\xd8\xff\xc0\x00\x03" + bytes(96)
        super().__init__(counted(codec, self.counts), **self.config)


def png(width: int, height: int) -> bytes:
    """Return a PNG of a gradient with as much noise as a photograph."""
    rng = np.random.default_rng(7)
    y, x = np.mgrid[:height, :width]
    pixels = np.stack([x * 255 / width, y * 255 / height, (x + y) % 256], 2) + rng.normal(0, 12, (height, width, 3))
    file = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(file, "PNG", compress_level=1)
    return file.getvalue()


@pytest.fixture(scope="session", params=PIPELINES)
def service(request: pytest.FixtureRequest) -> Iterator[Service]:
    with Service(request.param) as running:
        yield running


@pytest.fixture(scope="session")
def fake() -> Iterator[Service]:
    """Run a server with the fake pipeline, for errors that are hard to provoke in the real one."""
    with Service("fake") as running:
        yield running


@pytest.fixture(scope="session")
def real() -> Iterator[Service]:
    """Run a server with the real pipeline."""
    with Service("pipeline") as running:
        yield running


@pytest.fixture
def client(service: Service) -> Iterator[Client]:
    with Client(service.address, timeout=60) as client:
        yield client


@pytest.fixture
def stub(service: Service) -> Iterator[rpc.CompressorServiceStub]:
    with grpc.insecure_channel(service.address) as channel:
        yield rpc.CompressorServiceStub(channel)


@pytest.fixture
def fake_stub(fake: Service) -> Iterator[rpc.CompressorServiceStub]:
    with grpc.insecure_channel(fake.address) as channel:
        yield rpc.CompressorServiceStub(channel)


@pytest.fixture(scope="session")
def idle() -> Iterator[Service]:
    """A server with a short idle timeout."""
    with Service("fake", {"idle_seconds": 0.3}) as running:
        yield running
