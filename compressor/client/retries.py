"""The attempts of a call: which errors are retried, how often, and after which pause."""

import random
import time
from typing import NoReturn

from compressor.client.addresses import Rotation
from compressor.errors import BusyError, CallError, CompressorError

# A lost connection is retried after up to 0.1, 0.4, 1.6, 5 and 5 s: at once if another server is there, and for some
# seconds if the only one restarts.
FIRST_PAUSE_SECONDS = 0.1
PAUSE_FACTOR = 4
PAUSE_SECONDS_MAX = 5.0
STARTING = ("Connection refused", "backend unhealthy")  # in the text of a status: a server that starts, or drains

NOT_REPLAYABLE = "not sent again, since the source can be read only once: pass bytes, a path or a list of chunks"


class Attempts:
    """The attempts of one call, each at the next target.

    timeout  seconds for all of them together; None: no limit
    retries  attempts after the first one
    """

    def __init__(self, timeout: float | None, retries: int, rotation: Rotation) -> None:
        self._end = None if timeout is None else time.monotonic() + timeout
        self._retries = retries
        self._made = 0
        self._rotation = rotation
        self._target = 0

    def target(self) -> int:
        """Return the index of the target for the next attempt."""
        self._target = self._rotation.take()
        return self._target

    def answered(self) -> None:
        """Note that the server of this attempt sent something: metadata or a message."""
        self._rotation.answered(self._target)

    def timeout(self) -> float | None:
        """Return the seconds left for the next attempt; None: no limit."""
        return None if self._end is None else max(0.0, self._end - time.monotonic())

    def pause(self, error: CompressorError, replayable: bool) -> float:
        """Return the seconds to wait before the next attempt. Raises `error` if there is none.

        replayable  the source can be sent from its start; otherwise the error says that it can't

        A service that is busy says when to return. The pause then varies by half, so that clients that were rejected
        together do not return together; after a lost connection it varies from 0 ("full jitter").
        """
        if not (isinstance(error, BusyError) or self._may_reconnect(error)) or self._made >= self._retries:
            raise error
        if isinstance(error, BusyError):
            pause = error.retry_after_seconds * random.uniform(1, 1.5)
        else:
            limit = min(PAUSE_SECONDS_MAX, FIRST_PAUSE_SECONDS * PAUSE_FACTOR**self._made)
            pause = random.uniform(0, limit)
        if self._end is not None and time.monotonic() + pause >= self._end:
            raise error
        if not replayable:
            _raise_not_replayable(error)
        self._made += 1
        return pause

    def _may_reconnect(self, error: CompressorError) -> bool:
        """Return whether an error is a lost connection, or one that another attempt may make.

        Any other failure of the first connection than that of a server that starts, such as that of a TLS handshake,
        would repeat itself.
        """
        if not isinstance(error, CallError) or error.code != "UNAVAILABLE":
            return False
        return self._rotation.lost(self._target) or any(text in error.problem for text in STARTING)


def _raise_not_replayable(error: CompressorError) -> NoReturn:
    if isinstance(error, BusyError):
        raise BusyError(f"{error}; {NOT_REPLAYABLE}", error.retry_after_seconds)
    assert isinstance(error, CallError)
    raise CallError(error.code, f"{error.problem}; {NOT_REPLAYABLE}")
