"""A body's chunks, for a library that asks for them in threads of its own."""

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Full, Queue
from threading import Event, Thread

from compressor.stores.contract import Body

CHUNKS_AHEAD = 4
LOOK_SECONDS = 0.1


@contextmanager
def fed(body: Body) -> Iterator[Iterator[bytes]]:
    """The chunks of a body, made by a thread of its own: obstore asks for them in one of its threads, in which nothing
    may call obstore, as the chunks of an object that is being read do."""
    waiting: Queue[bytes | BaseException | None] = Queue(CHUNKS_AHEAD)
    over = Event()

    def give(item: bytes | BaseException | None) -> bool:
        while not over.is_set():
            with contextlib.suppress(Full):
                waiting.put(item, timeout=LOOK_SECONDS)
                return True
        return False

    def feed() -> None:
        try:
            for chunk in body.chunks():
                if not give(chunk):
                    return
            give(None)
        except BaseException as error:
            give(error)

    def taken() -> Iterator[bytes]:
        while (item := waiting.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item

    thread = Thread(target=feed, name="body", daemon=True)
    thread.start()
    try:
        yield taken()
    finally:
        over.set()
        thread.join()
