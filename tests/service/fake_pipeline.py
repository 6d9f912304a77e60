"""A fake pipeline, which tests the service apart from the codecs.

A file is `FAKE`, a verb of four letters, and a body. The result is every other byte of the file under `FAKE half`;
`FAKE hold` first reserves as many bytes as the eight digits after it say; `FAKE disk` first writes a spool that needs a
file; other verbs raise what their name says. Raw tiles give their pixels' every other byte.
"""

import contextlib
import dataclasses
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from compressor.bytestream import ByteStream
from compressor.calls.call import Codec, CodecStream
from compressor.errors import BusyError, FormatError, LimitError, UnsupportedError
from compressor.memory import Reservation, Resources
from compressor.settings import Delivery, Outcome, Path, Raw, Report, Settings, Source
from compressor.spool import LENT_BYTES_MAX, SPOOL_MEMORY_BYTES
from compressor.work_times import WorkTimes

T = TypeVar("T")

CHUNK_BYTES = 64 << 10
ERRORS = {
    b"busy": BusyError("no room", 0.125),
    b"wait": BusyError("no room for an hour", 3600.0),
    b"over": LimitError("1 GB is over the limit"),
    b"nope": UnsupportedError("arithmetic coding"),
    b"bug!": ZeroDivisionError("division by zero"),
}


@dataclass
class Counts:
    """Counters of the calls to a codec."""

    started: int = 0
    closed: int = 0
    reported: int = 0  # reports requested: inputs that were treated as complete
    pulled: int = 0  # input chunks read


def file_of(size: int, verb: bytes = b"half") -> bytes:
    """Return a file of `size` bytes."""
    return (b"FAKE" + verb + bytes(range(256)) * (size // 256 + 1))[:size]


class FakeStream:
    def __init__(
        self, chunks: Any, settings: Settings, raw: Raw | None, resources: Resources, description: str = "fake"
    ) -> None:
        self._raw, self._settings, self._resources, self._description = raw, settings, resources, description
        self._reservation: Reservation | None = None
        self._stream = ByteStream(tile.pixels for tile in chunks) if raw else ByteStream(chunks)
        self._source: Source | None = None
        self._report: Report | None = None
        self.verb = b"half"

    @property
    def source(self) -> Source:
        if self._source is None and self._raw is not None:
            self._source = Source(format="raw", description="fake", width=2, height=2, channels=3, reserved_bytes=7)
        if self._source is None:
            header = self._stream.peek(8)
            if header[:4] != b"FAKE":
                raise FormatError("FAKE", "header", 0, f"is {header[:4]!r}, must be b'FAKE'")
            self.verb = header[4:]
            if self.verb in ERRORS:
                raise ERRORS[self.verb]
            if self.verb == b"hold":
                self._reservation = self._resources.reservation()
                self._reservation.extend(int(self._stream.peek(16)[8:]))
            if self.verb == b"disk":
                with contextlib.closing(self._resources.spool()) as spool:
                    spool.write(bytes(LENT_BYTES_MAX + SPOOL_MEMORY_BYTES + 1))
            self._source = Source(
                format="fake", description=self._description, width=2, height=2, channels=3, reserved_bytes=7
            )
        return self._source

    @property
    def report(self) -> Report:
        assert self._report is not None
        return self._report

    @property
    def times(self) -> WorkTimes:
        return WorkTimes(self._report.stage_seconds if self._report else {"decode": 0.125}, {"memory": 0.5})

    def __iter__(self) -> Iterator[bytes]:
        source = self.source
        held = []  # held by safe delivery; the real pipeline has a spool
        safe = self._settings.delivery is Delivery.SAFE
        bytes_out = 0
        while chunk := self._stream.read_some(CHUNK_BYTES * 2):
            if self.verb == b"late" and self._stream.offset > 1 << 20:
                raise FormatError("FAKE", "body", self._stream.offset, "ends too late")
            if self.verb == b"slow":
                time.sleep(0.005)
            half = chunk[(self._stream.offset - len(chunk)) % 2 :: 2]
            bytes_out += len(half[:64] if safe else half)
            if safe:
                held.append(half[:64])
            else:
                yield half
        score, scoring = (76.5, {"score": 0.125}) if self._settings.score else (None, {})
        self._report = Report(
            outcome=Outcome.COMPRESSED,
            bytes_in=self._stream.size,
            bytes_out=bytes_out,
            source_format=source.format,
            format="jpeg",
            width=2,
            height=2,
            path=Path.PIXELS,
            score=score,
            encodings=1,
            notices=("it is a fake",),
            stage_seconds={"encode": 0.25} | scoring,
            settings_digest=self._settings.digest(),
        )
        yield from held  # with safe delivery the report is complete before

    def close(self) -> None:
        if self._reservation is not None:
            self._reservation.close()


class Counted:
    """A stream that counts calls to it."""

    def __init__(self, stream: CodecStream, counts: Counts) -> None:
        self._stream = stream
        self._counts = counts
        counts.started += 1

    @property
    def source(self) -> Source:
        return self._stream.source

    @property
    def times(self) -> WorkTimes:
        return self._stream.times

    @property
    def report(self) -> Report:
        self._counts.reported += 1
        return self._stream.report

    def __iter__(self) -> Iterator[bytes]:
        yield from self._stream

    def close(self) -> None:
        self._counts.closed += 1
        self._stream.close()


def counted(codec: Codec, counts: Counts) -> Codec:
    """Return the codec with counters of its calls."""

    def watched(chunks: Iterable[T]) -> Iterator[T]:
        for chunk in chunks:
            counts.pulled += 1
            yield chunk

    def stream(chunks: Any, settings: Settings, **others: Any) -> Counted:
        return Counted(codec.stream(watched(chunks), settings, **others), counts)

    return dataclasses.replace(codec, stream=stream)


def fake_codec(resources: Resources | None = None, description: str = "fake") -> Codec:
    """Return a codec whose sources have this description. Without `resources`, 7 bytes are reserved all the time."""
    if resources is None:
        resources = Resources()
        resources.held.add(7)
    shared = resources

    def stream(chunks: Any, settings: Settings, *, raw: Raw | None, **others: Any) -> FakeStream:
        return FakeStream(chunks, settings, raw, shared, description)

    def inspect(chunks: Any, settings: Settings, *, raw: Raw | None, **others: Any) -> Source:
        return FakeStream(chunks, settings, raw, shared, description).source

    def unarchive(chunks: Any, **others: Any) -> FakeStream:
        return stream(chunks, Settings(), raw=None)

    return Codec(shared, stream, inspect, unarchive, warm_up=lambda: None)
