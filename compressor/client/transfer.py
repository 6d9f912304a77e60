"""What both clients share: how a source is cut into messages, and how an answer is put together and checked."""

import dataclasses
import itertools
import os
import random
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, BinaryIO, Generic, NamedTuple, TypeAlias, TypeVar

import google_crc32c
import grpc
from google.rpc import status_pb2

from compressor import inputs, wire
from compressor.errors import BusyError, CompressorError, IncompleteError
from compressor.inputs import Kind
from compressor.settings import Raw, Report, Settings, Source, Tile
from compressor.v1 import compressor_pb2 as pb

if TYPE_CHECKING:
    import numpy

Bytes: TypeAlias = bytes | bytearray | memoryview
Input: TypeAlias = "str | os.PathLike[str] | Bytes | BinaryIO | numpy.ndarray | Iterable[Bytes] | Any"  # or of Pillow
M = TypeVar("M")  # pb.CompressRequest or pb.InspectRequest

DETAILS = "grpc-status-details-bin"
MCU_ROWS = 16  # lines of the tallest MCU (T.81 A.2.4): tiles of that height make tile rows without waiting


def channel_options(window_bytes: int) -> list[tuple[str, int]]:
    """Options of the client's side. They bound what a stalled download keeps in this process."""
    return [
        ("grpc.max_receive_message_length", wire.MESSAGE_BYTES_MAX),
        ("grpc.http2.bdp_probe", 0),
        ("grpc.http2.lookahead_bytes", window_bytes),  # is ignored where BDP probing is on
        ("grpc.keepalive_time_ms", 60_000),  # the server allows a ping every 30 s
        ("grpc.keepalive_timeout_ms", 20_000),
    ]


def metadata_of(token: str | None) -> tuple[tuple[str, str], ...] | None:
    """What every call carries."""
    return (("authorization", f"Bearer {token}"),) if token else None


# --- up -----------------------------------------------------------------------------------------------------------


class Cut(NamedTuple):
    """A source as it is sent.

    raw      geometry and metadata of tiles; None where parts are chunks of a file
    notices  what the source lost here already, for the report
    """

    raw: Raw | None
    parts: Any  # iterable of Bytes or of Tile; of an asynchronous client also an asynchronous one
    notices: tuple[str, ...] = ()


def cut(source: Any, chunk_bytes: int, settings: Settings, raw: Raw | None = None) -> Cut:
    """Return a source as chunks, or as raw tiles. A path is opened when a chunk is pulled.

    Raises UnsupportedError for a Pillow image that has lost what `lossless` would keep.
    """
    if raw is not None:
        return Cut(raw, inputs.tiles_of(source))
    kind = inputs.kind_of(source)
    if kind is Kind.ARRAY:
        raw = raw_of(source, chunk_bytes)
        return Cut(raw, tiles_of(source, raw))
    if kind is Kind.PICTURE:
        from compressor import raster

        picture = raster.read_picture(source)
        settings.check_loss(picture.loss, settings.format_of_raw(picture.raw.channels).value)
        tiling = raw_of(picture.pixels, chunk_bytes)
        raw = dataclasses.replace(picture.raw, tile_width=tiling.tile_width, tile_height=tiling.tile_height)
        return Cut(raw, tiles_of(picture.pixels, raw), picture.notices)
    return Cut(None, inputs.chunks_of(source, kind, chunk_bytes))


def raw_of(array: "numpy.ndarray[Any, Any]", chunk_bytes: int) -> Raw:
    """How to cut (h, w, c) or (h, w) uint8 samples into tiles.

    Tiles are as wide as the image and as tall as about `chunk_bytes` make them; where 16 rows would pass 1 MiB,
    they are narrower.
    """
    height, width, channels = inputs.shape_of(array)
    row_bytes = width * channels
    tile_width, tile_height = width, max(MCU_ROWS, chunk_bytes // row_bytes // MCU_ROWS * MCU_ROWS)
    if row_bytes * tile_height > wire.TILE_BYTES_MAX:
        tile_width = wire.TILE_BYTES_MAX // (channels * MCU_ROWS) // MCU_ROWS * MCU_ROWS
        tile_height = MCU_ROWS
    return Raw(
        width=width,
        height=height,
        channels=channels,
        tile_width=min(width, tile_width),
        tile_height=min(height, tile_height),
    )


def tiles_of(array: "numpy.ndarray[Any, Any]", raw: Raw) -> Iterator[Tile]:
    """The tiles of an array in raster order."""
    for y in range(0, raw.height, raw.tile_height):
        for x in range(0, raw.width, raw.tile_width):
            yield Tile(x, y, array[y : y + raw.tile_height, x : x + raw.tile_width].tobytes())


class Upload(Generic[M]):
    """The messages of an upload, ending with a `finish` that counts what was sent.

    for part in chunks: for message in upload.messages(part): send(message)
    send(upload.finish())
    """

    def __init__(self, kind: Callable[..., M], chunk_bytes: int) -> None:
        self._kind = kind
        self._chunk_bytes = chunk_bytes
        self._bytes = 0
        self._crc32c = 0

    def start(self, settings: Settings, raw: Raw | None) -> list[M]:
        """Return what comes before the first byte. Raises LimitError for metadata that no message can take."""
        start = [self._kind(settings=wire.settings_to_proto(settings))]
        if raw is not None:
            start.append(self._kind(raw=wire.raw_to_proto(raw)))
        return start

    def messages(self, part: Bytes | Tile) -> Iterator[M]:
        """A part of the image, cut to the size of messages."""
        if isinstance(part, Tile):
            self._count(part.pixels)
            yield self._kind(tile=wire.tile_to_proto(part))
            return
        view = memoryview(inputs.chunk_in(part))
        for start in range(0, len(view), self._chunk_bytes):
            chunk = bytes(view[start : start + self._chunk_bytes])
            self._count(chunk)
            yield self._kind(chunk=chunk)

    def _count(self, data: bytes) -> None:
        self._bytes += len(data)
        self._crc32c = google_crc32c.extend(self._crc32c, data)

    def finish(self) -> M:
        """The last message."""
        return self._kind(finish=pb.Finish(total_bytes=self._bytes, crc32c=self._crc32c))

    def all(self, settings: Settings, raw: Raw | None, parts: Iterable[Bytes | Tile]) -> Iterator[M]:
        """Return the whole upload. What can't be announced is refused at once."""
        return itertools.chain(self.start(settings, raw), self._rest(parts))

    def _rest(self, parts: Iterable[Bytes | Tile]) -> Iterator[M]:
        for part in parts:
            yield from self.messages(part)
        yield self.finish()


# --- down ---------------------------------------------------------------------------------------------------------


class Answer:
    """What came back so far, counted and checked.

    notices  of this side, which come before those of the report
    """

    def __init__(self, notices: tuple[str, ...] = ()) -> None:
        self._notices = notices
        self.source: Source | None = None
        self.report: Report | None = None
        self._bytes = 0
        self._crc32c = 0

    def take(self, response: pb.CompressResponse) -> bytes:
        """The chunk of a response, or b"" where it carries none. A failure in band is raised."""
        match response.WhichOneof("part"):
            case "chunk":
                chunk = response.chunk
                self._bytes += len(chunk)
                self._crc32c = google_crc32c.extend(self._crc32c, chunk)
                return chunk
            case "source":
                self.source = wire.source_from_proto(response.source)
            case "report":
                self._verify(response.report)
                report = wire.report_from_proto(response.report)
                self.report = dataclasses.replace(report, notices=(*self._notices, *report.notices))
            case "failure":
                raise wire.error_from_failure(response.failure)
        return b""

    def _verify(self, report: pb.Report) -> None:
        if (report.bytes_out, report.crc32c) != (self._bytes, self._crc32c):
            sent = f"{report.bytes_out} bytes with CRC-32C {report.crc32c:08x}"
            raise IncompleteError(f"{sent} were sent, {self._bytes} with {self._crc32c:08x} arrived")

    def finished(self) -> Report:
        """The report; the end of an answer that has none was not its end."""
        if self.report is None:
            raise IncompleteError("the answer ended without a report: it was cut off")
        return self.report


def pause_of(error: BusyError, tries: int, end: float | None) -> float:
    """Seconds to wait before the next try; raises `error` where none is left or it would come after `end` (monotonic).

    Spread over half as much again, so that those who were turned away together do not come back together.
    """
    pause = error.retry_after_seconds * random.uniform(1, 1.5)
    if tries == 0 or (end is not None and time.monotonic() + pause >= end):
        raise error
    return pause


def error_of(error: grpc.RpcError) -> CompressorError:
    """The error that a status stands for, with its fields where it carries our details."""
    trailing: Any = error.trailing_metadata()
    for key, value in trailing or ():
        if key == DETAILS:
            for detail in status_pb2.Status.FromString(value).details:
                failure = pb.Failure()
                if detail.Unpack(failure):
                    return wire.error_from_failure(failure)
    code: int = error.code().value[0]
    return wire.error_from_failure(pb.Failure(code=code, message=error.details() or "no reason given"))
