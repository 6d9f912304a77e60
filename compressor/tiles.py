"""Tiles → tile rows, the permits that keep kernels from outnumbering the cores, and work done ahead on idle ones."""

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from compressor.errors import FormatError, IncompleteError, LimitError, SettingsError
from compressor.settings import Raw, Tile
from compressor.t81 import DIMENSION_MAX

TILE_BYTES_MAX = 1 << 20
BAND_PIXELS = 1 << 16
LINGER_SECONDS = 0.004  # a helper waits so long for its next job: to start one takes 60 µs, to wake one 10

Band = NDArray[np.uint8]


class Permits:
    """A semaphore. The standard library's is written in Python and takes 7 µs each time, this one 0.3."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._free: SimpleQueue[None] = SimpleQueue()
        self._waiting: deque[None] = deque()  # one for each who waits: its operations are atomic, those of int are not
        for _ in range(count):
            self._free.put(None)

    def __enter__(self) -> None:
        try:
            self._free.get_nowait()
        except Empty:
            self._waiting.append(None)
            try:
                self._free.get()
            finally:
                self._waiting.pop()

    def __exit__(self, *_: object) -> None:
        self._free.put(None)

    @property
    def contended(self) -> bool:
        """Whether somebody waits for one."""
        return bool(self._waiting)

    @property
    def idle(self) -> bool:
        """Whether one is there that nobody waits for."""
        return not self._waiting and not self._free.empty()


# Taken around kernel calls: as many run at once as there are cores, and a thread that waits for its client holds none.
cores = Permits(len(os.sched_getaffinity(0)))

_pool: list[ThreadPoolExecutor] = []  # of the process, made when it is first needed
os.register_at_fork(after_in_child=_pool.clear)  # a child has none of its threads

Tools_contra = TypeVar("Tools_contra", contravariant=True)
Tools = TypeVar("Tools")


def _helper_threads() -> ThreadPoolExecutor:
    if not _pool:
        _pool.append(ThreadPoolExecutor(len(os.sched_getaffinity(0)), "helper"))
    return _pool[0]


class Job(Protocol[Tools_contra]):
    """Work that any thread may do: a kernel call. `done` is set after it, with the error that came of it elsewhere."""

    done: bool
    error: BaseException | None

    def work(self, tools: Tools_contra) -> None: ...


class Ahead(Generic[Tools]):
    """Jobs that the caller wants done in order, done before their turn by other threads while cores are idle.

    A helper works with a permit as any other thread, and goes when somebody else waits for one, so that a busy process
    works as if there were none. Leaving the context waits for what helpers are at, a kernel call each, and drops the
    other jobs.

    tools    makes what each thread needs for itself
    helpers  at most
    spent    told of the CPU seconds that helpers took
    """

    def __init__(
        self, tools: Callable[[], Tools], helpers: int, spent: Callable[[float], None], permits: Permits
    ) -> None:
        self._make_tools, self._helpers, self._spent, self._permits = tools, helpers, spent, permits
        self.tools = tools()  # of the caller
        self._spare: list[Tools] = []
        self._todo: SimpleQueue[Job[Tools] | None] = SimpleQueue()
        self._some_done: SimpleQueue[None] = SimpleQueue()
        self._seconds: deque[float] = deque()
        self._running: list[Future[None]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._next() is not None:
            pass
        for _ in self._running:
            self._todo.put(None)
        for helper in self._running:
            if not helper.cancel():
                helper.result()
        self._charge()

    @property
    def possible(self) -> bool:
        """Whether somebody helps, or would."""
        if not self._helpers or self._permits.contended:
            return False
        return self._permits.idle or self._helping() > 0

    def add(self, job: Job[Tools]) -> None:
        """Have it done, by a helper or when `finish` is called."""
        job.done, job.error = False, None
        self._todo.put(job)
        if self._helping() < self._helpers and self._permits.idle:
            tools = self._spare.pop() if self._spare else self._make_tools()
            self._running.append(_helper_threads().submit(self._help, tools))

    def finish(self, job: Job[Tools]) -> None:
        """Return when it is done; meanwhile do what nobody has begun."""
        while not job.done:
            mine = self._next()
            if mine is None:
                self._some_done.get()
            else:
                with self._permits:
                    mine.work(self.tools)
                mine.done = True
        self._charge()
        if job.error is not None:
            raise job.error

    def _next(self) -> Job[Tools] | None:
        """A job that nobody has begun; None where there is none."""
        try:
            return self._todo.get_nowait()
        except Empty:
            return None

    def _helping(self) -> int:
        self._running = [helper for helper in self._running if not helper.done()]
        return len(self._running)

    def _charge(self) -> None:
        while self._seconds:
            self._spent(self._seconds.popleft())

    def _help(self, tools: Tools) -> None:
        """On another thread: jobs until none has come for a while, or somebody else waits for a core."""
        with suppress(Empty):
            while (job := self._todo.get(timeout=LINGER_SECONDS)) is not None:
                before = time.thread_time()
                try:
                    with self._permits:
                        job.work(tools)
                except BaseException as error:
                    job.error = error
                self._seconds.append(time.thread_time() - before)
                job.done = True
                self._some_done.put(None)
                if self._permits.contended:
                    break
        self._spare.append(tools)


def band_lines(width: int, mcu_lines: int) -> int:
    """Lines of a band: whole MCU rows, as many as make about BAND_PIXELS, at least one."""
    return mcu_lines * max(1, BAND_PIXELS // (width * mcu_lines))


def check_raw(raw: Raw) -> None:
    """Raises SettingsError where the geometry is not one, LimitError where it is too large for us."""
    if raw.channels not in (1, 2, 3, 4):
        raise SettingsError("raw.channels", f"is {raw.channels}, must be 1, 2, 3 or 4")
    for name in ("width", "height", "tile_width", "tile_height"):
        if getattr(raw, name) < 1:
            raise SettingsError(f"raw.{name}", f"is {getattr(raw, name)}, must be at least 1")
    for name in ("width", "height"):
        if getattr(raw, name) > DIMENSION_MAX:
            raise LimitError(f"raw.{name} is {getattr(raw, name)}, more than {DIMENSION_MAX}")
    if min(raw.tile_width, raw.width) * min(raw.tile_height, raw.height) * raw.channels > TILE_BYTES_MAX:
        raise LimitError(f"a tile is larger than {TILE_BYTES_MAX} bytes")


def tile_rows(raw: Raw, tiles: Iterable[Tile]) -> Iterator[Band]:
    """Assemble tiles that come in raster order into bands (lines, width * channels) uint8; the buffer is reused.

    Raises FormatError for a tile that is not the next one or has the wrong size, IncompleteError where they end.
    """
    arriving = iter(tiles)
    buffer = np.empty((min(raw.tile_height, raw.height), raw.width * raw.channels), np.uint8)
    for y in range(0, raw.height, raw.tile_height):
        lines = min(raw.tile_height, raw.height - y)
        for x in range(0, raw.width, raw.tile_width):
            columns = min(raw.tile_width, raw.width - x) * raw.channels
            tile = next(arriving, None)
            if tile is None:
                raise IncompleteError(f"the tile at ({x}, {y}) and those after it are missing")
            if (tile.x, tile.y) != (x, y):
                raise FormatError("raw", f"tile ({tile.x}, {tile.y})", None, f"expected the tile at ({x}, {y})")
            if len(tile.pixels) != lines * columns:
                expected = f"expected {lines * columns} bytes, found {len(tile.pixels)}"
                raise FormatError("raw", f"tile ({x}, {y})", None, expected)
            samples = np.frombuffer(tile.pixels, np.uint8).reshape(lines, columns)
            start = x * raw.channels
            buffer[:lines, start : start + columns] = samples
        yield buffer[:lines]
    if (extra := next(arriving, None)) is not None:
        raise FormatError("raw", f"tile ({extra.x}, {extra.y})", None, "comes after the last one")


def rebanded(bands: Iterable[Band], lines: int) -> Iterator[Band]:
    """The same lines in bands of `lines`, the last one excepted. Bands that fit already are passed through."""
    held: Band | None = None
    filled = 0
    for band in bands:
        start = 0
        if filled == 0 and len(band) % lines == 0:
            yield band
            continue
        if held is None:
            held = np.empty((lines, band.shape[1]), np.uint8)
        while start < len(band):
            count = min(lines - filled, len(band) - start)
            held[filled : filled + count] = band[start : start + count]
            filled, start = filled + count, start + count
            if filled == lines:
                yield held
                filled = 0
    if held is not None and filled:
        yield held[:filled]
