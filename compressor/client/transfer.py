"""Requests and responses of both clients: a source split into messages, and a response counted and checked."""

import contextlib
import dataclasses
import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeAlias, TypeVar

import google_crc32c
import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from compressor import inputs, wire
from compressor.errors import CompressorError, IncompleteError, SettingsError
from compressor.inputs import BytesLike, Kind
from compressor.settings import Raw, Report, Settings, Source, Tile
from compressor.v1 import compressor_pb2 as pb

if TYPE_CHECKING:
    import numpy

M = TypeVar("M")  # pb.CompressRequest, pb.InspectRequest or pb.UnarchiveRequest

DETAILS = "grpc-status-details-bin"
WITH_DATA = frozenset({"raw", "chunk", "tile"})  # parts of a size that matters
MCU_ROWS = 16  # lines of the tallest MCU (T.81 A.2.4): a tile row of that height can be coded at once


# --- requests -------------------------------------------------------------------------------------------------------


class SplitSource(NamedTuple):
    """A source split into parts.

    raw      geometry and metadata of tiles; None if the parts are chunks of a file
    parts    iterable of BytesLike or of Tile; for the asynchronous client also an asynchronous one
    notices  losses in the conversion of the source, for the report
    ready    no part has to be waited for
    size     bytes of all parts; None if they are not known before
    """

    raw: Raw | None
    parts: Any
    notices: tuple[str, ...] = ()
    ready: bool = False
    size: int | None = None


Splitter: TypeAlias = Callable[[], SplitSource]  # splits the source of a call, for each attempt again


def splitter_of(source: Any, chunk_bytes: int, settings: Settings, raw: Raw | None = None) -> Splitter:
    """Return a function that splits a source into chunks, or into raw tiles.

    A path is opened when the first chunk is read. A Pillow image is converted here, once for all attempts.
    Raises UnsupportedError for one that has already lost what `lossless` would keep.
    """
    if raw is not None:
        return lambda: SplitSource(raw, inputs.tiles_of(source))
    kind = inputs.kind_of(source)
    if kind is Kind.ARRAY:
        return _splitter_of_samples(source, raw_of(source, chunk_bytes))
    if kind is Kind.PICTURE:
        from compressor import raster

        picture = raster.read_picture(source)
        settings.check_loss(picture.loss, settings.format_of_raw(picture.raw.channels).value)
        tiling = raw_of(picture.pixels, chunk_bytes)
        tiled = dataclasses.replace(picture.raw, tile_width=tiling.tile_width, tile_height=tiling.tile_height)
        return _splitter_of_samples(picture.pixels, tiled, picture.notices)
    return splitter_of_file(source, chunk_bytes)


def _splitter_of_samples(pixels: Any, raw: Raw, notices: tuple[str, ...] = ()) -> Splitter:
    return lambda: SplitSource(raw, tiles_of(pixels, raw), notices, ready=True, size=pixels.nbytes)


def splitter_of_file(source: Any, chunk_bytes: int) -> Splitter:
    """Return a function that splits a file into chunks, as `splitter_of` does. Raises SettingsError for samples."""
    kind = inputs.kind_of(source)
    if kind in (Kind.ARRAY, Kind.PICTURE):
        raise SettingsError("image", "has samples, must be a file")
    ready = kind in (Kind.BYTES, Kind.PATH)
    return lambda: SplitSource(
        None, inputs.chunks_of(source, kind, chunk_bytes), ready=ready, size=_size_of(source, kind)
    )


def no_source() -> SplitSource:
    """Return a source without parts: it takes the place of one that is no longer needed."""
    return SplitSource(None, ())


def _size_of(source: Any, kind: Kind) -> int | None:
    """Return the bytes of an encoded file, or None if they are not known. Reading reports what is wrong with a path."""
    if kind is Kind.BYTES:
        return memoryview(source).nbytes
    if kind is Kind.PATH:
        with contextlib.suppress(OSError):
            return os.path.getsize(source)
    return None


def raw_of(array: "numpy.ndarray[Any, Any]", chunk_bytes: int) -> Raw:
    """Return the geometry of (h, w, c) or (h, w) uint8 samples, in tiles of about `chunk_bytes`.

    Tiles are as wide as the image, or narrower where 16 rows would exceed 1 MiB.
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
    """Yield the tiles of an array in raster order."""
    for y in range(0, raw.height, raw.tile_height):
        for x in range(0, raw.width, raw.tile_width):
            yield Tile(x, y, array[y : y + raw.tile_height, x : x + raw.tile_width].tobytes())


class RequestBuilder(Generic[M]):
    """Builds the messages of an upload, ending with a `finish` of the length and checksum of what was sent.

    for part in chunks: for message in builder.messages(part): send(message)
    send(builder.finish())

    begun  whether any part of the source was asked for
    """

    def __init__(self, kind: Callable[..., M], chunk_bytes: int) -> None:
        self.begun = False
        self._kind = kind
        self._chunk_bytes = chunk_bytes
        self._bytes = 0
        self._crc32c = 0

    def start(self, settings: Settings | None, raw: Raw | None) -> list[M]:
        """Return the messages before the first byte. Raises LimitError for metadata that fit in no message.

        settings  None for a call that has none
        """
        start = [] if settings is None else [self._kind(settings=wire.settings_to_proto(settings))]
        if raw is not None:
            start.append(self._kind(raw=wire.raw_to_proto(raw)))
        return start

    def messages(self, part: BytesLike | Tile) -> Iterator[M]:
        """Yield a part of the image, split to the size of messages."""
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
        """Return the last message."""
        return self._kind(finish=pb.Finish(total_bytes=self._bytes, crc32c=self._crc32c))

    def all(self, settings: Settings | None, source: SplitSource) -> Iterator[M]:
        """Return all messages of an upload. Raises LimitError as `start`, before the first one is read."""
        messages = itertools.chain(self.start(settings, source.raw), self._rest(source.parts))
        return self._joined(messages) if source.ready else messages

    def _rest(self, parts: Iterable[BytesLike | Tile]) -> Iterator[M]:
        self.begun = True
        for part in parts:
            yield from self.messages(part)
        yield self.finish()

    def _joined(self, messages: Iterator[M]) -> Iterator[M]:
        """Yield messages that are joined with those after them, up to one with data in each."""
        fields: dict[str, Any] = {}
        message: Any
        for message in messages:
            name = message.WhichOneof("part")
            if name in WITH_DATA and WITH_DATA & fields.keys():
                yield self._kind(parts=pb.RequestParts(**fields))
                fields = {}
            fields[name] = getattr(message, name)
        yield self._kind(parts=pb.RequestParts(**fields))


# --- responses ------------------------------------------------------------------------------------------------------


class ResponseReader:
    """The response to a Compress or Unarchive call, counted and checked.

    notices  of the client, put before those of the report
    """

    def __init__(self, notices: tuple[str, ...] = ()) -> None:
        self._notices = notices
        self.source: Source | None = None
        self.report: Report | None = None
        self._bytes = 0
        self._crc32c = 0

    def read(self, response: pb.CompressResponse | pb.UnarchiveResponse) -> bytes:
        """Return the chunk of a message, or b"" if it has none. Raises a failure sent in band."""
        if response.HasField("failure"):
            raise wire.error_from_failure(response.failure)
        fields = response.parts if response.HasField("parts") else response
        if fields.HasField("source"):
            self.source = wire.source_from_proto(fields.source)
        chunk = fields.chunk
        self._bytes += len(chunk)
        self._crc32c = google_crc32c.extend(self._crc32c, chunk)
        if fields.HasField("report"):
            self._verify(fields.report)
            report = wire.report_from_proto(fields.report)
            self.report = dataclasses.replace(report, notices=(*self._notices, *report.notices))
        return chunk

    def _verify(self, report: pb.Report) -> None:
        if (report.bytes_out, report.crc32c) != (self._bytes, self._crc32c):
            sent = f"{report.bytes_out} bytes with CRC-32C {report.crc32c:08x}"
            raise IncompleteError(f"{sent} were sent, {self._bytes} with {self._crc32c:08x} arrived")

    def finished(self) -> Report:
        """Return the report. Raises IncompleteError if none was received."""
        if self.report is None:
            raise IncompleteError("the response was cut off: it ended without a report")
        return self.report


def error_of(error: grpc.RpcError) -> CompressorError:
    """Return the error of a status, with its fields if the status has a Failure among its details.

    A RetryInfo without a Failure, of a proxy, has the same meaning as one of the service. Details that can't be parsed
    are ignored.
    """
    found = pb.Failure(code=error.code().value[0], message=error.details() or "no reason given")
    failure, retry = pb.Failure(), error_details_pb2.RetryInfo()
    trailing: Any = error.trailing_metadata()
    details = [value for key, value in trailing or () if key == DETAILS]
    with contextlib.suppress(DecodeError):
        for detail in itertools.chain.from_iterable(status_pb2.Status.FromString(one).details for one in details):
            if detail.Unpack(failure):
                return wire.error_from_failure(failure)
            if detail.Unpack(retry):
                found.retry_after_seconds = retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9
    return wire.error_from_failure(found)
