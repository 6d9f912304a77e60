"""Ends a command that does not handle Ctrl-C and SIGTERM itself: at once, at any moment.

Not by an exception: raised where it may be, in the middle of an import, a callback or a finalizer, it would be shown as
a traceback or be swallowed. This module imports nothing that is read from a file: until it is there, nothing is heard.
"""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

SIGINT = 2
_undone: "list[Callable[[], object]]" = []  # what has to be done before the end


def leave(number: int, frame: object = None) -> None:
    """Undo what is half done, say one line for Ctrl-C, and end with 128 plus the number of the signal."""
    for undo in reversed(_undone):
        try:  # noqa: SIM105 - contextlib may be half imported just now
            undo()
        except Exception:
            pass  # the line below is still to be said
    if number == SIGINT:
        clear = b"\r\x1b[K\x1b[?25h" if os.isatty(2) else b""  # a progress bar hides the cursor
        try:  # noqa: SIM105
            os.write(2, clear + b"compressor: interrupted\n")
        except OSError:
            pass  # nobody listens
    os._exit(128 + number)


class Undoing:
    """Has `undo` called where the block is left by a signal; it must bear that at any moment of the block."""

    def __init__(self, undo: "Callable[[], object]") -> None:
        self._undo = undo

    def __enter__(self) -> None:
        _undone.append(self._undo)

    def __exit__(self, *error: object) -> None:
        _undone.remove(self._undo)
