"""Progress of a call, for the caller's progress bar."""

import threading
from collections.abc import Callable
from typing import Any, NamedTuple

from compressor.v1 import compressor_pb2 as pb


class CallProgress(NamedTuple):
    """Bytes of images that a call has moved.

    bytes_sent      of the source, accepted by gRPC for sending
    bytes_total     of the source; None if it comes from an iterator or an open file
    bytes_received  of the result
    """

    bytes_sent: int
    bytes_total: int | None
    bytes_received: int


OnCallProgress = Callable[[CallProgress], object]


class Meter:
    """Counts the bytes of one attempt, and calls `on_progress` after each message that has any.

    Calls follow each other, but those for sent bytes may come from a thread of gRPC.
    """

    def __init__(self, on_progress: OnCallProgress | None, bytes_total: int | None) -> None:
        self._on_progress = on_progress
        self._progress = CallProgress(0, bytes_total, 0)
        self._lock = threading.Lock()

    def add(self, sent: int = 0, received: int = 0) -> None:
        """Count bytes. Raises what the caller's function raises."""
        if self._on_progress is None or not (sent or received):
            return
        with self._lock:
            before = self._progress
            self._progress = CallProgress(
                before.bytes_sent + sent, before.bytes_total, before.bytes_received + received
            )
            self._on_progress(self._progress)

    def bytes_in(self, message: Any) -> int:
        """Return the bytes of the source in a request; 0 if nobody asked, since reading a field makes a copy."""
        if self._on_progress is None:
            return 0
        fields = message.parts if message.HasField("parts") else message
        pixels = 0 if isinstance(message, pb.UnarchiveRequest) else len(fields.tile.pixels)
        return len(fields.chunk) + pixels
