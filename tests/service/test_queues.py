"""Metrics of queues, tenants and single calls."""

import threading
from typing import Any

import pytest

from compressor.client import Client
from compressor.cores import cores
from compressor.memory import Resources
from compressor.metrics import Account, Metrics
from compressor.metrics.service import TENANTS_MAX
from compressor.service.observation import CallObserver
from compressor.work_times import WorkTimes
from tests.service.fake_pipeline import fake_codec
from tests.service.running import Running, eventually


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"compressor_{name}", labels)


def test_calls_that_wait_for_memory_are_counted_while_they_wait() -> None:
    resources = Resources(memory_budget=1 << 20)
    held = resources.reservation()
    held.extend(1 << 20)
    hold = b"FAKEhold" + b"%08d" % (1 << 19)
    with Running(fake_codec(resources)) as running, Client(running.address) as client:
        metrics = running.server.metrics
        threads = [threading.Thread(target=client.compress, args=(hold,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        assert eventually(lambda: value(metrics, "queue_depth", resource="memory") == 3)
        held.close()
        for thread in threads:
            thread.join()
        assert eventually(lambda: value(metrics, "queue_depth", resource="memory") == 0)


def test_threads_that_wait_for_a_core_are_counted_while_they_wait(fake: Any) -> None:
    metrics, go = fake.server.metrics, threading.Event()
    held = threading.Barrier(cores.count + 1)

    def hold() -> None:
        with cores.acquired():
            held.wait()
            go.wait()

    def ask() -> None:
        with cores.acquired():
            pass

    threads = [threading.Thread(target=hold) for _ in range(cores.count)]
    for thread in threads:
        thread.start()
    held.wait()
    threads.append(threading.Thread(target=ask))
    threads[-1].start()
    try:
        assert eventually(lambda: value(metrics, "queue_depth", resource="cores") == 1)
    finally:
        go.set()
    for thread in threads:
        thread.join()
    assert value(metrics, "queue_depth", resource="cores") == 0


def test_a_call_counts_its_waits_once() -> None:
    metrics = Metrics()
    account = Account(metrics)
    account.worked(WorkTimes(waited_seconds={"memory": 0.75, "cores": 0.002}))

    assert value(metrics, "queue_wait_seconds_sum", resource="memory") == 0.75
    assert value(metrics, "queue_wait_seconds_bucket", resource="memory", le="0.5") == 0
    assert value(metrics, "queue_wait_seconds_bucket", resource="memory", le="1.0") == 1
    assert value(metrics, "queue_wait_seconds_bucket", resource="cores", le="0.0025") == 1
    assert value(metrics, "queue_wait_seconds_bucket", resource="cores", le="0.001") == 0


def test_tenants_are_counted_by_name_and_the_others_together() -> None:
    metrics = Metrics()
    for number in range(TENANTS_MAX + 10):
        account = Account(metrics, tenant=f"tenant-{number}")
        account.received(100)
        account.sent(10)
        account.end("OK")
        account.close()

    assert value(metrics, "tenant_requests_total", tenant="tenant-0", code="OK") == 1
    assert value(metrics, "tenant_input_bytes_total", tenant="other") == 1000
    assert value(metrics, "tenant_output_bytes_total", tenant="other") == 100
    assert value(metrics, "tenant_requests_total", tenant=f"tenant-{TENANTS_MAX}", code="OK") is None
    names = {
        sample.labels["tenant"]
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == "compressor_tenant_requests_total"
    }
    assert len(names) == TENANTS_MAX + 1


def test_calls_without_tenants_make_no_series_of_tenants() -> None:
    metrics = Metrics()
    account = Account(metrics)
    account.end("OK")
    account.close()

    assert value(metrics, "tenant_requests_total", tenant="", code="OK") is None
    assert value(metrics, "requests_total", code="OK", path="none") == 1


class Context:
    """As much of gRPC's context as an observer uses."""

    def __init__(self, remaining: float | None = None) -> None:
        self.remaining = remaining
        self.trailing: Any = None

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return (("x-request-id", "id-1"),)

    def peer(self) -> str:
        return "ipv4:127.0.0.1:1"

    def set_trailing_metadata(self, metadata: Any) -> None:
        self.trailing = metadata

    def time_remaining(self) -> float | None:
        return self.remaining


@pytest.mark.parametrize(
    "error, remaining, code, reason",
    [
        (ZeroDivisionError, None, "UNKNOWN", "internal"),
        (GeneratorExit, None, "CANCELLED", "canceled"),
        (GeneratorExit, 5.0, "CANCELLED", "canceled"),
        (GeneratorExit, 0.0, "DEADLINE_EXCEEDED", "deadline"),
    ],
)
def test_a_call_that_ends_without_a_status_gets_one(
    error: type[BaseException], remaining: float | None, code: str, reason: str
) -> None:
    metrics = Metrics()
    with pytest.raises(error), CallObserver(metrics).call("Compress", Context(remaining)) as account:  # type: ignore[arg-type]
        raise error

    assert (account.code, account.reason) == (code, reason)
    assert value(metrics, "requests_total", code=code, path="none") == 1
    assert value(metrics, "requests_in_progress") == 0


def test_an_upload_that_was_cut_off_by_a_cancellation_is_canceled() -> None:
    with pytest.raises(GeneratorExit), CallObserver(Metrics()).call("Compress", Context()) as account:  # type: ignore[arg-type]
        account.end("DATA_LOSS", reason="incomplete")
        raise GeneratorExit

    assert (account.code, account.reason) == ("CANCELLED", "canceled")
