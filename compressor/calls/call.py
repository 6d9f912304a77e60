"""A call: two bounded pipes, and a thread between them that runs the synchronous pipeline.

Nothing here depends on a transport: a front end moves the parts of an upload into `Call.inbox`, and the items of
`Call.outbox` to its client.
"""

import asyncio
import functools
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

import google_crc32c

from compressor.calls.admission import AdmittedCall
from compressor.calls.pipe import ClosedError, Inbox, Outbox
from compressor.calls.threads import CallThreads
from compressor.calls.upload import Upload, UploadPart
from compressor.errors import SettingsError
from compressor.memory import Resources
from compressor.settings import Delivery, Report, Settings, Source
from compressor.work_times import WorkTimes

INBOX_BYTES = 64 << 10
OUTBOX_BYTES = 96 << 10
OUTPUT_BYTES_MAX = 96 << 10  # of a chunk in the outbox: a transport may keep several copies of what nobody reads
IMMEDIATE_BYTES_MAX = 32 << 10  # of one that is sent at once, however small
HELD_PIXELS = 1 << 20  # of an image whose source is sent with its first chunk, if its upload has arrived by then
LINGER_SECONDS = 0.5
# Memory of a call, besides its image and what its transport holds: the outbox, a chunk that is held for it, and the
# part of its thread's stack that is used.
CALL_BYTES = OUTBOX_BYTES + OUTPUT_BYTES_MAX + (64 << 10)


class CodecStream(Protocol):
    """The result of `Codec.stream`: output chunks, the source before them and the report after them."""

    @property
    def source(self) -> Source: ...
    @property
    def report(self) -> Report: ...
    @property
    def times(self) -> WorkTimes: ...
    def __iter__(self) -> Iterator[bytes]: ...
    def close(self) -> None: ...


@dataclass(frozen=True)
class Codec:
    """The functions that calls run, and the resources that they share. Tests replace the functions.

    resources  byte budget and spool of the process
    stream     as `pipeline.stream`
    inspect    as `pipeline.inspect`
    unarchive  as `pipeline.unarchive`
    warm_up    loads and compiles whatever the first call would wait for
    """

    resources: Resources
    stream: Callable[..., CodecStream]
    inspect: Callable[..., Source]
    unarchive: Callable[..., CodecStream]
    warm_up: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Trailer:
    """The end of a complete result: the report, and length and CRC-32C of the chunks before it."""

    report: Report
    bytes_out: int
    crc32c: int


@dataclass(slots=True)
class Output:
    """Parts of a response in one message. A chunk alone is put into the outbox as bytes, which it can join.

    report  before the first chunk, if `Call.report_first` is set
    """

    source: Source | None = None
    report: Report | None = None
    chunk: bytes | None = None
    trailer: Trailer | None = None


class Call:
    """Pipes and thread of one call. Leaving the context closes the pipes, which ends the thread at its next pull.

    on_work_end       called with the times of the work when it ends, whether or not it succeeded
    admitted          the place that the call was given
    inbox             messages of the upload, each a list of parts, put by the event loop
    outbox            the output, read by the event loop; ends with the error that ended the work
    joins_output      whether the client takes several parts of the output together; set with its first message
    report_first      whether the report comes before the first chunk, too: only if delivery is safe; set before `start`
    """

    def __init__(
        self,
        codec: Codec,
        admitted: AdmittedCall,
        on_work_end: Callable[[WorkTimes], None],
    ) -> None:
        self._codec, self.admitted, self._on_work_end = codec, admitted, on_work_end
        loop = asyncio.get_running_loop()
        self.inbox: Inbox[list[UploadPart]] = Inbox(INBOX_BYTES, loop)
        self.outbox: Outbox[bytes | Output] = Outbox(OUTBOX_BYTES, loop)
        self.joins_output = self.report_first = False
        self._held = Output()  # the next output, which may still get more
        self.feeding: asyncio.Task[None] | None = None  # the task that fills the inbox

    def __enter__(self) -> "Call":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.inbox.close()
        self.outbox.close()

    async def linger(self) -> None:
        """Give a client that was sent a failure time to receive it and to stop writing."""
        if self.feeding is not None:
            await asyncio.wait([self.feeding], timeout=LINGER_SECONDS)

    def start(self, work: Callable[["Call"], None], threads: CallThreads) -> bool:
        """Run `work` (Call.compress, Call.unarchive or Call.inspect) on a thread. Return False if none is free."""
        self.admitted.share()
        is_started = threads.run(work.__name__, functools.partial(self._run, work))
        if not is_started:
            self.admitted.leave()
        return is_started

    def _run(self, work: Callable[["Call"], None], on_end: Callable[[], None]) -> None:
        try:
            work(self)
        except ClosedError:
            self._end(None, on_end)  # the call is over, and whoever ended it knows why
        except BaseException as error:  # any error belongs to the caller, not to this thread
            self._end(error, on_end)
        else:
            self._end(None, on_end)

    def _end(self, error: BaseException | None, on_end: Callable[[], None]) -> None:
        self.admitted.is_working = False
        self.admitted.leave()
        on_end()
        self.inbox.close()
        self.outbox.end(error)

    def compress(self) -> None:
        """Compress the upload and put the result into the outbox."""
        codec, upload = self._codec, Upload(self._parts())
        if upload.delivery is Delivery.IMMEDIATE:  # what a reader that stops leaves there is kept as long as its call
            self.outbox.limit_bytes = IMMEDIATE_BYTES_MAX
        stream = codec.stream(
            upload.chunks,
            upload.settings,
            raw=upload.raw,
            resources=codec.resources,
            still_wanted=self.outbox.check,
            demand=self.admitted.demand,
            reservation=self.admitted.reservation,
        )
        self._deliver(upload, stream)

    def unarchive(self) -> None:
        """Make the JPEG of the uploaded archive, and put it into the outbox."""
        codec, upload = self._codec, Upload(itertools.chain((Settings(),), self._parts()))
        if upload.raw is not None:
            raise SettingsError("part", "is raw, must be chunk")
        stream = codec.unarchive(
            upload.chunks,
            resources=codec.resources,
            still_wanted=self.outbox.check,
            demand=self.admitted.demand,
            reservation=self.admitted.reservation,
        )
        self._deliver(upload, stream)

    def _deliver(self, upload: Upload, stream: CodecStream) -> None:
        """Put the source, the output and the report of a stream into the outbox."""
        try:
            source = stream.source
            self.admitted.clock.is_header_known = True
            self._held.source = source
            if not self.joins_output or source.width * source.height > HELD_PIXELS:
                self._send()
            bytes_out = crc32c = 0
            for chunk in stream:
                if self.report_first and not bytes_out:
                    self._held.report = stream.report
                    self._send()
                bytes_out += len(chunk)
                crc32c = google_crc32c.extend(crc32c, chunk)
                self._send_chunk(chunk, is_immediate=upload.delivery is Delivery.IMMEDIATE)
                del chunk  # or it would be kept while the next one is made
            upload.drain()
            self._held.trailer = Trailer(stream.report, bytes_out, crc32c)
        except Exception:
            self._send()
            raise
        finally:
            stream.close()
            self._on_work_end(stream.times)
        self._send()

    def _parts(self) -> Iterator[UploadPart]:
        """Yield the parts of the upload. The client may wait for output before it sends the next ones."""
        for parts in self.inbox:
            while parts:
                yield parts.pop(0)
            self._send()

    def _send_chunk(self, chunk: bytes, is_immediate: bool) -> None:
        """Send a chunk in pieces. If output is joined, the last one is held until the next chunk or the trailer exists,
        unless delivery is immediate."""
        size = IMMEDIATE_BYTES_MAX if is_immediate else OUTPUT_BYTES_MAX
        for start in range(0, len(chunk), size):
            if self._held.chunk is not None:
                self._send()
            self._held.chunk = chunk[start : start + size]  # no copy if the chunk is no longer than that
        if is_immediate or not self.joins_output:
            self._send()

    def _send(self) -> None:
        """Put what is held into the outbox."""
        held, self._held = self._held, Output()
        if held == Output():
            return
        chunk = held.chunk or b""
        self.outbox.put(chunk if held == Output(chunk=chunk) else held, len(chunk))

    def inspect(self) -> None:
        """Read as much of the upload as the header needs, and put its Source into the outbox."""
        codec, upload = self._codec, Upload(self._parts())
        source = codec.inspect(
            upload.chunks,
            upload.settings,
            raw=upload.raw,
            resources=codec.resources,
            reservation=self.admitted.reservation,
        )
        self.outbox.put(Output(source=source), 0)
