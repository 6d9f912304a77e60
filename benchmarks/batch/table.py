"""The results of `batch` as tables."""

from collections.abc import Sequence

from rich.table import Table

from benchmarks.batch.local_peer import EFFORT, QUALITY, WORKERS, LocalResult
from benchmarks.batch.measure import MIB, SIDE, BatchResult, FastPathResult, ListingResult
from benchmarks.harness import record


def batch_table(results: Sequence[BatchResult], mean_bytes: float) -> Table:
    """Return a row for each backend, engine and number of workers. `mean_bytes`: of an object."""
    table = record.table(
        f"compressor batch, JPEG photographs of {SIDE} × {SIDE}, {mean_bytes / 1e3:.0f} kB on average",
        ("objects on", "engine"),
        ("workers", "objects/s", "MB/s in", "vs one\nworker", "start s", "codec\nCPU ms", "other\nCPU ms"),
    )
    for one in results:
        single = next((r for r in results if (r.backend, r.engine, r.workers) == (one.backend, one.engine, 1)), None)
        table.add_row(
            one.backend if not one.problem else f"[red]{one.backend}[/]",
            one.engine,
            str(one.workers),
            f"{one.objects_per_second:.1f}",
            f"{one.bytes_per_second / 1e6:.1f}",
            "-" if single is None else f"{one.objects_per_second / single.objects_per_second:.2f}",
            f"{one.start_seconds:.1f}",
            f"{one.codec_seconds * 1e3:.1f}",
            "-" if one.other_seconds is None else f"{one.other_seconds * 1e3:.2f}",
        )
    return table


def local_table(results: Sequence[LocalResult], rounds: int) -> Table:
    """Return a row for each size and tool."""
    table = record.table(
        f"Local files: compressor batch, {EFFORT}, {WORKERS} workers, and {WORKERS} processes of jpegoptim; "
        f"both at quality {QUALITY}",
        ("", "objects of"),
        ("number", "objects/s", "vs\njpegoptim", "CPU ms", "codec\nCPU ms", "other\nCPU ms", "saved"),
        f"medians of {rounds} rounds; objects/s of the whole command; codec and other: without start-up",
    )

    def milliseconds(seconds: float | None) -> str:
        return "-" if seconds is None else f"{seconds * 1e3:.2f}"

    for one in results:
        table.add_row(
            one.tool,
            one.size,
            str(one.objects),
            f"{one.objects_per_second:.1f}",
            "-" if one.vs_peer is None else f"[bold]{one.vs_peer:.2f}×[/]",
            milliseconds(one.cpu_seconds),
            milliseconds(one.codec_seconds),
            milliseconds(one.other_seconds),
            f"{one.saved:.1%}",
            style="red" if one.problem else "",
        )
    return table


def fast_path_table(result: FastPathResult) -> Table:
    """Return the CPU time with the S3 fast path and without it, per object and of the whole run."""
    table = record.table(
        f"S3 fast path: CPU time of all processes, one worker, {result.objects} objects of {SIDE} × {SIDE}",
        ("objects on", ""),
        ("with", "without", "saved"),
        "per object: start-up excluded; the share depends on the size of the objects",
    )
    with_, without = result.cpu_seconds * 1e3, result.cpu_seconds_without * 1e3
    table.add_row(result.backend, "per object, ms", f"{with_:.2f}", f"{without:.2f}", f"{result.object_share:.1%}")
    run, run_without = result.run_seconds, result.run_seconds_without
    table.add_row("", "whole run, s", f"{run:.2f}", f"{run_without:.2f}", f"{result.run_share:.1%}")
    return table


def listing_table(listings: Sequence[ListingResult]) -> Table:
    """Return a row for each number of keys."""
    table = record.table("Objects that are not images, in place", ("keys",), ("s", "objects/s", "coordinator MiB"))
    for one in listings:
        table.add_row(
            f"{one.keys:,}", f"{one.seconds:.1f}", f"{one.keys / one.seconds:.0f}", f"{one.peak_bytes / MIB:.1f}"
        )
    return table
