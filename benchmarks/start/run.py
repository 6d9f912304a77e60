"""From the start of a command to its end: CPU time, wall time and peak memory, compared with Pillow and jpegoptim; the
server when it is idle, and the size of an installation.

python -m benchmarks start [--rounds N] [--server-rounds N] [--out DIR]
"""

import argparse
import compileall
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.table import Table

import compressor
from benchmarks.harness import record
from benchmarks.start import installed
from benchmarks.start.measure import IdleServer, Measured, commands, has_jpegoptim, measure, measure_server

ROUNDS, SERVER_ROUNDS = 9, 3
MB, MIB = 10**6, 1 << 20
RESIDENT_BYTES_MAX = 90 * MIB  # of an idle server
INSTALLED_BYTES_MAX = 150 * MB
LARGEST = 5  # distributions that are printed


def options(words: Sequence[str]) -> argparse.Namespace:
    """Parse the options of this benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks start")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="number of timed rounds", metavar="N")
    parser.add_argument(
        "--server-rounds", type=int, default=SERVER_ROUNDS, help="number of servers to start", metavar="N"
    )
    return parser.parse_args(words)


def command_table(results: Sequence[Measured]) -> Table:
    """Return a row for each command; red if its output is wrong or it misses its goal."""
    caption = "Goals in CPU seconds: --help 0.2, inspect 0.4, compress 1.0."
    table = record.table("From start to end", ("", "tool"), ("CPU s", "wall s", "peak MB"), caption)
    previous = ""
    for one in results:
        task = one.command.task
        if previous not in ("", task):
            table.add_section()
        use = one.medians
        cpu = f"{use.cpu_seconds:.3f}"
        table.add_row(
            "" if previous == task else task,
            f"[red]{one.command.tool}[/]" if one.problem else one.command.tool,
            f"[red]{cpu}[/]" if one.is_slow else cpu,
            f"{use.wall_seconds:.3f}",
            f"{use.peak_bytes / MB:.0f}",
            style="" if one.command.is_ours else "dim",
        )
        previous = task
    return table


def misses(results: Sequence[Measured], server: IdleServer, total_bytes: int) -> list[str]:
    """Return wrong output and missed goals, a line for each."""
    found = [f"{one.command.task}, {one.command.tool}: {one.problem}" for one in results if one.problem]
    found += [f"{one.command.task}: {one.medians.cpu_seconds:.3f} s of CPU time" for one in results if one.is_slow]
    if server.problem:
        found.append(f"server: {server.problem}")
    if server.resident_bytes > RESIDENT_BYTES_MAX:
        found.append(f"server: {server.resident_bytes / MIB:.0f} MiB, more than {RESIDENT_BYTES_MAX / MIB:.0f}")
    if total_bytes > INSTALLED_BYTES_MAX:
        found.append(f"installed: {total_bytes / MB:.0f} MB, more than {INSTALLED_BYTES_MAX / MB:.0f}")
    return found


def run(out: Path, words: Sequence[str] = ()) -> bool:
    """Measure, print and save; return False if an output is wrong or a goal is missed."""
    chosen = options(words)
    console = record.console()
    compileall.compile_dir(str(Path(compressor.__file__).parent), quiet=1)  # as pip does
    with console.status("") as status:
        on_progress = record.progress(console, status)
        results = measure(commands(), chosen.rounds, on_progress)
        on_progress("server")
        server = measure_server(chosen.server_rounds)
    installation = installed.installation()
    problems = misses(results, server, installation.total_bytes)
    medians = [asdict(one.command) | asdict(one.medians) for one in results]
    content = {"commands": medians, "server": asdict(server), "installed": asdict(installation), "problems": problems}
    path = record.save(out, "start", content)
    console.print(command_table(results))
    largest = ", ".join(f"{name} {size / MB:.0f}" for name, size in list(installation.sizes.items())[:LARGEST])
    lines = [
        f"idle server: {server.resident_bytes / MIB:.0f} MiB resident, {server.resident_after_bytes / MIB:.0f} "
        f"after one photograph; healthy after {server.wall_seconds:.2f} s and {server.cpu_seconds:.2f} s of CPU time",
        f"installed: {installation.total_bytes / MB:.0f} MB, {installation.bytecode_bytes / MB:.0f} of them bytecode; "
        f"the largest are {largest}",
        *([] if has_jpegoptim() else ["[yellow]Not measured: jpegoptim is not installed[/]"]),
        *(f"[red]{line}[/]" for line in problems),
        f"[dim]{path}[/]",
    ]
    console.print("\n".join(lines), soft_wrap=True)
    return not problems
