"""From chunks to chunks: recognize the source, choose the route, deliver the result, and report what was done.

    compress(image, quality=80) → Result    an image whose result fits in memory
    stream(image, settings) → Stream        an image of any size, in bounded memory
    inspect(image) → Source                 the header only
    unarchive(image) → Result               the JPEG of an archive again, which `archive=True` made
    unarchive_stream(image) → Stream        the same, in bounded memory

All of them accept every kind of input that `inputs` lists, but `unarchive` no samples. Settings are an object, or
keywords, or both.

`routing` chooses the route from the source and the settings. `to_jpeg`, `to_png`, `to_other` and `to_archive` plan the
routes and run them, `candidates` chooses between results and the source, and `delivery` takes one image through
all of it. `validation` decodes a file that is complete.
"""

from __future__ import annotations  # short in `help`

import dataclasses
import io
from collections.abc import Callable, Iterable, Set
from contextlib import nullcontext
from typing import Unpack

from compressor import archive
from compressor.bytestream import ByteStream
from compressor.choices import SettingsFields
from compressor.cores import Demand
from compressor.errors import SettingsError
from compressor.inputs import FileInput, Input
from compressor.memory import Reservation, Resources
from compressor.pipeline.archive_routing import route_archive
from compressor.pipeline.bounds import metadata_charger
from compressor.pipeline.delivery import Stream
from compressor.pipeline.routed import only_formats
from compressor.pipeline.routes import RouteContext
from compressor.pipeline.routing import route_file, route_raw
from compressor.pipeline.sources import source_of
from compressor.pipeline.stages import Stages
from compressor.results import Result
from compressor.settings import Format, Raw, Settings, Source, Tile, settings_of
from compressor.spool import Spool

UNARCHIVING = Settings(format=Format.JPEG)  # whatever its size, the JPEG is delivered


_shared: list[Resources] = []


def shared_resources() -> Resources:
    """Return the resources of calls that are given none: no budgets, the default spool directory."""
    if not _shared:
        _shared.append(Resources())
    return _shared[0]


def compress(
    image: Input,
    settings: Settings | None = None,
    *,
    resources: Resources | None = None,
    **keywords: Unpack[SettingsFields],
) -> Result:
    """Compress one image, and return the result in memory.

        compress("photo.jpg", quality=80).save("smaller.jpg")

    image      bytes, a path, a binary file, a NumPy array (h, w) or (h, w, 1 to 4) of uint8, a Pillow image, or chunks
    settings   of the call; None: the defaults
    resources  budgets and spool directory; None: no budgets, the default directory
    keywords   fields of `Settings`, in place of those of `settings`

    Raise CompressorError for an image that can't be compressed and for an invalid setting, and OSError for a file that
    can't be read.
    """
    with stream(image, settings, resources=resources, **keywords) as job:
        return _read(job)


def stream(
    image: Input | Iterable[Tile],
    settings: Settings | None = None,
    *,
    raw: Raw | None = None,
    resources: Resources | None = None,
    still_wanted: Callable[[], None] = lambda: None,
    demand: Demand | None = None,
    reservation: Reservation | None = None,
    formats: Set[str] | None = None,
    **keywords: Unpack[SettingsFields],
) -> Stream:
    """Compress an image of any size in bounded memory, and return an iterator of the bytes of the result.

        with stream(chunks, quality=80) as job:
            for chunk in job: ...

    image, settings, keywords  those of `compress`; with `raw`, the image is tiles in raster order
    raw           geometry of the tiles
    resources     budgets and spool directory; None for those of `shared_resources`
    still_wanted  called repeatedly while the call waits for memory; an exception that it raises ends the wait
    demand        of the call: its deadline, and what is found out about its CPU time. DeadlineError is raised once the
                  deadline can't be met
    reservation   of the call, with the overhead of `resources`; it keeps that. None: begin and end one
    formats       formats of files that are decoded; any other is an UnsupportedError. None: all
    """
    chosen = settings_of(settings, keywords)
    if chosen.archive:
        archive.require_library()
    raw, parts = source_of(image, raw)
    resources, route = resources or shared_resources(), only_formats(formats, route_file)
    return Stream(parts, chosen, raw, resources, still_wanted, demand, reservation, route)


def unarchive(image: FileInput, *, resources: Resources | None = None) -> Result:
    """Make the JPEG of an archive again, and return it in memory. The parameters are those of `compress`."""
    with unarchive_stream(image, resources=resources) as job:
        return _read(job)


def unarchive_stream(
    image: FileInput,
    *,
    resources: Resources | None = None,
    still_wanted: Callable[[], None] = lambda: None,
    demand: Demand | None = None,
    reservation: Reservation | None = None,
    formats: Set[str] | None = None,
) -> Stream:
    """Make the JPEG of an archive again, as an iterator of its bytes. The parameters are those of `stream`."""
    archive.require_library()
    raw, parts = source_of(image)
    if raw is not None:
        raise SettingsError("image", "has samples, must be a file")
    resources, route = resources or shared_resources(), only_formats(formats, route_archive)
    return Stream(parts, UNARCHIVING, None, resources, still_wanted, demand, reservation, route)


def _read(job: Stream) -> Result:
    data = io.BytesIO()  # joins pieces with the fewest copies: `getvalue` returns its own buffer
    for piece in job:
        data.write(piece)
    return Result(data.getvalue(), job.report)


def inspect(
    image: Input | Iterable[Tile],
    settings: Settings | None = None,
    *,
    raw: Raw | None = None,
    resources: Resources | None = None,
    reservation: Reservation | None = None,
    formats: Set[str] | None = None,
    **keywords: Unpack[SettingsFields],
) -> Source:
    """Return the properties of an image, and how much memory its compression would reserve.

    It accepts what `stream` accepts, and reads no more of it than it has to.
    """
    chosen = settings_of(settings, keywords)
    if chosen.archive:
        archive.require_library()
    raw, parts = source_of(image, raw)
    resources, spools = resources or shared_resources(), []

    with nullcontext(reservation) if reservation else resources.reservation() as request:

        def spool() -> Spool:
            spools.append(request.spool(lambda: None))
            return spools[-1]

        charge = metadata_charger(request)
        context = RouteContext(chosen, Stages(), spool, charge, memory_max=request.most_bytes)
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
