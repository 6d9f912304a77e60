"""Threads that run calls. Idle ones are kept: a new thread costs the event loop 0.1 ms."""

import threading
from collections.abc import Callable
from queue import SimpleQueue

from compressor.cores import cores

CallWork = Callable[[Callable[[], None]], None]


class CallThreads:
    """At most `limit` threads, of which as many as compute at once are kept while they are idle."""

    def __init__(self, limit: int) -> None:
        self._lock = threading.Lock()
        self._free = limit
        self._idle: list[_CallThread] = []

    def run(self, name: str, work: CallWork) -> bool:
        """Run `work(on_end)` on a thread called `name`; `work` calls `on_end` last. Return False if none is free."""
        with self._lock:
            if not self._free:
                return False
            self._free -= 1
            thread = self._idle.pop() if self._idle else None
        if thread is None:
            thread = _CallThread(self._end)
            try:
                thread.start()
            except RuntimeError:  # too many threads in the system, or no memory for another one
                with self._lock:
                    self._free += 1
                return False
        thread.queue.put((name, work))
        return True

    def _end(self, thread: "_CallThread") -> None:
        with self._lock:
            self._free += 1
            thread.kept = len(self._idle) < cores.count
            if thread.kept:
                self._idle.append(thread)


class _CallThread(threading.Thread):
    """A thread that runs what is put into `queue` until it is no longer kept."""

    def __init__(self, on_end: Callable[["_CallThread"], None]) -> None:
        super().__init__(name="idle", daemon=True)
        self._on_end = on_end
        self.queue = SimpleQueue[tuple[str, CallWork]]()
        self.kept = True

    def run(self) -> None:
        while self.kept:
            self.name, work = self.queue.get()
            work(lambda: self._on_end(self))
            self.name = "idle"
            del work  # it holds its call
