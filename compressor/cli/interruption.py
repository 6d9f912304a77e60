"""The end of a command on Ctrl-C or SIGTERM: immediate, at any moment, unless the command handles them itself.

It raises no exception: in the middle of an import, a callback or a finalizer, that would be shown as a traceback or be
lost. This module imports no other file, since signals are not handled until it is loaded.
"""

import _thread
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

SIGINT = 2
CREATING_SECONDS = 0.5  # the longest wait for a thread that is creating a file; the main one can't go on meanwhile
creating = _thread.allocate_lock()  # held while a file is created that a clean-up removes
_cleanups: "list[Callable[[], object]]" = []  # called before the process ends


def leave(number: int, frame: object = None) -> None:
    """Run the clean-ups, print a line for Ctrl-C, and exit with 128 plus the number of the signal."""
    creating.acquire(timeout=CREATING_SECONDS)  # for good: no thread creates a file after the clean-ups
    for clean_up in _cleanups[::-1]:
        try:  # noqa: SIM105 - contextlib may be half imported
            clean_up()
        except Exception:
            pass  # the line below is still printed
    if number == SIGINT:
        clear = b"\r\x1b[K\x1b[?25h" if os.isatty(2) else b""  # a progress bar hides the cursor
        try:  # noqa: SIM105
            os.write(2, clear + b"compressor: interrupted\n")
        except OSError:
            pass  # standard error is closed
    os._exit(128 + number)


class CleanUpOnSignal:
    """Calls `clean_up` if a signal ends the process within the block, at any moment of it."""

    def __init__(self, clean_up: "Callable[[], object]") -> None:
        self._clean_up = clean_up

    def __enter__(self) -> None:
        _cleanups.append(self._clean_up)

    def __exit__(self, *error: object) -> None:
        _cleanups.remove(self._clean_up)
