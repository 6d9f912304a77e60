"""Ledgers as they are found: which there are, and how each stands, read only when it has changed."""

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
class Sight:
    """A ledger that is there.

    id        "" where a run holds it that we have not read since we began
    changed   when; ns
    snapshot  None where nothing has changed, or a run holds it
    read      whether we know how it stands now
    """

    path: str
    id: str
    changed: int
    snapshot: Snapshot | None
    read: bool


class Ledgers:
    """Those that were named: files, and folders of which every *.ledger is meant."""

    def __init__(self, named: tuple[Path, ...]) -> None:
        self._named = named
        self._known: dict[str, tuple[Stamp, str]] = {}
        self._told: dict[str, str] = {}
        self._copies: set[str] = set()

    def paths(self) -> list[str]:
        """Of all that are meant now, each once, links followed."""
        found: dict[str, None] = {}
        for path in self._named:
            for file in sorted(path.glob("*.ledger")) if path.is_dir() else [path]:
                found[os.path.realpath(file)] = None
        return list(found)

    def meant(self, known: Iterable[str]) -> set[str]:
        """Of all that count, there or not; those of the known ones that are gone from their folder included."""
        named = set(map(os.path.realpath, self._named))
        gone = {path for path in known if not named.isdisjoint((path, os.path.dirname(path)))}
        return gone.union(self.paths()) - self._copies

    def look(self) -> list[Sight]:
        """What is there. One that can't be read is as good as gone, and told once; of copies the newest counts."""
        found: dict[str, Sight] = {}
        self._copies.clear()
        for sight in sorted(filter(None, map(self._look, self.paths())), key=lambda one: one.changed, reverse=True):
            same = found.setdefault(sight.id or sight.path, sight)
            if same is not sight:
                self._copies.add(sight.path)
                self._tell(sight.path, f"{sight.path} is a copy of {same.path}: it counts once")
        return list(found.values())

    def _look(self, path: str) -> Sight | None:
        try:
            stamp = stamp_of(path)
            known, id = self._known.get(path, (None, ""))
            changed = max(stamp[2], stamp[4])
            if stamp == known:
                return Sight(path, id, changed, None, read=True)
            found = take_snapshot(Path(path))
        except LedgerHeldError:
            return Sight(path, id, changed, None, read=False)
        except (LedgerError, OSError) as error:
            self._known.pop(path, None)
            self._tell(path, str(error))
            return None
        self._known[path] = stamp, found.id
        self._told.pop(path, None)
        return Sight(path, found.id, changed, found, read=True)

    def check(self) -> None:
        """Tell of those that can't be read."""
        for path in self.paths():
            try:
                take_snapshot(Path(path))
            except LedgerHeldError:
                pass
            except (LedgerError, OSError) as error:
                self._tell(path, str(error))

    def forget(self) -> None:
        """What was read did not get into the state: it is to be read again."""
        self._known.clear()

    def _tell(self, path: str, what: str) -> None:
        if self._told.get(path) != what:
            self._told[path] = what
            log.warning("%s", what)


def stamp_of(path: str) -> Stamp:
    """What changes when a ledger does. A journal that is empty is our own reading's."""
    there = os.stat(path)
    try:
        wal = os.stat(path + "-wal")
        journal = (wal.st_size, wal.st_mtime_ns) if wal.st_size else (0, 0)
    except FileNotFoundError:
        journal = (0, 0)
    return there.st_ino, there.st_size, there.st_mtime_ns, *journal
