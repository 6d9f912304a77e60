"""The pipes between an event loop and a thread."""

import asyncio
import threading
import time
from collections.abc import Callable
from typing import TypeVar

import pytest

from compressor.calls.pipe import ClosedError, Inbox, Outbox
from compressor.errors import IdleError

KIB = 1 << 10
T = TypeVar("T")


def on_a_thread(work: Callable[[], T]) -> asyncio.Future[T]:
    """Return a future of the running loop for what `work` returns or raises on a thread."""
    return asyncio.get_running_loop().run_in_executor(None, work)


async def inbox(limit: int = 4 * KIB) -> Inbox[bytes]:
    return Inbox(limit, asyncio.get_running_loop())


async def outbox(limit: int = 4 * KIB) -> Outbox[bytes]:
    return Outbox(limit, asyncio.get_running_loop())


async def test_an_inbox_gives_items_in_order_and_then_the_end() -> None:
    pipe = await inbox()
    taken = on_a_thread(lambda: list(pipe))
    for number in range(1000):
        await pipe.room()
        pipe.put(bytes([number % 256]) * 100, 100)
    pipe.end()

    assert [item[0] for item in await taken] == [number % 256 for number in range(1000)]


async def test_an_inbox_has_no_room_above_its_limit() -> None:
    pipe = await inbox()
    await pipe.room()
    pipe.put(b"", 3 * KIB)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await pipe.room()


async def test_items_larger_than_the_limit_are_fetched_one_by_one() -> None:
    """Each is fetched when the thread waits for it, and none earlier."""
    pipe = await inbox()
    held, most = 0, 0

    def take() -> None:
        nonlocal held
        for _ in pipe:
            time.sleep(0.001)
            held -= 1

    taking = on_a_thread(take)
    for _ in range(50):
        await pipe.room()
        held += 1
        most = max(most, held)
        pipe.put(b"", 100 * KIB)
    pipe.end()
    await taking

    assert most <= 2, "the first is taken for small"


async def test_empty_items_are_bounded_too() -> None:
    pipe = await inbox()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            for _ in range(1000):
                await pipe.room()
                pipe.put(b"", 0)


async def test_an_error_comes_out_after_the_last_item() -> None:
    pipe = await inbox()
    pipe.put(b"item", 4)
    pipe.end(OSError("the wire is cut"))
    pipe.end(ValueError("too late"))

    def take() -> None:
        iterator = iter(pipe)
        assert next(iterator) == b"item"
        next(iterator)

    with pytest.raises(OSError, match="the wire is cut"):
        await on_a_thread(take)


async def test_closing_an_inbox_wakes_the_thread() -> None:
    pipe = await inbox()
    taking = on_a_thread(lambda: next(iter(pipe)))
    await asyncio.sleep(0.05)
    pipe.close()

    with pytest.raises(ClosedError):
        await taking


async def test_closing_an_inbox_wakes_the_loop() -> None:
    pipe = await inbox()
    pipe.put(b"", 8 * KIB)
    waiting = asyncio.create_task(pipe.room())
    await asyncio.sleep(0)
    await on_a_thread(pipe.close)

    with pytest.raises(ClosedError):
        await waiting
    with pytest.raises(ClosedError):
        pipe.put(b"", 0)


async def test_an_abandoned_outbox_gives_the_loop_an_error_and_ends_the_thread() -> None:
    pipe = await outbox()
    pipe.put(b"never read", 4 * KIB)
    blocked = on_a_thread(lambda: pipe.put(b"", 1))
    await asyncio.sleep(0.05)
    pipe.abandon(IdleError("nothing was read"))

    with pytest.raises(ClosedError):
        await blocked
    with pytest.raises(IdleError):
        await pipe.get()
    with pytest.raises(ClosedError):
        pipe.check()


async def test_an_outbox_blocks_its_thread_above_the_limit() -> None:
    pipe = await outbox()
    sent = []

    def send() -> None:
        for number in range(100):
            pipe.put(bytes([number]), KIB)
            sent.append(number)
        pipe.end()

    sending = on_a_thread(send)
    await asyncio.sleep(0.1)
    assert len(sent) == 3, "four KiB with what items cost themselves"
    received = []
    while (item := await pipe.get()) is not None:
        received.append(item[0])
    await sending

    assert received == list(range(100))


async def test_small_chunks_that_wait_are_joined() -> None:
    pipe = await outbox()
    for chunk in (b"ab", b"cd", b"ef"):
        pipe.put(chunk, 2)
    pipe.end()

    assert [await pipe.get(4), await pipe.get(4), await pipe.get(4)] == [b"abcd", b"ef", None]


async def test_closing_an_outbox_wakes_the_thread() -> None:
    pipe = await outbox()
    pipe.put(b"", 4 * KIB)
    putting = on_a_thread(lambda: pipe.put(b"", 1))
    await asyncio.sleep(0.05)
    pipe.close()

    with pytest.raises(ClosedError):
        await putting


async def test_a_closed_pipe_keeps_nothing() -> None:
    """An error's traceback holds all that a call worked on."""
    pipe = await outbox()
    pipe.put(b"", KIB)
    pipe.end(OSError())
    pipe.close()
    pipe.end(OSError())

    assert pipe._error is None
    assert not pipe._items


async def test_a_closed_loop_is_not_woken() -> None:
    loop = asyncio.new_event_loop()
    pipe: Outbox[bytes] = Outbox(KIB, loop)
    pipe._waiter = loop.create_future()
    loop.close()
    thread = threading.Thread(target=pipe.end)
    thread.start()
    thread.join()
