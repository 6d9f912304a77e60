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
        directory = self._directory
        works = bool(self._works) and not directory.problem
        if not works:
            works = await asyncio.to_thread(directory.probe)
        if works == self._works:
            return
        if not works:
            log.error("the spool directory %s does not work: %s", directory.path, directory.problem)
        elif self._works is False:
            log.info("the spool directory %s works again", directory.path)
        self._works = works
        await self._on_change(works)

    async def run(self) -> None:
        """Check every PROBE_SECONDS."""
        while True:
            await asyncio.sleep(PROBE_SECONDS)
            await self.check()
