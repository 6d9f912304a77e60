"""The server that forks a batch run's workers. It imports the codec, while the command line is still being imported."""

from compressor.fork_server import ForkServer

PRELOADED = "compressor.batch.work"
_started: list[ForkServer] = []


def start() -> None:
    """Start the server, before it is known what the command line requests."""
    _started.append(ForkServer(PRELOADED))


def take() -> ForkServer:
    """Return the server that was started, or start it."""
    return _started.pop() if _started else ForkServer(PRELOADED)
