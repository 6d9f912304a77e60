"""The files, the settings and the checks that all measurements of a server share."""

from typing import Any

from benchmarks.harness import fidelity, sources
from benchmarks.harness.server import ServerProcess
from benchmarks.service.callers import Calls
from benchmarks.small.measure import PSNR_MIN_DB

EFFORT = "balanced"
SETTINGS: dict[str, Any] = {"effort": EFFORT, "delivery": "safe"}
SMALL, MEDIUM, LARGE = (sources.SIZES[name] for name in ("0.4", "2", "12"))
WARM_CALLS = 4  # of each caller, before the first round


def problem_of(data: bytes, result: bytes, calls: Calls) -> str:
    """Return why calls that expect `result` are wrong, or ""."""
    if calls.wrong:
        return f"{calls.wrong} of {len(calls.ends)} results are not the expected one"
    if not calls.ends:
        return "no call ended"
    if len(result) >= len(data):
        return "not smaller"
    psnr = fidelity.psnr(fidelity.decoded(data), fidelity.decoded(result))
    return "" if psnr >= PSNR_MIN_DB else f"{psnr:.1f} dB"


def used(server: ServerProcess) -> tuple[float, int]:
    """Return the CPU seconds and the page faults so far. Raises RuntimeError if the system does not report them."""
    seconds, faults = server.cpu_seconds, server.page_faults
    if seconds is None or faults is None:
        raise RuntimeError("this system does not report the CPU time of a process in /proc/PID/stat")
    return seconds, faults
