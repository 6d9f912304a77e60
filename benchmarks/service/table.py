"""The results of `service` as tables."""

from collections.abc import Sequence

from rich.table import Table

from benchmarks.harness import record
from benchmarks.service.latency import LatencyResult
from benchmarks.service.overhead import OverheadResult
from benchmarks.service.throughput import CHANNELS, CLIENTS, ThroughputResult


def overhead_table(results: Sequence[OverheadResult]) -> Table:
    """Return a row for each size."""
    table = record.table(
        "CPU time of a call: the codec in process, and the server; balanced, safe delivery, one caller",
        ("size",),
        ("codec ms", "server ms", "codec /\nserver", "page faults\nof the server"),
    )
    for one in results:
        table.add_row(
            one.size,
            f"{one.codec_seconds * 1e3:.2f}",
            f"{one.server_seconds * 1e3:.2f}",
            f"[bold]{one.ratio:.2f}×[/]",
            f"{one.page_faults:.0f}",
            style="red" if one.problem else "",
        )
    return table


def throughput_table(results: Sequence[ThroughputResult], size: str) -> Table:
    """Return a row for each server."""
    table = record.table(
        f"JPEG files of {size}, balanced, from {CHANNELS} connections of {CLIENTS} client processes",
        ("server",),
        (
            "calls/s", "vs\nfirst", "cores", "server ms\na call", "client ms\na call", "page\nfaults",
            "p50 ms", "rejec-\nted", "bytes",
        ),
        "ms: CPU time, but for p50; cores: CPU seconds of the server in a second; bytes relative to the source",
    )  # fmt: skip
    for one in results:
        table.add_row(
            one.server,
            f"{one.calls_per_second:.1f}",
            f"[bold]{one.vs_first:.2f}×[/]",
            f"{one.cores:.2f}",
            f"{one.server_seconds * 1e3:.2f}",
            f"{one.client_seconds * 1e3:.2f}",
            f"{one.page_faults:.0f}",
            f"{one.p50_seconds * 1e3:.0f}",
            str(one.rejected),
            f"{one.bytes:.3f}",
            style="red" if one.problem else "",
        )
    return table


def latency_table(one: LatencyResult) -> Table:
    """Return the latencies of a small caller alone and next to large ones."""
    table = record.table(
        f"Latency of one caller of {one.small}, alone and next to {one.large_callers} callers of {one.large}",
        ("",),
        ("p50 ms", "p99 ms", "p50 vs\nalone"),
        f"{one.small_calls} small calls next to {one.large_per_second:.1f} large ones a second; "
        f"{one.rejected} rejected as busy",
    )
    table.add_row("alone", f"{one.alone_p50_seconds * 1e3:.1f}", f"{one.alone_p99_seconds * 1e3:.1f}", "")
    beside = f"{one.beside_p50_seconds * 1e3:.1f}", f"{one.beside_p99_seconds * 1e3:.1f}"
    table.add_row("next to large callers", *beside, f"[bold]{one.ratio:.1f}×[/]", style="red" if one.problem else "")
    return table
