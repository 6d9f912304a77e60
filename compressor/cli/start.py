"""The way in: signals are heard before anything slow is imported, and no longer once the command has done its work."""

import signal

from compressor.cli.interruption import leave


def main() -> None:
    """The console script."""
    heard = [number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) is not signal.SIG_IGN]
    for number in heard:
        signal.signal(number, leave)
    try:
        from compressor.cli.app import main as run

        run()
    finally:
        for number in heard:  # all is done: what ends now is the interpreter, and nobody waits for that
            signal.signal(number, signal.SIG_IGN)
