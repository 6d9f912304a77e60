"""What a process may use, and where what needs a second look waits: the byte budget and the spool.

A **spool** keeps bytes in memory up to SPOOL_MEMORY_BYTES and in an unlinked file above that, so nothing is left
behind whatever happens to the process. The file's directory must be on a disk: on a memory-backed file system the
spool would be memory that no budget sees.
"""

import os
import re
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import BinaryIO, Protocol, Self, cast

from compressor.errors import BusyError, LimitError, SettingsError

CHUNK_BYTES = 1 << 18
SPOOL_MEMORY_BYTES = 1 << 16
PATIENCE_SECONDS = 0.25
MEMORY_BACKED = {"tmpfs", "ramfs", "devtmpfs", "hugetlbfs"}
MOUNTINFO = "/proc/self/mountinfo"
ESCAPED = re.compile(rb"\\([0-7]{3})")  # how mountinfo writes a space, a tab, a newline and a backslash


def file_system(directory: str) -> str:
    """Type of the file system that holds `directory`, "" where it can't be known.

    Paths are compared as bytes: the name of a mount point need not be text.
    """
    path, best, kind = os.path.realpath(os.fsencode(directory)), -1, ""
    try:
        with open(MOUNTINFO, "rb") as mounts:
            for line in mounts:
                fields, _, rest = line.partition(b" - ")
                mount = ESCAPED.sub(lambda escape: bytes([int(escape[1], 8) & 0xFF]), fields.split(b" ")[4])
                inside = path == mount or path.startswith(mount.rstrip(b"/") + b"/")
                if inside and len(mount) >= best:
                    best, kind = len(mount), rest.split(b" ")[0].decode("ascii", "replace")
    except OSError:
        return ""
    return kind


def resident_bytes() -> int:
    """Memory that this process holds right now, of the system's; 0 where that can't be known."""
    try:
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def default_spool_dir() -> str:
    """The first of /var/tmp and the system's temporary directory that is on a disk and can be written."""
    candidates = ["/var/tmp", tempfile.gettempdir()]
    for directory in candidates:
        if os.access(directory, os.W_OK) and file_system(directory) not in MEMORY_BACKED:
            return directory
    raise SettingsError("spool_dir", f"none of {', '.join(candidates)} is a writable directory on a disk: name one")


class Spool:
    """Bytes that are written once, in order, and then read as often as needed.

    still_wanted  called before each access: what it raises ends the work. Whatever takes long goes through a spool.
    """

    def __init__(self, resources: "Resources", still_wanted: Callable[[], None] = lambda: None) -> None:
        self._resources, self._still_wanted = resources, still_wanted
        self._file = tempfile.SpooledTemporaryFile(max_size=SPOOL_MEMORY_BYTES, dir=resources.spool_dir)  # noqa: SIM115
        self._charged = 0
        self.size = 0

    def write(self, data: bytes | memoryview) -> None:
        """Append. Raises LimitError where the process' disk budget is used up."""
        self._still_wanted()
        self._resources.charge_disk(len(data))
        self._charged += len(data)
        self._file.write(data)
        self.size += len(data)

    def chunks(self, start: int = 0) -> Iterator[bytes]:
        """All bytes from `start` on, in chunks of CHUNK_BYTES. Several iterators may be under way at once."""
        while chunk := self.read(start, CHUNK_BYTES):
            start += len(chunk)
            yield chunk

    def read(self, start: int, count: int) -> bytes:
        """`count` bytes from `start` on; fewer at the end."""
        self._still_wanted()
        self._file.seek(start)
        return self._file.read(count)

    def file(self) -> BinaryIO:
        """The spool as a seekable binary file, at its start; for reading only."""
        self._file.seek(0)
        return cast(BinaryIO, self._file)

    def close(self) -> None:
        """Give everything back; again is harmless."""
        self._file.close()
        self._resources.charge_disk(-self._charged)
        self._charged = 0


class Readable(Protocol):
    """Bytes that can be read as often as needed: `Spool`, or what begins before it."""

    size: int

    def read(self, start: int, count: int) -> bytes:
        """`count` bytes from `start` on; fewer at the end."""
        ...

    def chunks(self) -> Iterator[bytes]:
        """All of them."""
        ...


class Headed:
    """A head that was made last, and the spool with what comes behind it."""

    def __init__(self, head: bytes, rest: Spool) -> None:
        self._head, self._rest = head, rest
        self.size = len(head) + rest.size

    def read(self, start: int, count: int) -> bytes:
        """As `Spool.read`."""
        first = self._head[start : start + count]
        if len(first) == count:
            return first
        return first + self._rest.read(max(0, start - len(self._head)), count - len(first))

    def chunks(self) -> Iterator[bytes]:
        """As `Spool.chunks`."""
        yield self._head
        yield from self._rest.chunks()


class Held:
    """A number of bytes that changes now and then, and its integral over time."""

    def __init__(self) -> None:
        self._state = (0, 0.0, time.monotonic())  # bytes, their integral, until when; one object, for other threads

    @property
    def bytes(self) -> int:
        return self._state[0]

    def add(self, count: int) -> None:
        """By one thread at a time."""
        held, integral, since = self._state
        now = time.monotonic()
        self._state = (held + count, integral + held * (now - since), now)

    def byte_seconds(self) -> float:
        """From the beginning until now."""
        held, integral, since = self._state
        return integral + held * max(0.0, time.monotonic() - since)


class Reservation:
    """A request's share of the byte budget, given back on `close`.

    It begins with what any request takes, grows by what its header holds, and then waits once for what its image needs.
    """

    def __init__(self, resources: "Resources") -> None:
        self._resources = resources
        self.held = Held()
        self.admitted = False  # what the image needs is there; until then others may be served first

    @property
    def bytes(self) -> int:
        return self.held.bytes

    def hold(self, count: int) -> None:
        """Take `count` more bytes at once. Raises LimitError if they never fit, BusyError where others need them."""
        self._resources.take(self, count)

    def extend(self, count: int, still_wanted: Callable[[], None] = lambda: None) -> None:
        """Take `count` more bytes for the image, waiting for one's turn.

        still_wanted  called every PATIENCE_SECONDS of waiting; what it raises ends the wait

        Raises LimitError if it can never fit, BusyError if the queue is full or the wait too long.
        """
        self._resources.await_room(self, count, still_wanted)

    def close(self) -> None:
        """Give it back; again is harmless."""
        self._resources.release(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Resources:
    """What all requests of a process share.

    memory_budget  bytes that all requests may reserve together, those that wait included, or None for no limit
    spool_dir      where spools go once they outgrow memory; None: `default_spool_dir`
    spool_budget   bytes that all spools may hold together, or None for no limit
    queue_limit    requests that may wait for memory at the same time
    wait_seconds   how long one waits before it is told to come back
    overhead       bytes that each request takes besides what its image needs: windows, pipes, its thread

    Requests that wait hold something already, so two rules keep them from starving each other: they are served in the
    order of their coming, and nobody takes what would leave the neediest of those who wait without hope, though all
    that are admitted had ended.
    """

    def __init__(
        self,
        *,
        memory_budget: int | None = None,
        spool_dir: str | None = None,
        spool_budget: int | None = None,
        queue_limit: int = 256,
        wait_seconds: float = 30.0,
        overhead: int = 0,
    ) -> None:
        self.spool_dir = spool_dir or default_spool_dir()
        if not os.path.isdir(self.spool_dir) or not os.access(self.spool_dir, os.W_OK):
            raise SettingsError("spool_dir", f"{self.spool_dir} is not a writable directory")
        if (kind := file_system(self.spool_dir)) in MEMORY_BACKED:
            raise SettingsError("spool_dir", f"{self.spool_dir} is in memory ({kind}): name a directory on a disk")
        self.memory_budget = memory_budget
        self.spool_budget = spool_budget
        self.queue_limit = queue_limit
        self.wait_seconds = wait_seconds
        self.overhead = overhead
        self.held = Held()
        self.spooled_bytes = 0
        self._early_bytes = 0  # reserved by requests that are not admitted yet
        self._queue: deque[tuple[Reservation, int]] = deque()  # who waits, and for how many bytes more
        self._changed = threading.Condition()

    @property
    def reserved_bytes(self) -> int:
        """Of all requests together."""
        return self.held.bytes

    def reservation(self) -> Reservation:
        """Of a request that begins: the overhead. Raises BusyError where there is no room for it."""
        reservation = Reservation(self)
        self.take(reservation, self.overhead)
        return reservation

    def take(self, reservation: Reservation, count: int) -> None:
        """`Reservation.hold`."""
        with self._changed:
            self._check_possible(reservation, count)
            needed = max((missing for _, missing in self._queue), default=0)
            early = count + (0 if reservation.admitted else self._early_bytes + needed)
            if self.memory_budget is not None and max(self.reserved_bytes + count, early) > self.memory_budget:
                raise BusyError(f"{count} bytes of memory are not free", self.wait_seconds / 4)
            self._add(reservation, count)

    def await_room(self, reservation: Reservation, count: int, still_wanted: Callable[[], None]) -> None:
        """`Reservation.extend`."""
        with self._changed:
            if self.memory_budget is not None:
                self._queue_up(reservation, count, still_wanted)
            self._add(reservation, count)
            self._early_bytes -= reservation.bytes
            reservation.admitted = True

    def _queue_up(self, reservation: Reservation, missing: int, still_wanted: Callable[[], None]) -> None:
        budget = self.memory_budget or 0
        self._check_possible(reservation, missing)
        if self._queue or self.reserved_bytes + missing > budget:
            if len(self._queue) >= self.queue_limit:
                raise BusyError(f"{self.queue_limit} requests are waiting for memory already", self.wait_seconds / 4)
            if self._early_bytes + missing > budget:
                raise BusyError("those that wait for memory leave too little of it", self.wait_seconds / 4)
        ticket = (reservation, missing)
        self._queue.append(ticket)
        try:
            self._await_turn(ticket, still_wanted)
        finally:
            self._queue.remove(ticket)
            self._changed.notify_all()

    def _await_turn(self, ticket: tuple[Reservation, int], still_wanted: Callable[[], None]) -> None:
        """First come, first served: a large request is not overtaken for ever by small ones."""
        deadline = time.monotonic() + self.wait_seconds
        budget, missing = self.memory_budget or 0, ticket[1]
        while self._queue[0] is not ticket or self.reserved_bytes + missing > budget:
            left = deadline - time.monotonic()
            if left <= 0:
                raise BusyError(
                    f"{missing} bytes of memory did not become free within {self.wait_seconds:g} s",
                    self.wait_seconds / 4,
                )
            self._changed.wait(min(left, PATIENCE_SECONDS))
            still_wanted()

    def _check_possible(self, reservation: Reservation, count: int) -> None:
        needed = reservation.bytes + count
        if self.memory_budget is not None and needed > self.memory_budget:
            raise LimitError(f"needs {needed} bytes of memory, more than the whole budget of {self.memory_budget}")

    def _add(self, reservation: Reservation, count: int) -> None:
        reservation.held.add(count)
        self.held.add(count)
        if not reservation.admitted:
            self._early_bytes += count

    def release(self, reservation: Reservation) -> None:
        """`Reservation.close`; those who wait look again."""
        with self._changed:
            self._add(reservation, -reservation.bytes)
            self._changed.notify_all()

    def charge_disk(self, count: int) -> None:
        """Count bytes that spools take or, negative, give back."""
        with self._changed:
            if count > 0 and self.spool_budget is not None and self.spooled_bytes + count > self.spool_budget:
                raise LimitError(f"the spools' budget of {self.spool_budget} bytes is used up")
            self.spooled_bytes += count

    def spool(self, still_wanted: Callable[[], None] = lambda: None) -> Spool:
        """A new, empty spool; `still_wanted` as there."""
        return Spool(self, still_wanted)
