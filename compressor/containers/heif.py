"""HEIF and AVIF pictures and films (ISO/IEC 23008-12, AV1 Image File Format), reduced to what a metadata policy keeps.

The file is put together anew from what is known to be needed: the file type box, a meta box with the pictures alone,
and their coded data. Coded data are copied as they are, but for messages in them (`coded`).

Kept: the primary picture and others that are shown like it, the parts of grids and overlays, alpha planes and depth
maps. COLOR keeps ICC profiles, HDR metadata and gain maps (`tmap`) as well. Orientation is the properties `irot` and
`imir`, which stay; that of Exif is one that HEIF readers ignore.
"""

import bisect
import functools
from collections.abc import Iterator

from compressor.containers import heif_choice, heif_properties, heif_tracks, heif_writer
from compressor.containers.coded import Messages
from compressor.containers.heif_tracks import Film
from compressor.containers.heif_uncarried import uncarried
from compressor.errors import FormatError, UnsupportedError
from compressor.metadata import CREDENTIALS_REMOVED
from compressor.parsers import boxes
from compressor.parsers.boxes import Box, Part, Pieces
from compressor.parsers.heif import Heif, Item, read
from compressor.settings import Metadata
from compressor.spool import Readable

__all__ = ["uncarried", "without_metadata"]

DERIVED_BYTES_MAX = 1 << 20


def without_metadata(source: Readable, policy: Metadata, notices: list[str]) -> Iterator[bytes]:
    """Yield the file with its pictures alone; see `compressor.containers.without_metadata`."""
    heif = read(source)
    color = policy is Metadata.COLOR
    said: list[str] = []
    pictures = heif_choice.pictures(heif, color, said)
    mdats = [box for box in heif.top if box.kind == b"mdat"]
    for item in pictures:
        _check_data(heif, item, mdats)
    if sum(length for parts in {tuple(item.parts) for item in pictures} for _, length in parts) > source.size:
        raise UnsupportedError(f"{heif.title}: the data of its items overlap")
    messages = Messages(color, said)
    inputs_of = heif.inputs()
    data = {
        item.number: _needed_parts(heif, item, len(inputs_of.get(item.number, [])), source, messages)
        for item in pictures
    }
    film = heif_tracks.read(heif, source, color, messages, said, functools.partial(_inside, heif, mdats))
    properties = heif_properties.reduced(heif, pictures, data, color, messages, said)
    if any(box.kind == b"uuid" and source.read(box.content, 16) == boxes.C2PA_UUID for box in heif.top):
        said.append(CREDENTIALS_REMOVED)
    if behind := _behind(heif, source, data, film):
        said.append(f"{behind} bytes behind the image were removed")
    result = heif_writer.Result(heif, pictures, data, properties, film)
    notices += dict.fromkeys(said)
    idat = b"".join(boxes.copied(source, result.idat_parts))
    yield result.finish(idat)
    yield from boxes.copied(source, result.media)


def _check_data(heif: Heif, item: Item, mdats: list[Box]) -> None:
    """Refuse what can't be read or understood. Data up to the end of the file end with their mdat box."""
    what = f"{heif.title}: item {item.number} ({boxes.name(item.kind)})"
    if item.kind not in heif_choice.CODED | heif_choice.DERIVED:
        raise UnsupportedError(f"{what}: metadata can't be removed from pictures of this type")
    if item.obstacle:
        raise UnsupportedError(f"{what}: {item.obstacle}")
    if not item.parts and item.kind != b"iden":
        raise FormatError(heif.title, "iloc", None, f"item {item.number} has no data")
    if not item.in_idat:
        item.parts = _inside(heif, mdats, item.parts, f"item {item.number}")


def _inside(heif: Heif, mdats: list[Box], parts: list[Part], what: str) -> list[Part]:
    """Return the parts that data lie in, or raise FormatError where these are outside the mdat boxes."""
    found = []
    for start, length in parts:
        number = bisect.bisect_right(mdats, start, key=lambda box: box.content) - 1
        box = mdats[number] if number >= 0 else None
        if box is None or start > box.end or (start + length > box.end and start + length != heif.end):
            raise FormatError(heif.title, "iloc", start, f"data of {what} lie outside the mdat boxes")
        found.append((start, min(length, box.end - start)))
    return found


def _needed_parts(heif: Heif, item: Item, inputs: int, source: Readable, messages: Messages) -> list[Part]:
    """Return where the data of a picture are that are kept. inputs: of how many others it is derived."""
    data = Pieces(source, item.parts)
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
        raise FormatError(heif.title, "mdat", None, f"item {item.number} has no coded picture")
    return found


def _derivation(heif: Heif, item: Item, inputs: int, data: Pieces) -> list[Part]:
    """Return where the description of a derived picture is (ISO/IEC 23008-12, 6.6.2)."""
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
    return boxes.joined(data.parts(0, size))


def _behind(heif: Heif, source: Readable, data: dict[int, list[Part]], film: Film | None) -> int:
    """Return how many bytes follow the boxes that hold the pictures, 0 where these are padding or named otherwise."""
    ends = [box.end for box in heif.top if box.kind in (b"meta", b"moov")][: 2 if film else 1]
    starts = [start for parts in data.values() for start, _ in parts]
    starts += [part[0] for track in (film.tracks if film else ()) for sample in track.samples for part in sample]
    ends += [box.end for box in heif.top if box.start <= max(starts, default=0) < box.end]
    rest = [box for box in heif.top if box.start >= max(ends)]
    if heif.end == source.size and all(
        box.kind in (b"free", b"skip", b"mdat") or source.read(box.content, 16) == boxes.C2PA_UUID for box in rest
    ):
        return 0
    return source.size - max(ends)
