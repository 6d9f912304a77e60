"""The entry point. Handles signals before anything slow is imported, and ignores them once the command has ended."""

import _signal  # `signal` makes enums of its numbers, which takes some milliseconds
import os
import sys

from compressor.cli.interruption import leave

REPLACED = (
    "compressor: another package has replaced or removed compressor/__init__.py: probably "
    "django-compressor, which has the same import name. Install the two in separate environments, and this one again"
)


def main() -> None:
    """Run the command line."""
    handled = [number for number in (_signal.SIGINT, _signal.SIGTERM) if _signal.getsignal(number) != _signal.SIG_IGN]
    for number in handled:
        _signal.signal(number, leave)
    # NumPy starts a thread of OpenBLAS for each core, and they spin: 60 ms of CPU time on two cores. Nothing here uses
    # BLAS for more than 3 × 3 matrices.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if not hasattr(sys.modules["compressor"], "__getattr__"):  # our own has it, to load public names
        sys.exit(REPLACED)
    words = sys.argv[1:]
    try:
        if words[:1] == ["batch"] and not {"-h", "--help"} & {*words}:
            from compressor.cli import batch_server

            batch_server.start()
        from compressor.cli.app import dispatch

        dispatch()
    finally:
        for number in handled:  # only the interpreter has yet to shut down
            _signal.signal(number, _signal.SIG_IGN)
