"""HEIF and AVIF images and image sequences (ISO/IEC 23008-12, AV1 Image File Format), reduced to what a metadata policy
keeps.

A new file is written from what is known to be needed: the file type box, a meta box with the images alone, and their
coded data. Coded data is copied unchanged, except that metadata messages in them are removed (`coded`).

It keeps the primary image, other images to be displayed, the inputs of grids and overlays, alpha planes and depth maps.
COLOR also keeps ICC profiles, HDR metadata and gain maps (`tmap`). The orientation is in the properties `irot` and
`imir`, which are kept; HEIF readers ignore that of Exif.
"""

import bisect
import functools
from collections.abc import Iterator

from compressor.containers import heif_choice, heif_properties, heif_tracks, heif_writer
from compressor.containers.coded import MessageFilter
from compressor.containers.container import Container
from compressor.containers.heif_tracks import ImageSequence
from compressor.containers.heif_unmapped import unmapped_heif
from compressor.errors import FormatError, UnsupportedError
from compressor.metadata import CREDENTIALS_REMOVED, removed_trailing_bytes
from compressor.parsers import boxes
from compressor.parsers.boxes import Box, Extent, Extents
from compressor.parsers.heif import Heif, Item, read
from compressor.settings import Metadata
from compressor.spool import Readable

DERIVED_BYTES_MAX = 1 << 20


class HeifContainer(Container):
    """A HEIF or AVIF file."""

    def without_metadata(self, policy: Metadata, notices: list[str]) -> Iterator[bytes]:
        """Yield a new file with the images alone."""
        heif = read(self._source)
        color = policy is Metadata.COLOR
        found: list[str] = []
        images = heif_choice.images(heif, color, found)
        mdats = [box for box in heif.top if box.kind == b"mdat"]
        for item in images:
            _check_data(heif, item, mdats)
        distinct = {tuple(item.extents) for item in images}
        if sum(length for extents in distinct for _, length in extents) > self._source.size:
            raise UnsupportedError(f"{heif.title}: the data of its items overlaps")
        messages = MessageFilter(color, found)
        inputs_of = heif.inputs()
        data = {
            item.number: _needed_extents(heif, item, len(inputs_of.get(item.number, [])), self._source, messages)
            for item in images
        }
        sequence = heif_tracks.read_sequence(
            heif, self._source, color, messages, found, functools.partial(_clip_to_mdat, heif, mdats)
        )
        properties = heif_properties.reduce_properties(heif, images, data, color, messages, found)
        if any(box.kind == b"uuid" and self._source.read(box.content, 16) == boxes.C2PA_UUID for box in heif.top):
            found.append(CREDENTIALS_REMOVED)
        found += removed_trailing_bytes(_trailing_bytes(heif, self._source, data, sequence))
        writer = heif_writer.HeifWriter(heif, images, data, properties, sequence)
        notices += dict.fromkeys(found)
        idat = b"".join(boxes.read_extents(self._source, writer.idat_extents))
        yield writer.head(idat)
        yield from boxes.read_extents(self._source, writer.media)

    def unmapped_metadata(self) -> list[str]:
        return unmapped_heif(self._source)


def _check_data(heif: Heif, item: Item, mdats: list[Box]) -> None:
    """Limit an item's extents to the mdat boxes. Raises UnsupportedError or FormatError where it can't be reduced."""
    what = f"{heif.title}: item {item.number} ({boxes.name(item.kind)})"
    if item.kind not in heif_choice.CODED | heif_choice.DERIVED:
        raise UnsupportedError(f"{what}: can't remove metadata from images of this type")
    if item.obstacle:
        raise UnsupportedError(f"{what}: {item.obstacle}")
    if not item.extents and item.kind != b"iden":
        raise FormatError(heif.title, "iloc", None, f"item {item.number} has no data")
    if not item.in_idat:
        item.extents = _clip_to_mdat(heif, mdats, item.extents, f"item {item.number}")


def _clip_to_mdat(heif: Heif, mdats: list[Box], extents: list[Extent], what: str) -> list[Extent]:
    """Return extents limited to their mdat box, or raise FormatError where they are outside of all mdat boxes."""
    found = []
    for start, length in extents:
        number = bisect.bisect_right(mdats, start, key=lambda box: box.content) - 1
        box = mdats[number] if number >= 0 else None
        if box is None or start > box.end or (start + length > box.end and start + length != heif.end):
            raise FormatError(heif.title, "iloc", start, f"data of {what} is outside the mdat boxes")
        found.append((start, min(length, box.end - start)))
    return found


def _needed_extents(heif: Heif, item: Item, inputs: int, source: Readable, messages: MessageFilter) -> list[Extent]:
    """Return the extents of an image's data to keep. inputs: number of images that it is derived from."""
    data = Extents(source, item.extents)
    if item.kind == b"av01":
        found = messages.av1(data)
    elif item.kind == b"hvc1":
        configuration = heif.find(item, b"hvcC")
        if configuration is None or len(configuration) < 22:
            raise FormatError(heif.title, "hvcC", None, f"item {item.number} has no complete decoder configuration")
        found = messages.hevc(data, (configuration[21] & 3) + 1)
    else:
        return _derivation(heif, item, inputs, data)
    if not found:
        raise FormatError(heif.title, "mdat", None, f"item {item.number} has no coded image")
    return found


def _derivation(heif: Heif, item: Item, inputs: int, data: Extents) -> list[Extent]:
    """Return the extents of the description of a derived image (ISO/IEC 23008-12, 6.6.2)."""
    head = data.read(0, 8)
    wide = bool(head[1:2]) and head[1] & 1
    match item.kind:
        case b"grid":
            size = 12 if wide else 8
        case b"iovl":
            size = 10 + (8 if wide else 4) * (1 + inputs)
        case b"tmap":  # ISO 21496-1: a version, headrooms, and 40 bytes for each channel
            channels = 3 if len(head) > 5 and head[5] & 0x80 else 1
            size = min(22 + 40 * channels, data.size)
        case _:
            size = 0
    if size > min(data.size, DERIVED_BYTES_MAX):
        raise FormatError(
            heif.title, boxes.name(item.kind), None, f"item {item.number} has {data.size} of {size} bytes"
        )
    return boxes.merge_extents(data.slice(0, size))


def _trailing_bytes(heif: Heif, source: Readable, data: dict[int, list[Extent]], sequence: ImageSequence | None) -> int:
    """Return the number of bytes after the boxes that hold the images, 0 where these are only padding or C2PA."""
    ends = [box.end for box in heif.top if box.kind in (b"meta", b"moov")][: 2 if sequence else 1]
    starts = [start for extents in data.values() for start, _ in extents]
    starts += [
        extent[0] for track in (sequence.tracks if sequence else ()) for sample in track.samples for extent in sample
    ]
    ends += [box.end for box in heif.top if box.start <= max(starts, default=0) < box.end]
    rest = [box for box in heif.top if box.start >= max(ends)]
    if heif.end == source.size and all(
        box.kind in (b"free", b"skip", b"mdat") or source.read(box.content, 16) == boxes.C2PA_UUID for box in rest
    ):
        return 0
    return source.size - max(ends)
