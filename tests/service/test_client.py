"""The synchronous client against a real server."""

import io
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compressor.client import Client, health
from compressor.client.retries import Attempts
from compressor.errors import BusyError, CallError, FormatError, SettingsError
from compressor.settings import Delivery, Format, Outcome, Settings
from tests.service.running import eventually


def test_the_same_bytes_come_back_whatever_carries_them(client: Any, service: Any, tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(service.large)

    results = [
        client.compress(source, format="jpeg", delivery="safe")
        for source in (path, str(path), service.large, memoryview(service.large), io.BytesIO(service.large))
    ]

    assert {result.data for result in results} == {results[0].data}
    report = results[0].report
    assert report.outcome is Outcome.COMPRESSED
    assert (report.bytes_in, report.bytes_out) == (len(service.large), len(results[0].data))
    assert report.settings_digest == Settings(format=Format.JPEG, delivery=Delivery.SAFE).digest()


def test_the_chunking_of_the_input_does_not_matter(client: Any, service: Any) -> None:
    settings = Settings(format=Format.JPEG)
    whole = client.compress(service.large, format="jpeg").data
    random.seed(3)
    cuts = sorted(random.choices(range(len(service.large)), k=40))
    pieces = [service.large[a:b] for a, b in zip([0, *cuts], [*cuts, len(service.large)], strict=True)]

    with client.stream(pieces, settings) as stream:
        assert b"".join(stream) == whole


def test_a_stream_gives_its_source_first_and_its_report_last(client: Any, service: Any) -> None:
    with client.stream([service.large], Settings(format=Format.JPEG)) as stream:
        source = stream.source
        chunks = list(stream)
        report = stream.report

    assert (source.width, source.height) == (report.width, report.height)
    assert source.format == report.source_format
    assert max(map(len, chunks)) <= 256 << 10
    assert report.bytes_out == sum(map(len, chunks))


@pytest.mark.parametrize("shape", [(40, 56, 3), (40, 56, 1), (40, 56), (700, 900, 3), (17, 40000, 3)])
def test_arrays_are_sent_as_tiles(client: Any, shape: Any) -> None:
    array = np.random.default_rng(5).integers(0, 256, shape, np.uint8)

    result = client.compress(array, format="jpeg")

    assert result.report.bytes_in == array.nbytes
    assert result.report.format == "jpeg"
    assert result.report.source_format == "raw"


def test_arrays_of_other_types_are_refused(client: Any) -> None:
    with pytest.raises(SettingsError, match="float64"):
        client.compress(np.zeros((8, 8, 3)))


def test_inspect_describes_an_image(client: Any, service: Any) -> None:
    source = client.inspect(service.large)

    assert source.width > 0
    assert source.reserved_bytes > 0


def test_an_inspected_file_is_closed_even_while_its_error_is_kept(flaky: Any, tmp_path: Path) -> None:
    """The traceback of the error refers to what was sent, here the first message of many."""
    service, address = flaky(0)
    service.before_sending = next
    path = tmp_path / "image"
    path.write_bytes(bytes(32 << 20))

    with Client(address, timeout=60, retries=0) as client:
        with pytest.raises(CallError, match="UNAVAILABLE") as caught:
            client.inspect(path)
        assert eventually(lambda: str(path) not in open_files(), 20)
    assert caught.traceback


def open_files() -> list[str]:
    return [os.path.realpath(one) for one in Path("/proc/self/fd").iterdir()]


def test_a_broken_image_is_an_error_with_its_place(client: Any, service: Any) -> None:
    with pytest.raises(FormatError) as caught:
        client.compress(service.broken)

    assert caught.value.format
    assert caught.value.place
    assert caught.value.offset is not None
    assert str(caught.value).count(caught.value.problem) == 1


def test_inspecting_a_broken_image_is_the_same_error(client: Any, service: Any) -> None:
    with pytest.raises(FormatError) as inspected:
        client.inspect(service.broken)
    with pytest.raises(FormatError) as compressed:
        client.compress(service.broken)

    assert str(inspected.value) == str(compressed.value)


def test_an_error_of_the_callers_iterator_is_raised_unchanged(client: Any, service: Any) -> None:
    def chunks() -> Iterator[bytes]:
        yield service.large[:1000]
        raise OSError("the disk is gone")

    before = service.counts.reported
    with pytest.raises(OSError, match="the disk is gone"), client.stream(chunks()) as stream:
        list(stream)

    assert service.counts.reported == before


def test_a_missing_file_is_a_file_not_found_error(client: Any) -> None:
    with pytest.raises(FileNotFoundError):
        client.compress("/does/not/exist")
    with pytest.raises(FileNotFoundError):
        client.inspect("/does/not/exist")


def test_a_busy_service_is_retried(fake: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    pause = Attempts.pause

    def noted(*arguments: Any) -> float:
        pauses.append(pause(*arguments))
        return 0.0

    monkeypatch.setattr(Attempts, "pause", noted)
    with Client(fake.address, retries=3) as client, pytest.raises(BusyError) as caught:
        client.compress(b"FAKEbusy")

    assert caught.value.retry_after_seconds == 0.125
    assert len(pauses) == 3
    assert all(0.125 <= pause <= 0.1875 for pause in pauses)


def test_a_file_that_was_read_is_not_sent_again(fake: Any) -> None:
    before = fake.counts.started
    with Client(fake.address, retries=3) as client, pytest.raises(BusyError):
        client.compress(io.BytesIO(b"FAKEbusy"))

    assert fake.counts.started == before + 1


def test_no_attempt_is_made_after_the_time_out(fake: Any) -> None:
    with Client(fake.address, timeout=30) as client, pytest.raises(BusyError):
        client.compress(b"FAKEwait")


def test_an_address_without_a_server_is_a_call_error() -> None:
    with Client("127.0.0.1:1", timeout=5, retries=0) as client, pytest.raises(CallError) as caught:
        client.compress(b"FAKEhalf")

    assert caught.value.code == "UNAVAILABLE"


def test_health_distinguishes_a_server_from_none(service: Any) -> None:
    assert health(service.address)
    assert not health("127.0.0.1:1", timeout=1)
