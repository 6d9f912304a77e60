"""Finds ledgers, and reads each of them when it has changed."""

import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from compressor.ledger.errors import LedgerError, LedgerHeldError
from compressor.ledger.snapshot import Snapshot, take_snapshot

log = logging.getLogger(__name__)

Stamp = tuple[int, int, int, int, int]


@dataclass(frozen=True, slots=True)
class LedgerObservation:
    """An existing ledger at one moment.

    id        "" where a run has it open and it was not read since this process started
    changed   modification time, ns
    snapshot  None where nothing has changed, or a run has it open
    read      whether its current state is known
    """

    path: str
    id: str
    changed: int
    snapshot: Snapshot | None
    read: bool


class Ledgers:
    """The ledgers that were named: files, and all *.ledger files in folders."""

    def __init__(self, named: tuple[Path, ...]) -> None:
        self._named = named
        self._known: dict[str, tuple[Stamp, str]] = {}
        self._warned: dict[str, str] = {}
        self._copies: set[str] = set()

    def paths(self) -> list[str]:
        """Return the paths of all that exist or were named, each once, links resolved."""
        found: dict[str, None] = {}
        for path in self._named:
            for file in sorted(path.glob("*.ledger")) if path.is_dir() else [path]:
                found[os.path.realpath(file)] = None
        return list(found)

    def expected(self, known: Iterable[str]) -> set[str]:
        """Return the paths of all that count, including known ones that have disappeared from their folder."""
        named = set(map(os.path.realpath, self._named))
        named_before = {path for path in known if not named.isdisjoint((path, os.path.dirname(path)))}
        return named_before.union(self.paths()) - self._copies

    def observe(self) -> list[LedgerObservation]:
        """Return all that exist; of copies, the newest. One that can't be read counts as deleted, with one warning."""
        found: dict[str, LedgerObservation] = {}
        self._copies.clear()
        for observed in sorted(
            filter(None, map(self._observe, self.paths())), key=lambda one: one.changed, reverse=True
        ):
            same = found.setdefault(observed.id or observed.path, observed)
            if same is not observed:
                self._copies.add(observed.path)
                self._warn_once(observed.path, f"{observed.path} is a copy of {same.path}: it counts once")
        return list(found.values())

    def _observe(self, path: str) -> LedgerObservation | None:
        try:
            stamp = stamp_of(path)
            known, id = self._known.get(path, (None, ""))
            changed = max(stamp[2], stamp[4])
            if stamp == known:
                return LedgerObservation(path, id, changed, None, read=True)
            found = take_snapshot(Path(path))
        except LedgerHeldError:
            return LedgerObservation(path, id, changed, None, read=False)
        except (LedgerError, OSError) as error:
            self._known.pop(path, None)
            self._warn_once(path, str(error))
            return None
        self._known[path] = stamp, found.id
        self._warned.pop(path, None)
        return LedgerObservation(path, found.id, changed, found, read=True)

    def check(self) -> None:
        """Warn of ledgers that can't be read."""
        for path in self.paths():
            try:
                take_snapshot(Path(path))
            except LedgerHeldError:
                pass
            except (LedgerError, OSError) as error:
                self._warn_once(path, str(error))

    def forget(self) -> None:
        """Read all ledgers again next time, since the state does not have what was read."""
        self._known.clear()

    def _warn_once(self, path: str, message: str) -> None:
        if self._warned.get(path) != message:
            self._warned[path] = message
            log.warning("%s", message)


def stamp_of(path: str) -> Stamp:
    """Return a value that changes when a ledger does. An empty journal comes from our own reading."""
    file = os.stat(path)
    try:
        wal = os.stat(path + "-wal")
        journal = (wal.st_size, wal.st_mtime_ns) if wal.st_size else (0, 0)
    except FileNotFoundError:
        journal = (0, 0)
    return file.st_ino, file.st_size, file.st_mtime_ns, *journal
