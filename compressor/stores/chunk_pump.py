"""Passing a body's chunks to a library that takes them in threads of its own."""

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Full, Queue
from threading import Event, Thread

from compressor.stores.contract import Body

CHUNKS_AHEAD = 4
POLL_SECONDS = 0.1


@contextmanager
def pumped(body: Body) -> Iterator[Iterator[bytes]]:
    """Produce a body's chunks in a separate thread, and give an iterator over them.

    obstore takes chunks in one of its threads, where nothing may call obstore. Reading the body may: its chunks can be
    those of another object.
    """
    waiting: Queue[bytes | BaseException | None] = Queue(CHUNKS_AHEAD)
    closed = Event()

    def put(item: bytes | BaseException | None) -> bool:
        while not closed.is_set():
            with contextlib.suppress(Full):
                waiting.put(item, timeout=POLL_SECONDS)
                return True
        return False

    def produce() -> None:
        try:
            for chunk in body.chunks():
                if not put(chunk):
                    return
            put(None)
        except BaseException as error:
            put(error)

    def consume() -> Iterator[bytes]:
        while (item := waiting.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item

    thread = Thread(target=produce, name="body", daemon=True)
    thread.start()
    try:
        yield consume()
    finally:
        closed.set()
        thread.join()
