"""Files that appear under their name only when they are complete."""

import contextlib
import os
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self


def temporary_name(folder: Path) -> Path:
    """Return a path in `folder` that no other process uses."""
    return folder / f".compressor-{os.getpid()}-{os.urandom(4).hex()}.part"


class AtomicFile:
    """A file that is written under a temporary name, on its target's file system, and renamed when it is complete.

    It is created by `open`, inside the `with` block: an interruption finds it there, however early it comes. Unless it
    is published, it is removed at the end of the block.
    """

    def __init__(self, temporary: Path, mode: int = 0o666) -> None:
        self.path = temporary
        self._mode = mode
        self._file: BinaryIO | None = None

    def open(self) -> BinaryIO:
        """Create the file, empty, and return it for writing; raise FileExistsError where its name is taken."""
        self._file = os.fdopen(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, self._mode), "wb")
        return self._file

    def publish(self, path: Path, sync_folder: bool = False) -> None:
        """Rename the file to `path` once its content is on disk.

        sync_folder  raise OSError unless the new name is on disk too, which not every file system can ensure
        """
        assert self._file is not None
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        os.replace(self.path, path)
        with contextlib.nullcontext() if sync_folder else contextlib.suppress(OSError):
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def discard(self) -> None:
        """Remove the file if it still has its temporary name."""
        self.path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):  # a full disk fails here again
                self._file.close()
        self.discard()
