"""The memory and the cores of a process, as Linux reports and sets them."""

import os
from pathlib import Path


def status_bytes(name: str, pid: int | str = "self") -> int | None:
    """Return a field of /proc/PID/status in bytes; None if the process has ended or the system has no such field."""
    try:
        with open(f"/proc/{pid}/status") as status:
            return next(int(line.split()[1]) << 10 for line in status if line.startswith(f"{name}:"))
    except (OSError, StopIteration):
        return None


def reset_peak(pid: int | str = "self") -> None:
    """Make VmHWM count from now on (proc(5), clear_refs). Raises OSError where this is not supported."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def limit_cores(cores: int) -> None:
    """Pin this process to the last `cores` of the cores that it may use."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-cores:])
    os.environ["VIPS_CONCURRENCY"] = str(cores)
