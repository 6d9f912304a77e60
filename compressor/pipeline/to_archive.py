"""The routes from a JPEG to its archive, a JPEG XL file, and back. Whole files are in memory, which is charged.

An archive may come from anybody, so that it is decoded in a process of its own. One that was just made is not.
"""

from collections.abc import Iterator

from compressor import archive
from compressor.errors import CompressorError, FormatError
from compressor.humanize import human_format
from compressor.jpeg.frame import Header
from compressor.pipeline import bounds
from compressor.pipeline.routes import Plan, Route, RouteContext
from compressor.settings import Path
from compressor.spool import Readable, Spool

NOT_EXACT = "the same JPEG could not be made again of its archive"
ONLY_JPEG = "only a JPEG can be archived"
BLOCKS_PER_BYTE = 8  # at most: DC takes a bit of each block


class JpegToArchive(Route):
    """A JPEG as JPEG XL. `verify` makes the JPEG again, and compares every byte."""

    format, path = "jxl", Path.LOSSLESS
    defect = NOT_EXACT

    def __init__(self, original: Spool, height: int, context: RouteContext) -> None:
        self._original, self.height = original, height
        with context.stages.stage("encode"):
            try:
                self._made = archive.jxl_of(whole(original))
            except archive.ArchiveError:
                self.obstacle = "JPEG XL can't hold this JPEG"

    @property
    def notices(self) -> list[str]:
        return []

    def body(self) -> Iterator[bytes | memoryview]:
        made, self._made = self._made, b""
        yield made

    def verify(self, result: Readable) -> bool:
        """Return whether the archive gives back every byte, on the conditions under which it will be unarchived."""
        try:
            header = archive.read_header(result)
            again = archive.jpeg_of(whole(result), archive.jpeg_bytes_max(header, result.size))
        except CompressorError:
            return False
        return is_the_same(self._original, again)


class ArchiveToJpeg(Route):
    """The JPEG of an archive."""

    format, path = "jpeg", Path.LOSSLESS

    def __init__(self, original: Spool, header: archive.ArchiveHeader, context: RouteContext) -> None:
        self._original, self._header, self._stages = original, header, context.stages
        self.height = header.height

    @property
    def notices(self) -> list[str]:
        return []

    def body(self) -> Iterator[bytes | memoryview]:
        size = self._original.size
        limit_bytes = archive.jpeg_bytes_max(self._header, size)
        memory_bytes = archive.unarchiving_bytes(self._header, size)
        try:
            yield from archive.unarchived(
                self._original.chunks(),
                limit_bytes,
                memory_bytes,
                self._header.pixels,
                lambda spent: self._stages.add("decode", spent),
            )
        except archive.ArchiveError as error:
            problem = f"no JPEG can be made of it: {error}"
            raise FormatError(human_format("jxl"), "codestream", None, problem) from None


def whole(file: Readable) -> bytes:
    """Return all bytes of a file."""
    return b"".join(file.chunks())


def is_the_same(file: Readable, other: memoryview) -> bool:
    """Return whether a file has the same bytes as `other`."""
    at = 0
    for chunk in file.chunks():
        if bytes(other[at : at + len(chunk)]) != chunk:
            return False
        at += len(chunk)
    return at == len(other)


def obstacle_to_archiving(header: Header, file_bytes: int) -> str:
    """Return why a JPEG is not archived, which its header says; "" if nothing is in the way.

    The library takes memory for every block of the frame before it reads the first one.
    """
    frame = header.frame
    if header.dnl:
        return "JPEG XL can't hold a JPEG with a height given by DNL"
    if frame.mcu_rows * frame.blocks_per_row > BLOCKS_PER_BYTE * file_bytes:
        return "the file is too short for its image"
    return ""


def plan_jpeg_to_archive(original: Spool, header: Header, context: RouteContext) -> Plan:
    """Return the plan of archiving a complete JPEG."""
    frame = header.frame
    memory_bytes = bounds.BASE_BYTES + archive.archiving_bytes(frame, original.size)
    return Plan(memory_bytes, lambda: JpegToArchive(original, frame.height, context))


def plan_archive_to_jpeg(original: Spool, header: archive.ArchiveHeader, context: RouteContext) -> Plan:
    """Return the plan of making the JPEG of a complete archive."""
    memory_bytes = bounds.BASE_BYTES + archive.PROCESS_BYTES + archive.unarchiving_bytes(header, original.size)
    return Plan(memory_bytes, lambda: ArchiveToJpeg(original, header, context))
