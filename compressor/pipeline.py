"""From chunks to chunks: recognise the source, choose the route, deliver, and say what was done.

    stream(chunks, settings) → Stream      bounded memory, any size
    compress(image, quality=…) → Result    the same for what fits in memory
    inspect(chunks) → Source               the header only
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from compressor import opening
from compressor.bytestream import ByteStream
from compressor.errors import UnsupportedError
from compressor.memory import CHUNK_BYTES, Reservation, Resources, Spool
from compressor.routes import Route
from compressor.settings import Delivery, Outcome, Path, Raw, Report, Settings, Source, Tile
from compressor.stages import Stages

FLUSH_BYTES = 1 << 16  # output waits for this many, the first bytes excepted


def refuse_what_does_not_stand(settings: Settings) -> None:
    """Raises UnsupportedError for settings whose feature this version does not have."""
    if settings.target_score is not None:
        raise UnsupportedError("target_score is not supported yet")
    if settings.max_bytes is not None:
        raise UnsupportedError("max_bytes is not supported yet")
    if settings.format == "auto":
        raise UnsupportedError("format auto is not supported yet: name one")


class Stream:
    """One image on its way through. Iterate for the output; nothing happens before `source` or the first chunk.

    source  what was recognised, with the memory it was given; reads the header, and waits for memory
    report  what was done; after the last chunk
    """

    def __init__(
        self,
        chunks: Iterable[bytes] | Iterable[Tile],
        settings: Settings,
        raw: Raw | None,
        resources: Resources,
        still_wanted: Callable[[], None],
    ) -> None:
        refuse_what_does_not_stand(settings)
        self._settings, self._raw, self._resources, self._still_wanted = settings, raw, resources, still_wanted
        self._stages = Stages()
        self._counted = 0
        self._spools: list[Spool] = []
        self._original: Spool | None = None  # the source's bytes, where the verdict may be to give them back
        self._reservation: Reservation | None = None
        self._route: Route | None = None
        self._source: Source | None = None
        self._report: Report | None = None
        self._chunks = chunks
        self._output = self._run()

    # --- what callers see ---------------------------------------------------------------------------------------

    @property
    def source(self) -> Source:
        """Read the header and reserve memory, once."""
        if self._source is None:
            self._stages.resume()
            try:
                self._open()
            except BaseException:
                self.close()
                raise
            finally:
                self._stages.pause()
        assert self._source is not None
        return self._source

    @property
    def report(self) -> Report:
        """Only there when all chunks have been taken."""
        if self._report is None:
            raise RuntimeError("the report is made with the last chunk: take them all first")
        return self._report

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        _ = self.source
        self._stages.resume()
        try:
            return next(self._output)
        except StopIteration:
            self.close()
            raise
        except BaseException:
            self.close()
            raise
        finally:
            self._stages.pause()

    def close(self) -> None:
        """Give back memory and spools; the rest of the output is lost."""
        self._output.close()
        if self._route is not None:
            self._route.close()
        for spool in self._spools:
            spool.close()
        self._spools.clear()
        if self._reservation is not None:
            self._reservation.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- what happens inside ------------------------------------------------------------------------------------

    def _spool(self) -> Spool:
        spool = self._resources.spool()
        self._spools.append(spool)
        return spool

    @property
    def _safe(self) -> bool:
        asked = self._settings.delivery or (Delivery.IMMEDIATE if self._raw else Delivery.SAFE)
        return asked is Delivery.SAFE or (self._settings.lossless and self._raw is None)

    def _pull(self) -> Iterator[Any]:
        """The input, without the time that the caller takes to give it."""
        arriving = iter(self._chunks)  # type: ignore[var-annotated]
        while True:
            with self._stages.paused():
                piece = next(arriving, None)
            if piece is None:
                return
            self._counted += len(piece.pixels if isinstance(piece, Tile) else piece)
            yield piece

    def _open(self) -> None:
        context = opening.Context(self._settings, self._resources, self._stages, self._spool)
        if self._raw is not None:
            is_array = isinstance(self._chunks, np.ndarray)
            self._counted = self._chunks.size if is_array else 0
            arriving = self._chunks if is_array else self._pull()
            source, self._route = opening.open_raw(self._raw, arriving, context)
        else:
            original = self._spool()
            self._stream = ByteStream(self._pull(), original.write)
            source, self._route = opening.open_file(self._stream, original, context)
            if self._safe or self._route is None:
                self._original = original
            else:
                self._stream.copy = None
        with self._stages.paused():
            self._reservation = self._resources.reserve(source.reserved_bytes, self._still_wanted)
        self._source = opening.with_reserved(source, self._reservation.bytes)

    def _run(self) -> Iterator[bytes]:
        assert self._source is not None
        route = self._route
        if route is None:
            yield from self._deliver_original(opening.reason_unchanged(self._source))
        elif self._safe:
            yield from self._deliver_safely(route)
        else:
            yield from self._deliver_at_once(route)

    def _deliver_at_once(self, route: Route) -> Iterator[bytes]:
        """Bytes leave as they are made."""
        size = 0
        route.prepare()
        for chunk in coalesced(pieces_of(route)):
            size += len(chunk)
            yield chunk
        self._drain()
        grew = size >= self._counted
        self._finish(route, Outcome.LARGER if grew else Outcome.COMPRESSED, size)

    def _deliver_safely(self, route: Route) -> Iterator[bytes]:
        """All bytes are made and checked before the first one leaves; if they are too many, the source's leave."""
        result = self._spool()
        route.prepare()
        for piece in route.body():
            result.write(piece)
        head = route.head()
        self._drain()
        size = len(head) + result.size

        def chunks() -> Iterator[bytes]:
            yield head
            yield from result.chunks()

        with self._stages.stage("verify"):
            route.verify(chunks())
        assert self._source is not None
        small_enough = size < self._counted and size <= self._counted * (1 - self._settings.min_saving)
        if self._original and not small_enough and opening.may_stay(self._source.format, self._settings):
            reason = f"{size} bytes would not have saved the asked share" if size < self._counted else "not smaller"
            yield from self._deliver_original(reason)
            return
        yield from coalesced(chunks())
        self._finish(route, Outcome.COMPRESSED if size < self._counted else Outcome.LARGER, size)

    def _deliver_original(self, reason: str) -> Iterator[bytes]:
        """The source's own bytes, without the metadata that the settings take away."""
        assert self._source is not None and self._original is not None
        self._drain()
        size = 0
        for chunk in coalesced(opening.reduced_original(self._original, self._source.format, self._settings.metadata)):
            size += len(chunk)
            yield chunk
        self._finish(self._route, Outcome.UNCHANGED, size, reason)

    def _drain(self) -> None:
        """Take what is left of a file, so that its size is known and its original complete."""
        if self._raw is None:
            for _ in self._stream.drain():
                pass

    def _finish(self, route: Route | None, outcome: Outcome, size: int, reason: str = "") -> None:
        source, settings = self._source, self._settings
        assert source is not None
        self._stages.pause()
        self._report = Report(
            outcome=outcome,
            reason=reason,
            bytes_in=self._counted,
            bytes_out=size,
            source_format=source.format,
            format=source.format if outcome is Outcome.UNCHANGED or route is None else route.format,
            width=source.width,
            height=source.height,
            path=Path.NONE if route is None else route.path,
            notices=() if route is None else tuple(route.notices),
            stage_seconds=dict(self._stages.seconds),
            reserved_bytes=source.reserved_bytes,
            settings_digest=settings.digest(),
        )


def pieces_of(route: Route) -> Iterator[bytes | memoryview]:
    """Head and body."""
    yield route.head()
    yield from route.body()


def coalesced(pieces: Iterable[bytes | memoryview]) -> Iterator[bytes]:
    """The same bytes in chunks of FLUSH_BYTES to CHUNK_BYTES; the first ones leave without waiting."""
    held: list[bytes] = []
    size = 0
    for number, piece in enumerate(pieces):
        for at in range(0, len(piece), CHUNK_BYTES):
            part = bytes(piece[at : at + CHUNK_BYTES])
            if size + len(part) > CHUNK_BYTES:
                yield b"".join(held)
                held, size = [], 0
            held.append(part)
            size += len(part)
        if size >= FLUSH_BYTES or (size and number == 1):
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)


_shared: list[Resources] = []


def shared_resources() -> Resources:
    """What calls without resources of their own share: no budgets, the default spool directory."""
    if not _shared:
        _shared.append(Resources())
    return _shared[0]


def stream(
    chunks: Iterable[bytes] | Iterable[Tile],
    settings: Settings | None = None,
    *,
    raw: Raw | None = None,
    resources: Resources | None = None,
    still_wanted: Callable[[], None] = lambda: None,
) -> Stream:
    """Compress an image of any size in bounded memory.

    chunks        of an encoded file; with `raw`, tiles in raster order
    raw           geometry of the tiles
    resources     budgets and spool directory; None: those of `shared_resources`
    still_wanted  called now and then while memory is waited for; what it raises ends the wait
    """
    return Stream(chunks, settings or Settings(), raw, resources or shared_resources(), still_wanted)


def inspect(
    chunks: Iterable[bytes] | Iterable[Tile], settings: Settings | None = None, *, raw: Raw | None = None
) -> Source:
    """What an image is and what compressing it would reserve; reads no further than it must."""
    settings = settings or Settings()
    refuse_what_does_not_stand(settings)
    resources, spools = shared_resources(), []

    def spool() -> Spool:
        spools.append(resources.spool())
        return spools[-1]

    context = opening.Context(settings, resources, Stages(), spool)
    route: Route | None = None
    try:
        if raw is not None:
            source, route = opening.open_raw(raw, iter(()), context)
        else:
            original = spool()
            files: Any = chunks
            source, route = opening.open_file(ByteStream(files, original.write), original, context)
        return source
    finally:
        if route is not None:
            route.close()
        for used in spools:
            used.close()


@dataclass(frozen=True, slots=True)
class Result:
    """The bytes, and what was done."""

    data: bytes
    report: Report


def compress(image: Any, *, resources: Resources | None = None, **settings: Any) -> Result:
    """Compress one image.

    image     bytes, a path, a binary file, a NumPy array (h, w) or (h, w, channels) uint8, or a Pillow image
    settings  fields of `Settings`

    Raises CompressorError; see `errors`.
    """
    chosen = Settings(**settings)
    raw, chunks = opening.source_of(image)
    with stream(chunks, chosen, raw=raw, resources=resources) as job:
        data = b"".join(job)
        return Result(data, job.report)
