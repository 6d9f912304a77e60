"""A spool directory that is full, gone, read-only or broken, as clients, probes and Prometheus see it."""

import errno
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc

from compressor import spool_budget, spool_directory
from compressor.calls.codec import pipeline_codec
from compressor.client import Client
from compressor.memory import Resources
from compressor.service import spool_watch
from compressor.service.server import SERVICE
from compressor.spool_directory import default_spool_dir
from compressor.v1 import compressor_pb2 as pb
from compressor.v1 import compressor_pb2_grpc as rpc
from tests.service.conftest import png
from tests.service.running import Process, Running, eventually
from tests.service.test_drain import get
from tests.service.test_status import detail, failed, upload
from tests.service.test_workers import clients, value

MIB = 1 << 20
FAST = pb.Settings(effort=pb.EFFORT_FAST)
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.fixture(scope="module")
def large() -> bytes:
    """A picture whose spools are in files: it has more pixels than those to which memory is lent."""
    return png(2100, 1000)


@pytest.fixture
def folder() -> Iterator[str]:
    found = tempfile.mkdtemp(dir=default_spool_dir())
    yield found
    shutil.rmtree(found, ignore_errors=True)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Probe and retry soon, and do not wait long for a spool budget."""
    monkeypatch.setattr(spool_watch, "PROBE_SECONDS", 0.05)
    monkeypatch.setattr(spool_directory, "RETRY_SECONDS", 0.25)
    monkeypatch.setattr(spool_budget, "WAIT_SECONDS", 0.3)
    monkeypatch.setattr(spool_budget, "RETRY_SECONDS", 0.25)


def serving(folder: str, **resources: Any) -> Running:
    return Running(pipeline_codec(Resources(spool_dir=folder, memory_budget=256 * MIB, **resources)))


def health(address: str, service: str = SERVICE) -> int:
    with grpc.insecure_channel(address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        return int(stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=5).status)


def sample(running: Running, series: str) -> float:
    return sum(
        float(line.split(" ")[-1]) for line in running.scrape().splitlines() if line.rpartition(" ")[0] == series
    )


def is_unavailable(running: Running, picture: bytes, problem: str, retry_milliseconds: int) -> None:
    """Check that a call ends with UNAVAILABLE, this problem, and the time after which to retry."""
    with grpc.insecure_channel(running.address) as channel:
        error, failure, details = failed(rpc.CompressorServiceStub(channel), upload(picture, settings=FAST))
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert problem in failure.message
    assert detail(details, error_details_pb2.RetryInfo).retry_delay.ToMilliseconds() == retry_milliseconds


def is_ready(running: Running) -> bool:
    return get(f"{running.metrics}/readyz")[0] == 200 and health(running.address) == SERVING


def compresses(running: Running, picture: bytes) -> None:
    with Client(running.address, timeout=60, retries=0) as client:
        assert client.compress(picture, effort="fast").report.bytes_in == len(picture)


def failing(number: int) -> Callable[..., Any]:
    def fail(*arguments: Any, **options: Any) -> Any:
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize(
    "module, name, number",
    [
        (tempfile, "TemporaryFile", errno.EROFS),
        (tempfile, "TemporaryFile", errno.EMFILE),
        (os, "pwrite", errno.ENOSPC),
        (os, "pwrite", errno.EDQUOT),
        (os, "pread", errno.EIO),
    ],
)
def test_a_spool_that_fails_is_unavailable_until_its_directory_works_again(
    module: Any,
    name: str,
    number: int,
    folder: str,
    large: bytes,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    with serving(folder) as running:
        assert is_ready(running)
        with monkeypatch.context() as patch:
            patch.setattr(module, name, failing(number))
            is_unavailable(running, large, f"the spool directory {folder}: {os.strerror(number)}", 250)

            assert get(f"{running.metrics}/readyz")[0] == 503
            assert get(f"{running.metrics}/healthz")[0] == 200
            assert eventually(lambda: health(running.address) == NOT_SERVING)
            assert health(running.address, "") == SERVING, "a restart would not help"
            compresses(running, png(32, 24))  # its spools fit in memory
            assert sample(running, 'compressor_requests_rejected_total{reason="disk"}') == 1
            assert sample(running, "compressor_spool_errors_total") >= 2  # of the call and of probes
            assert not is_ready(running)
        assert eventually(lambda: is_ready(running))
        compresses(running, large)
        assert sample(running, 'compressor_requests_rejected_total{reason="disk"}') == 1
        assert sample(running, 'compressor_requests_total{code="INTERNAL",path="none"}') == 0
        assert (sample(running, "compressor_spool_bytes"), sample(running, "compressor_spool_files")) == (0, 0)
        assert sample(running, "compressor_memory_reserved_bytes") == 0
    logged = [record.getMessage() for record in caplog.records if record.name == spool_watch.__name__]
    assert logged == [
        f"the spool directory {folder} does not work: {os.strerror(number)}",
        f"the spool directory {folder} works again",
    ]
    assert "unexpected" not in caplog.text


def test_writes_may_be_short(folder: str, large: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(folder) as running, Client(running.address, timeout=60) as client:
        expected = client.compress(large, effort="fast").data
        write, read = os.pwrite, os.pread
        monkeypatch.setattr(os, "pwrite", lambda file, data, at: write(file, data[: len(data) // 2 + 1], at))
        monkeypatch.setattr(os, "pread", lambda file, count, at: read(file, count // 2 + 1, at))
        assert client.compress(large, effort="fast").data == expected


def test_a_client_that_retries_gets_its_result(folder: str, large: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(folder) as running, Client(running.address, timeout=60, retries=3) as client:
        write, fails = os.pwrite, [errno.ENOSPC]

        def writing(*arguments: Any) -> int:
            if fails:
                failing(fails.pop())()
            return write(*arguments)

        monkeypatch.setattr(os, "pwrite", writing)
        assert client.compress(large, effort="fast").report.bytes_in == len(large)
        assert sample(running, 'compressor_requests_rejected_total{reason="disk"}') == 1


def test_an_error_that_is_over_at_the_next_probe_is_logged_and_changes_no_health(
    folder: str, large: bytes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with serving(folder) as running:
        failing_once = iter([errno.ENOSPC])
        write = os.pwrite

        def writing(*arguments: Any) -> int:
            return write(*arguments) if (number := next(failing_once, 0)) == 0 else failing(number)()

        monkeypatch.setattr(os, "pwrite", writing)
        is_unavailable(running, large, "No space left on device", 250)
        assert eventually(lambda: is_ready(running))
        assert health(running.address) == SERVING
    assert "does not work: No space left on device" in caplog.text and "works again" in caplog.text


def test_a_directory_that_is_removed_and_made_again_works_again(folder: str, large: bytes) -> None:
    with serving(folder) as running:
        compresses(running, large)
        os.rmdir(folder)  # nothing is left in it
        is_unavailable(running, large, f"{folder}: No such file or directory", 250)
        assert not is_ready(running)
        compresses(running, png(32, 24))
        os.mkdir(folder)
        assert eventually(lambda: is_ready(running))
        compresses(running, large)


def test_a_server_whose_directory_does_not_work_starts_and_is_not_ready(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", failing(errno.ENOSPC))
        running = serving(folder)
    with running:
        assert eventually(lambda: is_ready(running))
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", failing(errno.ENOSPC))
        with serving(folder) as running:
            assert not is_ready(running) and health(running.address) == NOT_SERVING
            compresses(running, png(32, 24))


def test_a_budget_in_use_is_busy_and_one_that_is_too_small_is_never_enough(
    folder: str, large: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The source and the result of a safe call are in spools."""
    monkeypatch.setattr(spool_budget, "FIRST_WAIT_SECONDS", 0.3)
    with serving(folder, spool_budget=2 * len(large)) as running:
        resources = running.server._codec.resources
        others = 3 * len(large) // 2
        resources.charge(others)
        is_unavailable(running, large, f"the spool budget of {2 * len(large)} bytes is in use", 250)
        assert sample(running, "compressor_spool_bytes") == others
        assert sample(running, "compressor_spool_budget_bytes") == 2 * len(large)
        assert sample(running, 'compressor_requests_rejected_total{reason="busy"}') == 1
        assert is_ready(running), "a busy service is healthy"
        resources.charge(-others)
        compresses(running, large)
    with serving(folder, spool_budget=len(large) - 1) as running, grpc.insecure_channel(running.address) as channel:
        error, failure, _ = failed(rpc.CompressorServiceStub(channel), upload(large, settings=FAST))
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert f"more than the whole spool budget of {len(large) - 1}" in failure.message
        assert sample(running, 'compressor_requests_rejected_total{reason="limit"}') == 1


def test_pictures_that_do_not_fit_at_once_all_succeed_if_their_clients_retry(folder: str, large: bytes) -> None:
    """The source and the result of each are in spools, and the budget has room for those of one and a half."""
    with serving(folder, spool_budget=3 * len(large)) as running:

        def compress(number: int) -> int:
            with Client(running.address, timeout=60, retries=30) as client:
                return client.compress(large, effort="fast").report.bytes_in

        with ThreadPoolExecutor(6) as pool:
            assert list(pool.map(compress, range(6))) == [len(large)] * 6
        assert sample(running, 'compressor_requests_rejected_total{reason="limit"}') == 0
        assert eventually(lambda: sample(running, "compressor_spool_bytes") == 0)
        assert is_ready(running)


def test_workers_share_a_budget_that_is_half_of_what_is_free_and_report_a_directory_that_fails(folder: str) -> None:
    free = shutil.disk_usage(folder).free
    with Process("fake", workers=2, spool_dir=folder) as process, clients(process) as by_worker:
        budget = value(process, "compressor_spool_budget_bytes")
        assert budget == pytest.approx(free / 2, rel=0.2) or budget == spool_directory.BUDGET_BYTES_MIN
        shutil.rmtree(folder)
        for client in list(by_worker.values())[:1]:
            with pytest.raises(Exception, match="No such file or directory"):
                client.compress(b"FAKEdisk" + bytes(100))
        assert eventually(lambda: get(f"{process.metrics}/readyz")[0] == 503)
        assert get(f"{process.metrics}/healthz")[0] == 200
        assert value(process, "compressor_spool_errors_total") >= 1
        os.mkdir(folder)
        assert eventually(lambda: get(f"{process.metrics}/readyz")[0] == 200)
        for client in by_worker.values():
            assert client.compress(b"FAKEdisk" + bytes(100)).data
        assert value(process, 'compressor_requests_rejected_total{reason="disk"}') == 1
