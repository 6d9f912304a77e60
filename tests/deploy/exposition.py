"""Pages of a service, an exporter and a batch run for a Prometheus to scrape.

The collectors are the package's, the drivers are made up. Counters grow from scrape to scrape.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server
from wsgiref.util import setup_testing_defaults

from compressor.footprint import Basis, Drivers, amounts, load
from compressor.ledger.records import ObjectOutcome, Reason
from compressor.ledger.totals import Total
from compressor.metrics import Account, Estimates, ExporterMetrics, Metrics, batch_metrics, write_textfile
from compressor.report.scores import ScoreTally
from compressor.report.summary import Summary
from compressor.settings import Outcome, Report, Settings, Source
from compressor.settings import Path as CompressionPath

BASIS = Basis(storage_class="hdd-3az", originals_deleted=True, network="fixed", region="us")
HOUR, YEAR = 3600.0, 31557600.0
Amounts = Mapping[tuple[str, str, str], Iterable[float]]


@dataclass
class Work:
    """Ongoing work: every second adds these drivers."""

    basis: Basis
    drivers: Drivers
    started: float = field(default_factory=time.monotonic)

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self.started

    def amounts(self) -> Amounts:
        elapsed, reserved = self.elapsed, self.basis.reserved_vcpus
        names = ("cpu_seconds", "memory_byte_seconds", "stored_byte_seconds", "unsent_bytes")
        grown: dict[str, Any] = {name: getattr(self.drivers, name) for name in names}
        grown = {name: value * elapsed for name, value in grown.items() if value is not None}
        grown["reserved_vcpu_seconds"] = None if reserved is None else reserved * elapsed
        return amounts(self.basis.estimate(replace(self.drivers, **grown)))

    def avoided(self) -> Amounts:
        return {key: amount for key, amount in self.amounts().items() if key[0] == "avoided"}


@dataclass
class Ledger:
    """An exporter's readings of ledgers and feeds."""

    work: Work
    amounts_of: Callable[[], Amounts]
    saved_bytes: int
    expired_bytes: int = 0
    result_bytes: int = 0
    read_seconds_ago: float = 0.0
    invalid_lines: float = 0.0

    @property
    def counters(self) -> Mapping[tuple[str, str], float]:
        elapsed, drivers = self.work.elapsed, self.work.drivers
        rates = {
            ("avoided_storage_byte_seconds", "hdd-3az"): drivers.stored_byte_seconds or 0.0,
            ("added_storage_byte_seconds", "hdd-3az"): 1e10,
            ("avoided_egress_bytes", "fixed"): drivers.unsent_bytes or 0.0,
            ("ledger_cpu_seconds", ""): drivers.cpu_seconds,
            ("ledger_memory_byte_seconds", ""): drivers.memory_byte_seconds,
            ("feed_events", "download,counted"): 90.0,
            ("feed_events", "download,unknown"): 2.0,
            ("feed_events", "delete,counted"): 1.0,
            ("feed_events", "other,invalid"): self.invalid_lines,
        }
        return {key: rate * elapsed for key, rate in rates.items()}

    @property
    def amounts(self) -> Amounts:
        return self.amounts_of()

    @property
    def oldest_read_timestamp(self) -> float:
        return time.time() - self.read_seconds_ago


def page(endpoint: Callable[..., Iterable[bytes]]) -> bytes:
    """Return what an endpoint answers to a scrape."""
    request: dict[str, object] = {}
    setup_testing_defaults(request)
    return b"".join(endpoint(request, lambda status, headers: None))


def service_metrics(reserved_bytes: int, spooled_bytes: int, errors_per_second: float, work: Work) -> Metrics:
    metrics = Metrics()
    metrics.watch_memory(1 << 30, lambda: reserved_bytes, lambda: work.elapsed * work.drivers.memory_byte_seconds)
    metrics.watch_spool(10 << 30, lambda: spooled_bytes, lambda: 3, lambda: int(errors_per_second * work.elapsed))
    metrics.watch_energy(lambda: 40.0 * work.elapsed)
    estimates = Estimates(load().version, work.amounts, work.basis.gauges(), work.basis.info())
    metrics.estimate(estimates, work.basis.reserved_vcpus)
    return metrics


def exporter_metrics(ledger: Ledger, reviewed: float | None = None, **info: str) -> ExporterMetrics:
    metrics, basis = ExporterMetrics(lambda: ledger), ledger.work.basis
    gauges = [
        (name, text, reviewed if reviewed is not None and "reviewed" in name else value, labels)
        for name, text, value, labels in basis.gauges()
    ]
    metrics.estimate(load().version, gauges, basis.info() | info)
    return metrics


def call(metrics: Metrics, code: str = "OK", format: str = "jpeg", bytes_in: int = 4 << 20, share: float = 0.6) -> None:
    """Count one image that the service compressed or rejected."""
    account = Account(metrics)
    account.bytes_in = bytes_in
    if code == "OK":
        account.source = Source(format=format, description=format, width=1, height=1, channels=3)
        account.report = Report(
            outcome=Outcome.COMPRESSED,
            bytes_in=bytes_in,
            bytes_out=int(bytes_in * share),
            source_format=format,
            format=format,
            width=1,
            height=1,
            path=CompressionPath.COEFFICIENTS,
            score=100 - 40 * (1 - share),
            encodings=1,
        )
        account.sent(int(bytes_in * share))
    metrics.spent({"decode": 0.01, "encode": 0.04})
    account.end(code, "busy" if code == "UNAVAILABLE" else None)
    account.count_outcome()
    account.close()


def write_run(path: Path, ended: float, failed: int, interrupted: bool) -> None:
    """Write the textfile of a batch run."""
    totals = [
        Total(
            ObjectOutcome.COMPRESSED, Reason.NONE, "jpeg", "coefficients", 9000, 30_000_000_000, 21_000_000_000, 900.0
        ),
        Total(ObjectOutcome.COMPRESSED, Reason.NONE, "png", "pixels", 800, 4_000_000_000, 3_100_000_000, 300.0),
        Total(ObjectOutcome.KEPT, Reason.NOT_SMALLER, "jpeg", "coefficients", 400, 500_000_000, 500_000_000, 20.0),
    ]
    if failed:
        totals.append(Total(ObjectOutcome.FAILED, Reason.DENIED, "", "none", failed, 5_000_000, 0, 0.0))
    scores = ScoreTally()
    for number in range(200):
        scores.add(f"{number}.jpg", "jpeg", 70 + number / 10)
    summary = Summary(
        source="s3://photos",
        target="s3://photos",
        mode="in place",
        settings=Settings(),
        started=ended - HOUR,
        ended=ended,
        wall_seconds=HOUR,
        totals=tuple(totals),
        interrupted=interrupted,
        scores=scores.scores(),
    )
    write_textfile(batch_metrics(summary), path)


def healthy(folder: Path) -> dict[str, Callable[[], bytes]]:
    """Return pages by path, of a healthy installation."""
    used = Drivers(0.05, 5e8)
    service = service_metrics(500 << 20, 1 << 30, 0.0, Work(replace(BASIS, reserved_vcpus=0.5), used))
    service.watch_certificate(lambda: time.time() + 90 * 24 * HOUR)
    work = Work(BASIS, replace(used, stored_byte_seconds=4e13, unsent_bytes=3e7))
    exporter = exporter_metrics(Ledger(work, work.amounts, int(4e13)))
    write_run(folder / "run.prom", time.time() - HOUR, 0, False)

    def service_page() -> bytes:
        for format, share in (("jpeg", 0.62), ("jpeg", 0.7), ("png", 0.8), ("raw", 0.1)):
            call(service, format=format, share=share)
        return page(service.wsgi)

    return {
        "/service": service_page,
        "/exporter": lambda: page(exporter.wsgi),
        "/batch": (folder / "run.prom").read_bytes,
    }


def troubled(folder: Path) -> dict[str, Callable[[], bytes]]:
    """Return pages by path, of an installation in which every alert should fire."""
    service = service_metrics(1000 << 20, 10 << 30, 1.0, Work(replace(BASIS, reserved_vcpus=64.0), Drivers(32.0, 5e10)))
    service.watch_certificate(lambda: time.time() + 3 * 24 * HOUR)
    work = Work(BASIS, Drivers(1.0, 1e9, stored_byte_seconds=1e6, unsent_bytes=0.0))
    stale = Ledger(work, work.amounts, 10**6, int(7e9), read_seconds_ago=2 * HOUR, invalid_lines=3.0)
    exporter = exporter_metrics(stale, time.time() - 3 * YEAR, sha256="0" * 64, version="0")
    gross, mute = exporter_metrics(Ledger(work, work.avoided, 10**6)), Metrics()
    write_run(folder / "run.prom", time.time() - 72 * HOUR, 0, False)
    write_run(folder / "run.prom", time.time() - HOUR, 12, True)

    def service_page() -> bytes:
        for code in ("OK", "OK", "OK", "UNAVAILABLE", "INTERNAL", "INVALID_ARGUMENT"):
            call(service, code)
        service.duration.observe(40.0)
        service.reloaded("failure")
        return page(service.wsgi)

    return {
        "/service": service_page,
        "/exporter": lambda: page(exporter.wsgi),
        "/gross": lambda: page(gross.wsgi),
        "/mute": lambda: page(mute.wsgi),
        "/batch": (folder / "run.prom").read_bytes,
    }


class _Silent(WSGIRequestHandler):
    def log_message(self, format: str, *words: object) -> None:
        """Log nothing: scrapes are frequent."""


@contextmanager
def exposed(pages: Mapping[str, Callable[[], bytes]]) -> Iterator[str]:
    """Serve the pages; yield the address."""

    def answer(request: Mapping[str, str], start: Callable[..., object]) -> list[bytes]:
        start("200 OK", [("Content-Type", "text/plain; version=0.0.4; charset=utf-8")])
        return [pages[request["PATH_INFO"]]()]

    with make_server("127.0.0.1", 0, answer, handler_class=_Silent) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
