"""What Ctrl-C and SIGTERM do to a command that does not handle them itself: it ends at once, at any moment.

Not by an exception: raised where it may be, in the middle of an import, a callback or a finalizer, it would be shown as
a traceback or be swallowed.
"""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

_undone: list[Callable[[], object]] = []  # what has to be done before the end


def leave(number: int, frame: FrameType | None = None) -> None:
    """Undo what is half done, say one line for Ctrl-C, and end with 128 plus the number of the signal."""
    for undo in reversed(_undone):
        with suppress(Exception):
            undo()
    if number == signal.SIGINT:
        clear = b"\r\x1b[K\x1b[?25h" if os.isatty(2) else b""  # a progress bar hides the cursor
        with suppress(OSError):
            os.write(2, clear + b"compressor: interrupted\n")
    os._exit(128 + number)


@contextmanager
def undoing(undo: Callable[[], object]) -> Iterator[None]:
    """Call `undo` where the block is left by a signal; it must bear being called at any moment of the block."""
    _undone.append(undo)
    try:
        yield
    finally:
        _undone.remove(undo)
