"""TIFF and BigTIFF without metadata. No byte moves: directories are rewritten in place with fewer entries, the values
and strips that a kept entry refers to are copied, and every other byte becomes zero.

An entry is kept only where it is needed to interpret the samples, where it is the orientation or, under COLOR, where it
describes the color space. The resolution is kept only where its two values differ (fax pages), since pixels are then
not square. Thumbnails (NewSubfileType bit 0) and SubIFDs are removed.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from compressor.containers import notes, tiff_tags
from compressor.containers.container import Container
from compressor.containers.tiff_extent import DEPTH_MAX, NESTED_MAX, directory_extent_end, nested, untagged
from compressor.containers.tiff_streams import trim
from compressor.containers.tiff_strips import strips_of
from compressor.errors import CompressorError, FormatError, LimitError, UnsupportedError
from compressor.metadata import ADOBE_RGB, ADOBE_RGB_REMOVED, CREDENTIALS_REMOVED
from compressor.parsers.tiff import (
    COMPRESSION,
    PHOTOMETRIC,
    SUB_IFDS,
    TITLE,
    Directory,
    DirectoryEntry,
    Integers,
    TiffFile,
)
from compressor.settings import Metadata
from compressor.spool import CHUNK_BYTES, Readable

STRIP_OFFSETS = 273
ICC = 34675
FILLS_MAX = 1 << 20


@dataclass
class RewritePlan:
    """The byte ranges of the file that are rewritten or copied.

    blocks          offset and bytes of each rewritten block
    starts, ends    ranges to copy, an array for each page and kind
    fills           ranges within them whose bytes become FF
    end             end of the last byte of the source that anything refers to
    length          least size of the new file: readers reject strips whose byte counts extend beyond the end of a file
    """

    blocks: list[tuple[int, bytes]] = field(default_factory=list)
    starts: list[Integers] = field(default_factory=list)
    ends: list[Integers] = field(default_factory=list)
    fills: list[tuple[int, int]] = field(default_factory=list)
    end: int = 0
    length: int = 0

    def copy(self, start: int, end: int) -> None:
        self.starts.append(np.array([start], np.int64))
        self.ends.append(np.array([end], np.int64))


class TiffContainer(Container):
    """A TIFF or BigTIFF file."""

    def without_metadata(self, policy: Metadata, notices: list[str]) -> Iterator[bytes]:
        """Yield a file of the same layout with zeros in place of metadata."""
        file = TiffFile(self._source.read, self._source.size)
        pages = list(file.pages())
        kept = [page for page in pages if not file.is_thumbnail(page, pages[0])]
        for page in pages:
            _reject_camera_raw(file, self._source, page)
        plan, removed = RewritePlan(end=file.header_bytes), dict[int, DirectoryEntry]()
        for page, following in zip(kept, [*kept[1:], None], strict=True):
            _plan_page(file, self._source, page, following, policy, plan, removed)
        offset_bytes = file.header_bytes // 2
        plan.blocks.append((0, self._source.read(0, offset_bytes) + file.packed(file.first, offset_bytes)))
        starts, ends = _checked_ranges(plan, self._source.size)
        for page in pages:
            plan.end = max(plan.end, directory_extent_end(file, page, DEPTH_MAX, [NESTED_MAX]))
        if len(pages) > len(kept):
            notices.append(f"thumbnails in the file were removed: {len(pages) - len(kept)}")
        notices += _loss_notices(file, removed, policy)
        if pages[0].find(ICC) is None and _is_adobe_rgb(file, pages[0]):
            notices.append(ADOBE_RGB_REMOVED)
        notes.note_trailing_bytes(self._source.size - plan.end, notices)
        yield from _chunks(self._source, plan, starts, ends)

    def unmapped_metadata(self) -> list[str]:
        names: list[str] = []
        try:
            file = TiffFile(self._source.read, self._source.size)
            pages = list(file.pages())
            names += untagged(file, self._source, pages)
            limits = tiff_tags.Limits(file, pages[0], strips_of(file, pages[0]), True)
            for entry in pages[0].entries:
                spare = tiff_tags.is_of_samples(entry.tag) and limits.count(entry) < entry.count
                if spare or not tiff_tags.is_carried(entry.tag):
                    names.append(tiff_tags.name(entry.tag))
        except CompressorError:  # reported when the pixels are read
            pass
        return notes.first_names(names)


def _reject_camera_raw(file: TiffFile, source: Readable, page: Directory) -> None:
    """Raise UnsupportedError for formats based on TIFF with structures of their own."""
    for reason in _camera_raw(file, source, page, DEPTH_MAX, [NESTED_MAX]):
        raise UnsupportedError(f"{TITLE}: can't remove metadata from {reason}")


def _camera_raw(file: TiffFile, source: Readable, page: Directory, depth: int, left: list[int]) -> Iterator[str]:
    makers = source.read(8, 4) in (b"CR\2\0", b"IIII", b"MMMM") and 8 not in file.integers(page, STRIP_OFFSETS)
    if makers and not file.big and page.offset == file.first:
        yield "camera raw (a maker's signature after the header)"
    for entry in page.entries:
        if entry.tag in tiff_tags.OTHER_FORMATS:
            yield tiff_tags.OTHER_FORMATS[entry.tag]
    photometric = file.number(page, PHOTOMETRIC, 0)
    if photometric in tiff_tags.RAW_PHOTOMETRICS:
        yield f"camera raw ({tiff_tags.RAW_PHOTOMETRICS[photometric]})"
    found = list(nested(file, page, (SUB_IFDS,), depth, left))
    if found and page.offset == file.first and file.is_reduced(page):
        yield "camera raw (the main image is in a SubIFD)"
    for inner in found:
        yield from _camera_raw(file, source, inner, depth - 1, left)


def _plan_page(
    file: TiffFile, source: Readable, page: Directory, following: Directory | None, policy: Metadata, plan: RewritePlan,
    removed: dict[int, DirectoryEntry],
) -> None:  # fmt: skip
    """Add a page to the plan, and the entries that it loses to `removed`."""
    compression, photometric = file.number(page, COMPRESSION, 1), file.number(page, PHOTOMETRIC, 0)
    if compression not in tiff_tags.COMPRESSIONS:
        raise UnsupportedError(
            f"{TITLE}: can't remove metadata from compression {compression}: its data may contain metadata"
        )
    if photometric not in tiff_tags.PHOTOMETRICS:
        raise UnsupportedError(f"{TITLE}: can't remove metadata from photometric interpretation {photometric}")
    strips = strips_of(file, page)
    limits = tiff_tags.Limits(file, page, strips, policy is Metadata.COLOR)
    made, seen = [], set[int]()
    for entry in page.entries:
        count = limits.count(entry)
        if count == 0:
            removed.setdefault(entry.tag, entry)
            continue
        if entry.tag in seen:
            raise FormatError(TITLE, f"tag {entry.tag}", entry.at, "occurs twice")
        seen.add(entry.tag)
        made.append(_entry(file, source, entry, count, plan))
    if not made:
        raise FormatError(TITLE, "IFD", page.offset, "no tag that describes an image")
    count_bytes, word = (8, 8) if file.big else (2, 4)
    chained = file.packed(following.offset if following else 0, word)
    plan.blocks.append((page.offset, file.packed(len(made), count_bytes) + b"".join(made) + chained))
    plan.fills += trim(file, source.read, page, strips)
    if len(plan.fills) > FILLS_MAX:
        raise LimitError(f"{TITLE}: more than {FILLS_MAX} metadata segments in JPEG strips")
    plan.starts.append(strips.starts)
    plan.ends.append(strips.ends)
    offsets, counts = (file.integers(page, tag)[: len(strips.starts)] for tag in strips.tags)
    declared = offsets[: len(counts)] + counts[: len(offsets)]
    plan.length = max(plan.length, int(declared[declared <= source.size].max(initial=0)))


def _entry(file: TiffFile, source: Readable, entry: DirectoryEntry, count: int, plan: RewritePlan) -> bytes:
    """Return an entry with its first `count` values, which the plan copies where they are not in the entry itself."""
    word = 8 if file.big else 4
    size = entry.bytes // entry.count * count
    if entry.at + size > source.size:
        raise FormatError(TITLE, f"tag {entry.tag}", entry.at, "its values extend beyond the end of the file")
    if size <= word:
        field = source.read(entry.at, size).ljust(word, b"\0")
    else:
        field = file.packed(entry.at, word)
        plan.copy(entry.at, entry.at + size)
    return file.packed(entry.tag, 2) + file.packed(entry.kind, 2) + file.packed(count, word) + field


def _checked_ranges(plan: RewritePlan, size: int) -> tuple[Integers, Integers]:
    """Return the ranges to copy, sorted and merged. Raises FormatError where ranges and blocks overlap."""
    starts, ends = np.concatenate(plan.starts), np.concatenate(plan.ends)
    if starts.size and (int(starts.min()) < 0 or int(ends.max()) > size or bool((ends < starts).any())):
        raise FormatError(TITLE, "strips", None, "they extend beyond the end of the file")
    pairs = np.unique(np.stack([starts, ends], 1)[ends > starts], axis=0)
    if plan.fills and bool((pairs[1:, 0] < pairs[:-1, 1]).any()):
        raise FormatError(TITLE, "strips", None, "they overlap")
    furthest = np.maximum.accumulate(pairs[:, 1]) if len(pairs) else pairs[:, 1]
    first = np.ones(len(pairs), bool)
    first[1:] = pairs[1:, 0] > furthest[:-1]
    last = np.flatnonzero(first)[1:] - 1
    starts, ends = pairs[first, 0], furthest[np.append(last, len(pairs) - 1)] if len(pairs) else furthest
    plan.blocks.sort()
    previous_end = 0
    for at, data in plan.blocks:
        index = int(np.searchsorted(ends, at, "right"))
        if at < previous_end or (index < len(starts) and starts[index] < at + len(data)):
            raise FormatError(TITLE, "IFD", at, "it overlaps its own data or another IFD")
        previous_end = at + len(data)
    plan.fills = sorted(set(plan.fills))
    return starts, ends


def _loss_notices(file: TiffFile, removed: dict[int, DirectoryEntry], policy: Metadata) -> list[str]:
    """Return notices of what was removed that a viewer may miss."""
    notices = []
    if tiff_tags.C2PA in removed:
        notices.append(CREDENTIALS_REMOVED)
    if SUB_IFDS in removed:
        notices.append("images in SubIFDs were removed")
    if ICC in removed:
        profile = file.values(removed[ICC])
        if policy is Metadata.COLOR:
            notices.append("a damaged ICC profile was removed")
        else:
            notes.note_profile(profile, notices)
    lost = [tiff_tags.name(tag) for tag in sorted(removed) if tag in tiff_tags.COLORS and tag != ICC]
    if lost:
        notices.append(f"{', '.join(lost)} removed: colors may differ")
    return notices


def _is_adobe_rgb(file: TiffFile, page: Directory) -> bool:
    """Return whether Exif identifies Adobe RGB as the color space, as a DCF option file (R03)."""
    for exif in nested(file, page, (tiff_tags.EXIF_IFD,), 1, [1]):
        for interoperability in nested(file, exif, (tiff_tags.INTEROPERABILITY_IFD,), 1, [1]):
            index = interoperability.find(1)
            if index is not None and 3 <= index.bytes <= 4:
                return file.values(index)[:3] == ADOBE_RGB
    return False


def _chunks(source: Readable, plan: RewritePlan, starts: Integers, ends: Integers) -> Iterator[bytes]:
    """Yield the new file in chunks of CHUNK_BYTES."""
    total = max([plan.length, *(at + len(data) for at, data in plan.blocks), *ends[-1:].tolist()])
    fill_starts = np.array([start for start, _ in plan.fills], np.int64)
    block_starts = np.array([at for at, _ in plan.blocks], np.int64)
    block_ends = np.array([at + len(data) for at, data in plan.blocks], np.int64)
    fill_ends = np.array([end for _, end in plan.fills], np.int64)
    for begin in range(0, total, CHUNK_BYTES):
        end = min(begin + CHUNK_BYTES, total)
        piece = bytearray(end - begin)
        within = range(int(np.searchsorted(ends, begin, "right")), int(np.searchsorted(starts, end)))
        data = source.read(begin, end - begin) if within else b""
        for index in within:
            low, high = max(0, int(starts[index]) - begin), min(end, int(ends[index])) - begin
            piece[low:high] = data[low:high]
        for index in range(int(np.searchsorted(fill_ends, begin, "right")), int(np.searchsorted(fill_starts, end))):
            low, high = max(0, plan.fills[index][0] - begin), min(end, plan.fills[index][1]) - begin
            piece[low:high] = b"\xff" * (high - low)
        for index in range(int(np.searchsorted(block_ends, begin, "right")), int(np.searchsorted(block_starts, end))):
            at, block = plan.blocks[index]
            low, high = max(at, begin), min(at + len(block), end)
            piece[low - begin : high - begin] = block[low - at : high - at]
        yield bytes(piece)
