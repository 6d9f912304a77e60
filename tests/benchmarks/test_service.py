"""The benchmark of a server: small runs of its parts, its peer, and its checks of results."""

import dataclasses
import math
import signal
import time
from contextlib import closing
from typing import Any

import numpy as np
import pytest

from benchmarks.harness import record, sources
from benchmarks.harness.server import ServerProcess
from benchmarks.service import http2, latency, overhead, pyvips_server, run, table, throughput
from benchmarks.service.callers import (
    CallerProcess,
    Calls,
    Order,
    OurCaller,
    PeerCaller,
    call_until,
    make_calls,
)
from benchmarks.service.checks import problem_of
from benchmarks.service.rpcs import CompressRpc, RejectedError
from benchmarks.service.throughput import Side, Window
from benchmarks.small.measure import ours
from compressor.client import Client
from compressor.v1 import compressor_pb2 as pb

TINY = sources.Size(192, 128)


@pytest.fixture(scope="module")
def data() -> bytes:
    return sources.files(TINY, 1)[0]


def test_cpu_time_of_a_server_is_compared_with_the_codecs() -> None:
    found = overhead.measure_overhead(TINY, rounds=1, block_seconds=0.2)

    assert found.problem == ""
    assert found.codec_seconds > 0 and found.server_seconds > 0
    assert found.ratio == pytest.approx(found.codec_seconds / found.server_seconds)


def test_a_small_caller_is_measured_next_to_large_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency, "RAMP_SECONDS", 0.1)

    found = latency.measure_latency(TINY, sources.Size(384, 256), large_callers=3, rounds=1, seconds=0.3)

    assert found.problem == ""
    assert found.small_calls > 0 and found.large_per_second > 0
    assert found.ratio == pytest.approx(found.beside_p50_seconds / found.alone_p50_seconds)


def test_servers_are_compared_with_libvips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throughput, "CHANNELS", 4)

    results = throughput.measure_throughput(TINY, rounds=2, seconds=0.3)

    assert [one.problem for one in results] == [""] * len(results)
    assert [one.server for one in results][-1] == "pyvips"
    assert ("2 workers" in [one.server for one in results]) == throughput.has_workers()
    assert results[0].vs_first == 1
    assert all(one.calls_per_second > 0 and one.cores > 0 and one.client_seconds > 0 for one in results)


def test_callers_take_turns_with_their_own_connections(data: bytes) -> None:
    expected = pyvips_server.recode(data)
    with ServerProcess(module=throughput.PYVIPS_SERVER) as server:
        with CallerProcess(server.address, data, expected, 3, PeerCaller) as callers:
            order, calls = make_calls([callers], math.inf, 4)
        with CallerProcess(server.address, data, b"another", 1, PeerCaller) as callers:
            wrong = make_calls([callers], math.inf, 2)[1]
        before = server.cpu_seconds, server.page_faults

    assert len(calls.latencies) == len(calls.ends) == 12
    assert min(calls.ends) > order.begin and calls.wrong == 0
    assert wrong.wrong == 2
    assert before[0] is not None and before[0] > 0 and before[1]
    assert server.code in (0, -signal.SIGTERM)


def test_the_http2_client_receives_what_grpcs_client_receives() -> None:
    """A request larger than all windows, a failure before the request has been sent, and another call after it."""
    settings: dict[str, Any] = {"effort": "fast"}
    large = sources.files(sources.Size(1600, 1200), 1)[0]
    assert len(large) > 3 * http2.DEFAULT_WINDOW
    with ServerProcess() as server, closing(OurCaller(server.address, large, settings)) as caller:
        with closing(OurCaller(server.address, b"no image" * 100_000, settings)) as broken:
            for _ in range(2):
                with pytest.raises(RuntimeError, match="a call has no result: "):
                    broken.call()
        with Client(server.address) as client:
            assert caller.call() == caller.call() == client.compress(large, **settings).data


def test_messages_of_a_response_are_separated() -> None:
    data = http2.prefixed(b"one") + http2.prefixed(b"") + http2.prefixed(b"three")

    assert http2.unprefixed(data) == [b"one", b"", b"three"]
    assert http2.unprefixed(data[:-1]) == [b"one", b""]


def test_rejected_calls_are_repeated(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first response is a rejection, the second has a result."""
    failure = pb.Failure(code=14, retry_after_seconds=0.5)
    rejected = [pb.CompressResponse(failure=failure).SerializeToString()]
    chunks = [pb.CompressResponse(chunk=chunk) for chunk in (b"re", b"sult")]
    result = [part.SerializeToString() for part in (*chunks, pb.CompressResponse(report=pb.Report()))]
    responses = iter([rejected, result])
    monkeypatch.setattr(http2, "Http2Connection", lambda *_: None)
    caller = OurCaller("", data, {})
    monkeypatch.setattr(caller, "call", lambda: CompressRpc().result(next(responses)))

    calls = call_until(caller, Order(time.perf_counter(), 60.0, 1), b"result")

    assert (calls.rejected, calls.wrong, len(calls.ends)) == (1, 0, 1)
    with pytest.raises(RejectedError):
        CompressRpc().result(rejected)
    with pytest.raises(RuntimeError, match="no result: no message"):
        CompressRpc().result([])


def test_wrong_results_of_calls_are_detected(data: bytes) -> None:
    calls, result = Calls(latencies=[1.0], ends=[1.0]), ours("balanced")(data)

    assert problem_of(data, result, calls) == ""
    assert problem_of(data, result, Calls()) == "no call ended"
    assert problem_of(data, data, calls) == "not smaller"
    wrong = dataclasses.replace(calls, wrong=1)
    assert problem_of(data, result, wrong) == "1 of 1 results are not the expected one"
    grey = sources.camera_jpeg(np.full((TINY.height, TINY.width, 3), 128, np.uint8))
    assert problem_of(data, grey, calls).endswith(" dB")


def test_calls_that_end_after_a_window_do_not_count(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server takes 4 CPU seconds for four calls, one of which ends two seconds after the window of two."""
    used = iter([(1.0, 10), (5.0, 50)])
    calls = Calls(latencies=[1.0] * 4, ends=[101.0, 101.5, 102.0, 104.0], cpu_seconds=0.4)
    monkeypatch.setattr(throughput, "used", lambda _: next(used))
    monkeypatch.setattr(throughput, "make_calls", lambda *_: (Order(100.0, 2.0, 9), calls))
    side = Side("1 process", None, [], ours("balanced")(data))  # type: ignore[arg-type]

    side.measure(2.0)
    found = throughput.result_of(side, side, data)

    assert side.windows == [Window(1.5, 1.0, 4.0, 40, calls)]
    assert (found.calls_per_second, found.cores, found.server_seconds) == (1.5, 1.0, 1.0)
    assert (found.client_seconds, found.page_faults) == (0.1, 10)


def test_percentiles_of_few_calls() -> None:
    assert latency.percentile([3.0], 99) == 3.0
    assert latency.percentile([1.0, 2.0, 3.0], 50) == 2.0


def test_servers_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    one = throughput.ThroughputResult("1 worker", 60.0, 1.0, 0.95, 0.0134, 0.0012, 230.0, 0.25, 0, 0.494, "")
    two = dataclasses.replace(one, server="2 workers", vs_first=1.87)
    found = latency.LatencyResult("768 × 512", "4240 × 2832", 32, 0.012, 0.02, 0.05, 0.2, 4.2, 300, 11.5, 0, "")

    console = record.console()
    console.print(table.overhead_table([overhead.OverheadResult("768 × 512", 0.0112, 0.0134, 0.836, 230.0, "")]))
    console.print(table.throughput_table([one, two], "768 × 512"))
    console.print(table.latency_table(found))

    printed = capsys.readouterr().out
    assert "0.84×" in printed and "1.87×" in printed and "4.2×" in printed and "…" not in printed


def test_parts_of_a_server_can_be_chosen() -> None:
    assert run.options(["--quick"]).parts == run.PARTS
    assert run.options(["--parts", "latency,overhead"]).parts == ["latency", "overhead"]
    with pytest.raises(SystemExit):
        run.options(["--parts", "speed"])
