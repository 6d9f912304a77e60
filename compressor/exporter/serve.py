"""The exporter's process: a tick at every scrape and every few seconds, until a signal ends it."""

import logging
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from compressor.errors import CompressorError
from compressor.exporter.accounting import Exporter, ExporterConfig
from compressor.footprint import load
from compressor.metrics import ExporterMetrics
from compressor.metrics.admin import Admin

log = logging.getLogger(__name__)

TICK_SECONDS = 15.0
FOLLOW_SECONDS = 5.0  # between ticks, while there is more to read
PAUSE_SECONDS = 0.001  # between readings, so that a scrape can get the lock
SIGNALS = (signal.SIGTERM, signal.SIGINT)


def metrics_of(exporter: Exporter, config: ExporterConfig) -> ExporterMetrics:
    """Return the metrics: measured values, and estimates unless their profile is off."""
    metrics, basis = ExporterMetrics(exporter.readings), config.basis
    if not basis.is_off:
        metrics.estimate(load().version, basis.gauges(), basis.info())
    return metrics


def serve(
    config: ExporterConfig,
    metrics_address: str,
    on_ready: Callable[[int], None] = lambda port: None,
    clock: Callable[[], float] = time.time,
) -> None:
    """Serve until SIGTERM or SIGINT; called in the main thread.

    on_ready  called with the port of /metrics, /healthz and /readyz
    """
    stop = threading.Event()
    with stopping(stop):
        exporter = Exporter(config, clock)
        try:
            host, _, port = metrics_address.rpartition(":")
            admin = Admin(host.strip("[]"), int(port), metrics_of(exporter, config).wsgi, lambda: exporter.healthy)
            try:
                on_ready(admin.port)
                while not stop.is_set():
                    tick_once(exporter, stop)
                    stop.wait(TICK_SECONDS)
            finally:
                admin.close()
            exporter.tick()
        finally:
            exporter.close()


def tick_once(exporter: Exporter, stop: threading.Event) -> None:
    """Do a tick, and read what is new. Errors, such as a full disk, are logged, and the next tick tries again."""
    try:
        more = True
        while more and not stop.is_set():
            exporter.tick()
            end = time.monotonic() + FOLLOW_SECONDS
            while (more := exporter.follow()) and time.monotonic() < end and not stop.is_set():
                time.sleep(PAUSE_SECONDS)
    except (CompressorError, OSError, sqlite3.Error) as error:
        log.error("nothing was accrued, trying again in %g s: %s", TICK_SECONDS, error)
    except Exception:
        log.exception("nothing was accrued, trying again in %g s", TICK_SECONDS)


@contextmanager
def stopping(stop: threading.Event) -> Iterator[None]:
    """Set the event on a signal."""

    def on_signal(number: int, frame: FrameType | None) -> None:
        # In another thread: this one may hold the event's lock, and would wait for itself.
        threading.Thread(target=stop.set).start()

    before = {number: signal.signal(number, on_signal) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
