"""Files that come back as they are, but for the metadata that the policy takes away."""

from collections.abc import Iterator

from compressor import containers, png
from compressor.jpeg import reduction
from compressor.settings import Format, Metadata, Settings, Source
from compressor.spool import Spool


def may_stay(kind: str, settings: Settings) -> bool:
    """Return whether a file of the source's own format is an answer to what was asked for."""
    return settings.format in (Format.KEEP, Format.AUTO) or settings.format == kind


def without_metadata(original: Spool, kind: str, policy: Metadata, notices: list[str]) -> Iterator[bytes]:
    """Yield a file reduced to what `policy` keeps, losslessly, whatever its format.

    kind     as `sniff` names it
    notices  receives what changes how the picture is shown, and what followed it; complete after the last piece

    Raises UnsupportedError where something can't be removed, and FormatError where the container is broken.
    """
    if policy is Metadata.KEEP:
        return original.chunks()
    if kind == "jpeg":
        return reduction.without_metadata(original, policy, notices)
    if kind == "png":
        return png.without_metadata(original, policy, notices)
    return containers.without_metadata(kind, original, policy, notices)


def size_without_metadata(original: Spool, kind: str, policy: Metadata) -> int:
    """Return the size of a reduced file; that of a JPEG or PNG may be less, since it is not decoded for this."""
    if kind == "jpeg":
        return reduction.size_without_metadata(original, policy)
    if kind == "png":
        return sum(map(len, png.without_metadata(original, policy, [], measured=False)))
    return sum(map(len, without_metadata(original, kind, policy, [])))


def reason_unchanged(source: Source) -> str:
    """Return why a file that no route leads through comes back as it is."""
    if source.format == "png":
        return "an animated PNG is kept as it is"
    return f"{source.description} is kept as it is: ask for a format to change it"


def same(one: Spool, other: Spool) -> bool:
    """Return whether two spools hold the same bytes."""
    return one.size == other.size and all(a == b for a, b in zip(one.chunks(), other.chunks(), strict=True))
