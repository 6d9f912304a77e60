"""Many small calls, one after the other: how the memory of a server grows."""

import statistics
import time
from dataclasses import dataclass, field

import numpy as np

from benchmarks.harness import sources
from benchmarks.harness.server import ServerProcess
from benchmarks.service.checks import EFFORT, SETTINGS
from benchmarks.service.generator import LoadOrder, LoadProcess
from benchmarks.service.goals import Goal, at_most, none_of
from benchmarks.service.mix import Share, mixed_files
from benchmarks.service.overload import CALLERS, MIB, EndedError
from benchmarks.service.rpcs import CompressRpc
from benchmarks.service.watch import Watch
from benchmarks.small.measure import ours

CALLS, QUICK_CALLS = 100_000, 10_000
BLOCKS = 20
SECONDS_MAX = 15 * 60.0
WARM_SHARE = 0.1  # of the calls, before growth is measured
MIX = (Share(sources.SIZES["64px"], 1.0, 16),)


@dataclass
class SoakResult:
    """Growth of resident memory.

    resident_bytes  median of each block of calls; None: it was not measured
    growth          bytes for 10,000 calls: the slope of a line through the blocks, by least squares; None: not measured
    wrong           calls without the expected result
    """

    calls: int
    seconds: float
    calls_per_second: float
    block_calls: int
    resident_bytes: list[float | None]
    growth: float | None
    wrong: int
    goals: list[Goal] = field(default_factory=list)


def growth_of(resident_bytes: list[float | None], block_calls: int) -> float | None:
    """Return the bytes for 10,000 calls by which memory grows after the first blocks; None without two blocks, or if
    the memory of one was not measured.
    """
    sizes = [size for size in resident_bytes[int(len(resident_bytes) * WARM_SHARE) :] if size is not None]
    if len(sizes) < 2 or None in resident_bytes:
        return None
    calls = np.arange(len(sizes)) * block_calls
    return float(np.polyfit(calls, np.array(sizes), 1)[0]) * 10_000


def measure_soak(calls: int = CALLS, blocks: int = BLOCKS) -> SoakResult:
    """Make calls with several callers in blocks. Raises EndedError."""
    rpc = CompressRpc()
    files = mixed_files(rpc, ours(EFFORT), SETTINGS, MIX)
    begin, sizes, wrong, made = time.perf_counter(), list[float | None](), 0, 0
    with ServerProcess() as server, LoadProcess(server.address, CompressRpc, files) as load, Watch(server) as watch:
        for number in range(blocks):
            left = SECONDS_MAX - (time.perf_counter() - begin)
            if left <= 0:
                break
            block = time.perf_counter()
            order = LoadOrder(left, (1.0,), callers=CALLERS, calls=calls // blocks, seed=number)
            records = load.make(order)
            if not server.alive:
                raise EndedError(f"the server has ended after {made + len(records.calls):,} calls")
            watch.sample()
            seen = [size for at, size in watch.seen.memory if at >= block]
            sizes.append(statistics.median(seen) if seen else None)
            wrong += len(records.calls) - records.outcomes()["ok"]
            made += len(records.calls)
        seconds = time.perf_counter() - begin
    growth = growth_of(sizes, calls // blocks)
    return SoakResult(
        calls=made,
        seconds=seconds,
        calls_per_second=made / seconds,
        block_calls=calls // blocks,
        resident_bytes=sizes,
        growth=growth,
        wrong=wrong,
        goals=[
            at_most("growth for 10,000 calls", growth, MIB, "MiB", 1 / MIB),
            none_of("calls without the expected result", wrong),
            none_of("calls that were not made in 15 minutes", calls // blocks * blocks - made),
        ],
    )
