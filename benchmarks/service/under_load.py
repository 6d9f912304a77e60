"""The parts of `service` that measure a server under load, attacked, restarted, and over many calls."""

import contextlib
import itertools
from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.service import load_plot, load_table
from benchmarks.service.attacks import AttackedResult, measure_attack
from benchmarks.service.goals import Goal
from benchmarks.service.overload import DEADLINE_SECONDS, OURS, EndedError, OverloadResult, measure_overload, peers
from benchmarks.service.restart import PAUSE_SECONDS, QUICK_PAUSE_SECONDS, RestartResult, measure_restart
from benchmarks.service.soak import CALLS, QUICK_CALLS, SoakResult, measure_soak

PARTS = ("overload", "deadlines", "peers", "loris", "readers", "restart", "soak")
SECONDS, QUICK_SECONDS = 60.0, 10.0
ATTACK_SECONDS_MAX = 20.0  # of normal callers before an attack, and as long during it


@dataclass
class LoadResults:
    """Results of the parts that were measured.

    not_measured  the parts that failed, and why
    """

    overloads: list[OverloadResult] = field(default_factory=list)
    attacks: list[AttackedResult] = field(default_factory=list)
    restart: RestartResult | None = None
    soak: SoakResult | None = None
    not_measured: list[str] = field(default_factory=list)

    def goals(self) -> list[tuple[str, Goal]]:
        """Return all goals, each with the name of its part."""
        parts: list[tuple[str, list[Goal]]] = [
            ("overload" if one.deadline is None else "deadlines", one.goals) for one in self.overloads
        ]
        parts += [(one.name, one.goals) for one in self.attacks]
        parts += [("restart", self.restart.goals)] if self.restart is not None else []
        parts += [("soak", self.soak.goals)] if self.soak is not None else []
        return [(name, goal) for name, goals in parts for goal in goals]

    def problems(self) -> list[str]:
        """Return the parts that could not be measured, and the goals that are missed."""
        missed = [f"{part}: {one.name}: {one.value}, not {one.limit}" for part, one in self.goals() if not one.met]
        return [*self.not_measured, *missed]

    def content(self) -> dict[str, Any]:
        """Return the results for JSON."""
        return asdict(self)


def measure(parts: Collection[str], seconds: float, quick: bool, on_progress: Callable[[str], None]) -> LoadResults:
    """Measure some of PARTS; the others have no results."""
    results = LoadResults()

    @contextlib.contextmanager
    def part(name: str, text: str) -> Iterator[None]:
        """Measure a part in the `with`; a server or a load generator that ends costs this part alone."""
        on_progress(text)
        try:
            yield
        except (RuntimeError, EOFError, OSError) as error:
            results.not_measured.append(f"{name}: not measured: {error}")

    if "overload" in parts:
        with part("overload", f"ten times the load for {seconds:g} s"):
            results.overloads.append(measure_overload(OURS, seconds))
    if "deadlines" in parts:
        with part("deadlines", f"ten times the load for {seconds:g} s, with deadlines"):
            results.overloads.append(measure_overload(OURS, seconds, DEADLINE_SECONDS))
    for peer in peers() if "peers" in parts else ():
        with part("peers", f"ten times the load for {seconds:g} s: {peer.name}"):
            try:
                results.overloads.append(measure_overload(peer, seconds))
            except EndedError as error:  # which is its result
                on_progress(str(error))
    for name in ("loris", "readers"):
        if name in parts:
            with part(name, f"normal callers and calls that are held open: {name}"):
                results.attacks.append(measure_attack(name, min(seconds, ATTACK_SECONDS_MAX)))
    if "restart" in parts:
        with part("restart", "rolling restart"):
            results.restart = measure_restart(QUICK_PAUSE_SECONDS if quick else PAUSE_SECONDS)
    if "soak" in parts:
        calls = QUICK_CALLS if quick else CALLS
        with part("soak", f"{calls:,} calls of 64 × 64"):
            results.soak = measure_soak(calls)
    return results


def print_results(results: LoadResults, console: Console) -> None:
    """Print all tables."""
    if results.overloads:
        console.print(load_table.capacity_table(results.overloads))
        console.print(load_table.overload_table(results.overloads))
    if results.attacks:
        console.print(load_table.attack_table(results.attacks))
    if results.restart is not None:
        console.print(load_table.restart_line(results.restart))
    if results.soak is not None:
        console.print(load_table.soak_line(results.soak))
    reasons = [*(one.capacity.problems for one in results.overloads), *(one.reasons for one in results.overloads)]
    reasons += [*(one.reasons for one in results.attacks)]
    for text, count in itertools.chain.from_iterable(some.items() for some in reasons):
        console.print(f"[dim]{count:7,} × {text}[/]")
    if goals := results.goals():
        console.print(load_table.goals_table(goals))


def draw(results: LoadResults, path: Path) -> list[Path]:
    """Write plots next to the file of the results; return their paths."""

    def beside(name: str) -> Path:
        return path.with_name(f"{path.stem}-{name}.png")

    paths = []
    if results.overloads:
        paths.append(load_plot.draw_overload(results.overloads, beside("overload")))
    if results.attacks:
        paths.append(load_plot.draw_attacks(results.attacks, beside("attacks")))
    if results.soak is not None:
        paths.append(load_plot.draw_soak(results.soak, beside("soak")))
    return paths
