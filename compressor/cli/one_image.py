"""One image, from its file to the file of its result."""

import contextlib
import importlib
import math
import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from io import BufferedIOBase
from typing import Any, Self, cast

from compressor.atomic_write import AtomicFile, temporary_name
from compressor.cli.interruption import CleanUpOnSignal, creating
from compressor.cli.output import STANDARD, with_footprint
from compressor.cli.result_files import ResultFile, Written
from compressor.errors import LimitError
from compressor.inputs import Replayable
from compressor.memory import Resources
from compressor.settings import Access, Report, Settings

CHUNK_BYTES = 1 << 18

Service = tuple[str, Access]  # address and credentials
Watch = Callable[[Iterable[bytes]], Iterator[bytes]]  # yields the chunks of an input, and shows how many there were
OpenStream = Callable[[Iterable[bytes]], AbstractContextManager[Any]]  # of output chunks, with a `.report` after them


def write_result(source: str, open_stream: OpenStream, result: ResultFile, watch: Watch) -> Written:
    """Write the output of a stream to the file of its result. It gets its name when it is complete."""
    result.check()
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(opened(source))
        state = state_of(file)
        stream = stack.enter_context(open_stream(watched_chunks(file, watch)))
        if result.folder is None:
            for _ in stream:
                pass
            return result.finish(with_footprint(stream.report), None, state)
        result.folder.mkdir(parents=True, exist_ok=True)
        temporary = stack.enter_context(AtomicFile(temporary_name(result.folder), mode_of(state)))
        stack.enter_context(CleanUpOnSignal(temporary.discard))
        with creating, in_folder(result.folder):
            writer = temporary.open()
        for chunk in stream:
            writer.write(chunk)
        writer.flush()
        return result.finish(with_footprint(stream.report), temporary, state)


def write_stream(source: str, open_stream: OpenStream, out: str, watch: Watch) -> Report:
    """Write the output of a stream to standard output, a device or a pipe."""
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(opened(source))
        stream = stack.enter_context(open_stream(watched_chunks(file, watch)))
        target = sys.stdout.buffer if out == STANDARD else stack.enter_context(open(out, "wb"))
        for chunk in stream:
            target.write(chunk)
        target.flush()
        return with_footprint(stream.report)


@contextlib.contextmanager
def in_folder(folder: os.PathLike[str]) -> Iterator[None]:
    """Name the folder in an error of the system, in place of a temporary file in it."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, os.fspath(folder)) from None


class Compression:
    """Compression in this process or by a service, for any number of images at once.

    service        address and credentials; None: this process
    memory_budget  of this process, in bytes
    """

    def __init__(self, settings: Settings, service: Service | None, memory_budget: int) -> None:
        self._settings = settings
        self._stack = contextlib.ExitStack()
        self._client: Any = None
        self._resources: Resources | None = None
        if service is None:
            importlib.import_module("compressor.pipeline")  # loads the kernels: not counted as time for an image
            if settings.archive:
                from compressor import archive

                archive.require_library()
            self._resources = Resources(memory_budget=memory_budget, wait_seconds=math.inf)
        else:
            from compressor.client import connect

            self._client = self._stack.enter_context(connect(*service))

    @contextlib.contextmanager
    def stream(self, chunks: Iterable[bytes]) -> Iterator[Any]:
        """Yield an iterator of output chunks with a `.report` after the last one."""
        if self._client is not None:
            with self._client.stream(chunks, self._settings) as stream:
                yield stream
        else:
            from compressor import pipeline

            try:
                with pipeline.stream(chunks, self._settings, resources=self._resources) as stream:
                    yield stream
            except LimitError as error:
                if "memory budget" not in str(error):
                    raise
                raise LimitError(f"{error}; --memory-budget raises it") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()


@contextlib.contextmanager
def opened(source: str) -> Iterator[BufferedIOBase]:
    if source == STANDARD:
        yield cast(BufferedIOBase, sys.stdin.buffer)
    else:
        with open(source, "rb") as file:
            yield file


def watched_chunks(file: BufferedIOBase, watch: Watch) -> Iterable[bytes]:
    """Return the bytes of the input. Those of a regular file are replayable, if a connection is lost."""
    state = state_of(file)
    if state is not None and stat.S_ISREG(state.st_mode):
        start = file.tell()
        return Replayable(lambda: watch(chunks_from(file.fileno(), start)))
    return watch(chunks_of(file))


def chunks_from(descriptor: int, start: int) -> Iterator[bytes]:
    """Yield the bytes of a regular file from an offset on."""
    while chunk := os.pread(descriptor, CHUNK_BYTES, start):
        start += len(chunk)
        yield chunk


def chunks_of(file: BufferedIOBase) -> Iterator[bytes]:
    """Yield bytes as soon as they are available: a pipe may be slow."""
    while chunk := file.read1(CHUNK_BYTES):
        yield chunk


def state_of(file: BufferedIOBase) -> os.stat_result | None:
    """Return the state of an open file; None for what the system does not know as one."""
    with contextlib.suppress(OSError, ValueError):
        return os.fstat(file.fileno())
    return None


def mode_of(state: os.stat_result | None) -> int:
    """Return the permissions of the result: those of its source, to which the umask applies."""
    return 0o666 if state is None or not state.st_size else state.st_mode & 0o666
