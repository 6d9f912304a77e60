"""One image on its way through: header, memory, route, verdict, report."""

import dataclasses
import math
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

from compressor.bytestream import ByteStream
from compressor.errors import FormatError, LimitError, UnsupportedError
from compressor.memory import Reservation, Resources
from compressor.pipeline import bounds, routing
from compressor.pipeline.pixels import ArrayPixels
from compressor.pipeline.routes import Route, RouteContext
from compressor.pipeline.stages import Stages
from compressor.pipeline.unchanged import may_stay, same, size_without_metadata, without_metadata
from compressor.settings import Delivery, Metadata, Outcome, Path, Raw, Report, Settings, Source, Tile
from compressor.spool import CHUNK_BYTES, Headed, Spool

DEFECT = "the result did not decode to the source's own samples, which is a defect of the encoder"
# Share of the source that a WebP made from WebP, or AVIF from AVIF, may have at most: a result that comes back with the
# same settings was seen to shrink by up to 17 % more, each time with a loss.
LOSSY_AGAIN_MAX = 0.75
FLUSH_BYTES = 1 << 16  # output waits for this many, the first bytes excepted


@dataclass(frozen=True, slots=True)
class Reduced:
    """The source as it comes back: with what of its metadata the policy keeps.

    notices  of what was removed and is worth knowing
    changed  whether it differs from the source
    """

    file: Spool
    notices: Sequence[str]
    changed: bool


class Stream:
    """One image on its way through. Iterate for the output; nothing happens before `source` or the first chunk.

    source  what was recognised, with the memory it was given; reads the header, and waits for memory
    report  what was done; after the last chunk
    """

    def __init__(
        self,
        chunks: Any,
        settings: Settings,
        raw: Raw | None,
        resources: Resources,
        still_wanted: Callable[[], None],
    ) -> None:
        self._settings, self._raw, self._resources, self._still_wanted = settings, raw, resources, still_wanted
        self._stages = Stages()
        self._counted = 0
        self._spools: list[Spool] = []
        self._original: Spool | None = None  # the source's bytes, where the verdict may be to give them back
        self._reservation: Reservation | None = None
        self._start: Callable[[], Route] | str = ""
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

    @property
    def stage_seconds(self) -> dict[str, float]:
        """CPU time so far, by stage."""
        return dict(self._stages.seconds)

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
        for spool in self._spools:
            spool.close()
        self._spools.clear()
        # The stream pulls through a generator of ours: without this, only the garbage collector would find them.
        self._stream = ByteStream(())
        self._route, self._start = None, ""
        if self._reservation is not None:
            self._reservation.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- what happens inside ------------------------------------------------------------------------------------

    def _spool(self) -> Spool:
        spool = self._resources.spool(self._still_wanted)
        self._spools.append(spool)
        return spool

    @property
    def _safe(self) -> bool:
        asked = self._settings.delivery_of(raw=self._raw is not None)
        return asked is Delivery.SAFE or (self._route is not None and self._route.needs_verdict)

    def _pull(self) -> Iterator[Any]:
        """The input, without the time that the caller takes to give it."""
        arriving = iter(self._chunks)
        while True:
            with self._stages.paused():
                piece = next(arriving, None)
            if piece is None:
                return
            self._counted += len(piece.pixels if isinstance(piece, Tile) else piece)
            yield piece

    def _open(self) -> None:
        self._reservation = reservation = self._resources.reservation()
        hold = metadata_charger(reservation)
        context = RouteContext(self._settings, self._stages, self._spool, hold)
        if self._raw is not None:
            is_array = isinstance(self._chunks, ArrayPixels)
            self._counted = self._chunks.size if is_array else 0
            arriving = self._chunks if is_array else self._pull()
            source, self._start = routing.open_raw(self._raw, arriving, context)
        else:
            self._original = self._spool()
            self._stream = ByteStream(self._pull(), self._original.write, charge=hold)
            source, self._start = routing.open_file(self._stream, self._original, context)
        with self._stages.paused():
            reservation.extend(source.reserved_bytes, self._still_wanted)
        self._source = dataclasses.replace(source, reserved_bytes=reservation.bytes)

    def _run(self) -> Generator[bytes, None, None]:
        assert self._source is not None
        start = self._start
        route = self._route = None if isinstance(start, str) else start()
        objection = start if isinstance(start, str) else "" if route is None else route.objection
        if route is not None and not objection and self._raw is None and not self._safe:
            self._stream.copy = self._original = None  # the spool stays: what does not stream is read from it
        if route is None or objection:
            self._drain()
            yield from self._deliver_original(objection, self._reduced_original())
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
        whole = Headed(route.head(), result)
        self._drain()
        reason = self._reason_to_keep_original(whole.size)
        if not reason:
            with self._stages.stage("verify"):
                if not route.verify(whole):  # ours, not the source's: what we were given is still whole
                    reason = DEFECT
                    if not self._may_stay:  # another format was asked for: there is nothing right to give out
                        raise RuntimeError(DEFECT)
        if reason:
            yield from self._deliver_original(reason, self._reduced_original())
            return
        yield from coalesced(whole.chunks())
        self._finish(route, Outcome.COMPRESSED if whole.size < self._counted else Outcome.LARGER, whole.size)

    @property
    def _may_stay(self) -> bool:
        assert self._source is not None
        return self._original is not None and may_stay(self._source.format, self._settings)

    def _reason_to_keep_original(self, size: int) -> str:
        """Return why a result of that size is not given out and the source's bytes are, or ""."""
        if not self._may_stay:
            return ""
        if size >= self._counted:
            return "not smaller"
        if size > self._counted * (1 - self._settings.min_saving):
            return f"{size} bytes would not have saved the asked share"
        limit = self._size_without_metadata()
        if size >= limit:
            return "not smaller"
        if self._is_lossy_again and size > limit * LOSSY_AGAIN_MAX:
            return "encoded again it would lose quality and not save a quarter"
        return ""

    @property
    def _is_lossy_again(self) -> bool:
        """Whether pixels of a lossy format are encoded in the same format: our own result would be, too."""
        route, source = self._route, self._source
        same_format = route is not None and source is not None and route.format == source.format
        return same_format and route is not None and route.path is Path.PIXELS and not self._settings.lossless

    def _size_without_metadata(self) -> float:
        """Return the size that the source has without the metadata that the settings take away, without a limit where
        they can't be taken away."""
        assert self._source is not None and self._original is not None
        if self._settings.metadata is Metadata.KEEP:
            return self._counted
        try:
            with self._stages.stage("container"):
                return size_without_metadata(self._original, self._source.format, self._settings.metadata)
        except (FormatError, LimitError, UnsupportedError):
            return math.inf

    def _reduced_original(self) -> "Reduced":
        """Return the source without the metadata that the settings take away; complete before a byte of it leaves."""
        assert self._source is not None and self._original is not None
        if self._settings.metadata is Metadata.KEEP:
            return Reduced(self._original, [], False)
        notices: list[str] = []
        spool = self._spool()
        with self._stages.stage("container"):
            for piece in without_metadata(self._original, self._source.format, self._settings.metadata, notices):
                spool.write(piece)
            return Reduced(spool, notices, not same(spool, self._original))

    def _deliver_original(self, reason: str, reduced: "Reduced") -> Iterator[bytes]:
        yield from coalesced(reduced.file.chunks())
        tolerated = [] if self._route is None else self._route.tolerated
        reason += "; metadata removed" if reduced.changed else ""
        self._finish(self._route, Outcome.UNCHANGED, reduced.file.size, reason, [*tolerated, *reduced.notices])

    def _drain(self) -> None:
        """Take what is left of a file, so that its size is known and its original complete."""
        if self._raw is None:
            for _ in self._stream.drain():
                pass

    def _finish(
        self,
        route: Route | None,
        outcome: Outcome,
        size: int,
        reason: str = "",
        notices: Sequence[str] | None = None,
    ) -> None:
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
            height=source.height if route is None else route.height,
            path=Path.NONE if route is None else route.path,
            notices=tuple(route.notices if notices is None and route is not None else notices or ()),
            stage_seconds=self.stage_seconds,
            reserved_bytes=self._reservation.bytes if self._reservation else source.reserved_bytes,
            memory_byte_seconds=self._reservation.held.byte_seconds() if self._reservation else 0.0,
            settings_digest=settings.digest(),
        )


def metadata_charger(reservation: Reservation) -> Callable[[int], None]:
    """Charge metadata for all its copies."""
    return lambda count: reservation.hold(bounds.METADATA_COPIES * count)


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
                # Nothing is kept while the reader takes its time: it is some hundred KiB of every stalled call.
                joined, held, size = b"".join(held), [], 0
                yield joined
                del joined
            held.append(part)
            size += len(part)
        if size >= FLUSH_BYTES or (size and number == 1):
            joined, held, size = b"".join(held), [], 0
            yield joined
            del joined
    if held:
        yield b"".join(held)
