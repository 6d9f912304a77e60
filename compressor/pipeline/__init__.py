"""From chunks to chunks: recognise the source, choose the route, deliver, and say what was done.

    stream(chunks, settings) → Stream      bounded memory, any size
    compress(image, quality=…) → Result    the same for what fits in memory
    inspect(chunks) → Source               the header only

All three take any of `inputs`.

`opening` chooses the route by what the source is and what was asked for, `routes` are the ways from bytes to bytes, and
`delivery` leads one image along its route. `examining` looks at a file that is there as a whole.
"""

import dataclasses
import io
from collections.abc import Callable
from typing import Any

from compressor.bytestream import ByteStream
from compressor.errors import UnsupportedError
from compressor.memory import Resources
from compressor.pipeline import routing
from compressor.pipeline.delivery import Stream, metadata_charger
from compressor.pipeline.routes import RouteContext
from compressor.pipeline.sources import source_of
from compressor.pipeline.stages import Stages
from compressor.settings import Format, Raw, Result, Settings, Source
from compressor.spool import Spool


def reject_unsupported(settings: Settings) -> None:
    """Raises UnsupportedError for settings whose feature this version does not have."""
    if settings.target_score is not None:
        raise UnsupportedError("target_score is not supported yet")
    if settings.max_bytes is not None:
        raise UnsupportedError("max_bytes is not supported yet")
    if settings.format is Format.AUTO:
        raise UnsupportedError("format auto is not supported yet: name one")


_shared: list[Resources] = []


def shared_resources() -> Resources:
    """What calls without resources of their own share: no budgets, the default spool directory."""
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
) -> Stream:
    """Compress an image of any size in bounded memory.

    chunks        of an encoded file, or any other of `inputs`; with `raw`, tiles in raster order
    raw           geometry of the tiles
    resources     budgets and spool directory; None: those of `shared_resources`
    still_wanted  called now and then while memory is waited for; what it raises ends the wait
    """
    settings = settings or Settings()
    reject_unsupported(settings)
    raw, parts = source_of(chunks, raw)
    return Stream(parts, settings, raw, resources or shared_resources(), still_wanted)


def inspect(
    chunks: Any,
    settings: Settings | None = None,
    *,
    raw: Raw | None = None,
    resources: Resources | None = None,
) -> Source:
    """Return what an image is and what compressing it would reserve. Takes what `stream` takes, and reads no further
    than it must."""
    settings = settings or Settings()
    reject_unsupported(settings)
    raw, parts = source_of(chunks, raw)
    resources, spools = resources or shared_resources(), []

    def spool() -> Spool:
        spools.append(resources.spool())
        return spools[-1]

    with resources.reservation() as reservation:
        hold = metadata_charger(reservation)
        context = RouteContext(settings, Stages(), spool, hold)
        try:
            if raw is not None:
                source, _ = routing.open_raw(raw, parts, context)
            else:
                original = spool()
                source, _ = routing.open_file(ByteStream(parts, original.write, charge=hold), original, context)
            metadata_bytes = reservation.bytes - resources.overhead
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
        data = io.BytesIO()  # of all ways to put pieces together the one that copies least: its own bytes come out
        for piece in job:
            data.write(piece)
        return Result(data.getvalue(), job.report)
