"""The compression of one image: header, memory, route, choice of the result, report."""

import dataclasses
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, Self

from compressor.bytestream import ByteStream
from compressor.cores import Demand
from compressor.errors import LimitError, UnsupportedError
from compressor.memory import Reservation, Resources
from compressor.pipeline import bounds, expected_cpu, features, scoring
from compressor.pipeline.automatic import Choice
from compressor.pipeline.candidates import Candidate, Terms, choose
from compressor.pipeline.output import coalesced, pieces_of
from compressor.pipeline.pixels import ArrayPixels, PixelSource
from compressor.pipeline.routed import Routed
from compressor.pipeline.routes import Finished, Route, RouteContext
from compressor.pipeline.routing import route_file, route_raw
from compressor.pipeline.search import Decision, Search, SearchTrial
from compressor.pipeline.stages import Stages
from compressor.pipeline.to_other import steps_of
from compressor.pipeline.unchanged import may_return_source, reduced, size_without_metadata
from compressor.pipeline.variants import Possible, Variant
from compressor.settings import Delivery, Outcome, Path, Raw, Report, Settings, Source, Subsampling, Tile
from compressor.spool import Spool, WithHead
from compressor.work_times import WorkTimes

# Spools of larger images would outgrow the memory that can be lent to them.
SMALL_PIXELS = 1 << 21
MADE_BEFORE = "made by compressor before"


class Obstacle(Exception):  # noqa: N818
    """Why no result can be made of a source, whatever the distance."""


class Stream:
    """The compression of one image. Iterate for the output; nothing is read before `source` or the first chunk.

    route   chooses the route of a file
    source  the image as its header describes it, and the memory reserved; reads the header, and waits for memory
    report  available with the first chunk if delivery is safe, else after the last one
    """

    def __init__(
        self,
        chunks: Any,
        settings: Settings,
        raw: Raw | None,
        resources: Resources,
        still_wanted: Callable[[], None],
        demand: Demand | None = None,
        reservation: Reservation | None = None,
        route: Callable[[ByteStream, Spool, RouteContext], Routed] = route_file,
    ) -> None:
        self._settings, self._raw, self._resources, self._route_file = settings, raw, resources, route
        self._stages = Stages(demand)
        self._check_call = still_wanted
        self._counted = 0
        self._spools: list[Spool] = []
        self._notices: list[str] = []
        self._encodings = 0
        self._score: float | None = None
        self._format_reason = ""
        self._pixels: PixelSource | None = None  # raw samples
        self._original: Spool | None = None  # the source's bytes, in case it has to be returned
        self._request, self._reservation = reservation, reservation
        self._routed: Routed | None = None
        self._route: Route | None = None
        self._source: Source | None = None
        self._report: Report | None = None
        self._chunks = chunks
        self._output = self._run()

    # --- for callers --------------------------------------------------------------------------------------------

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
        """Return the report. Raise RuntimeError as long as it is not complete."""
        if self._report is None:
            raise RuntimeError("the report is complete only after the last chunk has been taken")
        return self._report

    @property
    def times(self) -> WorkTimes:
        """Return the times of the work so far."""
        return self._stages.times(None if self._reservation is None else self._reservation.wait)

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
        """Release memory and spools; the rest of the output is lost."""
        self._output.close()
        for spool in self._spools:
            spool.close()
        self._spools.clear()
        # The stream pulls from a generator of this object: without this, only the garbage collector would free both.
        self._stream = ByteStream(())
        self._route = self._routed = self._pixels = None
        if self._request is not None:
            self._request.shrink()
        elif self._reservation is not None:
            self._reservation.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- internals ----------------------------------------------------------------------------------------------

    def _still_wanted(self) -> None:
        """Raise an exception if the result is not wanted any more, or would come too late."""
        self._check_call()
        self._stages.demand.check()

    def _spool(self) -> Spool:
        assert self._reservation is not None
        check = self._check_call if self._stages.demand.deadline is None else self._still_wanted
        spool = self._reservation.spool(check)
        self._spools.append(spool)
        return spool

    def _is_safe(self, route: Route) -> bool:
        """Return whether no byte may leave before the result is complete."""
        return self._settings.delivery_of(raw=self._raw is not None) is Delivery.SAFE or route.head_needs_body

    def _pull(self) -> Iterator[Any]:
        """Yield the input, without charging the time that the caller takes to provide it."""
        arriving = iter(self._chunks)
        while True:
            with self._stages.paused():
                piece = next(arriving, None)
            if piece is None:
                return
            self._counted += len(piece.pixels if isinstance(piece, Tile) else piece)
            yield piece

    def _open(self) -> None:
        self._reservation = reservation = self._request or self._resources.reservation()
        reservation.spools.paused = self._stages.paused
        charge = bounds.metadata_charger(reservation)
        context = RouteContext(self._settings, self._stages, self._spool, charge, memory_max=reservation.most_bytes)
        if self._raw is not None:
            is_array = isinstance(self._chunks, ArrayPixels)
            self._counted = self._chunks.size if is_array else 0
            arriving = self._chunks if is_array else self._pull()
            routed = route_raw(self._raw, arriving, context)
        else:
            self._original = self._spool()
            self._stream = ByteStream(self._pull(), self._original.write, charge=charge)
            routed = self._route_file(self._stream, self._original, context)
        if routed.plan is not None or routed.possible is not None:
            demand = self._stages.demand
            demand.least_seconds, demand.expected_seconds = expected_cpu.expected_seconds(routed.source, self._settings)
        with self._stages.paused():
            reservation.extend(routed.source.reserved_bytes, self._still_wanted)
        if routed.source.width * routed.source.height > SMALL_PIXELS:
            reservation.may_borrow = False
            for spool in self._spools:
                spool.vacate()
        self._routed, self._pixels = routed, routed.pixels
        self._source = dataclasses.replace(routed.source, reserved_bytes=reservation.bytes)

    def _run(self) -> Generator[bytes, None, None]:
        assert self._routed is not None
        plan, reason = self._routed.plan, self._routed.reason
        if self._routed.possible is not None or (plan is not None and self._settings.is_tried):
            yield from self._deliver_found()
            return
        route = self._route = None if plan is None else plan.start()
        if route is None or route.obstacle:
            self._drain()
            yield from self._deliver_source(reason if route is None else route.obstacle)
        elif self._is_safe(route):
            yield from self._deliver_safely(route)
        else:
            if self._raw is None and not self._settings.score:
                # The spool stays open: formats that do not stream are read from it.
                self._stream.copy = self._original = None
            yield from self._deliver_immediately(route)

    def _deliver_immediately(self, route: Route) -> Iterator[bytes]:
        """Yield bytes as they are made."""
        size = 0
        copy = self._spool() if self._settings.score else None
        route.prepare()
        self._encodings += 1
        for chunk in coalesced(pieces_of(route)):
            size += len(chunk)
            if copy is not None:
                copy.write(chunk)
            yield chunk
        self._drain()
        if copy is not None:
            self._score_delivered(Candidate(route, copy))
        outcome = Outcome.LARGER if size >= self._counted else Outcome.COMPRESSED
        self._finish(route, outcome, size, notices=route.notices)

    def _deliver_safely(self, route: Route) -> Iterator[bytes]:
        """Complete and verify the result before its first byte leaves; yield it, or the source."""
        candidate = self._complete(route, self._spool())
        self._drain()
        yield from self._deliver_chosen(candidate)

    def _deliver_found(self) -> Iterator[bytes]:
        """Search for the result that meets the settings; yield it, or the source."""
        assert self._source is not None
        self._drain()
        limit, returnable = self._settings.max_bytes, self._may_return_source
        source_bytes = int(min(self._counted, self._reduced_bytes())) if returnable else self._counted
        assert self._routed is not None
        made_before, possible = self._routed.made_before, self._routed.possible
        self._routed = None  # frees a header, or a whole image
        if possible is None and made_before and (limit is None or source_bytes <= limit):
            yield from self._deliver_source(MADE_BEFORE)
            return
        kept_bytes = source_bytes if returnable else None
        try:
            decision = self._search(kept_bytes) if possible is None else self._choose_format(possible, kept_bytes)
        except Obstacle as obstacle:
            yield from self._deliver_source(str(obstacle))
            return
        self._notices += decision.notices
        if decision.trial is not None:
            self._score = decision.trial.known_score
            yield from self._deliver_chosen(decision.trial.candidate, decision.reason)
        else:
            yield from self._deliver_source(decision.reason)

    def _search(self, kept_bytes: int | None) -> Decision:
        """Search for the result in one format."""
        source, settings = self._source, self._settings
        assert source is not None

        def trial_at(distance: float, subsampling: Subsampling) -> SearchTrial:
            return self._trial(dataclasses.replace(settings, subsampling=subsampling), distance)

        return Search(trial_at, settings, source, kept_bytes, steps_of(settings)).run()

    def _choose_format(self, possible: Possible, kept_bytes: int | None) -> Decision:
        """Look at the source, and choose among the formats that are possible."""
        source, settings = self._source, self._settings
        assert source is not None
        with self._stages.stage("decode"):
            shown = self._shown_source()
            share = features.RepeatedShare(shown.width, shown.channels)
            for band in shown.bands(scoring.scored_lines(shown.width)):
                share.add(band)

        def trial_at(variant: Variant, distance: float) -> SearchTrial:
            return self._trial(variant.settings_of(settings), distance)

        choice = Choice(trial_at, possible, settings, share.value, source, kept_bytes)
        try:
            return choice.decide()
        finally:
            self._format_reason = choice.reason + (f"; not possible: {possible.reasons}" if possible.excluded else "")

    def _trial(self, settings: Settings, distance: float) -> SearchTrial:
        """Complete and verify the result at a distance, from the spooled source. Nothing is kept but the result."""
        self._still_wanted()
        context = RouteContext(settings, self._stages, self._spool, lambda count: None, distance)
        result = self._spool()
        kept = len(self._spools)
        plan = self._reroute(context).plan
        assert plan is not None
        route = plan.start()
        if route.obstacle:
            raise Obstacle(route.obstacle)
        candidate = self._complete(route, result)
        self._route = Finished(route, verified=self._verify(candidate))
        while len(self._spools) > kept:
            self._spools.pop().close()
        return SearchTrial(distance, Candidate(self._route, candidate.file), self._score_of)

    def _reroute(self, context: RouteContext) -> Routed:
        """Choose the route again, with another distance or for another format."""
        if self._raw is not None:
            return route_raw(self._raw, self._pixels, context)
        assert self._original is not None
        return self._route_file(ByteStream(self._original.chunks()), self._original, context)

    def _deliver_chosen(self, candidate: Candidate, exact: str = "") -> Iterator[bytes]:
        """Yield a complete result, or the source if that is better.

        exact  why the result is lossless, although the settings are not
        """
        chosen, reason = choose([candidate], self._objection_to, self._verify)
        reason = ", and its lossless recompression is ".join(filter(None, [exact, reason]))
        if chosen is None:
            if not self._may_return_source:  # another format was requested: nothing that could be delivered is correct
                raise RuntimeError(reason)
            yield from self._deliver_source(reason)
            return
        size = chosen.file.size
        self._check_size(size, "has few colors" if chosen.route.quantized else "is lossless")
        if chosen.route.score is not None:
            self._score = chosen.route.score
        elif self._settings.is_measured and self._score is None:
            self._score_delivered(chosen)
        outcome = Outcome.COMPRESSED if size < self._counted else Outcome.LARGER
        self._finish(chosen.route, outcome, size, notices=chosen.route.notices)
        yield from coalesced(chosen.file.chunks())

    def _complete(self, route: Route, result: Spool) -> Candidate:
        """Run a route to its end; its result is spooled."""
        route.prepare()
        for piece in route.body():
            result.write(piece)
        self._encodings += route.encodings
        return Candidate(route, WithHead(route.head(), result))

    def _verify(self, candidate: Candidate) -> bool:
        with self._stages.stage("verify"):
            return candidate.route.verify(candidate.file)

    def _score_of(self, candidate: Candidate) -> float:
        """Measure the score of a complete result. Raise UnsupportedError if a picture can't be decoded to pixels."""
        if candidate.route.is_exact:
            return scoring.PERFECT
        with self._stages.stage("score"):
            source = self._shown_source()
            result = scoring.shown_file(candidate.file, self._spool)
            return scoring.score(source, result, self._settings.background, self._stages)

    def _shown_source(self) -> scoring.Shown:
        """Return what is shown of the source, which has been spooled."""
        if self._pixels is not None:
            return scoring.shown_pixels(self._pixels)
        assert self._original is not None
        return scoring.shown_file(self._original, self._spool)

    def _score_delivered(self, candidate: Candidate) -> None:
        """Measure the score of the result that is delivered; say so if that is not possible."""
        try:
            self._score = self._score_of(candidate)
        except UnsupportedError as error:
            self._notices.append(f"not scored: {error}")

    def _check_size(self, size: int, kind: str = "is lossless") -> None:
        """Raise LimitError if what would be delivered is larger than the settings allow."""
        limit = self._settings.max_bytes
        if limit is not None and size > limit:
            raise LimitError(f"max_bytes is {limit}, and the result, which {kind}, has {size} bytes")

    @property
    def _may_return_source(self) -> bool:
        assert self._source is not None
        return self._original is not None and may_return_source(self._source.format, self._settings)

    def _objection_to(self, candidate: Candidate) -> str:
        """Return why the source is preferred to a candidate; "" if it is not, or if it may not be returned."""
        if not self._may_return_source:
            return ""
        assert self._source is not None
        limit = self._settings.max_bytes
        if limit is not None and self._reduced_bytes() > limit:
            return ""
        return Terms(self._source, self._counted, self._reduced_bytes, self._settings).objection_to(candidate)

    def _reduced_bytes(self) -> float:
        """Return the size of the source without the metadata that the settings remove."""
        assert self._source is not None and self._original is not None
        with self._stages.stage("container"):
            return size_without_metadata(self._original, self._source.format, self._settings.metadata)

    def _deliver_source(self, reason: str) -> Iterator[bytes]:
        """Yield the source without the metadata that the settings remove."""
        assert self._source is not None and self._original is not None
        with self._stages.stage("container"):
            source = reduced(self._original, self._source.format, self._settings.metadata, self._spool)
        self._check_size(source.file.size)
        if self._settings.is_measured:
            self._score = scoring.PERFECT
        tolerated = [] if self._route is None else self._route.source_notices
        reason += "; metadata removed" if source.changed else ""
        self._finish(self._route, Outcome.UNCHANGED, source.file.size, reason, [*tolerated, *source.notices])
        yield from coalesced(source.file.chunks())

    def _drain(self) -> None:
        """Read the rest of a file, so that its size is known and its copy complete."""
        if self._raw is None:
            for _ in self._stream.drain():
                pass

    def _finish(
        self,
        route: Route | None,
        outcome: Outcome,
        size: int,
        reason: str = "",
        notices: Iterable[str] = (),
    ) -> None:
        """Make the report."""
        source, settings = self._source, self._settings
        assert source is not None
        self._stages.pause()
        if route is not None:
            expected_cpu.learn(source, settings, sum(self._stages.seconds.values()))
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
            score=self._score,
            encodings=self._encodings,
            notices=(*self._notices, *notices),
            stage_seconds=dict(self._stages.seconds),
            reserved_bytes=self._reservation.bytes if self._reservation else source.reserved_bytes,
            memory_byte_seconds=self._reservation.held.byte_seconds() if self._reservation else 0.0,
            settings_digest=settings.digest(),
            format_reason=self._format_reason,
        )
