"""A watch on the spool directory of a server, for its health and readiness."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from compressor.spool_directory import SpoolDirectory

log = logging.getLogger(__name__)

PROBE_SECONDS = 1.0


class SpoolWatch:
    """Notices that a spool directory fails, and by probes that it works again.

    on_change  called with whether it works, at first and whenever that changes
    """

    def __init__(self, directory: SpoolDirectory, on_change: Callable[[bool], Awaitable[None]]) -> None:
        self._directory, self._on_change = directory, on_change
        self._works: bool | None = None

    async def check(self) -> None:
        """Probe the directory if nothing is known of it, or if it has failed; on a thread, since a disk may be slow."""
        directory, before = self._directory, self._works
        if before and not directory.problem:
            return
        if before:  # logged even if it works again by now
            self._log_failure()
        self._works = await asyncio.to_thread(directory.probe)
        if self._works and before is not None:
            log.info("the spool directory %s works again", directory.path)
        elif not self._works and before is None:
            self._log_failure()
        if self._works != before:
            await self._on_change(self._works)

    def _log_failure(self) -> None:
        log.error("the spool directory %s does not work: %s", self._directory.path, self._directory.problem)

    async def run(self) -> None:
        """Check every PROBE_SECONDS."""
        while True:
            await asyncio.sleep(PROBE_SECONDS)
            await self.check()
