"""Spools of a request: in memory for a typical photograph, without delaying other requests."""

import contextlib
import io
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.harness import photos
from compressor import pipeline, spool_budget
from compressor.cores import cores
from compressor.errors import BusyError
from compressor.memory import Resources
from compressor.results import Result
from compressor.service.config import ServerConfig
from compressor.service.server import GRPC_CALL_BYTES
from compressor.settings import Delivery, Effort, Settings
from tests.jpeg.test_scans_memory import measured
from tests.service.running import eventually

BUDGET = 256 << 20
SIZES = {"0.4 MP": (768, 512), "1.9 MP": (1600, 1200), "12 MP": (4000, 3000)}


def photograph(width: int, height: int, **options: object) -> bytes:
    """Return a JPEG with the detail of a photograph: 2.8 bits per pixel."""
    tile = next(photos.pixels(path) for path in photos.packaged() if path.name == "ihc.png")
    pixels = np.tile(tile, (height // tile.shape[0] + 1, width // tile.shape[1] + 1, 1))[:height, :width]
    sink = io.BytesIO()
    Image.fromarray(pixels).save(sink, "JPEG", quality=90, **options)
    return sink.getvalue()


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return {name: photograph(*size) for name, size in SIZES.items()}


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Count the files that spools make."""
    made: list[object] = []
    original = tempfile.TemporaryFile

    def counted(**options: object) -> object:
        made.append(options)
        return original(**options)  # type: ignore[call-overload]

    monkeypatch.setattr(tempfile, "TemporaryFile", counted)
    return made


@pytest.mark.parametrize("name", ["0.4 MP", "1.9 MP"])
@pytest.mark.parametrize("effort", Effort)
@pytest.mark.parametrize("lossless", [False, True])
def test_a_typical_photograph_makes_no_file(
    files: dict[str, bytes], opened: list[object], name: str, effort: Effort, lossless: bool
) -> None:
    settings = Settings(effort=effort, lossless=lossless, delivery=Delivery.SAFE)
    resources = Resources(memory_budget=BUDGET)
    with pipeline.stream(files[name], settings, resources=resources) as job:
        made = b"".join(job)
    assert len(made) < len(files[name])
    assert not opened
    assert resources.reserved_bytes == resources.spooled_bytes == 0


def test_a_large_photograph_borrows_nothing(files: dict[str, bytes], opened: list[object]) -> None:
    resources = Resources(memory_budget=BUDGET)
    with pipeline.stream(files["12 MP"], Settings(effort=Effort.FAST), resources=resources) as job:
        for _ in job:
            assert resources.reserved_bytes == job.source.reserved_bytes
    assert len(opened) == 2


@pytest.mark.parametrize("name, count", [("0.4 MP", 48), ("12 MP", 16)])
def test_a_budget_of_256_mebibytes_admits_many_calls_at_once(files: dict[str, bytes], name: str, count: int) -> None:
    """However much memory is lent to the calls that were admitted first."""
    overhead = GRPC_CALL_BYTES + ServerConfig().window_bytes
    resources = Resources(memory_budget=BUDGET, wait_seconds=0.0, overhead=overhead)
    with contextlib.ExitStack() as stack:
        borrowed = [resources.spool() for _ in range(300)]
        for spool in borrowed:
            stack.callback(spool.close)
            spool.write(bytes(1 << 20))
        assert resources.reserved_bytes > BUDGET - (1 << 20)
        for _ in range(count):
            job = stack.enter_context(pipeline.stream(files[name], Settings(), resources=resources))
            assert job.source.reserved_bytes > overhead
        assert resources.reserved_bytes <= BUDGET


@pytest.mark.parametrize("effort", ["fast", "balanced"])
def test_what_is_lent_and_reserved_is_not_exceeded(files: dict[str, bytes], tmp_path: Path, effort: str) -> None:
    for name, data in (("small", photograph(64, 64)), ("large", files["1.9 MP"])):
        (tmp_path / name).write_bytes(data)
    exact, lending = (
        measured(tmp_path / "small", tmp_path / "large", lending=lending, effort=effort, delivery="safe")
        for lending in (False, True)
    )
    assert exact["peak"] <= exact["reserved"]
    assert lending["peak"] <= lending["reserved"] <= exact["reserved"] + 4 * (2 << 20)
    assert lending["reserved"] >= exact["reserved"] + len(files["1.9 MP"]) - (1 << 17)


def test_a_request_that_waits_for_the_spool_budget_holds_no_core_and_spends_no_time(files: dict[str, bytes]) -> None:
    data = files["1.9 MP"]
    resources = Resources(memory_budget=BUDGET, spool_budget=4 * len(data))
    resources.charge(4 * len(data) - 100_000)
    results: list[Result] = []
    chunks = [data[at : at + 50_000] for at in range(0, len(data), 50_000)]
    thread = threading.Thread(target=lambda: results.append(pipeline.compress(chunks, resources=resources)))
    thread.start()
    assert eventually(lambda: resources.spools.missing)
    assert eventually(lambda: cores.idle == cores.count)
    resources.charge(100_000 - 4 * len(data))
    thread.join()

    assert results[0].data == pipeline.compress(data).data
    assert resources.spooled_bytes == resources.spools.missing == resources.reserved_bytes == 0
    assert cores.idle == cores.count


def test_an_archive_is_not_returned_with_a_hole_if_a_spool_did_not_fit(
    files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An archive's source is returned whatever is wrong with its header, but not if it was not kept."""
    monkeypatch.setattr(spool_budget, "FIRST_WAIT_SECONDS", 0.0)
    data = files["0.4 MP"]
    resources = Resources(spool_budget=len(data))
    resources.charge(len(data) - 100)

    def freeing() -> Iterator[bytes]:
        yield data[:100]
        yield data[100:400]
        resources.charge(100 - len(data))
        yield data[400:]

    with pytest.raises(BusyError), pipeline.stream(freeing(), Settings(archive=True), resources=resources) as job:
        list(job)
    assert resources.spooled_bytes in (0, len(data) - 100)  # nothing of the request
