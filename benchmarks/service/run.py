"""A server in a process of its own: CPU time, calls per second and latency; overloaded, attacked and restarted.

python -m benchmarks service [--quick] [--parts overhead,overload,…] [--rounds N] [--seconds N] [--soak] [--out DIR]
"""

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.harness import record, sources
from benchmarks.harness.options import add_parts
from benchmarks.service import table, under_load
from benchmarks.service.checks import LARGE, MEDIUM, SMALL
from benchmarks.service.latency import LARGE_CALLERS, LatencyResult, measure_latency
from benchmarks.service.overhead import OverheadResult, measure_overhead
from benchmarks.service.throughput import ThroughputResult, has_pyvips, has_workers, measure_throughput

ROUND_PARTS = ("overhead", "throughput", "latency")
PARTS = (*ROUND_PARTS, *under_load.PARTS)
ROUNDS, QUICK_ROUNDS = {"overhead": 9, "throughput": 7, "latency": 3}, 2
BLOCK_SECONDS, QUICK_BLOCK_SECONDS = 2.0, 0.5  # of CPU time; the system counts it in steps of 10 ms
WINDOW_SECONDS, QUICK_WINDOW_SECONDS = {"throughput": 4.0, "latency": 10.0}, 1.5


def options(words: Sequence[str]) -> argparse.Namespace:
    """Parse the options of this benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks service")
    parser.add_argument("--quick", action="store_true", help="few rounds and short ones, for a first impression")
    add_parts(parser, PARTS)
    parser.add_argument("--rounds", type=int, help="number of rounds of each part that has rounds", metavar="N")
    parser.add_argument(
        "--seconds", type=float, help="of load in each part under load (60, 10 with --quick)", metavar="N"
    )
    parser.add_argument("--soak", action="store_const", dest="parts", const=["soak"], help="the part soak alone")
    return parser.parse_args(words)


def run(out: Path, words: Sequence[str] = ()) -> bool:
    """Measure, print and save; return False if a result is wrong or a goal missed."""
    chosen = options(words)
    console = record.console()
    rounds = {name: chosen.rounds or (QUICK_ROUNDS if chosen.quick else ROUNDS[name]) for name in ROUND_PARTS}
    seconds = {name: QUICK_WINDOW_SECONDS if chosen.quick else WINDOW_SECONDS[name] for name in WINDOW_SECONDS}
    overhead: list[OverheadResult] = []
    throughput: list[ThroughputResult] = []
    latency: LatencyResult | None = None
    with console.status("") as status:
        on_progress = record.progress(console, status)
        if "overhead" in chosen.parts:
            block_seconds = QUICK_BLOCK_SECONDS if chosen.quick else BLOCK_SECONDS
            for size in (SMALL, MEDIUM):
                on_progress(f"CPU time outside the codec, {size}")
                overhead.append(measure_overhead(size, rounds["overhead"], block_seconds))
        if "throughput" in chosen.parts:
            on_progress(f"calls per second, {SMALL}")
            throughput = measure_throughput(SMALL, rounds["throughput"], seconds["throughput"])
        if "latency" in chosen.parts:
            on_progress(f"latency of {SMALL} next to {LARGE}")
            latency = measure_latency(SMALL, LARGE, LARGE_CALLERS, rounds["latency"], seconds["latency"])
        load_seconds = chosen.seconds or (under_load.QUICK_SECONDS if chosen.quick else under_load.SECONDS)
        load = under_load.measure(chosen.parts, load_seconds, chosen.quick, on_progress)
    if overhead:
        console.print(table.overhead_table(overhead))
    if throughput:
        console.print(table.throughput_table(throughput, str(SMALL)))
    if latency is not None:
        console.print(table.latency_table(latency))
    if throughput and not has_workers():
        console.print("[yellow]Not measured: several workers, which this server does not have[/]")
    if throughput and not has_pyvips():
        console.print("[yellow]Not measured: pyvips is not installed (compressor\\[bench] has it)[/]")
    under_load.print_results(load, console)
    problems = [f"{one.size}: {one.problem}" for one in overhead if one.problem]
    problems += [f"{one.server}: {one.problem}" for one in throughput if one.problem]
    problems += [latency.problem] if latency is not None and latency.problem else []
    problems += load.problems()
    for problem in problems:
        console.print(f"[red]{problem}[/]")
    content = {
        "photographs": {str(size): sources.description(size) for size in (SMALL, MEDIUM, LARGE)},
        "overhead": [asdict(one) for one in overhead],
        "throughput": [asdict(one) for one in throughput],
        "latency": None if latency is None else asdict(latency),
        "load": load.content(),
        "problems": problems,
    }
    saved = record.save(out, "service", content)
    for path in [saved, *under_load.draw(load, saved)]:
        console.print(f"[dim]{path}[/]", soft_wrap=True)
    return not problems
