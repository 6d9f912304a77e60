"""From chunks to chunks: recognize the source, choose the route, deliver the result, and report what was done.

    stream(chunks, settings) → Stream      an image of any size, in bounded memory
    compress(image, quality=…) → Result    an image whose result fits in memory
    inspect(chunks) → Source               the header only
    unarchive(chunks) → Stream             the JPEG of an archive again, which `archive=True` made

All of them accept every kind of input that `inputs` lists, but `unarchive` no samples.

`routing` chooses the route from the source and the settings. `to_jpeg`, `to_png`, `to_other` and `to_archive` plan the
routes and run them, `candidates` chooses between results and the source, and `delivery` takes one image through
all of it. `validation` decodes a file that is complete.
"""

import dataclasses
import io
from collections.abc import Callable, Set
from contextlib import nullcontext
from typing import Any

from compressor import archive
from compressor.bytestream import ByteStream
from compressor.cores import Demand
from compressor.errors import SettingsError
from compressor.memory import Reservation, Resources
from compressor.pipeline.archive_routing import route_archive
from compressor.pipeline.bounds import metadata_charger
from compressor.pipeline.delivery import Stream
from compressor.pipeline.routed import only_formats
from compressor.pipeline.routes import RouteContext
from compressor.pipeline.routing import route_file, route_raw
from compressor.pipeline.sources import source_of
from compressor.pipeline.stages import Stages
from compressor.settings import Format, Raw, Result, Settings, Source
from compressor.spool import Spool

UNARCHIVING = Settings(format=Format.JPEG)  # whatever its size, the JPEG is delivered


_shared: list[Resources] = []


def shared_resources() -> Resources:
    """Return the resources of calls that are given none: no budgets, the default spool directory."""
    if not _shared:
        _shared.append(Resources())
    return _shared[0]


def stream(
    chunks: Any,
    settings: Settings | None = None,
    *,
    raw: Raw | None = None,
    resources: Resources | None = None,
    still_wanted: Callable[[], None] = lambda: None,
    demand: Demand | None = None,
    reservation: Reservation | None = None,
    formats: Set[str] | None = None,
) -> Stream:
    """Compress an image of any size in bounded memory.

    chunks        chunks of an encoded file, or any other kind of `inputs`; with `raw`, tiles in raster order
    raw           geometry of the tiles
    resources     budgets and spool directory; None for those of `shared_resources`
    still_wanted  called repeatedly while the call waits for memory; an exception that it raises ends the wait
    demand        of the call: its deadline, and what is found out about its CPU time. DeadlineError is raised once the
                  deadline can't be met
    reservation   of the call, with the overhead of `resources`; it keeps that. None: begin and end one
    formats       formats of files that are decoded; any other is an UnsupportedError. None: all
    """
    settings = settings or Settings()
    if settings.archive:
        archive.require_library()
    raw, parts = source_of(chunks, raw)
    resources, route = resources or shared_resources(), only_formats(formats, route_file)
    return Stream(parts, settings, raw, resources, still_wanted, demand, reservation, route)


def unarchive(
    chunks: Any,
    *,
    resources: Resources | None = None,
    still_wanted: Callable[[], None] = lambda: None,
    demand: Demand | None = None,
    reservation: Reservation | None = None,
    formats: Set[str] | None = None,
) -> Stream:
    """Make the JPEG of an archive again. The parameters are those of `stream`."""
    archive.require_library()
    raw, parts = source_of(chunks)
    if raw is not None:
        raise SettingsError("chunks", "are samples, must be a file")
    resources, route = resources or shared_resources(), only_formats(formats, route_archive)
    return Stream(parts, UNARCHIVING, None, resources, still_wanted, demand, reservation, route)


def inspect(
    chunks: Any,
    settings: Settings | None = None,
    *,
    raw: Raw | None = None,
    resources: Resources | None = None,
    reservation: Reservation | None = None,
    formats: Set[str] | None = None,
) -> Source:
    """Return the properties of an image, and how much memory its compression would reserve.

    It accepts what `stream` accepts, and reads no more of it than it has to.
    """
    settings = settings or Settings()
    if settings.archive:
        archive.require_library()
    raw, parts = source_of(chunks, raw)
    resources, spools = resources or shared_resources(), []

    with nullcontext(reservation) if reservation else resources.reservation() as request:

        def spool() -> Spool:
            spools.append(request.spool(lambda: None))
            return spools[-1]

        charge = metadata_charger(request)
        context = RouteContext(settings, Stages(), spool, charge, memory_max=request.most_bytes)
        try:
            if raw is not None:
                source = route_raw(raw, parts, context).source
            else:
                original = spool()
                route = only_formats(formats, route_file)
                source = route(ByteStream(parts, original.write, charge=charge), original, context).source
            metadata_bytes = request.bytes - resources.overhead
            return dataclasses.replace(source, reserved_bytes=source.reserved_bytes + metadata_bytes)
        finally:
            for used in spools:
                used.close()


def compress(image: Any, *, resources: Resources | None = None, **settings: Any) -> Result:
    """Compress one image.

    image     bytes, a path, a binary file, a NumPy array (h, w) or (h, w, channels) uint8, a Pillow image, or chunks
    settings  fields of `Settings`

    Raises CompressorError; see `errors`.
    """
    chosen = Settings(**settings)
    with stream(image, chosen, resources=resources) as job:
        data = io.BytesIO()  # joins pieces with the fewest copies: `getvalue` returns its own buffer
        for piece in job:
            data.write(piece)
        return Result(data.getvalue(), job.report)
