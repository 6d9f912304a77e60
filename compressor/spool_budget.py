"""The spool budget: the bytes that all spools together may hold, and which request waits for them how long.

Spools grow while an upload arrives. If several of them need more than the budget, each could hold a part of it and wait
for the rest. So the request that came first waits longest, and what becomes free is kept for it; all others give up
soon, which frees what they hold. When all waited for the same time, and six clients retried the same picture with a
budget for one and a half of them, one was rejected 31 times in a row.
"""

import contextlib
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

from compressor.errors import BusyError, LimitError

WAIT_SECONDS = 1.0
FIRST_WAIT_SECONDS = 10.0  # of the request that came first: others give up in that time, or have a slow client
PATIENCE_SECONDS = 0.25
RETRY_SECONDS = 5.0


class SpoolAccount:
    """The spools of one request.

    bytes   in them
    paused  return a context in which they may wait: what must not be held meanwhile is released
    """

    def __init__(self) -> None:
        self.bytes = 0
        self.paused: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext


class SpoolBudget:
    """The spool budget of a process, or its share of that of several processes.

    whole      bytes of the budget of all processes; None: no limit
    share      bytes of this process; None: no limit
    used       bytes in spools
    missing    bytes that requests wait for
    changed    its lock guards all of these; notified when there may be room
    on_change  called with the lock held when the share may be too small, or larger than necessary
    """

    def __init__(self, whole: int | None, changed: threading.Condition) -> None:
        self.whole = self.share = whole
        self.used = self.missing = 0
        self.on_change: Callable[[], None] = lambda: None
        self._changed = changed
        self._accounts: dict[SpoolAccount, None] = {}  # those with bytes, in the order of their first
        self._kept = 0  # bytes that become free are kept for the first of them, up to this number

    def charge(
        self, count: int, account: SpoolAccount | None = None, still_wanted: Callable[[], None] = lambda: None
    ) -> None:
        """Count bytes about to be written or, negative, freed; wait until they fit.

        account       of the request; None: of no request
        still_wanted  called every PATIENCE_SECONDS of waiting; an exception that it raises ends the wait

        Raise LimitError if the request alone would exceed the whole budget, BusyError if others use it for too long.
        """
        with self._changed:
            needed = count + (account.bytes if account else 0)
            if self.whole is not None and count > 0 and needed > self.whole:
                problem = f"needs {needed} bytes of temporary data, more than the whole spool budget of {self.whole}"
                raise LimitError(problem)
            charged = self._fits(count, account)
            if charged:
                self._add(count, account)
        if not charged:
            self._charge_later(count, account, still_wanted)

    def _fits(self, count: int, account: SpoolAccount | None) -> bool:
        if self.share is None or count <= 0:
            return True
        return self.used + count + (0 if self._is_first(account) else self._kept) <= self.share

    def _is_first(self, account: SpoolAccount | None) -> bool:
        return account is not None and next(iter(self._accounts), None) is account

    def _add(self, count: int, account: SpoolAccount | None) -> None:
        self.used += count
        if account is not None:
            account.bytes += count
            if account.bytes:
                self._accounts.setdefault(account)
            else:
                self._accounts.pop(account, None)
        if self.share is not None:
            self.on_change()
            if count < 0:
                self._changed.notify_all()

    def _charge_later(self, count: int, account: SpoolAccount | None, still_wanted: Callable[[], None]) -> None:
        charged = False
        try:
            with account.paused() if account else contextlib.nullcontext(), self._changed:
                charged = self._await_room(count, account, still_wanted)
                if charged:
                    self._add(count, account)
                else:
                    self.on_change()
            if not charged:
                problem = f"the spool budget of {self.whole} bytes is in use: {count} bytes more did not fit"
                raise BusyError(problem, RETRY_SECONDS)
        except BaseException:
            if charged:  # the wait for what `paused` has released failed
                self.charge(-count, account)
            raise

    def _await_room(self, count: int, account: SpoolAccount | None, still_wanted: Callable[[], None]) -> bool:
        """Wait, and return whether there is room."""
        began = time.monotonic()
        self.missing += count
        try:
            self.on_change()
            while not self._fits(count, account):
                first = self._is_first(account)
                if first:
                    self._kept = count
                left = began + (FIRST_WAIT_SECONDS if first else WAIT_SECONDS) - time.monotonic()
                if left <= 0:
                    return False
                self._changed.wait(min(left, PATIENCE_SECONDS))
                still_wanted()
            return True
        finally:
            self.missing -= count
            if self._is_first(account):
                self._kept = 0
