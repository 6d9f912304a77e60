"""The signals that end a service, and the one that has it read its files again."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager


@asynccontextmanager
async def until_signaled() -> AsyncIterator[tuple[asyncio.Event, Callable[[], None]]]:
    """Yield an event that SIGTERM sets, and a function after which SIGINT does, too: it keeps its handler until there
    are calls to drain. After the block a second signal ends the process at once. SIGHUP, by which a process is told to
    read its files again, never ends it.
    """
    stopped, loop = asyncio.Event(), asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    reload_on_hangup(lambda: None)  # they are being read
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    yield stopped, lambda: loop.add_signal_handler(signal.SIGINT, stopped.set)
    for number, handler in before.items():
        loop.remove_signal_handler(number)
        signal.signal(number, signal.SIG_DFL if handler is None else handler)


def reload_on_hangup(reload: Callable[[], None]) -> None:
    """Have SIGHUP call `reload` in the event loop, until the loop is closed."""
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload)
