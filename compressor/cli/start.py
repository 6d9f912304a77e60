"""The way in: signals are heard before anything slow is imported, and no longer once the command has done its work."""

import _signal  # `signal` gives its numbers names, which takes some milliseconds

from compressor.cli.interruption import leave


def main() -> None:
    """Run the command line."""
    heard = [number for number in (_signal.SIGINT, _signal.SIGTERM) if _signal.getsignal(number) != _signal.SIG_IGN]
    for number in heard:
        _signal.signal(number, leave)
    try:
        from compressor.cli.app import main as run

        run()
    finally:
        for number in heard:  # all is done: what ends now is the interpreter, and nobody waits for that
            _signal.signal(number, _signal.SIG_IGN)
