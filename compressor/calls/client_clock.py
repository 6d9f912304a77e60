"""How long a call waits for its client, and when that is too long.

Time counts only while the client is waited for: while a message of it is awaited that there is room for, or while one
for it can't be sent. A call that waits for memory or for a core is not its client's fault.
"""

from dataclasses import dataclass

from compressor.errors import IdleError

HEADER_BYTES = 64 << 10  # of an upload: some formats are read only when all of it has arrived


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientLimits:
    """The limits.

    header_seconds        for the header of the image to arrive, or its first HEADER_BYTES
    idle_seconds          without a byte sent or read
    bytes_per_second_min  that a client sends, and reads, on average. It may be `idle_seconds` late
    call_seconds          from the start of a call to its end, whatever it waits for
    """

    header_seconds: float = 30.0
    idle_seconds: float = 60.0
    bytes_per_second_min: int = 1024
    call_seconds: float = 3600.0


class Direction:
    """The time that a client was waited for in one direction, and the bytes that moved in it.

    Times are of time.monotonic().
    """

    def __init__(self) -> None:
        self.bytes = 0
        self._seconds = 0.0
        self._since: float | None = None

    def begin(self, now: float) -> None:
        """Wait, unless that has begun already."""
        if self._since is None:
            self._since = now

    def end(self, count: int, now: float) -> None:
        """End the wait: `count` bytes have moved."""
        self._seconds = self.seconds(now)
        self._since = None
        self.bytes += count

    def current(self, now: float) -> float:
        """Return the seconds since this wait began; 0 if there is none."""
        return 0.0 if self._since is None else now - self._since

    def seconds(self, now: float) -> float:
        """Return the seconds of all waits."""
        return self._seconds + self.current(now)

    def lateness(self, bytes_per_second: int, now: float) -> float:
        """Return how many seconds the bytes are late."""
        return max(0.0, self.seconds(now) - self.bytes / bytes_per_second)


class ClientClock:
    """The times of one call's client.

    is_header_known  set when the header of the image has arrived
    """

    def __init__(self, client_limits: ClientLimits, now: float) -> None:
        self._client_limits, self._started = client_limits, now
        self.upload, self.download = Direction(), Direction()
        self.is_header_known = False

    def received(self, count: int, now: float) -> None:
        """Count a message with `count` bytes of an image. Without any, the same wait goes on."""
        if count:
            self.upload.end(count, now)

    def lateness(self, now: float) -> float:
        """Return how many seconds the client is late, in the direction in which it is later."""
        rate = self._client_limits.bytes_per_second_min
        return max(self.upload.lateness(rate, now), self.download.lateness(rate, now))

    def is_waiting(self, seconds: float, now: float) -> bool:
        """Return whether the call has waited for its client for so long now."""
        return max(self.upload.current(now), self.download.current(now)) > seconds

    def problem(self, now: float) -> IdleError | None:
        """Return the error of a client that takes too long; None if it does not."""
        limits = self._client_limits
        is_header_late = not self.is_header_known and self.upload.bytes < HEADER_BYTES
        if is_header_late and self.upload.seconds(now) > limits.header_seconds:
            return IdleError(f"the header of the image did not arrive within {limits.header_seconds:g} s")
        for direction, action, share in ((self.upload, "arrived", "sent"), (self.download, "was read", "read")):
            if direction.current(now) > limits.idle_seconds:
                return IdleError(f"nothing {action} for {limits.idle_seconds:g} s")
            if direction.lateness(limits.bytes_per_second_min, now) > limits.idle_seconds:
                return IdleError(f"fewer than {limits.bytes_per_second_min} bytes a second were {share}")
        if now - self._started > limits.call_seconds:
            return IdleError(f"the call took longer than {limits.call_seconds:g} s")
        return None
