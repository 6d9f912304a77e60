"""Follows files that grow by lines. Each line is read once, across restarts, rotation and copies."""

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
FINGERPRINT_BYTES = 1 << 10


@dataclass(frozen=True, slots=True)
class FeedPosition:
    """The position up to which a file was read.

    number    of its row; None where nothing was read yet
    head      the first bytes of what was read; tail: the last, before `offset`
    skipping  `offset` is within a line that is too long
    """

    number: int | None = None
    offset: int = 0
    head: bytes = b""
    tail: bytes = b""
    skipping: bool = False


@dataclass(slots=True)
class OpenFeed:
    """An open file. It stays open when another file takes its name, until it was read to its end."""

    file: BinaryIO
    position: FeedPosition


class Feeds:
    """The files that were named, read in turn.

    Files are identified by content: one that begins like a file that was read **is** that file, whatever its name. So
    nothing counts twice; changes to the part of a file that was already read are ignored.
    """

    def __init__(self, paths: tuple[Path, ...]) -> None:
        self._paths = [str(path) for path in paths]
        self._open: dict[str, OpenFeed] = {}
        self._warned: dict[str, str] = {}

    def step(self, state: State, take: Callable[[list[bytes]], None]) -> bool:
        """Read some lines of each file and pass them to `take`, in one transaction with the new position.

        Lines that are too long are passed as b"". Returns True if there may be more to read now.
        """
        more = False
        for path in self._paths:
            following = self._follow(state, path)
            if following is None:
                continue
            file, position = following.file, following.position
            data = os.pread(file.fileno(), CHUNK_BYTES, position.offset)
            if not data or tail_of(file.fileno(), position.offset) != position.tail:
                more |= self._ended(path, following)
                continue
            lines, used, skipping = split(data, position.skipping)
            if not used:
                continue
            with state.transaction():
                take(lines)
                after = self._save(
                    state, path, file, replace(position, offset=position.offset + used, skipping=skipping)
                )
            following.position = after
            more = True
        return more

    def _ended(self, path: str, following: OpenFeed) -> bool:
        """Close a file that was read to its end if its name or content is another now; return whether to read on."""
        opened = os.fstat(following.file.fileno())
        try:
            there = os.stat(path)
        except OSError:
            there = None
        position = following.position
        same = opened.st_size >= position.offset and tail_of(following.file.fileno(), position.offset) == position.tail
        if there is not None and os.path.samestat(there, opened) and same:
            return False
        following.file.close()
        del self._open[path]
        return there is not None and there.st_size > 0

    def _follow(self, state: State, path: str) -> OpenFeed | None:
        if (following := self._open.get(path)) is not None:
            return following
        try:
            file = open(path, "rb", buffering=0)  # noqa: SIM115 stays open
        except OSError as error:
            self._warn_once(path, f"{path}: {error.strerror}")
            return None
        with ExitStack() as stack:
            stack.enter_context(file)
            there = os.fstat(file.fileno())
            if not there.st_size or any(
                os.path.sameopenfile(file.fileno(), o.file.fileno()) for o in self._open.values()
            ):
                return None
            position = self._position_in(state, path, file, there.st_ino, there.st_size)
            if position is None:
                return None
            following = self._open[path] = OpenFeed(file, position)
            stack.pop_all()
        return following

    def _position_in(self, state: State, path: str, file: BinaryIO, inode: int, size: int) -> FeedPosition | None:
        """Return the position in a file, its start if it is new. None if it has become shorter: it may be about to be
        rewritten."""
        descriptor = file.fileno()
        rows = state.run(
            "SELECT number, offset, head, tail, skipping FROM feeds ORDER BY inode <> ?, number DESC", inode
        )
        positions = [
            FeedPosition(number, offset, head, tail, bool(skipping)) for number, offset, head, tail, skipping in rows
        ]
        start = os.pread(descriptor, FINGERPRINT_BYTES, 0)
        alike = [position for position in positions if start.startswith(position.head[: len(start)])]
        for position in alike:
            before = os.pread(descriptor, len(position.tail), position.offset - len(position.tail))
            if position.offset <= size and before == position.tail:
                return position
        if not alike:
            return FeedPosition()
        longer = [position for position in alike if position.offset <= size]
        if not longer:
            self._warn_once(
                path, f"{path} is shorter than when it was last read: additions count once it is longer again"
            )
            return None
        self._warn_once(path, f"{path} was changed after it was read: only additions from now on count")
        end = os.pread(descriptor, min(size, LINE_BYTES_MAX), max(0, size - LINE_BYTES_MAX)).rfind(b"\n")
        offset = max(0, size - LINE_BYTES_MAX) + end + 1
        with state.transaction():
            return self._save(state, path, file, replace(longer[0], offset=offset, skipping=False))

    def _save(self, state: State, path: str, file: BinaryIO, position: FeedPosition) -> FeedPosition:
        """Write a position to the state; return it with its number, head and tail."""
        descriptor = file.fileno()
        head = os.pread(descriptor, min(FINGERPRINT_BYTES, position.offset), 0)
        position = replace(position, head=head, tail=tail_of(descriptor, position.offset))
        values = (path, os.fstat(descriptor).st_ino, position.offset, position.head, position.tail, position.skipping)
        if position.number is None:
            state.run(
                "INSERT INTO feeds (path, inode, offset, head, tail, skipping) VALUES (?, ?, ?, ?, ?, ?)", *values
            )
            (number,) = state.run("SELECT last_insert_rowid()").fetchone()
            return replace(position, number=number)
        state.run(
            "UPDATE feeds SET path = ?, inode = ?, offset = ?, head = ?, tail = ?, skipping = ? WHERE number = ?",
            *values, position.number,
        )  # fmt: skip
        return position

    def _warn_once(self, path: str, message: str) -> None:
        if self._warned.get(path) != message:
            self._warned[path] = message
            log.warning("%s", message)

    def close(self) -> None:
        for following in self._open.values():
            following.file.close()
        self._open.clear()


def tail_of(descriptor: int, offset: int) -> bytes:
    """Return the bytes before an offset."""
    size = min(FINGERPRINT_BYTES, offset)
    return os.pread(descriptor, size, offset - size)


def split(data: bytes, skipping: bool) -> tuple[list[bytes], int, bool]:
    """Return the complete lines, how many bytes they take, and whether the data ends in a line that is too long."""
    end = data.rfind(b"\n") + 1
    lines = data[:end].split(b"\n")[:-1] if end else []
    if lines and skipping:
        lines, skipping = lines[1:], False
    found = [line if len(line) <= LINE_BYTES_MAX else b"" for line in lines if line.strip()]
    if len(data) - end <= LINE_BYTES_MAX:
        return found, end, skipping
    return (found, len(data), True) if skipping else ([*found, b""], len(data), True)
