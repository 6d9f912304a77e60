"""A process of our own that is sent messages through a pipe, and answers them."""

import contextlib
import multiprocessing
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

START_SECONDS_MAX = 120.0
END_SECONDS_MAX = 5.0  # for a process that has been told to end
CONTEXT = multiprocessing.get_context("spawn")


class PipedProcess:
    """A process that runs a function within the `with`.

    target             gets its end of the pipe and the arguments; it sends None once it is ready, and returns when it
                       receives None
    name               of what it does, for messages
    start_seconds_max  until it is ready
    """

    def __init__(
        self, name: str, target: Callable[..., None], *arguments: Any, start_seconds_max: float = START_SECONDS_MAX
    ) -> None:
        self._name, self._start_seconds_max = name, start_seconds_max
        self._pipe, self._theirs = CONTEXT.Pipe()
        self._process = CONTEXT.Process(target=target, args=(self._theirs, *arguments), daemon=True)

    def __enter__(self) -> Self:
        self._process.start()
        self._theirs.close()  # so that the end of the process ends `receive`
        try:
            self.receive(self._start_seconds_max)
        except BaseException:
            self._end(0.0)
            raise
        return self

    def send(self, message: Any) -> None:
        """Send a message. Raises EOFError if the process has ended."""
        try:
            self._pipe.send(message)
        except OSError:
            raise EOFError(f"{self._name}: the process has ended") from None

    def receive(self, seconds: float | None = None) -> Any:
        """Wait for a message. Raises EOFError if the process has ended, and TimeoutError after so many seconds."""
        try:
            if self._pipe.poll(seconds):
                return self._pipe.recv()
        except (EOFError, OSError):
            raise EOFError(f"{self._name}: the process has ended") from None
        raise TimeoutError(f"{self._name}: the process did not answer within {seconds:g} s")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(EOFError):
            self.send(None)
        self._end(0.0 if error is not None else END_SECONDS_MAX)

    def _end(self, seconds: float) -> None:
        """Wait some seconds for the end of the process, then end it."""
        self._process.join(seconds)
        self._process.terminate()
        self._process.join()
        self._pipe.close()
