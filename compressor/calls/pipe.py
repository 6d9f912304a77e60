"""Bounded pipes between the event loop and a call's thread.

    event loop ── Inbox ──▶ thread          `put` waits in the loop, iteration blocks the thread
    event loop ◀── Outbox ── thread         `put` blocks the thread, `get` waits in the loop

Both count bytes and carry an exception from one end to the other. Closing a pipe at either end wakes the other end at
once: a canceled call stops its thread at the next pull, and a thread that has ended stops the task that feeds it.
"""

import asyncio
import contextlib
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")
ITEM_BYTES = 256  # overhead of an item, so that the number of empty ones is bounded, too


class ClosedError(Exception):
    """The other end of the pipe is closed."""


class Pipe(ABC, Generic[T]):
    """The state of either direction: items and their sizes, the end, and both waiters."""

    def __init__(self, limit_bytes: int, loop: asyncio.AbstractEventLoop) -> None:
        self.limit_bytes = limit_bytes
        self._loop = loop
        self._items: deque[tuple[T, int]] = deque()
        self._bytes = 0
        self._error: BaseException | None = None  # raised after the last item
        self._ended = False  # nothing will be put any more
        self._closed = False  # nothing will be taken any more
        self._changed = threading.Condition()  # the thread waits on it; its lock guards all of the above
        self._waiter: asyncio.Future[None] | None = None  # the loop awaits it

    def end(self, error: BaseException | None = None) -> None:
        """Put no more: after the items in the pipe, the other end gets the end, or `error`."""
        with self._waking():
            if not self._ended and not self._closed:
                self._ended, self._error = True, error

    def close(self) -> None:
        """Discard what is in the pipe; the other end raises ClosedError from now on."""
        with self._waking():
            self._closed = True
            self._items.clear()
            self._bytes = 0
            self._error = None  # its traceback holds the call, which holds this pipe, and all that the call worked on

    @abstractmethod
    def _is_ready(self) -> bool:
        """Return whether the loop need not wait any longer; called with the lock held."""

    def _put(self, item: T, size: int) -> None:
        self._items.append((item, size + ITEM_BYTES))
        self._bytes += size + ITEM_BYTES

    def _take(self) -> T:
        item, size = self._items.popleft()
        self._bytes -= size
        return item

    @contextlib.contextmanager
    def _waking(self) -> Iterator[None]:
        """Hold the lock for a change, and wake whichever end waits for it.

        The loop is woken after the lock is released, or it would at once wait for the lock.
        """
        with self._changed:
            yield
            self._changed.notify_all()
            waiter = self._waiter if self._is_ready() else None
            if waiter is not None:
                self._waiter = None
        if waiter is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(_resolve, waiter)

    def _waiting(self) -> asyncio.Future[None]:
        """Return a future that the loop awaits, after releasing the lock, before it checks again."""
        self._waiter = self._loop.create_future()
        return self._waiter


def _resolve(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


class Inbox(Pipe[T]):
    """From the event loop to the thread. Keeps `limit_bytes`, or one item if that alone is larger."""

    _last = 0  # size of the last item
    _reader_waiting = False  # the thread waits, and no item is on its way

    async def room(self) -> None:
        """Wait until another item may be put. Call it before fetching one, so that no item waits outside the pipe.

        The next item is assumed to be as large as the last one: small items queue up, and one that is larger than the
        limit is fetched only when the thread asks for it. Until then it waits in the transport's receive window.
        """
        while True:
            with self._changed:
                if self._closed:
                    raise ClosedError
                if self._is_ready():
                    return
                waiting = self._waiting()
            await waiting

    def _is_ready(self) -> bool:
        return self._closed or self._reader_waiting or self._bytes + self._last <= self.limit_bytes

    def put(self, item: T, size: int) -> None:
        """Add an item, after `room`."""
        with self._waking():
            if self._closed:
                raise ClosedError
            self._last = size
            self._reader_waiting = False
            self._put(item, size)

    def __iter__(self) -> Iterator[T]:
        """Yield items until the end; blocks the calling thread."""
        while self._await_item():
            with self._waking():
                if self._closed:
                    raise ClosedError
                item = self._take()
            yield item
            del item

    def _await_item(self) -> bool:
        """Wait for an item, and return whether there is one. Raise the error that is the end."""
        with self._waking():
            self._reader_waiting = not self._items
        with self._changed:
            while not self._items and not self._ended and not self._closed:
                self._changed.wait()
            if self._closed:
                raise ClosedError
            if not self._items and self._error is not None:
                raise self._error
            return bool(self._items)


class Outbox(Pipe[T]):
    """From the thread to the event loop. Keeps `limit_bytes`, or one item if that alone is larger."""

    _abandoned = False

    def put(self, item: T, size: int) -> None:
        """Add an item; blocks the calling thread until there is room for it."""
        with self._waking():
            while not self._is_useless and self._items and self._bytes + size > self.limit_bytes:
                self._changed.wait()
            self.check()
            self._put(item, size)

    def abandon(self, error: BaseException) -> None:
        """Discard what is in the pipe: the loop gets `error` next, and the thread ClosedError from now on."""
        with self._waking():
            self._abandoned = self._ended = True
            self._items.clear()
            self._bytes = 0
            self._error = None if self._closed else error

    @property
    def _is_useless(self) -> bool:
        """Return whether nobody will take what the thread puts."""
        return self._closed or self._abandoned

    def check(self) -> None:
        """Raise ClosedError if the pipe is closed or abandoned."""
        if self._is_useless:
            raise ClosedError

    def _is_ready(self) -> bool:
        return self._closed or self._ended or bool(self._items)

    async def get(self, join_bytes: int = 0) -> T | None:
        """Return the next item; None at the end. Small chunks that already wait are joined, up to `join_bytes`."""
        while True:
            with self._changed:
                if self._closed:
                    raise ClosedError
                if self._items:
                    item = self._joined(join_bytes)
                    self._changed.notify_all()
                    return item
                if self._ended:
                    if self._error is not None:
                        raise self._error
                    return None
                waiting = self._waiting()
            await waiting

    def _joined(self, join_bytes: int) -> T:
        item = self._take()
        if not isinstance(item, bytes):
            return item
        parts, size = [item], len(item)
        while self._items and isinstance(following := self._items[0][0], bytes):
            size += len(following)
            if size > join_bytes:
                break
            parts.append(following)
            self._take()
        return b"".join(parts)  # type: ignore[return-value]
