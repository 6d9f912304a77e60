"""One call: two bounded pipes and the thread between them, on which the synchronous core runs."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol

import google_crc32c

from compressor import wire
from compressor.calls.pipe import ClosedError, Inbox, Outbox
from compressor.calls.upload import Part, Upload
from compressor.errors import IdleError
from compressor.settings import Report, Source

INBOX_BYTES = 64 << 10
OUTBOX_BYTES = 32 << 10
# gRPC keeps three copies of a message that its reader does not take: small ones, so that it stays cheap to wait for.
OUTPUT_BYTES_MAX = 32 << 10
LINGER_SECONDS = 0.5
# What a call takes beside its image and its HTTP/2 window: the chunk that the pipeline works on and one on its way to
# it, the outbox and a chunk on its way there, three copies of what leaves, and the touched part of a thread's stack.
CALL_BYTES = 2 * wire.CHUNK_BYTES + 2 * OUTBOX_BYTES + 3 * OUTPUT_BYTES_MAX + (64 << 10)


class Stream(Protocol):
    """What the pipeline gives back: chunks of the result, and what is known before and after them."""

    @property
    def source(self) -> Source: ...
    @property
    def report(self) -> Report: ...
    @property
    def stage_seconds(self) -> Mapping[str, float]: ...
    def __iter__(self) -> Iterator[bytes]: ...
    def close(self) -> None: ...


@dataclass(frozen=True)
class Codec:
    """The pipeline, as the service sees it.

    stream          (chunks, settings, *, raw, resources, still_wanted) -> Stream
    inspect         (chunks, settings, *, raw) -> Source
    resources       handed to `stream`: the byte budget and the spool
    warm_up         loads and compiles every kernel
    reserved_bytes  what is reserved right now
    byte_seconds    what was reserved until now, times how long it was
    """

    stream: Callable[..., Stream]
    inspect: Callable[..., Source]
    resources: Any
    warm_up: Callable[[], None]
    reserved_bytes: Callable[[], int]
    byte_seconds: Callable[[], float]


@dataclass(frozen=True, slots=True)
class Done:
    """The end of a result: what was done, and length and CRC-32C of the chunks before it."""

    report: Report
    bytes_out: int
    crc32c: int


class Call:
    """Pipes and thread of one call; leaving the context closes the pipes, which ends the thread at its next pull.

    spent    told of the CPU seconds of each stage when the work has ended, whatever came of it
    inbox    parts of the upload, put by the event loop
    outbox   Source, then bytes, then Done, got by the event loop; ends with the error that ended the work
    """

    def __init__(self, codec: Codec, idle_seconds: float, spent: Callable[[Mapping[str, float]], None]) -> None:
        self._codec, self._spent = codec, spent
        self._loop = asyncio.get_running_loop()
        self.inbox: Inbox[Part] = Inbox(INBOX_BYTES, idle_seconds, self._loop)
        self.outbox: Outbox[Source | bytes | Done] = Outbox(OUTBOX_BYTES, idle_seconds, self._loop)
        # The error of a reader that does not read. The handler can't be told: it waits for the same reader.
        self.stalled: asyncio.Future[IdleError] = self._loop.create_future()

        self.feeding: asyncio.Task[None] | None = None  # what fills the inbox

    def __enter__(self) -> "Call":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.inbox.close()
        self.outbox.close()

    async def linger(self) -> None:
        """Give a client that was told of a failure the time to hear it and to stop writing."""
        if self.feeding is not None:
            await asyncio.wait([self.feeding], timeout=LINGER_SECONDS)

    def start(self, work: Callable[["Call"], None], ended: Callable[[], None]) -> None:
        """Run `work`, which is Call.compress or Call.inspect, on a thread of its own, and then `ended`."""
        threading.Thread(target=self._run, args=(work, ended), name=work.__name__, daemon=True).start()

    def _run(self, work: Callable[["Call"], None], ended: Callable[[], None]) -> None:
        try:
            work(self)
        except ClosedError:
            self._end(None, ended)  # the call is over, and whoever ended it knows why
        except BaseException as error:  # whatever it is belongs to the caller, not to this thread
            self._end(error, ended)
        else:
            self._end(None, ended)

    def _end(self, error: BaseException | None, ended: Callable[[], None]) -> None:
        ended()
        self.inbox.close()
        self.outbox.end(error)

    def compress(self) -> None:
        """Pull the upload through the codec."""
        codec, upload = self._codec, Upload(self.inbox)
        stream = codec.stream(
            upload.chunks,
            upload.settings,
            raw=upload.raw,
            resources=codec.resources,
            still_wanted=self.outbox.check,
        )
        try:
            self.outbox.put(stream.source, 0)
            bytes_out = crc32c = 0
            for chunk in stream:
                bytes_out += len(chunk)
                crc32c = google_crc32c.extend(crc32c, chunk)
                self._send(chunk)
                del chunk  # or it would be kept while the next one is made
            upload.drain()
            done = Done(stream.report, bytes_out, crc32c)
        finally:
            stream.close()
            self._spent(stream.stage_seconds)
        self.outbox.put(done, 0)

    def _send(self, chunk: bytes) -> None:
        try:
            for start in range(0, len(chunk), OUTPUT_BYTES_MAX):
                part = chunk[start : start + OUTPUT_BYTES_MAX]  # no copy where that is all of it
                self.outbox.put(part, len(part))
        except IdleError as error:
            self._loop.call_soon_threadsafe(self.stalled.set_result, error)
            raise

    def inspect(self) -> None:
        """Pull as much of the upload as the header needs."""
        upload = Upload(self.inbox)
        self.outbox.put(self._codec.inspect(upload.chunks, upload.settings, raw=upload.raw), 0)
