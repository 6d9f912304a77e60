"""Files that grow by lines, each line read once: over restarts, over rotation, over copies."""

import logging
import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from compressor.exporter.state import State

log = logging.getLogger(__name__)

CHUNK_BYTES = 1 << 20
LINE_BYTES_MAX = 1 << 16
MARK_BYTES = 1 << 10


@dataclass(frozen=True, slots=True)
class Place:
    """How far a file was read.

    number    of its row, None where nothing was read yet
    head      what it begins with, as far as it was read; tail: what stands before `offset`
    skipping  within a line that is too long
    """

    number: int | None = None
    offset: int = 0
    head: bytes = b""
    tail: bytes = b""
    skipping: bool = False


@dataclass(slots=True)
class Following:
    """A file that is open; it stays so when another takes its name, until it has been read to its end."""

    file: BinaryIO
    place: Place


class Feeds:
    """The files that were named, read in turn.

    A file is known by its content: one that begins as one that was read **is** that one, under whatever name. So
    nothing counts twice; what was changed in a file before the place up to which it had been read counts for nothing.
    """

    def __init__(self, paths: tuple[Path, ...]) -> None:
        self._paths = [str(path) for path in paths]
        self._open: dict[str, Following] = {}
        self._told: dict[str, str] = {}

    def step(self, state: State, take: Callable[[list[bytes]], None]) -> bool:
        """Read some lines of each and give them to `take`, in one transaction with the place up to which they go. The
        lines that are too long are given as b"". True where there may be more right now."""
        more = False
        for path in self._paths:
            following = self._follow(state, path)
            if following is None:
                continue
            file, place = following.file, following.place
            data = os.pread(file.fileno(), CHUNK_BYTES, place.offset)
            if not data or tail_of(file.fileno(), place.offset) != place.tail:
                more |= self._ended(path, following)
                continue
            lines, used, skipping = split(data, place.skipping)
            if not used:
                continue
            with state.transaction():
                take(lines)
                after = self._kept(state, path, file, replace(place, offset=place.offset + used, skipping=skipping))
            following.place = after
            more = True
        return more

    def _ended(self, path: str, following: Following) -> bool:
        """All was read that there is: whether another file has the name by now, or its content."""
        mine = os.fstat(following.file.fileno())
        try:
            there = os.stat(path)
        except OSError:
            there = None
        place = following.place
        same = mine.st_size >= place.offset and tail_of(following.file.fileno(), place.offset) == place.tail
        if there is not None and os.path.samestat(there, mine) and same:
            return False
        following.file.close()
        del self._open[path]
        return there is not None and there.st_size > 0

    def _follow(self, state: State, path: str) -> Following | None:
        if (following := self._open.get(path)) is not None:
            return following
        try:
            file = open(path, "rb", buffering=0)  # noqa: SIM115 stays open
        except OSError as error:
            self._tell(path, f"{path}: {error.strerror}")
            return None
        with ExitStack() as stack:
            stack.enter_context(file)
            there = os.fstat(file.fileno())
            if not there.st_size or any(
                os.path.sameopenfile(file.fileno(), o.file.fileno()) for o in self._open.values()
            ):
                return None
            place = self._place_of(state, path, file, there.st_ino, there.st_size)
            if place is None:
                return None
            following = self._open[path] = Following(file, place)
            stack.pop_all()
        return following

    def _place_of(self, state: State, path: str, file: BinaryIO, inode: int, size: int) -> Place | None:
        """How far it was read; from its start on where it is another file than any before; None where it has become
        shorter: it may be just about to be written again."""
        descriptor = file.fileno()
        rows = state.run(
            "SELECT number, offset, head, tail, skipping FROM feeds ORDER BY inode <> ?, number DESC", inode
        )
        places = [Place(number, offset, head, tail, bool(skipping)) for number, offset, head, tail, skipping in rows]
        start = os.pread(descriptor, MARK_BYTES, 0)
        alike = [place for place in places if start.startswith(place.head[: len(start)])]
        for place in alike:
            before = os.pread(descriptor, len(place.tail), place.offset - len(place.tail))
            if place.offset <= size and before == place.tail:
                return place
        if not alike:
            return Place()
        longer = [place for place in alike if place.offset <= size]
        if not longer:
            self._tell(path, f"{path} is shorter than when it was read: what is added counts when it is longer again")
            return None
        self._tell(path, f"{path} is a file that was read, but changed: only what is added from now on counts")
        end = os.pread(descriptor, min(size, LINE_BYTES_MAX), max(0, size - LINE_BYTES_MAX)).rfind(b"\n")
        offset = max(0, size - LINE_BYTES_MAX) + end + 1
        with state.transaction():
            return self._kept(state, path, file, replace(longer[0], offset=offset, skipping=False))

    def _kept(self, state: State, path: str, file: BinaryIO, place: Place) -> Place:
        descriptor = file.fileno()
        head = os.pread(descriptor, min(MARK_BYTES, place.offset), 0)
        place = replace(place, head=head, tail=tail_of(descriptor, place.offset))
        values = (path, os.fstat(descriptor).st_ino, place.offset, place.head, place.tail, place.skipping)
        if place.number is None:
            state.run(
                "INSERT INTO feeds (path, inode, offset, head, tail, skipping) VALUES (?, ?, ?, ?, ?, ?)", *values
            )
            (number,) = state.run("SELECT last_insert_rowid()").fetchone()
            return replace(place, number=number)
        state.run(
            "UPDATE feeds SET path = ?, inode = ?, offset = ?, head = ?, tail = ?, skipping = ? WHERE number = ?",
            *values, place.number,
        )  # fmt: skip
        return place

    def _tell(self, path: str, what: str) -> None:
        if self._told.get(path) != what:
            self._told[path] = what
            log.warning("%s", what)

    def close(self) -> None:
        for following in self._open.values():
            following.file.close()
        self._open.clear()


def tail_of(descriptor: int, offset: int) -> bytes:
    size = min(MARK_BYTES, offset)
    return os.pread(descriptor, size, offset - size)


def split(data: bytes, skipping: bool) -> tuple[list[bytes], int, bool]:
    """The whole lines of what was read, how many bytes they take, and whether it ends within one that is too long."""
    end = data.rfind(b"\n") + 1
    lines = data[:end].split(b"\n")[:-1] if end else []
    if lines and skipping:
        lines, skipping = lines[1:], False
    found = [line if len(line) <= LINE_BYTES_MAX else b"" for line in lines if line.strip()]
    if len(data) - end <= LINE_BYTES_MAX:
        return found, end, skipping
    return (found, len(data), True) if skipping else ([*found, b""], len(data), True)
