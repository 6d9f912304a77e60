"""The byte ranges that the directories of a TIFF refer to, directly or indirectly, and the bytes outside of them."""

from collections.abc import Iterator

from compressor.containers import notes, tiff_tags
from compressor.containers.tiff_streams import trim
from compressor.containers.tiff_strips import strips_of
from compressor.errors import CompressorError, FormatError, LimitError
from compressor.parsers.tiff import TITLE, Directory, TiffFile
from compressor.spool import CHUNK_BYTES, Readable

DEPTH_MAX = 3  # of nested directories: SubIFDs, Exif and the directories that Exif refers to
NESTED_MAX = 64  # nested directories of a page
GAPS_BYTES_MAX = 1 << 24  # that are examined


def nested(file: TiffFile, page: Directory, tags: tuple[int, ...], depth: int, left: list[int]) -> Iterator[Directory]:
    """Yield the directories that entries of a directory point to, except unreadable ones: all of them are removed."""
    for tag in tags:
        if depth == 0 or page.find(tag) is None:
            continue
        try:
            offsets = file.integers(page, tag).tolist()
        except FormatError:
            continue
        for offset in offsets:
            if left[0] == 0:
                raise LimitError(f"{TITLE}: more than {NESTED_MAX} nested directories in a page")
            left[0] -= 1
            try:
                yield file.directory(offset)
            except FormatError:
                continue


def directory_extent_end(file: TiffFile, page: Directory, depth: int, left: list[int]) -> int:
    """Return the end of everything that a directory refers to, as far as it is readable and within the file."""
    found = [page.end, *(entry.at + entry.bytes for entry in page.entries if not entry.inline)]
    for offsets, counts in ((273, 279), (324, 325), (513, 514)):
        try:
            starts, sizes = file.integers(page, offsets), file.integers(page, counts)
        except FormatError:
            continue
        least = min(len(starts), len(sizes))
        found += (starts[:least] + sizes[:least]).tolist()
    for inner in nested(file, page, tiff_tags.POINTERS, depth, left):
        found.append(directory_extent_end(file, inner, depth - 1, left))
    return max(end for end in found if end <= file.size)


def untagged(file: TiffFile, source: Readable, pages: list[Directory]) -> list[str]:
    """Return names of data that is not the value of a tag: segments in JPEG strips and unreferenced bytes."""
    names: list[str] = []
    ranges = [(0, file.header_bytes)]
    for page in pages:
        ranges += _ranges(file, page, DEPTH_MAX, [NESTED_MAX])
        strips = strips_of(file, page)
        if trim(file, source.read, page, strips):
            names.append("APPn and COM segments in JPEG strips")
        ranges += zip(strips.starts.tolist(), strips.ends.tolist(), strict=True)
    previous_end, left = 0, GAPS_BYTES_MAX
    for start, end in sorted(ranges):
        for at in range(previous_end, min(start, previous_end + left), CHUNK_BYTES):
            gap = source.read(at, min(CHUNK_BYTES, start - at))
            left -= len(gap)
            if any(gap):
                names.append("bytes that no tag refers to")
                left = 0
                break
        previous_end = max(previous_end, end)
    if source.size > previous_end:
        names.append(notes.trailing_bytes(source.size - previous_end))
    return names


def _ranges(file: TiffFile, page: Directory, depth: int, left: list[int]) -> list[tuple[int, int]]:
    """Return the ranges of a directory, its values, and its nested directories with their strips."""
    found = [
        (page.offset, page.end),
        *((entry.at, entry.at + entry.bytes) for entry in page.entries if not entry.inline),
    ]
    for inner in nested(file, page, tiff_tags.POINTERS, depth, left):
        found += _ranges(file, inner, depth - 1, left)
        try:
            strips = strips_of(file, inner)
        except CompressorError:
            continue
        found += zip(strips.starts.tolist(), strips.ends.tolist(), strict=True)
    return found
