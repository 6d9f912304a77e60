"""Sources that are returned, except for the metadata that the policy removes."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from compressor import containers, png
from compressor.errors import FormatError, LimitError, UnsupportedError
from compressor.jpeg import reduction
from compressor.settings import Format, Metadata, Settings
from compressor.spool import Spool


@dataclass(frozen=True, slots=True)
class ReducedSource:
    """A source with only the metadata that the policy keeps, as it is returned.

    notices  of removals that matter to the user
    changed  whether it differs from the source
    """

    file: Spool
    notices: Sequence[str]
    changed: bool


def may_return_source(kind: str, settings: Settings) -> bool:
    """Return whether the requested format allows a file of the source's own format to be returned."""
    if settings.format is Format.AUTO:
        return settings.accept is None or kind in settings.accept
    return settings.format is Format.KEEP or settings.format == kind


def without_metadata(original: Spool, kind: str, policy: Metadata, notices: list[str]) -> Iterator[bytes]:
    """Yield a file reduced losslessly to what `policy` keeps, whatever its format.

    kind     as `sniff` names it
    notices  receives a notice of each removal that changes how the image is shown, and of bytes after the image;
             complete after the last piece

    Raise UnsupportedError if something can't be removed, and FormatError if the container is broken.
    """
    if policy is Metadata.KEEP:
        return original.chunks()
    if kind == "jpeg":
        return reduction.without_metadata(original, policy, notices)
    if kind == "png":
        return png.without_metadata(original, policy, notices)
    return containers.without_metadata(kind, original, policy, notices)


def size_without_metadata(original: Spool, kind: str, policy: Metadata) -> float:
    """Return the size of a reduced source, infinite if it can't be reduced.

    The size of a JPEG or PNG may be estimated too low, since it is not decoded for this.
    """
    try:
        if policy is Metadata.KEEP:
            return original.size
        if kind == "jpeg":
            return reduction.size_without_metadata(original, policy)
        if kind == "png":
            return sum(map(len, png.without_metadata(original, policy, [], measured=False)))
        return sum(map(len, without_metadata(original, kind, policy, [])))
    except (FormatError, LimitError, UnsupportedError):
        return math.inf


def reduced(original: Spool, kind: str, policy: Metadata, spool: Callable[[], Spool]) -> ReducedSource:
    """Return the source as it is delivered, complete before its first byte leaves. Raise as `without_metadata` does."""
    if policy is Metadata.KEEP:
        return ReducedSource(original, [], changed=False)
    notices: list[str] = []
    file = spool()
    for piece in without_metadata(original, kind, policy, notices):
        file.write(piece)
    return ReducedSource(file, notices, changed=not same(file, original))


def same(one: Spool, other: Spool) -> bool:
    """Return whether two spools hold the same bytes."""
    return one.size == other.size and all(a == b for a, b in zip(one.chunks(), other.chunks(), strict=True))
