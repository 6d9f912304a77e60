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
RETRY_AFTER_SECONDS_MAX = 600.0  # a service or a proxy that asks for more is not waited for
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

    def failed(self, error: CompressorError) -> None:
        """Note the error of this attempt: other calls avoid a server whose connection was lost."""
        if _is_lost(error):
            self._rotation.lost(self._target)

    def timeout(self) -> float | None:
        """Return the seconds left for the next attempt; None: no limit."""
        return None if self._end is None else max(0.0, self._end - time.monotonic())

    def pause(self, error: CompressorError, replayable: bool) -> float:
        """Return the seconds to wait before the next attempt, after `failed`. Raises `error` if there is none.

        replayable  the source can be sent from its start; otherwise the error says that it can't

        A service that is busy says when to return. The pause then varies by half, so that clients that were rejected
        together do not return together; after a lost connection it varies from 0 ("full jitter").
        """
        if not (_is_waited_for(error) or self._may_reconnect(error)) or self._made >= self._retries:
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
        return _is_lost(error) and (self._rotation.may_succeed() or any(text in str(error) for text in STARTING))


def _is_lost(error: CompressorError) -> bool:
    """Return whether there was no connection, or it was lost."""
    return isinstance(error, CallError) and error.code == "UNAVAILABLE"


def _is_waited_for(error: CompressorError) -> bool:
    """Return whether a service is busy for a time that makes sense: not negative, infinite or not a number."""
    return isinstance(error, BusyError) and 0 <= error.retry_after_seconds <= RETRY_AFTER_SECONDS_MAX


def _raise_not_replayable(error: CompressorError) -> NoReturn:
    if isinstance(error, BusyError):
        raise BusyError(f"{error}; {NOT_REPLAYABLE}", error.retry_after_seconds)
    assert isinstance(error, CallError)
    raise CallError(error.code, f"{error.problem}; {NOT_REPLAYABLE}")
