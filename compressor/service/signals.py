"""The signals that end a service."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager


@asynccontextmanager
async def until_signaled() -> AsyncIterator[tuple[asyncio.Event, Callable[[], None]]]:
    """Yield an event that SIGTERM sets, and a function after which SIGINT does, too: it keeps its handler until there
    are calls to drain. After the block a second signal ends the process at once.
    """
    stopped, loop = asyncio.Event(), asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    yield stopped, lambda: loop.add_signal_handler(signal.SIGINT, stopped.set)
    for number, handler in before.items():
        loop.remove_signal_handler(number)
        signal.signal(number, signal.SIG_DFL if handler is None else handler)
