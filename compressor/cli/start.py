"""The entry point. Handles signals before anything slow is imported, and ignores them once the command has ended."""

import _signal  # `signal` makes enums of its numbers, which takes some milliseconds

from compressor.cli.interruption import leave


def main() -> None:
    """Run the command line."""
    handled = [number for number in (_signal.SIGINT, _signal.SIGTERM) if _signal.getsignal(number) != _signal.SIG_IGN]
    for number in handled:
        _signal.signal(number, leave)
    try:
        from compressor.cli.app import dispatch

        dispatch()
    finally:
        for number in handled:  # only the interpreter has yet to shut down
            _signal.signal(number, _signal.SIG_IGN)
