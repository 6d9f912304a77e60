"""A memory control group for one process, version 1 or 2, below our own group, if this machine allows it.

Below our own, so that the limits and counters of this process include the other one.
"""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")


def own_group() -> tuple[Path, bool] | None:
    """Return the folder of the group whose memory controller counts this process, and whether it is of version 2."""
    try:
        lines = [line.rstrip("\n").split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    except OSError:
        return None
    for _, controllers, path in lines:
        if "memory" in controllers.split(","):
            folder = ROOT / "memory" / path.lstrip("/")
            return folder if folder.is_dir() else ROOT / "memory", False
    for _, controllers, path in lines:
        folder = ROOT / path.lstrip("/")
        if not controllers and (folder / "cgroup.subtree_control").is_file():
            return folder, True
    return None


class MemoryGroup:
    """A group with a limit. prefix: words before a command that make it run in there."""

    def __init__(self, folder: Path, version2: bool) -> None:
        self._folder, self._version2 = folder, version2
        self.prefix = ("sh", "-c", f'echo $$ > "{folder}/cgroup.procs" && exec "$@"', "enter")

    def _read(self, name: str) -> str:
        return (self._folder / name).read_text()

    @property
    def peak_bytes(self) -> int:
        """The peak, page cache included."""
        return int(self._read("memory.peak" if self._version2 else "memory.max_usage_in_bytes"))

    @property
    def killed(self) -> int:
        """The number of processes killed for lack of memory."""
        fields = self._read("memory.events" if self._version2 else "memory.oom_control").split()
        return int(fields[fields.index("oom_kill") + 1])


def _made(limit_bytes: int) -> tuple[Path, bool] | None:
    """Make a group with that limit: its folder, and whether it is of version 2; None, and no group, if that fails."""
    if (own := own_group()) is None:
        return None
    parent, version2 = own
    folder = parent / f"compressor-{os.getpid()}"
    try:
        folder.mkdir()
    except OSError:
        return None
    try:
        with (folder / ("memory.max" if version2 else "memory.limit_in_bytes")).open("r+") as limit:
            limit.write(str(limit_bytes))
    except OSError:  # no memory controller there, or no such limit
        folder.rmdir()
        return None
    return folder, version2


@contextlib.contextmanager
def memory_group(limit_bytes: int) -> Iterator[MemoryGroup | None]:
    """Yield a group with that limit, deleted afterwards; None if none can be made."""
    if (made := _made(limit_bytes)) is None:
        yield None
        return
    folder, version2 = made
    try:
        yield MemoryGroup(folder, version2)
    finally:
        for _ in range(100):  # the group is busy for a moment after its last process
            with contextlib.suppress(OSError):
                folder.rmdir()
                break
            time.sleep(0.05)
