"""What of a TIFF its directories refer to, directly or through others, and what is left."""

from collections.abc import Iterator

from compressor.containers import tiff_tags
from compressor.containers.tiff_streams import trim
from compressor.containers.tiff_strips import strips_of
from compressor.errors import CompressorError, FormatError, LimitError
from compressor.parsers.tiff import Directory, TiffFile
from compressor.spool import CHUNK_BYTES, Readable

DEPTH_MAX = 3  # of directories within directories: SubIFDs, Exif and what Exif refers to
NESTED_MAX = 64  # of them, for each page
GAPS_BYTES_MAX = 1 << 24  # that are looked at


def nested(file: TiffFile, page: Directory, tags: tuple[int, ...], depth: int, left: list[int]) -> Iterator[Directory]:
    """Yield the directories that entries of a directory point to, but for those that can't be read: all of them go."""
    for tag in tags:
        if depth == 0 or page.find(tag) is None:
            continue
        try:
            offsets = file.integers(page, tag).tolist()
        except FormatError:
            continue
        for offset in offsets:
            if left[0] == 0:
                raise LimitError(f"TIFF: more than {NESTED_MAX} directories within one page")
            left[0] -= 1
            try:
                yield file.directory(offset)
            except FormatError:
                continue


def end_of(file: TiffFile, page: Directory, depth: int, left: list[int]) -> int:
    """Return where all that a directory refers to ends, as far as that can be read and lies in the file."""
    found = [page.end, *(entry.at + entry.bytes for entry in page.entries if not entry.inline)]
    for offsets, counts in ((273, 279), (324, 325), (513, 514)):
        try:
            starts, sizes = file.integers(page, offsets), file.integers(page, counts)
        except FormatError:
            continue
        least = min(len(starts), len(sizes))
        found += (starts[:least] + sizes[:least]).tolist()
    for inner in nested(file, page, tiff_tags.POINTERS, depth, left):
        found.append(end_of(file, inner, depth - 1, left))
    return max(end for end in found if end <= file.size)


def unnamed(file: TiffFile, source: Readable, pages: list[Directory]) -> list[str]:
    """Name what is in the file and is no tag's value: segments in JPEG strips, and bytes that nothing refers to."""
    names: list[str] = []
    ranges = [(0, file.header_bytes)]
    for page in pages:
        ranges += _ranges(file, page, DEPTH_MAX, [NESTED_MAX])
        strips = strips_of(file, page)
        if trim(file, source.read, page, strips):
            names.append("APPn and COM segments in JPEG strips")
        ranges += zip(strips.starts.tolist(), strips.ends.tolist(), strict=True)
    behind, left = 0, GAPS_BYTES_MAX
    for start, end in sorted(ranges):
        for at in range(behind, min(start, behind + left), CHUNK_BYTES):
            gap = source.read(at, min(CHUNK_BYTES, start - at))
            left -= len(gap)
            if any(gap):
                names.append("bytes that no tag refers to")
                left = 0
                break
        behind = max(behind, end)
    if source.size > behind:
        names.append(f"{source.size - behind} bytes behind the image")
    return names


def _ranges(file: TiffFile, page: Directory, depth: int, left: list[int]) -> list[tuple[int, int]]:
    """Return a directory, its values, and those of directories within it with their strips."""
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
