"""Metrics of a run, which cannot be scraped: in a textfile, and pushed."""

import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from compressor.errors import CompressorError
from compressor.metrics import LAST_SUCCESS, TEXTFILE_BYTES_MAX, batch_metrics, push, write_textfile
from tests.report.summaries import SCORES, TOTALS, summary

SUCCESS = {"totals": TOTALS[:5]}  # all but the failures


@pytest.mark.parametrize(
    "sample",
    [
        'compressor_batch_objects_total{outcome="compressed",reason="none"} 401.0',
        'compressor_batch_objects_total{outcome="copied",reason="not_smaller"} 50.0',
        'compressor_batch_objects_total{outcome="failed",reason="broken_image"} 9.0',
        'compressor_batch_input_bytes_total{format="jpeg"} 1.515e+06',
        'compressor_batch_output_bytes_total{format="jpeg"} 1.115e+06',  # failed objects keep their size
        'compressor_batch_input_bytes_total{format="none"} 11000.0',
        'compressor_batch_cpu_seconds_total{stage="encode"} 4.0',
        'compressor_batch_cpu_seconds_total{stage="verify"} 0.0',
        'compressor_batch_cpu_seconds_total{stage="other"} 0.5',
        "compressor_batch_duration_seconds 100.0",
        "compressor_batch_interrupted 0.0",
        'compressor_batch_score_bucket{format="jpeg",le="70.0"} 1.0',
        'compressor_batch_score_bucket{format="jpeg",le="75.0"} 2.0',  # 75 itself is in
        'compressor_batch_score_bucket{format="jpeg",le="80.0"} 2.0',
        'compressor_batch_score_bucket{format="jpeg",le="+Inf"} 3.0',
        'compressor_batch_score_count{format="jpeg"} 3.0',
        'compressor_batch_score_sum{format="jpeg"} 220.2',
        'compressor_batch_score_count{format="png"} 1.0',
    ],
)
def test_a_run_is_counted(sample: str) -> None:
    assert sample in generate_latest(batch_metrics(summary(scores=SCORES))).decode().splitlines()


@pytest.mark.parametrize(
    "changes", [SUCCESS, {}, {"scores": SCORES}, {"totals": (), "stage_seconds": {}, "interrupted": True}]
)
def test_promtool_accepts_the_metrics_of_a_run(changes: dict[str, object], tmp_path: Path) -> None:
    write_textfile(batch_metrics(summary(**changes)), tmp_path / "run.prom")
    text = (tmp_path / "run.prom").read_bytes()

    checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, timeout=60)

    assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")


@pytest.mark.parametrize(
    "changes, success", [(SUCCESS, 1_700_000_100.0), ({}, None), (SUCCESS | {"interrupted": True}, None)]
)
def test_only_a_completed_run_without_failures_is_a_success(changes: dict[str, object], success: float | None) -> None:
    assert batch_metrics(summary(**changes)).get_sample_value(LAST_SUCCESS) == success


def test_a_textfile_keeps_the_last_success_until_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "run.prom"

    def after(**changes: object) -> float:
        write_textfile(batch_metrics(summary(**changes)), path)
        (line,) = (line for line in path.read_text().splitlines() if line.startswith(LAST_SUCCESS))
        return float(line.split()[1])

    assert after(**SUCCESS) == 1_700_000_100
    assert after(ended=1_700_000_200.0) == 1_700_000_100
    assert after(ended=1_700_000_300.0, **SUCCESS) == 1_700_000_300
    assert [found.name for found in tmp_path.iterdir()] == ["run.prom"]


@pytest.mark.parametrize("garbage", [b"\xff", b"{{{", b"x 1\n" * TEXTFILE_BYTES_MAX, b""])
def test_an_invalid_textfile_is_replaced(garbage: bytes, tmp_path: Path) -> None:
    path = tmp_path / "run.prom"
    path.write_bytes(garbage)

    write_textfile(batch_metrics(summary()), path)

    assert LAST_SUCCESS not in path.read_text()
    assert "compressor_batch_duration_seconds 100.0" in path.read_text()


@pytest.fixture
def gateway() -> Iterator[tuple[str, list[tuple[str, str, bytes]]]]:
    """Yield the address of a Pushgateway, and what was pushed to it."""
    received: list[tuple[str, str, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append((self.command, self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(400 if "refused" in self.path else 200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"127.0.0.1:{server.server_port}", received
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_push_keeps_metrics_that_this_run_does_not_have(gateway: tuple[str, list[tuple[str, str, bytes]]]) -> None:
    """POST replaces metrics of the same name only; PUT would delete the last success."""
    address, received = gateway

    push(batch_metrics(summary()), address, "nightly")

    ((method, path, body),) = received
    assert (method, path) == ("POST", "/metrics/job/nightly")
    assert b"compressor_batch_duration_seconds 100.0" in body


def test_a_push_that_fails_is_an_error_of_one_line(
    gateway: tuple[str, list[tuple[str, str, bytes]]],
) -> None:
    with pytest.raises(CompressorError, match=r"metrics were not accepted: Bad Request"):
        push(batch_metrics(summary()), gateway[0], "refused")
    with pytest.raises(CompressorError, match=r"127.0.0.1:9: metrics were not accepted: .*refused"):
        push(batch_metrics(summary()), "127.0.0.1:9", "nightly")
