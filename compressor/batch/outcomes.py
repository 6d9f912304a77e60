"""The outcome of an object by what the store or the codec answered; digests; CPU time."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import replace

from compressor.batch.job import Done, Outcome, Reason
from compressor.errors import (
    BusyError,
    CallError,
    CompressorError,
    FormatError,
    IdleError,
    IncompleteError,
    LimitError,
)
from compressor.memory import Spool
from compressor.stores.contract import (
    RETRIED,
    Store,
    StoreError,
    Trouble,
)

# What a store's refusal means for an object.
MEANING = {
    Trouble.MISSING: (Outcome.SKIPPED, Reason.GONE),
    Trouble.CHANGED: (Outcome.SKIPPED, Reason.CHANGED),
    Trouble.EXISTS: (Outcome.SKIPPED, Reason.EXISTS),
    Trouble.ARCHIVED: (Outcome.SKIPPED, Reason.ARCHIVED),
    Trouble.HELD: (Outcome.SKIPPED, Reason.HELD),
    Trouble.NOT_ATOMIC: (Outcome.SKIPPED, Reason.NOT_ATOMIC),
    Trouble.DENIED: (Outcome.FAILED, Reason.DENIED),
    Trouble.THROTTLED: (Outcome.FAILED, Reason.THROTTLED),
    Trouble.UNAVAILABLE: (Outcome.FAILED, Reason.UNAVAILABLE),
}


class WrongResultError(CompressorError):
    """A result that is not what it should be."""


# What an error of the codec means for an object; the last ones may go away by themselves.
REASONS: tuple[tuple[type[CompressorError], Reason], ...] = (
    (FormatError, Reason.BROKEN),
    (LimitError, Reason.LIMIT),
    (WrongResultError, Reason.VERIFY),
    (BusyError, Reason.UNAVAILABLE),
    (IdleError, Reason.UNAVAILABLE),
    (IncompleteError, Reason.UNAVAILABLE),
    (CallError, Reason.UNAVAILABLE),
)


def failed(done: Done, error: CompressorError) -> Done:
    """Return what becomes of an object that the codec refused; raise the error where it is about no object."""
    for kind, reason in REASONS:
        if isinstance(error, kind):
            retry = reason is Reason.UNAVAILABLE
            return replace(done, outcome=Outcome.FAILED, reason=reason, error=str(error), retry=retry)
    raise error


class Clock:
    """CPU seconds of this thread that are not the codec's."""

    def __init__(self) -> None:
        self._start = time.thread_time()

    def seconds(self, stages: dict[str, float] | None = None) -> float:
        return max(0.0, time.thread_time() - self._start - sum((stages or {}).values()))


def refused(done: Done, error: StoreError, clock: Clock) -> Done:
    """Return what becomes of an object whose store refused something."""
    outcome, reason = MEANING.get(error.trouble, (Outcome.FAILED, Reason.OTHER))
    return replace(
        done, outcome=outcome, reason=reason, error=str(error), bytes_out=0, digest="",
        retry=error.trouble in RETRIED, other_seconds=done.other_seconds + clock.seconds(),
    )  # fmt: skip


def digest(spool: Spool) -> str:
    """SHA-256 of all of it."""
    found = hashlib.sha256()
    for chunk in spool.chunks():
        found.update(chunk)
    return found.hexdigest()


def store_digest(store: Store, key: str, at_each_chunk: Callable[[], None] = lambda: None) -> str:
    """SHA-256 of what is at `key`. `at_each_chunk` is called while it is read, and may raise to end that."""
    found, size = hashlib.sha256(), 0
    with store.open(key) as opened:
        for chunk in opened.chunks():
            at_each_chunk()
            found.update(chunk)
            size += len(chunk)
        if size != opened.entry.size:
            raise StoreError(Trouble.UNAVAILABLE, f"{size} bytes came of {opened.entry.size}")
    return found.hexdigest()


def in_one_line(error: BaseException) -> str:
    """An error of the system's."""
    return " ".join(f"{type(error).__name__}: {error}".split())
