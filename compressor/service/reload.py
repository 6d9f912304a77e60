"""Files of certificates and tokens, read again when they change and on request, while calls go on."""

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Sequence

from compressor.errors import SettingsError

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0

FileSignature = tuple[tuple[int, ...] | None, ...]


def signature_of(paths: Sequence[str]) -> FileSignature:
    """Return what differs once a file has been written or replaced; None for a file that can't be read."""

    def of(path: str) -> tuple[int, ...] | None:
        try:
            found = os.stat(path)  # of a link: of its target, which Kubernetes replaces
        except (OSError, ValueError):
            return None
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns

    return tuple(of(path) for path in paths)


class WatchedFiles:
    """Files that belong together, such as a certificate and its key. They are read at once.

    title    for the log
    load     reads, checks and uses them; it raises SettingsError, and changes nothing, if they can't be used
    problem  why they could not be used when they were last read; "" if they could
    """

    def __init__(self, title: str, paths: Sequence[str], load: Callable[[], None]) -> None:
        self.title, self._paths, self._load = title, tuple(paths), load
        self._used = self._seen = signature_of(self._paths)
        self.problem = ""
        load()

    def load(self) -> None:
        """Read the files again."""
        self._used = signature_of(self._paths)  # before they are read, so that a later change is seen
        self._load()

    def are_due(self) -> bool:
        """Return whether to read the files again: they have changed, or could not be used, which time may have cured (a
        certificate was not valid yet). Not if they have changed since the last call: whoever replaces a certificate and
        its key writes them one after the other."""
        before, self._seen = self._seen, signature_of(self._paths)
        return self._seen == before and (self._seen != self._used or self.problem != "")


class Reloader:
    """Reads files again when they have changed, and when `request` is called. `run` it in an event loop.

    on_outcome  called with "success" or "failure" each time
    """

    def __init__(self, files: Sequence[WatchedFiles], on_outcome: Callable[[str], None]) -> None:
        self._files, self._on_outcome = files, on_outcome
        self._requested = asyncio.Event()

    def request(self) -> None:
        """Read all files again, changed or not. Call it in the event loop."""
        self._requested.set()

    async def run(self) -> None:
        """Watch the files until the task is cancelled. On a thread: a file system may be slow."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._requested.wait(), POLL_SECONDS if self._files else None)
            is_requested = self._requested.is_set()
            self._requested.clear()
            await asyncio.to_thread(self._reload, is_requested)

    def _reload(self, is_requested: bool) -> None:
        if is_requested and not self._files:
            log.info("SIGHUP: there are no files of certificates or tokens to read again")
        for files in self._files:
            if not files.are_due() and not is_requested:
                continue
            before, files.problem = files.problem, ""
            try:
                files.load()
            except Exception as error:  # a bug, too, must not end the watching
                files.problem = str(error)
                if is_requested or files.problem != before:
                    bug = None if isinstance(error, SettingsError) else error
                    log.error("%s; the previous %s stay in use", error, files.title, exc_info=bug)
                    self._on_outcome("failure")
            else:
                log.info("%s were read again", files.title)
                self._on_outcome("success")
