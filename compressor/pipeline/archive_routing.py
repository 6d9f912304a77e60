"""The choice of the route of a JPEG to its archive, and of an archive to its JPEG."""

from compressor import archive
from compressor.bytestream import ByteStream
from compressor.errors import CompressorError, UnsupportedError
from compressor.humanize import human_format
from compressor.jpeg.reader import read_header
from compressor.pipeline.routed import (
    HAS_CREDENTIALS,
    Routed,
    keeps_credentials,
    known_format,
    planned,
    returned,
    source_of_jpeg,
)
from compressor.pipeline.routes import RouteContext
from compressor.pipeline.to_archive import (
    ONLY_JPEG,
    obstacle_to_archiving,
    plan_archive_to_jpeg,
    plan_jpeg_to_archive,
)
from compressor.settings import Source
from compressor.spool import Spool


def route_archive(stream: ByteStream, original: Spool, context: RouteContext) -> Routed:
    """Read the header of an archive, and choose the route to its JPEG. The parameters are those of `route_file`.

    Raise FormatError if it is broken, UnsupportedError if no JPEG can be made of it.
    """
    kind = known_format(stream)
    if kind != "jxl":
        raise UnsupportedError(f"{human_format(kind)}: only an archive, which is a JPEG XL file, can be unarchived")
    for _ in stream.drain():
        pass
    header = archive.read_header(original)
    source = Source(
        format=kind,
        description="JPEG XL, an archive of a JPEG",
        width=header.width,
        height=header.height,
        channels=header.channels,
    )
    return planned(source, plan_archive_to_jpeg(original, header, context), context, lambda lines: 0)


def route_to_archive(kind: str, stream: ByteStream, original: Spool, context: RouteContext) -> Routed:
    """Choose the route of a file that is to be archived. What can't be archived is returned, broken files included."""
    settings = context.settings
    source = Source(format=kind, description=human_format(kind), width=0, height=0, channels=0)
    if kind != "jpeg":
        return returned(source, ONLY_JPEG)
    try:
        header = read_header(stream, settings.metadata)
    except CompressorError as error:
        return returned(source, f"its header can't be read: {error}")
    source = source_of_jpeg(header)
    if header.credentials and keeps_credentials("jpeg", settings):
        return returned(source, HAS_CREDENTIALS)
    for _ in stream.drain():
        pass
    if obstacle := obstacle_to_archiving(header, original.size):
        return returned(source, obstacle)
    return planned(source, plan_jpeg_to_archive(original, header, context), context, lambda lines: 0)
