"""The decision on the route of an image, and what all decisions need."""

import dataclasses
from collections.abc import Callable, Set
from dataclasses import dataclass

from compressor.bytestream import ByteStream
from compressor.errors import FormatError, UnsupportedError
from compressor.humanize import human_format
from compressor.jpeg.frame import Header
from compressor.jpeg.quality import estimated_quality
from compressor.pipeline import bounds, scoring
from compressor.pipeline.pixels import PixelSource
from compressor.pipeline.routes import Plan, RouteContext
from compressor.pipeline.unchanged import may_return_source
from compressor.pipeline.variants import Possible
from compressor.settings import ContentCredentials, Metadata, Settings, Source
from compressor.sniff import PREFIX, sniff
from compressor.spool import Spool

HAS_CREDENTIALS = "has content credentials"


@dataclass(frozen=True, slots=True)
class Routed:
    """An image as its header describes it, and the decision on its route.

    plan    None if the source is returned
    reason  why the source is returned; "" with a plan
    pixels  raw samples; with settings that measure the score they can be read several times. None for a file
    made_before  whether the source is a JPEG that this package has made lossily, and no quality asks for a coarser one
    possible     what it can become with the format `auto`; None with any other
    """

    source: Source
    plan: Plan | None = None
    reason: str = ""
    pixels: PixelSource | None = None
    made_before: bool = False
    possible: Possible | None = None


FileRouting = Callable[[ByteStream, Spool, RouteContext], Routed]  # chooses the route of a file


def returned(source: Source, reason: str) -> Routed:
    """Return the decision to return a source."""
    return Routed(dataclasses.replace(source, reserved_bytes=bounds.BASE_BYTES), None, reason)


def planned(
    source: Source, plan: Plan, context: RouteContext, source_bytes: Callable[[int], int], *, holds_image: bool = False
) -> Routed:
    """Return the decision to follow a plan.

    source_bytes  return the memory that decoding the source in bands of so many lines takes, once more for its score
    holds_image   whether the route holds all pixels until the end, while they are decoded once more
    """
    memory_bytes = plan.memory_bytes
    if context.settings.is_measured and plan.result_bytes is not None:
        lines = scoring.scored_lines(source.width)
        decoding_bytes = source_bytes(lines), plan.result_bytes(lines)
        scoring_bytes = scoring.memory_bytes(source.width, source.channels, plan.result_has_alpha, *decoding_bytes)
        memory_bytes = scoring_bytes + memory_bytes if holds_image else max(scoring_bytes, memory_bytes)
    return Routed(dataclasses.replace(source, reserved_bytes=memory_bytes), plan)


def known_format(stream: ByteStream) -> str:
    """Return the format of a file. Raise FormatError if it is not an image."""
    kind = sniff(stream.peek(PREFIX))
    if kind == "unknown":
        found = stream.peek(8).hex(" ")
        problem = f"no known image format begins with {found}" if found else "the input is empty"
        raise FormatError("image", "signature", 0, problem)
    return kind


def only_formats(formats: Set[str] | None, route: FileRouting) -> FileRouting:
    """Return what chooses the route of files of some formats as `route` does; None: of all.

    For any other file it raises UnsupportedError before anything but its first bytes is read.
    """
    if formats is None:
        return route

    def checked(stream: ByteStream, original: Spool, context: RouteContext) -> Routed:
        kind = known_format(stream)
        if kind not in formats:
            accepted = ", ".join(sorted(map(human_format, formats)))
            raise UnsupportedError(f"{human_format(kind)} is not accepted here, only {accepted}")
        return route(stream, original, context)

    return checked


def source_of_jpeg(header: Header) -> Source:
    """Return the description of a JPEG."""
    frame = header.frame
    return Source(
        format="jpeg",
        description=f"{header.process} JPEG, {frame.subsampling}",
        width=frame.width,
        height=frame.height,
        channels=len(frame.components),
        quality=estimated_quality(header),
    )


def keeps_credentials(kind: str, settings: Settings) -> bool:
    """Return whether a file with content credentials is to be returned unchanged. A metadata policy that
    removes anything removes these as well."""
    unchanged = settings.content_credentials is ContentCredentials.UNCHANGED
    return unchanged and settings.metadata is Metadata.KEEP and may_return_source(kind, settings)
