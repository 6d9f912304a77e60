"""A filter for the log of gRPC's asyncio server: messages that it did not deliver, and clients that are gone.

gRPC tells a server in no other way that it gave up receiving a message: `read` returns the end of the stream.
"""

import logging
from collections.abc import Callable

import grpc

LOGGER = "grpc._cython.cygrpc"
UNDELIVERED = "Failed to receive any message from Core"  # at level DEBUG, in the task that reads
# Of an operation that failed since its call had ended: its client is gone, or another task has ended the call while a
# response waited for a client that does not read. Other errors of this class are wrong uses of gRPC.
CLIENT_GONE = 'Failed "execute_batch"'


class GrpcLogFilter(logging.Filter):
    """Calls `on_undelivered` for each message that was not delivered, and removes the tracebacks of clients that are
    gone: the line of the request says so."""

    def __init__(self, on_undelivered: Callable[[], None]) -> None:
        super().__init__()
        self._on_undelivered = on_undelivered

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is to be logged."""
        if record.levelno <= logging.DEBUG:
            if str(record.msg).startswith(UNDELIVERED):
                self._on_undelivered()
            return logging.getLogger().isEnabledFor(logging.DEBUG)
        error = record.exc_info[1] if record.exc_info else None
        return not (isinstance(error, grpc.aio.InternalError) and str(error).startswith(CLIENT_GONE))

    def install(self) -> None:
        """Filter what gRPC logs from now on; its level becomes DEBUG, so that there is something to see."""
        logger = logging.getLogger(LOGGER)
        logger.setLevel(logging.DEBUG)
        logger.addFilter(self)
