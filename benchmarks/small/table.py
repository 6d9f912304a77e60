"""The results of `small` as tables."""

from collections.abc import Sequence

from rich.table import Table

from benchmarks.harness import record
from benchmarks.small.measure import PILLOW, QUALITY, SmallResult
from benchmarks.small.threads import LayoutResult


def small_table(results: Sequence[SmallResult], rounds: int) -> Table:
    """Return a row for each effort and size."""
    kinds = "; ".join(f"for {effort} {', '.join(PILLOW[effort]) or 'its defaults'}" for effort in PILLOW)
    table = record.table(
        f"JPEG to JPEG in process at quality {QUALITY}: CPU time of an image, compared with Pillow's open and save",
        ("", "size"),
        ("CPU ms", "Pillow's", "ratio", "quartiles", "bytes vs\nPillow's", "SSIMULACRA2\nvs Pillow's"),
        f"{rounds} rounds; Pillow {kinds}",
    )
    for before, one in zip((None, *results), results, strict=False):
        if before is not None and before.effort != one.effort:
            table.add_section()
        table.add_row(
            one.effort,
            one.size,
            f"{one.cpu_seconds * 1e3:.2f}",
            f"{one.pillow_cpu_seconds * 1e3:.2f}",
            f"[bold]{one.ratio:.2f}×[/]",
            f"{one.quartiles[0]:.2f}-{one.quartiles[1]:.2f}",
            f"{one.bytes / one.pillow_bytes:.3f}",
            f"{one.score - one.pillow_score:+.1f}",
            style="red" if one.problem else "",
        )
    return table


def counts_table(results: Sequence[SmallResult]) -> Table:
    """Return a row for each effort and size."""
    figures = ("page faults", "Pillow's", "temporary\nfiles", "Python\ncalls", "kernel\ncalls")
    table = record.table(
        "Work of one call", ("", "size"), figures, "kernel calls are counted if the kernels were compiled beforehand"
    )
    for one in results:
        table.add_row(
            one.effort,
            one.size,
            f"{one.page_faults:.0f}",
            f"{one.pillow_page_faults:.0f}",
            str(one.files),
            str(one.python_calls),
            str(one.kernel_calls or "-"),
        )
    return table


def layout_table(results: Sequence[LayoutResult], rounds: int) -> Table:
    """Return a row for each conversion, size, and number of threads or processes."""
    table = record.table(
        "Many images at once: threads of one process, compared with one thread and with two processes",
        ("", "size", "at once"),
        ("images/s", "vs 1\nthread", "vs 2\nprocesses", "quartiles", "CPU ms\nan image"),
        f"{rounds} rounds; images/s by the wall clock",
    )
    for before, one in zip((None, *results), results, strict=False):
        if before is not None and (before.conversion, before.size) != (one.conversion, one.size):
            table.add_section()
        table.add_row(
            one.conversion,
            one.size,
            one.layout,
            f"{one.images_per_second:.1f}",
            f"{one.vs_one:.2f}×",
            f"[bold]{one.vs_processes:.2f}×[/]",
            f"{one.quartiles[0]:.2f}-{one.quartiles[1]:.2f}",
            f"{one.cpu_seconds * 1e3:.2f}",
            style="red" if one.problem else "",
        )
    return table
