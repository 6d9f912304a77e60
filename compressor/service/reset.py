"""Ending a call whose client does not read.

A status follows the messages before it, and these wait for the client's window: with a window of zero a call would
never end, and gRPC would keep its messages as long as the connection. grpcio has no function that resets a stream, but
C core does so for a call that nothing refers to any more (`grpc_call_unref`). In `grpc.aio` two tasks refer to a call:
that of its handler, and the one that created it, which waits for the client to cancel. Besides, grpcio keeps the last
call of each method until the next one arrives. If it changes, only such a call stays as it is, until the largest age
of its connection (a test looks for RST_STREAM).
"""

import asyncio
import weakref
from collections.abc import Coroutine, Generator
from typing import Any

HANDLER, CREATOR = "_handle_exceptions", "_schedule_rpc_coro"  # coroutines of grpc._cython.cygrpc

_creators: "weakref.WeakKeyDictionary[asyncio.Task[Any], asyncio.Task[Any]]" = weakref.WeakKeyDictionary()


def note_creators(loop: asyncio.AbstractEventLoop) -> None:
    """Note from now on which task created the task of each handler."""

    def create(loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> "asyncio.Task[Any]":
        task = asyncio.Task(work, loop=loop, **options)
        creator = asyncio.current_task(loop)
        if creator is not None and is_running(work, HANDLER) and is_running(creator.get_coro(), CREATOR):
            _creators[task] = creator
        return task

    loop.set_task_factory(create)


def is_running(work: "Coroutine[Any, Any, Any] | Generator[Any, None, Any] | Any", name: str) -> bool:
    """Return whether a coroutine is the one of this name."""
    return getattr(work, "__name__", "") == name


def reset(handler: "asyncio.Task[Any]") -> None:
    """End the task of a handler, and the call with it: its client receives RST_STREAM."""
    creator = _creators.pop(handler, None)
    handler.cancel()
    if creator is not None:
        creator.cancel()
